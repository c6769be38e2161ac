// What the parts of the recorder share: what it keeps of a process and of a
// path, and how it looks at both. Only for broker/recorder*.cc.
#pragma once

#include <time.h>

#include <map>
#include <memory>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>

#include "broker/recorder.h"

namespace broker {

inline constexpr std::string_view python_library = "/usr/lib/python3.";

// Nothing if it is no regular file, or a longer one.
std::optional<std::string> text_of_file(const std::string& path, off_t bytes_max = std::numeric_limits<off_t>::max());
bool is_kept_by_mount(const std::string& path);  // a program, by its mode, but where nothing may be executed
inline constexpr const char* not_for_its_mode = ": was refused for something else than its mode";
void need_names_in(Step& step, std::string_view text);

struct Recorder::Process {
  std::int32_t pid = 0;
  Step* step = nullptr;
  PathId directory = no_path;
  std::shared_ptr<Descriptors> fds;
  bool exec_pending = false;  // an exec is announced, the new program's shim has not reported in
  bool suspected = false;     // was not there when last looked for
  std::int32_t parent_pid = 0;
  bool named_variables_only = false;  // it has said so, before it executed something or ended
  bool made_by_fork = false;  // then its parent tells of it too,
  bool confirmed = false;     // and has done so
  struct Listing {
    std::uint64_t sum = 0;
    Position first = 0;
    bool complete = false;
  };
  // What it has set for itself and all that it starts: by Attribute, the bytes of the value. What it executes is keyed by them.
  std::map<std::int32_t, std::string> attributes;
  std::string spoils_what_follows;  // why nothing that it executes can be cached
  std::unordered_map<PathId, Listing> listings;
  // Inherited files it has read from and not yet said how far; it says so when it closes them and at its end.
  std::set<std::int32_t> unplaced;
  // Files it may still write to through descriptors: closed by the next exec or not.
  std::map<PathId, bool> writes;
  // Files it may write to by mappings that are shared, until its end or the next program.
  struct Mapped {
    std::uint64_t device, inode;
    std::shared_ptr<const void> distrust;
  };
  std::map<PathId, Mapped> mapped;
};

// What the session knows of a path's contents.
struct Recorder::PathState {
  PathFacts facts;
  std::optional<cache::Digest> digest;
  std::uint32_t pass = 0;     // in which `facts` were last seen to hold
  Position last_write = 0;    // by a process of this session; 0: none
  PathFacts after_pass;       // as it was at the end of the pass with that write
  Position replay_from = 0, replay_until = 0;  // the log stood there before and after a replay changed it
  Position seen_existing = 0; // by who was about to write to it
};

inline std::int64_t now_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

inline std::uint64_t name_hash(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return preload::quick_hash(name.data(), name.size());
}

inline bool same_file(const PathFacts& a, const PathFacts& b) {
  return a.type == b.type && a.device == b.device && a.inode == b.inode && a.bytes == b.bytes && a.mtime_ns == b.mtime_ns && a.ctime_ns == b.ctime_ns;
}

// Files below these places are not files of the build: their contents are made up by the kernel.
enum class Place { ordinary, null_device, proc_stable, proc_other, random, terminal, device };

inline Place place_of(std::string_view path) {
  if (path.starts_with("/dev/")) {
    if (path == "/dev/null" || path == "/dev/zero" || path == "/dev/full") return Place::null_device;
    if (path == "/dev/urandom" || path == "/dev/random") return Place::random;
    if (path == "/dev/tty" || path.starts_with("/dev/pts/")) return Place::terminal;
    if (path.starts_with("/dev/shm/")) return Place::ordinary;
    return Place::device;
  }
  if (path.starts_with("/proc/")) {
    if (path == "/proc/filesystems" || path.starts_with("/proc/sys/")) return Place::proc_stable;
    return Place::proc_other;
  }
  // The size of huge pages, which every Go program asks for.
  if (path == "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size") return Place::proc_stable;
  if (path.starts_with("/sys/")) return path.starts_with("/sys/devices/system/cpu/") || path.starts_with("/sys/fs/") ? Place::proc_stable : Place::proc_other;
  return Place::ordinary;
}

}  // namespace broker
