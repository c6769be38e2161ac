// Runs tools for `_run_tool`: in a tree made of `./root`, and only if no result is
// known whose needs are there as they were. Spec: 8.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "sdl/tool_runner.h"
#include "sdl/tools/directories.h"
#include "sdl/tools/root_tree.h"
#include "sdl/tools/tool_cache.h"

namespace sdl {

enum class ToolEvent { found, begins, ends };

struct ToolOptions {
  std::string cache_directory;  // absolute
  bool uses_results = true;     // of earlier runs
  bool adds_results = true;     // for later ones
  std::string salt;             // part of each key
  // Set: a tool that fails does not end the evaluation, and this is told what became of it.
  std::function<void(const std::string& failure)> keep_going;
  // What a tool prints and is to be shown: to standard output, or else to standard error.
  std::function<void(std::string_view text, bool is_output)> show;
  // One line for each call: what became of it, and the command.
  std::function<void(std::string_view line)> trace;
  // Of each call that its result is found, or that its tool begins and then ends.
  std::function<void(ToolEvent event, const std::string& command_line)> watch;
  // What a call depended on, as it is kept: a line for the command, then one for each path in `.`, as spec 9.4 writes them.
  std::function<void(const std::string& lines)> tell_dependencies;
};

class TreeTools final : public ToolRunner {
 public:
  TreeTools(Directories& directories, ToolOptions options);

  std::string surroundings() const override;
  cache::Result<ToolRun> run(std::span<const Value> arguments, const Value& dot) override;

 private:
  struct Call;
  cache::Result<Call> understand(std::span<const Value> arguments, const Value& dot);
  // Notes what it has looked at.
  cache::Result<std::string> program_path(const Call& call, ToolNeeds& needs);
  std::optional<ToolResult> known_result(const Call& call);
  cache::Result<ToolResult> result_of(const Call& call);
  void tell_dependencies(const Call& call, const ToolNeeds& needs) const;
  cache::Result<ToolResult> execute(const Call& call);
  cache::Result<Value> value_of(const Call& call, const ToolResult& result);

  Directories& directories_;
  const ToolOptions options_;
  const std::string surroundings_;  // what a tool has of this process: limits, niceness, ignored signals; and the salt
  RootTrees roots_;
  const ToolCache results_;
  // Of two calls that are the same, the second waits for the first.
  std::mutex running_mutex_;
  std::condition_variable some_have_ended_;
  std::set<std::pair<cache::Digest, cache::Digest>> running_;  // key, tree
};

}  // namespace sdl
