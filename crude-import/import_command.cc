// vestal import -o DIR [--verify] [--] COMMAND [ARGUMENTS...]
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/client.h"
#include "broker/wording.h"
#include "crude-import/command_report.h"
#include "crude-import/imported_root.h"
#include "crude-import/root_writer.h"
#include "crude-import/verify.h"

namespace crude_import {
namespace {

using broker::complain;
using cache::Result;

constexpr int attempts_max = 5;
constexpr std::size_t listed_entries_max = 10'000;

struct Wishes {
  std::string root;
  bool verifies = false;
  std::set<std::string> values_of;
};

void tell_totals(const RootTotals& totals, const std::string& root) {
  complain(fmt::format("import: {}, {}, {} in {}", broker::count_text(totals.files, "file", "files"), broker::count_text(totals.links, "symbolic link", "symbolic links"),
                       broker::size_text(totals.bytes), root));
}

bool write_and_tell(const Wishes& wishes, const std::string& text) {
  const auto report = CommandReport::from(text);
  if (!report) {
    complain("import: nothing is known of what the command needed");
    return false;
  }
  const auto totals = write_root(wishes.root, *report, {}, wishes.values_of, true);
  if (!totals) {
    complain("import: " + totals.error().message);
    return false;
  }
  tell_totals(*totals, wishes.root);
  return true;
}

// What is in directories whose names the command has listed: a root has of them what was needed otherwise.
std::set<std::string> listed_entries(const CommandReport& report) {
  std::set<std::string> entries;
  for (const CommandReport::Path& path : report.paths) {
    if (!path.listed || is_special(path.path)) continue;
    std::error_code error;
    for (std::filesystem::directory_iterator at(path.path, error), end; !error && at != end && entries.size() < listed_entries_max; at.increment(error))
      entries.insert(at->path().string());
  }
  return entries;
}

// The status of the first run as wait(2) has it, if the root holds what the command needs.
Result<int> import_and_verify(const Wishes& wishes, const broker::CommandOptions& options, char* const* arguments) {
  const Observed first = TRY(observe(arguments, options));
  std::set<std::string> besides;
  RootTotals totals = TRY(write_root(wishes.root, first.report, besides, wishes.values_of, true));
  bool has_listed = false;
  for (int attempt = 1;; ++attempt) {
    const Comparison comparison = TRY(compare_in_root(wishes.root, arguments, options, first));
    if (comparison.differences.empty()) {
      if (!besides.empty()) complain("import: verify: " + broker::count_text(besides.size(), "path was", "paths were") + " missing at first, and added");
      tell_totals(totals, wishes.root);
      complain("import: verify: in the root alone the command did the same");
      return first.status;
    }
    std::set<std::string> missing = comparison.missing;
    std::erase_if(missing, [&](const std::string& path) { return besides.contains(path); });
    if (missing.empty() && !std::exchange(has_listed, true)) {
      missing = listed_entries(first.report);
      std::erase_if(missing, [&](const std::string& path) { return besides.contains(path) || std::ranges::find(first.report.made, path) != first.report.made.end(); });
    }
    if (missing.empty() || attempt == attempts_max) {
      tell_totals(totals, wishes.root);
      for (const std::string& difference : comparison.differences) complain("import: verify: " + difference);
      return cache::fail(cache::Fault::unsupported, "verify: in the root alone the command did something else");
    }
    besides.merge(missing);
    TRY(remove_root(wishes.root));
    totals = TRY(write_root(wishes.root, first.report, besides, wishes.values_of, false));
  }
}

int import(const broker::CommandOptions& given, char* const* arguments) {
  Wishes wishes;
  std::vector<std::string> own, values_of;
  while (*arguments && (*arguments)[0] == '-' && std::string_view(*arguments) != "--") {
    own.emplace_back(*arguments++);
    for (const char* name : {"-o", "--output", "--env"})
      if (own.back() == name && *arguments) {
        own.emplace_back(*arguments++);
        break;
      }
  }
  broker::cli::Options accepted("vestal import -o DIR [--verify] [--] COMMAND [ARGUMENTS...]",
                                "Runs a command and makes a directory of what it has needed: files, directories and symbolic links, so that it can run there by chroot.");
  accepted.word("-o,--output", wishes.root, "The root to be made; what was found is told in DIR.json");
  accepted.flag("--verify", wishes.verifies, "Run the command again, in the root alone, and compare; what is missing is added. Its output goes through a pipe");
  accepted.words("--env", values_of, "A variable whose value is to stand in DIR.json; of others it has the names");
  if (const int status = accepted.parse(std::move(own)); status >= 0) return status;
  wishes.values_of = {values_of.begin(), values_of.end()};
  if (*arguments && std::string_view(*arguments) == "--") ++arguments;
  std::string& root = wishes.root;
  if (root.empty()) return broker::cli::wrong_usage("import: -o DIR says where the root is to be");
  if (!*arguments) return broker::cli::wrong_usage("import: no command");
  while (root.size() > 1 && root.ends_with('/')) root.pop_back();
  std::error_code error;
  root = std::filesystem::absolute(root, error).string();
  // Before the command has run for nothing.
  if (const auto writable = RootWriter::check(root); !writable) {
    complain("import: " + writable.error().message);
    return broker::status_own_failure;
  }
  broker::CommandOptions options = given;
  options.fresh = true;
  if (!wishes.verifies) {
    options.on_report = [&wishes](const std::string& report) { return write_and_tell(wishes, report); };
    return broker::run_command(arguments, options);
  }
  if (const std::string why = unrepeatable_input(); !why.empty()) return broker::cli::wrong_usage("import: --verify: " + why);
  const auto status = import_and_verify(wishes, options, arguments);
  if (status) broker::end_like(*status);
  complain("import: " + status.error().message);
  return broker::status_own_failure;
}

const broker::cli::Subcommand import_subcommand("import", "-o DIR [--] COMMAND...", "Runs a command and makes a root of what it needs, for chroot", import);

}  // namespace
}  // namespace crude_import
