#include "broker/cli/help.h"

#include <cstdio>

#include <fmt/format.h>

#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"

namespace broker::cli {
namespace {

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const Subcommand* one = Subcommand::first(); one; one = one->next()) all.emplace_back(one->name);
  return all;
}

int help(const CommandOptions&, char* const* arguments) {
  if (!arguments[0]) {
    CommandOptions unused;
    Options options(usage(), purpose);
    options.command_options(unused);
    std::fputs(options.help().c_str(), stdout);
    return 0;
  }
  const Subcommand* const topic = Subcommand::find(arguments[0]);
  if (!topic) return wrong_usage(fmt::format("no help on '{}'{}", arguments[0], suggestion(arguments[0], names())));
  // What takes all its words for the command's has no --help of its own.
  char* const no_words[] = {nullptr};
  if (topic->common && topic->common(no_words)) {
    fmt::print("Usage: vestal [OPTIONS] {} {}\n{}\n", topic->name, topic->synopsis, topic->purpose);
    return 0;
  }
  std::string option = "--help";
  char* const words[] = {option.data(), nullptr};
  return topic->act({}, words);
}

const Subcommand help_subcommand("help", "[COMMAND]", "What a command does and which options it has", help);

}  // namespace

std::string version_text() {
  return fmt::format("vestal {}, a build tool that caches every process of a build\nLicence: Apache-2.0\n", version);
}

std::string usage() {
  std::string text = "vestal [OPTIONS] COMMAND ...\n\nCommands:\n";
  for (const Subcommand* one = Subcommand::first(); one; one = one->next()) {
    text += fmt::format("  {:<26}{}\n", fmt::format("{} {}", one->name, one->synopsis), one->purpose);
  }
  text.pop_back();
  return text;
}

}  // namespace broker::cli
