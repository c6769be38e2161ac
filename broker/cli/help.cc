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

int describe(const Subcommand& topic) {
  if (topic.describe) return topic.describe();
  std::string option = "--help";
  char* const words[] = {option.data(), nullptr};
  return topic.act({}, words);
}

int describe_all() {
  OwnOptions unused;
  Options options(usage(), purpose);
  add_own_options(options, unused);
  options.print_help();
  return 0;
}

// Everything that can be said, for scripts/completion.awk and scripts/manual.awk.
int print_table() {
  Options::table_of = "vestal";
  describe_all();
  for (const Subcommand* one = Subcommand::first(); one; one = one->next()) {
    fmt::print("act\tvestal\t{}\t{}\t{}\town\n", one->name, one->synopsis, one->purpose);
    std::fflush(stdout);
    Options::table_of = one->name;
    describe(*one);
    const std::vector<std::string> acts = Options::acts_with_table;
    for (std::string act : acts) {
      Options::table_of = fmt::format("{} {}", one->name, act);
      std::string option = "--help";
      char* const words[] = {act.data(), option.data(), nullptr};
      one->act({}, words);
    }
  }
  return 0;
}

int help(const CommandOptions&, char* const* arguments) {
  if (!arguments[0]) return describe_all();
  if (std::string_view(arguments[0]) == "--help") {
    Options("vestal help [COMMAND]", "Says what a command does and which options it has.").print_help();
    return 0;
  }
  if (std::string_view(arguments[0]) == "--table") return print_table();
  const Subcommand* const topic = Subcommand::find(arguments[0]);
  if (!topic) return wrong_usage(fmt::format("no help on '{}'{}", arguments[0], suggestion(arguments[0], names())));
  return describe(*topic);
}

const Subcommand help_subcommand("help", "[COMMAND]", "What a command does and which options it has", help);

}  // namespace

void add_own_options(Options& options, OwnOptions& own) {
  options.command_options(own.command);
  options.flag("-s", own.stats_wanted, "Same as `vestal stats`");
  options.flag("-z", own.clear_wanted, "Set what `vestal stats` counts to zero");
  options.flag("--version", own.version_wanted, "Name, version, licence");
}

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
