// vestal import -o DIR|--tar FILE|--oci DIR [OPTIONS] [--] COMMAND [ARGUMENTS...]
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
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
#include "crude-import/import_session.h"
#include "crude-import/imported_root.h"
#include "crude-import/pack.h"
#include "crude-import/root_writer.h"
#include "crude-import/sdl_model.h"
#include "crude-import/verify.h"

namespace crude_import {
namespace {

using broker::complain;
using cache::Result;

constexpr int attempts_max = 5;
constexpr std::size_t listed_entries_max = 10'000;

struct Wishes {
  std::string root;  // with is_temporary to be removed when it is packed
  bool is_temporary = false;
  std::string tar, image, session;
  bool verifies = false, writes_model = false;
  std::set<std::string> values_of;
  char* const* arguments = nullptr;
};

void tell_totals(const RootTotals& totals, const Wishes& wishes) {
  for (const std::string& line : package_table(totals)) complain("import: " + line);
  const std::string place = !wishes.is_temporary ? wishes.root : !wishes.tar.empty() ? wishes.tar : wishes.image;
  complain(fmt::format("import: {}, {}, {} in {}", broker::count_text(totals.files, "file", "files"), broker::count_text(totals.links, "symbolic link", "symbolic links"),
                       broker::size_text(totals.bytes), place));
}

Result<bool> pack(const Wishes& wishes) {
  if (!wishes.tar.empty()) TRY(write_tar(wishes.root, wishes.tar));
  if (wishes.image.empty()) return true;
  ImageConfiguration configuration;
  for (char* const* word = wishes.arguments; *word; ++word) configuration.arguments.emplace_back(*word);
  for (const std::string& name : wishes.values_of)
    if (const char* const value = std::getenv(name.c_str())) configuration.environment.push_back(name + "=" + value);
  configuration.directory = std::filesystem::current_path().string();
  return write_image(wishes.root, wishes.image, configuration);
}

Result<bool> write_model_of(const Wishes& wishes, const RootTotals& totals, const CommandReport& report) {
  ModelOfCommand model;
  for (char* const* word = wishes.arguments; *word; ++word) model.arguments.emplace_back(*word);
  model.directory = std::filesystem::current_path().string();
  std::string left_out;
  for (const std::string& name : report.variables) {
    const char* const value = std::getenv(name.c_str());
    if (value && wishes.values_of.contains(name)) model.variables.emplace_back(name, value);
    else if (value) left_out += (left_out.empty() ? "" : ", ") + name;
  }
  for (const std::string& name : wishes.values_of)
    if (const char* const value = std::getenv(name.c_str()); value && std::ranges::find(report.variables, name) == report.variables.end()) model.variables.emplace_back(name, value);
  const std::size_t components = TRY(write_model(wishes.root, totals, model));
  complain(fmt::format("import: model: {}.ves, with {}", wishes.root, broker::count_text(components, "component", "components")));
  if (!left_out.empty()) complain("import: model: it does not set what the command asks for besides: " + left_out + " (--env NAME)");
  return true;
}

void remove_temporary(const Wishes& wishes) {
  if (!wishes.is_temporary || ::access(wishes.root.c_str(), F_OK) != 0) return;
  if (const auto removed = remove_root(wishes.root); !removed) complain("import: " + removed.error().message);
  std::error_code error;
  std::filesystem::remove(wishes.root + ".json", error);
}

// What the root is to have: of this run and, in a session, of those before it.
Result<RootContents> contents_of(const Wishes& wishes, const std::string& text) {
  std::vector<SessionRun> runs{{text, std::filesystem::current_path().string()}};
  if (!wishes.session.empty()) runs = TRY(add_to_session(wishes.session, runs[0]));
  RootContents contents;
  contents.values_of = wishes.values_of;
  contents.session = wishes.session;
  for (const SessionRun& run : runs) {
    auto report = CommandReport::from(run.report);
    if (!report) return cache::fail(cache::Fault::io, "nothing is known of what the command needed");
    report->directory = run.directory;
    contents.reports.push_back(std::move(*report));
  }
  return contents;
}

Result<bool> write_and_tell(const Wishes& wishes, const std::string& text) {
  const RootTotals totals = TRY(write_root(wishes.root, TRY(contents_of(wishes, text)), true));
  TRY(pack(wishes));
  tell_totals(totals, wishes);
  if (wishes.writes_model) TRY(write_model_of(wishes, totals, *CommandReport::from(text)));
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
  const off_t input_at = ::lseek(0, 0, SEEK_CUR);
  const Observed first = TRY(observe(arguments, options));
  RootContents contents = TRY(contents_of(wishes, first.text));
  std::set<std::string>& besides = contents.besides;
  RootTotals totals = TRY(write_root(wishes.root, contents, true));
  bool has_listed = false;
  for (int attempt = 1;; ++attempt) {
    if (input_at >= 0) ::lseek(0, input_at, SEEK_SET);
    const Comparison comparison = TRY(compare_in_root(wishes.root, arguments, options, first));
    if (comparison.differences.empty()) {
      if (!besides.empty()) complain("import: verify: " + broker::count_text(besides.size(), "path was", "paths were") + " missing at first, and added");
      TRY(pack(wishes));
      tell_totals(totals, wishes);
      complain("import: verify: in the root alone the command did the same");
      if (wishes.writes_model) TRY(write_model_of(wishes, totals, first.report));
      return first.status;
    }
    std::set<std::string> missing = comparison.missing;
    std::erase_if(missing, [&](const std::string& path) { return besides.contains(path); });
    if (missing.empty() && !std::exchange(has_listed, true)) {
      missing = listed_entries(first.report);
      std::erase_if(missing, [&](const std::string& path) { return besides.contains(path) || std::ranges::find(first.report.made, path) != first.report.made.end(); });
    }
    if (missing.empty() || attempt == attempts_max) {
      TRY(pack(wishes));
      tell_totals(totals, wishes);
      for (const std::string& difference : comparison.differences) complain("import: verify: " + difference);
      return cache::fail(cache::Fault::unsupported, "verify: in the root alone the command did something else");
    }
    besides.merge(missing);
    TRY(remove_root(wishes.root));
    totals = TRY(write_root(wishes.root, contents, false));
  }
}

// Beside what is to be made of it.
Result<bool> make_temporary(Wishes& wishes) {
  std::string name = (!wishes.tar.empty() ? wishes.tar : wishes.image) + ".XXXXXX";
  if (!::mkdtemp(name.data())) return cache::fail(cache::Fault::io, fmt::format("{}: {}", name, std::strerror(errno)));
  ::chmod(name.c_str(), 0755);  // it is to be somebody's "/"
  wishes.root = name;
  wishes.is_temporary = true;
  return true;
}

Result<bool> prepare(Wishes& wishes) {
  std::error_code error;
  for (std::string* path : {&wishes.root, &wishes.tar, &wishes.image}) {
    while (path->size() > 1 && path->ends_with('/')) path->pop_back();
    if (!path->empty()) *path = std::filesystem::absolute(*path, error).string();
  }
  if (!wishes.session.empty()) TRY(check_session_name(wishes.session));
  if (!wishes.image.empty()) TRY(check_image(wishes.image));
  if (wishes.writes_model) TRY(check_model(wishes.root, wishes.session));
  if (wishes.root.empty()) return make_temporary(wishes);
  return check_root(wishes.root, wishes.session);
}

int import(const broker::CommandOptions& given, char* const* arguments) {
  Wishes wishes;
  std::vector<std::string> own, values_of;
  while (*arguments && (*arguments)[0] == '-' && std::string_view(*arguments) != "--") {
    own.emplace_back(*arguments++);
    constexpr std::string_view with_value[] = {"-o", "--output", "--tar", "--oci", "--session", "--env"};
    if (std::ranges::find(with_value, own.back()) != std::end(with_value) && *arguments) own.emplace_back(*arguments++);
  }
  broker::cli::Options accepted("vestal import -o DIR|--tar FILE|--oci DIR [OPTIONS] [--] COMMAND [ARGUMENTS...]",
                                "Runs a command and makes a root of what it has needed: files, directories and symbolic links, so that it can run there by chroot.");
  accepted.word("-o,--output", "DIR", wishes.root, "The root as a directory; what was found is told in DIR.json");
  accepted.word("--tar", "FILE", wishes.tar, "The root as a tar archive");
  accepted.word("--oci", "DIR", wishes.image, "The root as an image of the Open Container Initiative, a directory that skopeo, umoci or podman read");
  accepted.word("--session", "NAME", wishes.session, "Add this run to the earlier ones of that name: the root is for all of them");
  accepted.flag("--verify", wishes.verifies, "Run the command again, in the root alone, and compare; what is missing is added. Its output goes through a pipe");
  accepted.flag("--sdl", wishes.writes_model, "Write DIR.ves as well, a model that runs the command in the root (vestal build), and in DIR.sdl components of its Debian packages");
  accepted.words("--env", "NAME", values_of, "A variable whose value is to stand in the manifest, in an image and in a model; of others there are the names");
  if (const int status = accepted.parse(std::move(own)); status >= 0) return status;
  wishes.values_of = {values_of.begin(), values_of.end()};
  if (*arguments && std::string_view(*arguments) == "--") ++arguments;
  wishes.arguments = arguments;
  if (wishes.root.empty() && wishes.tar.empty() && wishes.image.empty()) return broker::cli::wrong_usage("import: -o DIR says where the root is to be; or --tar FILE, --oci DIR");
  if (wishes.writes_model && wishes.root.empty()) return broker::cli::wrong_usage("import: --sdl goes with -o DIR, for the model names it");
  if (!*arguments) return broker::cli::wrong_usage("import: no command");
  if (wishes.verifies)
    if (const std::string why = unrepeatable_input(); !why.empty()) return broker::cli::wrong_usage("import: --verify: " + why);
  const auto failed = [](const cache::Error& error) {
    complain("import: " + error.message);
    return broker::status_own_failure;
  };
  // Before the command has run for nothing.
  if (const auto prepared = prepare(wishes); !prepared) return failed(prepared.error());
  broker::CommandOptions options = given;
  options.fresh = true;
  if (wishes.verifies) {
    const auto status = import_and_verify(wishes, options, arguments);
    remove_temporary(wishes);
    if (status) broker::end_like(*status);
    return failed(status.error());
  }
  // It comes back only if something went wrong.
  options.need_needs([&](const std::string& report, int) -> std::optional<int> {
    const auto written = write_and_tell(wishes, report);
    if (!written) failed(written.error());
    remove_temporary(wishes);
    return written ? std::nullopt : std::optional(broker::status_own_failure);
  });
  const int status = broker::run_command(arguments, options);
  remove_temporary(wishes);
  return status;
}

const broker::cli::Subcommand import_subcommand("import", "-o DIR [--] COMMAND...", "Runs a command and makes a root of what it needs, for chroot", import);

}  // namespace
}  // namespace crude_import
