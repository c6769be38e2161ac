// The names a session's processes use, each resolved and numbered once.
//
// resolve() does what the kernel does with a spelled path: "." and ".." and
// every symlink in front of the last component, which are noted. What it finds
// out is kept until changed() says that a name has become something else, so
// that a name costs a few lstat calls once and a table look-up after that.
//
// One thread, the session's.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/view.h"

namespace broker {

using PathId = std::uint32_t;
inline constexpr PathId no_path = ~PathId{0};

// Whether a path, taken as resolve() gives it, leads by a link that is another one for each process, or for this one at another
// time: its working directory, its root, its descriptors.
bool leads_by_process(std::string_view path);

struct Resolution {
  // Absolute, without symlinks in front of the last component; if `follow` was asked for, the last component is no
  // symlink either. If a directory on the way is missing (or is none), this is that directory.
  PathId path = no_path;
  // Symlinks whose targets decided where this leads.
  std::vector<PathId> crossed;
  // Directories that `..` led out of again: they have to be there, although the path does not name them.
  std::vector<PathId> left;
  bool complete = true;  // false if a directory on the way is missing, never behind the name of a process in /proc
};

class PathTable {
 public:
  explicit PathTable(const View& view) : view_(view) {}

  PathId intern(std::string_view canonical);
  const std::string& text(PathId path) const { return paths_[path].text; }
  std::size_t size() const { return paths_.size(); }

  // `directory` is absolute and canonical, for relative spellings. The reference lives until the next call.
  const Resolution& resolve(PathId directory, std::string_view spelled, bool follow);

  // The directory of a path; "/" is its own.
  PathId parent(PathId path);
  std::string_view name(PathId path) const;  // last component
  // The target of a symlink crossed on the way, as it was when it was crossed.
  const std::string& link_target(PathId path) const { return paths_[path].target; }

  // This name, or what is below it, is not what it was. `moves_others` if it is or was a directory or symlink, or now
  // begins to be one.
  void changed(PathId path, bool moves_others);
  // Somebody outside may have moved directories and symlinks: look again. Cheap enough for once a second.
  void look_again();

 private:
  enum class Link : std::uint8_t { unknown, no, yes };
  struct Entry {
    std::string text;
    std::string target;
    PathId parent = no_path;
    Link link = Link::unknown;
  };
  struct Walk {
    std::string path;
    std::vector<PathId> crossed, left;
    bool complete = true;
    bool of_process = false;  // it has come to /proc/self, or to another process: nobody else can go on
    int links = 0;
  };
  void walk(Walk& walk, std::string_view rest, bool follow_last);
  bool is_link(PathId path, bool* is_directory, bool* exists);
  const Walk& directory_walk(const std::string& directory);

  const View& view_;
  std::deque<Entry> paths_;
  std::unordered_map<std::string_view, PathId> by_text_;
  std::unordered_map<std::string, Resolution> resolutions_;
  std::unordered_map<std::string, Walk> directories_;
};

}  // namespace broker
