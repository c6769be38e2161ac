// vestal [OPTIONS] COMMAND ...
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <string_view>
#include <system_error>

#include "broker/cli/help.h"
#include "broker/cli/options.h"
#include "broker/cli/stats.h"
#include "broker/cli/subcommand.h"
#include "broker/sandbox/tool_process.h"
#include "broker/server.h"

namespace {

using namespace broker;
using namespace broker::cli;

// How a client starts the broker, and how it can be asked to leave. Not for users.
int broker_command(char** words) {
  if (words[0] && words[1] && !std::strcmp(words[0], "--serve")) return serve(words[1], 3);
  if (words[0] && !std::strcmp(words[0], "--stop")) {
    const auto answer = ask_broker(RequestKind::stop, {});
    if (answer) return 0;
    complain(answer.error().message);
    return status_own_failure;
  }
  return wrong_usage("broker: --serve DIRECTORY or --stop");
}

int with_options(int argc, char** argv) {
  // Own options end at the first word that is none, and no value of one.
  std::vector<std::string> own;
  int at = 1;
  while (at < argc && argv[at][0] == '-') {
    own.emplace_back(argv[at++]);
    if (std::ranges::find(options_with_value, own.back()) != std::end(options_with_value) && at < argc) own.emplace_back(argv[at++]);
  }

  OwnOptions wanted;
  Options accepted(usage(), purpose);
  add_own_options(accepted, wanted);
  if (const int status = accepted.parse(std::move(own)); status >= 0) return status;
  if (wanted.version_wanted) return std::fputs(version_text().c_str(), stdout), 0;
  if (wanted.stats_wanted) return show_stats(false);
  if (wanted.clear_wanted) return clear_stats();
  if (at == argc) {
    std::fputs(accepted.help().c_str(), stderr);
    return status_wrong_usage;
  }
  if (const Subcommand* command = Subcommand::find(argv[at])) return command->act(wanted.command, argv + at + 1);
  std::vector<std::string> names;
  for (const Subcommand* one = Subcommand::first(); one; one = one->next()) names.emplace_back(one->name);
  return wrong_usage(std::string("unknown command '") + argv[at] + "'" + suggestion(argv[at], names));
}

int act(int argc, char** argv) {
  if (argc < 2) return with_options(argc, argv);
  const Subcommand* const command = Subcommand::find(argv[1]);
  if (command && command->common && command->common(argv + 2)) return command->act({}, argv + 2);
  if (!std::strcmp(argv[1], "broker")) return broker_command(argv + 2);
  // Not for users either.
  if (!std::strcmp(argv[1], "tool")) return sandbox::serve_tool();
  return with_options(argc, argv);
}

int unwritten(int error) {
  complain(std::string("standard output: ") + std::strerror(error));
  return status_own_failure;
}

}  // namespace

int main(int argc, char** argv) try {
  const int status = act(argc, argv);
  return std::fflush(stdout) == 0 && !std::ferror(stdout) ? status : unwritten(errno);
} catch (const std::system_error& error) {
  // fmt could not write.
  return unwritten(error.code().value());
}
