#include "crude-import/installed_packages.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include <fmt/format.h>

#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"

extern char** environ;

namespace crude_import {
namespace {

using cache::fail;
using cache::Fault;
using cache::OwnedFd;
using cache::Result;

constexpr std::string_view blanks = " \t";
constexpr const char* default_database = "/var/lib/dpkg";

// What a program prints; its messages are nobody's.
Result<std::string> output_of(std::vector<std::string> words) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Fault::io, fmt::format("no pipe: {}", std::strerror(errno)));
  const OwnedFd reader(ends[0]);
  OwnedFd writer(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, writer.get(), 1);
  ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  std::vector<char*> arguments, variables;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::string locale = "LC_ALL=C";  // what is printed is read by a program
  for (char** each = environ; *each; ++each)
    if (!std::string_view(*each).starts_with("LC_ALL=")) variables.push_back(*each);
  variables.push_back(locale.data());
  variables.push_back(nullptr);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), variables.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail(Fault::not_found, fmt::format("{}: {}", words[0], std::strerror(error)));
  writer.reset();
  std::string text = cache::read_all(reader.get());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) == 127)
    return fail(Fault::io, words[0] + ": did not come to its end");
  return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == text.npos) return parts;
    text.remove_prefix(at + 1);
  }
}

// "libc6:any (>= 2.34)": libc6; "libc6:i386" stays.
std::string name_in(std::string_view relation) {
  relation.remove_prefix(std::min(relation.find_first_not_of(blanks), relation.size()));
  std::string_view name = relation.substr(0, relation.find_first_of(" \t(["));
  for (const std::string_view any : {":any", ":native"})
    if (name.ends_with(any)) name.remove_suffix(any.size());
  return std::string(name);
}

void add_relations(std::string_view field, std::vector<std::vector<std::string>>& to) {
  for (const std::string_view group : split(field, ',')) {
    std::vector<std::string> names;
    for (const std::string_view relation : split(group, '|'))
      if (std::string name = name_in(relation); !name.empty()) names.push_back(std::move(name));
    if (!names.empty()) to.push_back(std::move(names));
  }
}

std::string database() {
  const char* const set = std::getenv("DPKG_ADMINDIR");
  return set && *set ? set : default_database;
}

}  // namespace

Result<InstalledPackages> InstalledPackages::read() {
  const std::string text = TRY(output_of(
      {"dpkg-query", "-W", "-f",
       "${db:Status-Status}\\t${Package}\\t${binary:Package}\\t${Architecture}\\t${Version}\\t${Pre-Depends}\\t${Depends}\\t${Provides}\\n"}));
  std::vector<Package> found;
  std::string own_architecture;
  for (const std::string_view line : split(text, '\n')) {
    const std::vector<std::string_view> fields = split(line, '\t');
    if (fields.size() != 8) continue;
    // One that waits for another's trigger has all its files.
    if (fields[0] != "installed" && !fields[0].starts_with("triggers-")) continue;
    Package package;
    package.name = fields[1];
    package.id = fields[2];
    package.architecture = fields[3];
    package.version = fields[4];
    add_relations(fields[5], package.depends);
    add_relations(fields[6], package.depends);
    std::vector<std::vector<std::string>> provided;
    add_relations(fields[7], provided);
    for (std::vector<std::string>& names : provided) package.provides.push_back(std::move(names[0]));
    // dpkg itself is of the machine's own architecture.
    if (package.architecture != "all" && (own_architecture.empty() || package.name == "dpkg"))
      own_architecture = package.architecture;
    found.push_back(std::move(package));
  }
  InstalledPackages packages;
  for (Package& package : found) {
    const std::string full = package.name + ":" + package.architecture;
    const bool is_own = package.architecture == own_architecture || package.architecture == "all";
    if (!is_own) package.name = full;
    const auto [at, is_new] = packages.packages_.try_emplace(package.name, std::move(package));
    if (is_new && is_own) packages.aliases_.emplace(full, &at->second);
  }
  for (const auto& [name, package] : packages.packages_)
    for (const std::string& provided : package.provides) packages.providers_.try_emplace(provided, name);
  return packages;
}

