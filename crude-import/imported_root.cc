#include "crude-import/imported_root.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/client.h"
#include "broker/wording.h"
#include "cache/remove_directory.h"
#include "crude-import/debian_packages.h"
#include "crude-import/root_writer.h"

namespace crude_import {
namespace {

using broker::complain;
using cache::fail;
using cache::Fault;
using cache::Result;
using nlohmann::ordered_json;

constexpr std::size_t packages_told_max = 8;

// What a root cannot hold, in the words of the steps that used it.
void warn_of_others(const std::vector<CommandReport::Other>& others) {
  std::set<std::string> told;
  for (const CommandReport::Other& other : others)
    if (told.insert(other.reason).second) complain("import: " + other.reason + (other.reason == broker::not_ended ? ": " : ", which no root can hold: ") + other.command.substr(0, 100));
}

// Of which session the root beside this manifest is; empty if of none.
std::string session_of(const std::string& root) {
  std::ifstream file(root + ".json");
  const ordered_json manifest = ordered_json::parse(file, nullptr, false);
  return manifest.is_object() && manifest.contains("session") && manifest["session"].is_string() ? manifest["session"].get<std::string>() : std::string();
}

// /lib and the like are directories to packages.
bool leads_to_a_directory(const std::string& link) {
  std::error_code error;
  return std::filesystem::is_directory(link, error);
}

template <class Container>
void add_all(std::set<std::string>& to, const Container& from) { to.insert(from.begin(), from.end()); }

}  // namespace

Result<bool> check_root(const std::string& root, const std::string& session) {
  if (!session.empty() && session_of(root) == session) return true;
  return RootWriter::check(root);
}

Result<RootTotals> write_root(const std::string& root, const RootContents& contents, bool tells) {
  TRY(check_root(root, contents.session));
  if (!contents.session.empty() && session_of(root) == contents.session) TRY(remove_root(root));
  RootWriter writer = TRY(RootWriter::open(root));
  std::set<std::string> changed, gone, special, listed, absent, variables;
  const auto add = [&](const std::string& path, const std::string& user) {
    writer.set_user(user);
    return writer.add(path);
  };
  ordered_json others = ordered_json::array();
  bool whole_environment = false;
  for (const CommandReport& report : contents.reports) {
    // One that the command has made itself it will make again.
    for (const CommandReport::Path& program : report.programs)
      if (std::ranges::find(report.made, program.path) == report.made.end()) TRY(add(program.path, program.by));
    for (const CommandReport::Path& path : report.paths) {
      if (path.changed) changed.insert(path.path);
      if (path.listed) listed.insert(path.path);
      if (is_special(path.path)) special.insert(path.path);
      if (!TRY(add(path.path, path.by)) && !path.changed) gone.insert(path.path);
    }
    // What was not there was looked for in directories that are.
    for (const std::string& path : report.absent)
      if (const std::size_t slash = path.rfind('/'); slash != 0 && slash != path.npos) TRY(add(path.substr(0, slash), "where something was not found"));
    TRY(add(report.directory, "the working directory"));
    add_all(absent, report.absent);
    add_all(variables, report.variables);
    whole_environment = whole_environment || report.whole_environment;
    for (const CommandReport::Other& other : report.others) others.push_back({{"reason", other.reason}, {"command", other.command}});
  }
  for (const std::string& path : contents.besides) TRY(add(path, "found to be missing by --verify"));
  TRY(writer.finish());

  std::vector<std::string> files;
  for (const auto& [path, entry] : writer.entries())
    if (entry.kind == 'f' || (entry.kind == 'l' && !leads_to_a_directory(path))) files.push_back(path);
  const auto packages = packages_of(files);
  ordered_json manifest;
  RootTotals totals;
  if (!contents.session.empty()) manifest["session"] = contents.session;
  for (const auto& [path, entry] : writer.entries()) {
    absent.erase(path);
    ordered_json& one = manifest["entries"].emplace_back(ordered_json{{"path", path}, {"kind", std::string(1, entry.kind)}, {"bytes", entry.bytes}});
    if (!entry.digest.empty()) one["sha256"] = entry.digest;
    one["by"] = entry.user;
    totals.links += entry.kind == 'l';
    const auto package = packages.find(path);
    if (package != packages.end()) one["package"] = package->second;
    totals.entries.emplace(path, package != packages.end() ? package->second : std::string());
    if (entry.kind != 'f') continue;
    RootTotals::Share& share = totals.packages[package != packages.end() ? package->second : std::string()];
    ++share.files;
    share.bytes += entry.bytes;
    ++totals.files;
    totals.bytes += entry.bytes;
  }
  ordered_json& packages_told = manifest["packages"] = ordered_json::object();
  for (const auto& [name, share] : totals.packages)
    if (!name.empty()) packages_told[name] = {{"files", share.files}, {"bytes", share.bytes}};
  manifest["absent"] = absent;
  manifest["variables"] = variables;
  manifest["whole_environment"] = whole_environment;
  manifest["values"] = ordered_json::object();
  for (const std::string& name : contents.values_of)
    if (const char* const value = std::getenv(name.c_str())) manifest["values"][name] = value;
  manifest["others"] = std::move(others);
  for (const auto& [name, paths] : {std::pair("changed", &changed), std::pair("gone", &gone), std::pair("special", &special), std::pair("listed", &listed)})
    manifest[name] = *paths;
  std::ofstream file(root + ".json");
  file << manifest.dump(1, ' ', false, ordered_json::error_handler_t::replace) << '\n';
  if (!file.flush()) return fail(Fault::io, root + ".json: cannot be written");
  if (!tells) return totals;
  for (const std::string& path : changed) complain("import: " + path + ": changed by the command; the root has what it is now");
  for (const std::string& path : gone) complain("import: " + path + ": is not there any more, and not in the root");
  for (const std::string& path : special) complain("import: " + path + ": belongs to the machine, and has to be mounted in the root");
  warn_of_others(contents.reports.back().others);
  return totals;
}

std::vector<std::string> package_table(const RootTotals& totals) {
  std::vector<std::pair<std::string, RootTotals::Share>> rows(totals.packages.begin(), totals.packages.end());
  std::ranges::stable_sort(rows, [](const auto& one, const auto& other) { return one.second.bytes > other.second.bytes; });
  std::vector<std::string> lines;
  // Where there are no packages there is nothing to tell.
  if (rows.size() == 1 && rows[0].first.empty()) return lines;
  RootTotals::Share rest;
  for (std::size_t at = packages_told_max; at < rows.size(); ++at) {
    rest.files += rows[at].second.files;
    rest.bytes += rows[at].second.bytes;
  }
  const std::size_t more = rows.size() - std::min(rows.size(), packages_told_max);
  if (more > 1) rows.resize(packages_told_max);
  for (const auto& [name, share] : rows)
    lines.push_back(fmt::format("{:>10}  {:<14} {}", broker::size_text(share.bytes), broker::count_text(share.files, "file", "files"), name.empty() ? "of no package" : "of " + name));
  if (more > 1) lines.push_back(fmt::format("{:>10}  {:<14} of {} other packages", broker::size_text(rest.bytes), broker::count_text(rest.files, "file", "files"), more));
  return lines;
}

Result<bool> remove_root(const std::string& root) {
  if (const std::error_code error = cache::remove_directory(root)) return fail(Fault::io, root + ": cannot be removed: " + error.message());
  return true;
}

}  // namespace crude_import
