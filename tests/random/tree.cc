#include "tests/random/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>

namespace random_builds {
namespace {

constexpr std::int64_t long_ago_s = 1500000000;

std::string content_of(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file) return std::string("cannot be read: ") + std::strerror(errno);
  std::string content;
  char piece[16384];
  while (const std::size_t size = std::fread(piece, 1, sizeof piece, file.get())) content.append(piece, size);
  return content;
}

void add(const std::string& directory, const std::string& prefix, Tree& tree) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(directory.c_str()), closedir);
  while (const dirent* item = stream ? readdir(stream.get()) : nullptr) {
    const std::string name = item->d_name;
    if (name == "." || name == "..") continue;
    const std::string path = directory + "/" + name;
    struct stat facts;
    if (lstat(path.c_str(), &facts) != 0) continue;
    TreeEntry& entry = tree[prefix + name];
    entry.mode = facts.st_mode;
    if (S_ISDIR(facts.st_mode)) {
      add(path, prefix + name + "/", tree);
      continue;
    }
    entry.links = facts.st_nlink;
    if (S_ISLNK(facts.st_mode)) {
      char target[4096];
      entry.content.assign(target, std::max<ssize_t>(0, readlink(path.c_str(), target, sizeof target)));
    } else if (S_ISREG(facts.st_mode)) {
      entry.content = content_of(path);
      if (facts.st_mtim.tv_sec < long_ago_s) entry.time_ns = facts.st_mtim.tv_sec * 1000000000 + facts.st_mtim.tv_nsec;
    }
  }
}

std::string described(const TreeEntry& entry) {
  char text[100];
  std::snprintf(text, sizeof text, "mode %o, %llu links, %zu bytes", entry.mode, static_cast<unsigned long long>(entry.links),
                entry.content.size());
  std::string description = text;
  if (entry.time_ns) description += ", time " + std::to_string(entry.time_ns / 1000000000);
  return description + ", '" + entry.content.substr(0, 60) + "'";
}

}  // namespace

Tree tree_of(const std::string& directory) {
  Tree tree;
  add(directory, "", tree);
  return tree;
}

void remove_tree(const std::string& directory) {
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  if (!error) return;
  for (std::filesystem::recursive_directory_iterator at(directory, error), end; !error && at != end; at.increment(error))
    if (at->is_directory() && !at->is_symlink()) chmod(at->path().c_str(), 0700);
  std::filesystem::remove_all(directory, error);
}

std::string differences(const Tree& wanted, const Tree& got) {
  std::set<std::string> names;
  for (const auto& [name, entry] : wanted) names.insert(name);
  for (const auto& [name, entry] : got) names.insert(name);
  std::string text;
  int lines = 0;
  for (const std::string& name : names) {
    const auto left = wanted.find(name), right = got.find(name);
    if (left != wanted.end() && right != got.end() && left->second == right->second) continue;
    if (++lines > 10) return text + "    ...\n";
    text += "    " + name + "\n      plain: " + (left == wanted.end() ? "absent" : described(left->second)) +
            "\n      tool:  " + (right == got.end() ? "absent" : described(right->second)) + "\n";
  }
  return text;
}

}  // namespace random_builds
