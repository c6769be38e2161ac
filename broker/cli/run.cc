// vestal run [OPTIONS] [--] COMMAND [ARGUMENTS...]
#include <string_view>

#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"

namespace broker::cli {
namespace {

bool common(char* const* arguments) {
  if (!arguments[0]) return false;
  return std::string_view(arguments[0]) == "--" ? arguments[1] != nullptr : arguments[0][0] != '-';
}

int run(const CommandOptions& given, char* const* arguments) {
  CommandOptions options = given;
  if (common(arguments)) return run_command(arguments + (arguments[0][0] == '-'), options);
  // Our own options end where the command begins.
  std::vector<std::string> own;
  while (*arguments && (*arguments)[0] == '-' && std::string_view(*arguments) != "--") own.emplace_back(*arguments++);
  Options accepted("vestal run [OPTIONS] [--] COMMAND [ARGUMENTS...]",
                   "Runs any command; each process it starts is a cached step.");
  accepted.command_options(options);
  if (const int status = accepted.parse(std::move(own)); status >= 0) return status;
  if (*arguments && std::string_view(*arguments) == "--") ++arguments;
  if (!*arguments) return wrong_usage("run: no command is given");
  return run_command(arguments, options);
}

const Subcommand run_subcommand("run", "[--] COMMAND...", "Run any other command", run, common);

}  // namespace
}  // namespace broker::cli
