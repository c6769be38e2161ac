#include "crude-import/imported_root.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/client.h"
#include "broker/wording.h"
#include "crude-import/root_writer.h"

namespace crude_import {
namespace {

using broker::complain;
using cache::fail;
using cache::Fault;
using cache::Result;
using nlohmann::ordered_json;

// What a root cannot hold, in the words of the steps that used it.
void warn_of_others(const std::vector<CommandReport::Other>& others) {
  std::set<std::string> told;
  for (const CommandReport::Other& other : others)
    if (told.insert(other.reason).second) complain("import: " + other.reason + ", which no root can hold: " + other.command.substr(0, 100));
}

}  // namespace

Result<RootTotals> write_root(const std::string& root, const CommandReport& report, const std::set<std::string>& besides,
                              const std::set<std::string>& values_of, bool tells) {
  RootWriter writer = TRY(RootWriter::open(root));
  std::vector<std::string> changed, gone, special, listed;
  std::map<std::string, std::string> users;
  const auto add = [&](const std::string& path, const std::string& user) {
    writer.set_user(user);
    return writer.add(path);
  };
  for (const CommandReport::Path& program : report.programs) TRY(add(program.path, program.by));
  for (const CommandReport::Path& path : report.paths) {
    if (path.changed) changed.push_back(path.path);
    if (path.listed) listed.push_back(path.path);
    if (is_special(path.path)) special.push_back(path.path);
    if (!TRY(add(path.path, path.by)) && !path.changed) gone.push_back(path.path);
  }
  // What was not there was looked for in directories that are.
  for (const std::string& path : report.absent)
    if (const std::size_t slash = path.rfind('/'); slash != 0 && slash != path.npos) TRY(add(path.substr(0, slash), "where something was not found"));
  for (const std::string& path : besides) TRY(add(path, "found to be missing by --verify"));
  TRY(add(std::filesystem::current_path().string(), "the working directory"));
  TRY(writer.finish());

  ordered_json manifest;
  RootTotals totals;
  for (const auto& [path, entry] : writer.entries()) {
    ordered_json& one = manifest["entries"].emplace_back(ordered_json{{"path", path}, {"kind", std::string(1, entry.kind)}, {"bytes", entry.bytes}});
    if (!entry.digest.empty()) one["sha256"] = entry.digest;
    one["by"] = entry.user;
    totals.files += entry.kind == 'f';
    totals.links += entry.kind == 'l';
    totals.bytes += entry.bytes;
  }
  manifest["absent"] = report.absent;
  manifest["variables"] = report.variables;
  manifest["whole_environment"] = report.whole_environment;
  manifest["values"] = ordered_json::object();
  for (const std::string& name : values_of)
    if (const char* const value = std::getenv(name.c_str())) manifest["values"][name] = value;
  ordered_json& others = manifest["others"] = ordered_json::array();
  for (const CommandReport::Other& other : report.others) others.push_back({{"reason", other.reason}, {"command", other.command}});
  for (const auto& [name, paths] : {std::pair("changed", &changed), std::pair("gone", &gone), std::pair("special", &special), std::pair("listed", &listed)})
    manifest[name] = *paths;
  std::ofstream file(root + ".json");
  file << manifest.dump(1, ' ', false, ordered_json::error_handler_t::replace) << '\n';
  if (!file.flush()) return fail(Fault::io, root + ".json: cannot be written");
  if (!tells) return totals;
  for (const std::string& path : changed) complain("import: " + path + ": changed by the command; the root has what it is now");
  for (const std::string& path : gone) complain("import: " + path + ": is not there any more, and not in the root");
  for (const std::string& path : special) complain("import: " + path + ": belongs to the machine, and has to be mounted in the root");
  warn_of_others(report.others);
  return totals;
}

Result<bool> remove_root(const std::string& root) {
  std::error_code error;
  // Nothing can be removed from some.
  for (std::filesystem::recursive_directory_iterator at(root, error), end; !error && at != end; at.increment(error))
    if (at->symlink_status(error).type() == std::filesystem::file_type::directory) ::chmod(at->path().c_str(), 0700);
  std::filesystem::remove_all(root, error);
  if (error) return fail(Fault::io, root + ": cannot be removed: " + error.message());
  return true;
}

}  // namespace crude_import
