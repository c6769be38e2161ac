#include "broker/path_table.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

namespace broker {
namespace {

constexpr int links_max = 40;  // as the kernel
constexpr std::size_t resolutions_max = 50'000;

// What is behind the name of a process in /proc: nothing if that is not where the path leads.
std::optional<std::string_view> behind_process(std::string_view path) {
  constexpr std::string_view processes = "/proc/";
  if (!path.starts_with(processes)) return std::nullopt;
  path.remove_prefix(processes.size());
  const std::string_view name = path.substr(0, path.find('/'));
  const bool is_number = !name.empty() && std::ranges::all_of(name, [](char each) { return each >= '0' && each <= '9'; });
  if (!is_number && name != "self" && name != "thread-self") return std::nullopt;
  return path.substr(name.size());
}

}  // namespace

bool leads_by_process(std::string_view path) {
  if (path == "/dev/stdin" || path == "/dev/stdout" || path == "/dev/stderr" || path.starts_with("/dev/fd/")) return true;
  const auto found = behind_process(path);
  if (!found) return false;
  std::string_view rest = *found;
  while (rest.starts_with('/')) rest.remove_prefix(1);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  const std::string_view first = rest.substr(0, rest.find('/'));
  if (first == "cwd" || first == "root") return true;
  if (rest.size() == first.size()) return first == "..";
  for (const std::string_view others : {"fd", "fdinfo", "map_files", "task", ".", ".."})
    if (first == others) return true;
  return rest.find("/..") != rest.npos;
}

PathId PathTable::intern(std::string_view canonical) {
  if (const auto found = by_text_.find(canonical); found != by_text_.end()) return found->second;
  const PathId id = static_cast<PathId>(paths_.size());
  paths_.push_back({std::string(canonical), {}, no_path, Link::unknown});
  by_text_.emplace(paths_.back().text, id);
  return id;
}

PathId PathTable::parent(PathId path) {
  if (paths_[path].parent == no_path) {
    const std::string& text = paths_[path].text;
    const std::size_t slash = text.rfind('/');
    const PathId id = intern(slash == 0 || slash == text.npos ? std::string_view("/") : std::string_view(text).substr(0, slash));
    paths_[path].parent = id;
  }
  return paths_[path].parent;
}

std::string_view PathTable::name(PathId path) const {
  const std::string_view text = paths_[path].text;
  return text.substr(text.rfind('/') + 1);
}

bool PathTable::is_link(PathId path, bool* is_directory, bool* exists) {
  Entry& entry = paths_[path];
  if (entry.link == Link::no && !is_directory) return false;
  if (entry.link == Link::yes) return true;
  const PathFacts facts = view_.look(entry.text);
  if (is_directory) *is_directory = facts.type == FileType::directory;
  if (exists) *exists = facts.type != FileType::absent;
  if (facts.type == FileType::symlink) {
    if (auto target = view_.target(entry.text)) {
      entry.target = *target;
      entry.link = Link::yes;
      return true;
    }
  }
  entry.link = Link::no;
  return false;
}

// Appends the components of `rest` to walk.path, a canonical directory ("" for the root).
void PathTable::walk(Walk& walk, std::string_view rest, bool follow_last) {
  if (walk.of_process) {
    if (rest.empty()) return;
    walk.path += '/';
    walk.path += rest;
    return;
  }
  while (!rest.empty() && walk.complete) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view name = rest.substr(0, end);
    const bool last = end == rest.size();  // behind a name with a slash comes at least ".", so it has to be a directory
    rest.remove_prefix(std::min(end + 1, rest.size()));
    while (!rest.empty() && rest.front() == '/') rest.remove_prefix(1);
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (!walk.path.empty()) walk.left.push_back(intern(walk.path));
      walk.path.resize(walk.path.empty() ? 0 : walk.path.rfind('/'));
      continue;
    }
    walk.path += '/';
    walk.path += name;
    if (behind_process(walk.path)) {
      walk.of_process = true;
      return this->walk(walk, rest, follow_last);
    }
    if (last && !follow_last) return;
    const PathId id = intern(walk.path);
    bool is_directory = false, exists = false;
    if (is_link(id, last ? nullptr : &is_directory, &exists)) {
      if (++walk.links > links_max) {
        walk.complete = false;
        return;
      }
      walk.crossed.push_back(id);
      const std::string target = paths_[id].target;
      if (target.starts_with('/')) walk.path.clear();
      else walk.path.resize(walk.path.rfind('/'));
      this->walk(walk, target, follow_last || !last);
      if (walk.of_process) {
        if (!last) this->walk(walk, rest, follow_last);
        return;
      }
      if (!last && walk.complete) {
        // What the link led to must be a directory for the walk to go on.
        const PathFacts facts = view_.look(walk.path.empty() ? "/" : walk.path);
        walk.complete = facts.type == FileType::directory;
      }
    } else if (!last && !is_directory) {
      walk.complete = false;
    }
  }
}

