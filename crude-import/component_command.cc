// vestal component add [OPTIONS] PACKAGE...
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/client.h"
#include "broker/wording.h"
#include "crude-import/component.h"
#include "crude-import/installed_packages.h"

namespace crude_import {
namespace {

using broker::complain;
using cache::fail;
using cache::Fault;
using cache::Result;

constexpr int status_unknown_package = 1;

struct Wishes {
  std::string directory = "components";
  bool takes_all = false, takes_only = false;
};

Result<std::vector<const Package*>> chosen(const InstalledPackages& installed, const std::vector<std::string>& words) {
  std::vector<const Package*> packages;
  std::string unknown, names;
  for (const std::string& word : words) {
    if (const Package* const package = installed.find(word)) {
      if (std::ranges::find(packages, package) == packages.end()) packages.push_back(package);
      continue;
    }
    unknown += fmt::format("{}{}{}", unknown.empty() ? "" : ", ", word, broker::suggestion(word, installed.names()));
    names += " " + word;
  }
  if (unknown.empty()) return packages;
  return fail(Fault::not_found, fmt::format("not installed: {}; a component is made of an installed package: `apt-get install{}`",
                                            unknown, names));
}

Component component_of(const InstalledPackages& installed, const Package& package, const Wishes& wishes) {
  std::vector<std::string> missing;
  Component component = crude_import::component_of(package, installed.required(package, &missing));
  for (const std::string& name : missing) complain(fmt::format("component: {} depends on {}, which is not installed", package.name, name));
  component.contents = wishes.takes_all ? "All files of the package, and alternatives that lead to them."
                                        : "The files of the package without documentation, manual pages and translations, and alternatives that lead to them.";
  return component;
}

Result<bool> add(const std::vector<std::string>& words, const Wishes& wishes) {
  auto read = InstalledPackages::read();
  if (!read) return fail(read.error().fault, "components are made of installed Debian packages: " + read.error().message);
  const InstalledPackages& installed = *read;
  const std::vector<const Package*> named = TRY(chosen(installed, words));
  const std::vector<const Package*> packages = wishes.takes_only ? named : installed.with_required(named);
  const auto paths = TRY(paths_of(packages));
  const std::vector<AlternativeLink> alternatives = alternative_links();
  std::error_code error;
  std::filesystem::create_directories(wishes.directory, error);
  if (error) return fail(Fault::io, fmt::format("{}: cannot be made: {}", wishes.directory, error.message()));

  ComponentTotals totals;
  std::uint64_t changed = 0;
  for (std::size_t at = 0; at < packages.size(); ++at) {
    ComponentFiles files;
    const auto add_path = [&](const std::string& path) {
      if (wishes.takes_all || !is_documentation(path)) files.add(path);
    };
    for (const std::string& path : paths[at]) add_path(path);
    for (const AlternativeLink& each : alternatives) {
      if (!files.has(each.file)) continue;
      add_path(each.link);
      add_path(each.middle);
    }
    const auto written = TRY(write_component(wishes.directory, component_of(installed, *packages[at], wishes), files));
    for (const ComponentFiles::LeftOut& each : files.left_out())
      complain(fmt::format("component: {}: left out: {}: {}", packages[at]->name, each.path, each.reason));
    totals.files += written.files;
    totals.links += written.links;
    totals.bytes += written.bytes;
    changed += written.is_changed;
  }
  TRY(write_component_list(wishes.directory));
  complain(fmt::format("component: {} in {}, {} new or changed: {}, {}, {}", broker::count_text(packages.size(), "component", "components"),
                       wishes.directory, changed, broker::count_text(totals.files, "file", "files"),
                       broker::count_text(totals.links, "symbolic link", "symbolic links"), broker::size_text(totals.bytes)));
  return true;
}

int component(const broker::CommandOptions&, char* const* arguments) {
  std::vector<std::string> words = broker::cli::words_of(arguments), own, packages;
  Wishes wishes;
  broker::cli::Options accepted(
      "vestal component add [OPTIONS] PACKAGE...",
      "Makes components for `vestal build` of installed Debian packages and of all that they depend on: copies of their files, and models that "
      "return them. Once more, it copies what has changed.");
  accepted.act("add", "PACKAGE...", "Makes components of installed Debian packages");
  accepted.word("-o,--output", "DIR", wishes.directory, "Where the components are to be; ./components if nothing is said");
  accepted.flag("--all", wishes.takes_all, "Documentation, manual pages and translations as well");
  accepted.flag("--only", wishes.takes_only, "These packages without what they depend on");
  const bool has_act = !words.empty() && !words[0].starts_with('-');
  if (has_act && words[0] != "add")
    return broker::cli::wrong_usage("component: unknown act '" + words[0] + "'" + broker::suggestion(words[0], {"add"}));
  for (std::size_t at = has_act; at < words.size(); ++at) {
    if (words[at] == "--") {
      packages.insert(packages.end(), words.begin() + static_cast<std::ptrdiff_t>(at) + 1, words.end());
      break;
    }
    if (words[at].starts_with('-')) {
      own.push_back(words[at]);
      if ((words[at] == "-o" || words[at] == "--output") && at + 1 < words.size()) own.push_back(words[++at]);
    } else {
      packages.push_back(words[at]);
    }
  }
  if (const int status = accepted.parse(std::move(own)); status >= 0) return status;
  if (!has_act) return broker::cli::wrong_usage("component: nothing to do; there is add");
  if (packages.empty()) return broker::cli::wrong_usage("component add: no package");
  while (wishes.directory.size() > 1 && wishes.directory.ends_with('/')) wishes.directory.pop_back();
  const auto added = add(packages, wishes);
  if (added) return 0;
  complain("component: " + added.error().message);
  return added.error().fault == Fault::not_found ? status_unknown_package : broker::status_own_failure;
}

const broker::cli::Subcommand component_subcommand("component", "add PACKAGE...",
                                                   "Makes components for `vestal build` of installed Debian packages", component);

}  // namespace
}  // namespace crude_import