const Package* InstalledPackages::find(std::string_view word) const {
  if (const auto at = packages_.find(word); at != packages_.end()) return &at->second;
  const auto alias = aliases_.find(word);
  return alias == aliases_.end() ? nullptr : alias->second;
}

std::vector<std::string> InstalledPackages::names() const {
  std::vector<std::string> names;
  for (const auto& [name, package] : packages_) names.push_back(name);
  return names;
}

std::vector<const Package*> InstalledPackages::required(const Package& package,
                                                        std::vector<std::string>* missing) const {
  std::vector<const Package*> required;
  // A foreign package wants libraries of its own architecture.
  const std::size_t colon = package.name.find(':');
  const std::string suffix = colon == package.name.npos ? std::string() : package.name.substr(colon);
  const auto installed = [&](const std::string& name) -> const Package* {
    if (const Package* const same = suffix.empty() ? nullptr : find(name + suffix)) return same;
    if (const Package* const found = find(name)) return found;
    const auto provider = providers_.find(name);
    return provider == providers_.end() ? nullptr : find(provider->second);
  };
  for (const std::vector<std::string>& alternatives : package.depends) {
    const Package* chosen = nullptr;
    for (const std::string& name : alternatives)
      if ((chosen = installed(name))) break;
    if (!chosen) {
      if (missing) missing->push_back(alternatives[0]);
    } else if (chosen != &package && std::ranges::find(required, chosen) == required.end()) {
      required.push_back(chosen);
    }
  }
  return required;
}

std::vector<const Package*> InstalledPackages::with_required(const std::vector<const Package*>& packages) const {
  std::vector<const Package*> all;
  std::set<const Package*> seen;
  const auto add = [&](const Package* package) {
    if (seen.insert(package).second) all.push_back(package);
  };
  for (const Package* const package : packages) add(package);
  for (std::size_t at = 0; at < all.size(); ++at)
    for (const Package* const package : required(*all[at])) add(package);
  return all;
}

Result<std::vector<std::vector<std::string>>> paths_of(const std::vector<const Package*>& packages) {
  std::vector<std::vector<std::string>> lists;
  if (packages.empty()) return lists;
  std::vector<std::string> words{"dpkg-query", "-L"};
  for (const Package* const package : packages) words.push_back(package->id);
  // An empty line stands between two packages.
  const std::string text = TRY(output_of(std::move(words)));
  lists.emplace_back();
  constexpr std::string_view moved_to = " to: /";
  for (const std::string_view line : split(text, '\n')) {
    std::vector<std::string>& list = lists.back();
    if (line.empty()) {
      lists.emplace_back();
    } else if (line.starts_with('/')) {
      list.emplace_back(line);
    } else if (const std::size_t at = line.find(moved_to);
               (line.starts_with("diverted by ") || line.starts_with("locally diverted ")) && at != line.npos &&
               !list.empty()) {
      list.back() = line.substr(at + moved_to.size() - 1);
    }
  }
  while (lists.size() > packages.size() && lists.back().empty()) lists.pop_back();
  if (lists.size() != packages.size()) return fail(Fault::io, "dpkg-query -L: its answer cannot be read");
  return lists;
}

std::vector<AlternativeLink> alternative_links() {
  namespace files = std::filesystem;
  std::vector<std::string> links;
  std::error_code error;
  // One file for each name: a word, the link, pairs of the name and the link of what follows it, and an empty line.
  for (files::directory_iterator at(database() + "/alternatives", error), end; !error && at != end; at.increment(error)) {
    std::ifstream file(at->path());
    std::string line;
    for (int number = 0; std::getline(file, line) && !line.empty(); ++number)
      if (number % 2 == 1) links.push_back(line);
  }
  std::ranges::sort(links);
  std::vector<AlternativeLink> found;
  for (const std::string& link : links) {
    std::error_code none;
    const files::path middle = files::read_symlink(link, none);
    const files::path file = none ? files::path() : files::read_symlink(middle, none);
    if (!none && middle.is_absolute() && file.is_absolute())
      found.push_back({link, middle.lexically_normal().string(), file.lexically_normal().string()});
  }
  return found;
}

}  // namespace crude_import
