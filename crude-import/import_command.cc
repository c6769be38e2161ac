// vestal import -o DIR [--] COMMAND [ARGUMENTS...]
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/client.h"
#include "broker/wording.h"
#include "crude-import/root_writer.h"

namespace crude_import {
namespace {

using broker::complain;
using nlohmann::json;
using nlohmann::ordered_json;

// What a root cannot hold, in the words of the steps that used it.
void warn_of_others(const json& others) {
  std::set<std::string> told;
  for (const json& other : others)
    if (const std::string reason = other.at("reason"); told.insert(reason).second)
      complain("import: " + reason + ", which no root can hold: " + other.at("command").get<std::string>().substr(0, 100));
}

bool write_root(const std::string& root, const std::string& text) {
  const json report = json::parse(text, nullptr, false);
  if (!report.is_object() || !report.contains("needs")) {
    complain("import: nothing is known of what the command needed");
    return false;
  }
  const json& needs = report.at("needs");
  auto writer = RootWriter::open(root);
  auto failed = [](const cache::Error& error) {
    complain("import: " + error.message);
    return false;
  };
  if (!writer) return failed(writer.error());
  for (const json& program : needs.at("programs"))
    if (const auto added = writer->add(program.get<std::string>()); !added) return failed(added.error());
  std::vector<std::string> changed, gone, special, listed;
  for (const json& path : needs.at("paths")) {
    const std::string name = path.at("path");
    const bool is_changed = path.at("changed");
    if (is_changed) changed.push_back(name);
    if (path.at("listed").get<bool>()) listed.push_back(name);
    if (is_special(name)) special.push_back(name);
    const auto added = writer->add(name);
    if (!added) return failed(added.error());
    if (!*added && !is_changed) gone.push_back(name);
  }
  if (const auto added = writer->add(std::filesystem::current_path().string()); !added) return failed(added.error());
  if (const auto finished = writer->finish(); !finished) return failed(finished.error());

  ordered_json manifest;
  std::uint64_t files = 0, bytes = 0, links = 0;
  for (const auto& [path, entry] : writer->entries()) {
    manifest["entries"].push_back({{"path", path}, {"kind", std::string(1, entry.kind)}, {"bytes", entry.bytes}});
    files += entry.kind == 'f';
    links += entry.kind == 'l';
    bytes += entry.bytes;
  }
  for (const char* name : {"absent", "variables", "whole_environment", "others"}) manifest[name] = needs.at(name);
  for (const auto& [name, paths] : {std::pair("changed", &changed), std::pair("gone", &gone), std::pair("special", &special), std::pair("listed", &listed)})
    manifest[name] = *paths;
  std::ofstream file(root + ".json");
  file << manifest.dump(1, ' ', false, ordered_json::error_handler_t::replace) << '\n';
  if (!file.flush()) {
    complain("import: " + root + ".json: cannot be written");
    return false;
  }
  for (const std::string& path : changed) complain("import: " + path + ": changed by the command; the root has what it is now");
  for (const std::string& path : gone) complain("import: " + path + ": is not there any more, and not in the root");
  for (const std::string& path : special) complain("import: " + path + ": belongs to the machine, and has to be mounted in the root");
  warn_of_others(needs.at("others"));
  complain(fmt::format("import: {}, {}, {} in {}", broker::count_text(files, "file", "files"), broker::count_text(links, "symbolic link", "symbolic links"),
                       broker::size_text(bytes), root));
  return true;
}

int import(const broker::CommandOptions& given, char* const* arguments) {
  std::string root;
  int at = 0;
  for (; arguments[at] && arguments[at][0] == '-'; ++at) {
    const std::string word = arguments[at];
    if (word == "--") { ++at; break; }
    if (word == "-h" || word == "--help") {
      std::fputs("Runs a command and makes a directory of what it has needed: files, directories and symbolic links, so that it can run there by chroot.\n"
                 "Usage: vestal import -o DIR [--] COMMAND [ARGUMENTS...]\n\n"
                 "  -o DIR    The root to be made; what was found is told in DIR.json\n", stdout);
      return 0;
    }
    if (word == "-o" && arguments[at + 1]) root = arguments[++at];
    else if (word.starts_with("-o") && word.size() > 2) root = word.substr(2);
    else return broker::cli::wrong_usage("import: unknown option '" + word + "'");
  }
  if (root.empty()) return broker::cli::wrong_usage("import: -o DIR says where the root is to be");
  if (!arguments[at]) return broker::cli::wrong_usage("import: no command");
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
  options.on_report = [root](const std::string& report) { return write_root(root, report); };
  return broker::run_command(arguments + at, options);
}

const broker::cli::Subcommand import_subcommand("import", "-o DIR [--] COMMAND...", "Runs a command and makes a root of what it needs, for chroot", import);

}  // namespace
}  // namespace crude_import
