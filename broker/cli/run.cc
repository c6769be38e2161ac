// vestal run [OPTIONS] [--] COMMAND [ARGUMENTS...]
#include <algorithm>
#include <string_view>

#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/cli/tree.h"
#include "broker/sandbox/sandbox.h"

namespace broker::cli {
namespace {

constexpr std::string_view with_value[] = {"--tree", "--cwd", "--env", "--hole", "--out", "--backend"};

bool common(char* const* arguments) {
  if (!arguments[0]) return false;
  return std::string_view(arguments[0]) == "--" ? arguments[1] != nullptr : arguments[0][0] != '-';
}

int run(const CommandOptions& given, char* const* arguments) {
  CommandOptions options = given;
  if (common(arguments)) return run_command(arguments + (arguments[0][0] == '-'), options);
  // Our own options end where the command begins.
  std::vector<std::string> own;
  bool is_in_tree = false;
  while (*arguments && (*arguments)[0] == '-' && std::string_view(*arguments) != "--") {
    own.emplace_back(*arguments++);
    is_in_tree = is_in_tree || own.back().starts_with("--tree");
    const bool has_value = std::ranges::find(with_value, own.back()) != std::end(with_value) || std::ranges::find(options_with_value, own.back()) != std::end(options_with_value);
    if (has_value && *arguments) own.emplace_back(*arguments++);
  }
  TreeOptions tree;
  Options accepted("vestal run [OPTIONS] [--] COMMAND [ARGUMENTS...]",
                   "Runs any command; each process it starts is a cached step.");
  if (is_in_tree) options.policies = sandbox::hermetic_policies(given.policies);
  accepted.command_options(options);
  accepted.word("--tree", "DIGEST", tree.tree, "Run in this tree (`vestal tree add`): it is / for the command, and nothing else is there");
  accepted.word("--cwd", "DIR", tree.directory, "With --tree: where the command starts, in the tree; otherwise /");
  accepted.words("--env", "NAME[=VALUE]", tree.environment, "With --tree: NAME=VALUE, a variable of the command, which has no other; NAME alone for its value here");
  accepted.words("--hole", "PATH", tree.holes, "With --tree: a file or directory of this machine that is to be there as well, at the same path, to be read");
  accepted.word("--out", "DIR", tree.out, "With --tree: a directory to be made of what the command has made or changed");
  accepted.word("--backend", "auto|chroot", tree.backend, "With --tree: how it is served; there is one way, so that both mean the same");
  if (const int status = accepted.parse(std::move(own)); status >= 0) return status;
  if (*arguments && std::string_view(*arguments) == "--") ++arguments;
  if (!*arguments) return wrong_usage("run: no command is given");
  if (is_in_tree && options.files.any()) return wrong_usage("run: --trace and --report do not go with --tree");
  if (is_in_tree) return run_in_tree(tree, options, arguments);
  if (!tree.directory.empty() || !tree.environment.empty() || !tree.holes.empty() || !tree.out.empty() || !tree.backend.empty())
    return wrong_usage("run: --cwd, --env, --hole, --out and --backend go with --tree");
  return run_command(arguments, options);
}

const Subcommand run_subcommand("run", "[--] COMMAND...", "Run any other command", run, common);

}  // namespace
}  // namespace broker::cli
