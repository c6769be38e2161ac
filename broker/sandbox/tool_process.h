// A command in a tree for callers with threads: sandbox::run() forks, so that a
// process of its own asks for it, `vestal tool`.
#pragma once

#include <string>
#include <vector>

#include "broker/tree/tree_adder.h"
#include "cache/base/result.h"
#include "cache/digest.h"

namespace broker::sandbox {

// A hermetic run, see hermetic_policies().
struct ToolRequest {
  std::string cache_directory;  // absolute
  cache::Digest tree;
  std::string directory = "/";  // where it starts, in the tree
  std::vector<std::string>
      arguments;  // the first names the program, searched for in the PATH of `environment`
  std::vector<std::string> environment;  // all of it, NAME=VALUE each
  bool fresh = false;                    // no step is replayed
  bool operator==(const ToolRequest&) const = default;
};

struct ToolEnded {
  int status = 0;       // as wait(2) has it
  std::string report;   // the session's, JSON, with what the command needed
  cache::Digest after;  // the tree as it has left it
  std::vector<tree::LeftOut> left_out;
};

// The three are what the command reads and writes. Errors are those of run(); Fault::io: the process has
// ended. Any thread.
cache::Result<ToolEnded> run_tool(const ToolRequest& request, int standard_input, int standard_output,
                                  int standard_error);

// `vestal tool`: serves the one request that comes by descriptor 3, and returns the exit status.
int serve_tool();

}  // namespace broker::sandbox
