// What else has to do with trees on the command line.
#pragma once

#include <string>
#include <vector>

#include "broker/client.h"
#include "cache/base/result.h"
#include "cache/digest.h"

namespace broker::cli {

// A digest as it is shown: of a message of the Remote Execution API, HASH/SIZE. The size may be left away.
cache::Result<cache::Digest> digest_in(const std::string& word);

struct TreeOptions {
  std::string tree;       // a digest; empty: no tree is wanted
  std::string directory;  // --cwd
  std::vector<std::string> environment;  // NAME=VALUE, or NAME for the caller's value
  std::vector<std::string> holes;        // absolute paths
  std::string out;
  std::string backend;
};

// `vestal run --tree=...`: the exit status.
int run_in_tree(const TreeOptions& tree, const CommandOptions& options, char* const* arguments);

}  // namespace broker::cli