const PathTable::Walk& PathTable::directory_walk(const std::string& directory) {
  const auto found = directories_.find(directory);
  if (found != directories_.end()) return found->second;
  Walk fresh;
  const std::size_t slash = directory.rfind('/');
  if (slash != directory.npos && slash > 0) {
    fresh = directory_walk(directory.substr(0, slash));
    if (!fresh.complete) return directories_.emplace(directory, fresh).first->second;
    walk(fresh, std::string_view(directory).substr(slash + 1), true);
  } else {
    walk(fresh, std::string_view(directory).substr(directory.empty() ? 0 : 1), true);
  }
  if (fresh.complete && !fresh.of_process) {
    bool is_directory = true;
    if (!fresh.path.empty()) {
      const PathFacts facts = view_.look(fresh.path);
      is_directory = facts.type == FileType::directory;
    }
    fresh.complete = is_directory;
  }
  return directories_.emplace(directory, std::move(fresh)).first->second;
}

const Resolution& PathTable::resolve(PathId directory, std::string_view spelled, bool follow) {
  const bool absolute = spelled.starts_with('/');
  std::string key;
  key.reserve(spelled.size() + 6);
  const PathId base = absolute ? no_path : directory;
  key.append(reinterpret_cast<const char*>(&base), sizeof base);
  key += follow ? 'f' : 'n';
  key += spelled;
  if (const auto found = resolutions_.find(key); found != resolutions_.end()) return found->second;
  if (resolutions_.size() >= resolutions_max) resolutions_.clear();

  std::string_view rest = spelled;
  bool must_be_directory = false;
  while (rest.size() > 1 && rest.ends_with('/')) {
    rest.remove_suffix(1);
    must_be_directory = true;
  }
  const std::size_t slash = rest.rfind('/');
  std::string_view last = slash == rest.npos ? rest : rest.substr(slash + 1);
  std::string in_directory = absolute ? std::string() : text(directory);
  if (in_directory == "/") in_directory.clear();
  if (slash != rest.npos && slash > 0) {
    if (!absolute) in_directory += '/';
    in_directory += rest.substr(0, slash);
  }
  // Doubled slashes would give one directory several names here.
  for (std::size_t at; (at = in_directory.find("//")) != in_directory.npos;) in_directory.erase(at, 1);
  Walk found = directory_walk(in_directory);
  if (found.complete) {
    if (last == "." || last == ".." || last.empty()) walk(found, last, true);
    else walk(found, last, follow || must_be_directory);
  }
  Resolution resolution;
  resolution.path = intern(found.path.empty() ? "/" : found.path);
  resolution.crossed = std::move(found.crossed);
  resolution.left = std::move(found.left);
  resolution.complete = found.complete;
  return resolutions_.emplace(std::move(key), std::move(resolution)).first->second;
}

void PathTable::changed(PathId path, bool moves_others) {
  Entry& entry = paths_[path];
  const bool was_link = entry.link == Link::yes;
  if (was_link || moves_others) {
    look_again();
    return;
  }
  entry.link = Link::unknown;
}

void PathTable::look_again() {
  directories_.clear();
  resolutions_.clear();
  for (Entry& each : paths_) each.link = Link::unknown;
}

}  // namespace broker
