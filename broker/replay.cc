#include "broker/replay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "cache/base/failpoint.h"
#include "cache/base/owned_fd.h"

namespace broker {
namespace {

using cache::Change;
using cache::fail;
using cache::Fault;
using cache::OwnedFd;
using cache::Result;
using What = cache::Change::What;

tl::unexpected<cache::Error> failed(const std::string& path, const char* what, int reason = errno) {
  return fail(Fault::io, fmt::format("{}: {}: {}", path, what, std::strerror(reason)));
}

tl::unexpected<cache::Error> in_the_way(const std::string& path) {
  return fail(Fault::unsupported, path + ": something else is in its place");
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 || slash == path.npos ? "/" : path.substr(0, slash);
}

// Absolute and without detours, so that it names one place.
bool is_plain(std::string_view path) {
  if (path == "/") return true;
  if (!path.starts_with('/') || path.find('\0') != path.npos) return false;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view name = path.substr(0, path.find('/'));
    if (name.empty() || name == "." || name == "..") return false;
    path.remove_prefix(name.size());
  }
  return true;
}

// Negative times have a positive nanosecond part.
timespec to_timespec(std::int64_t ns) {
  constexpr std::int64_t second = 1'000'000'000;
  const std::int64_t rest = ((ns % second) + second) % second;
  return {static_cast<time_t>((ns - rest) / second), static_cast<long>(rest)};
}

// Only the time of modification is part of a result.
bool set_time(const std::string& path, const Change& change) {
  if (!change.times_set) return ::utimensat(AT_FDCWD, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) == 0;
  const timespec times[2] = {{0, UTIME_OMIT}, to_timespec(change.mtime_ns)};
  return ::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0;
}

bool may_be_changed_by_us(const PathFacts& facts) {
  static const uid_t self = ::geteuid();
  return self == 0 || facts.uid == self;
}

bool copy_all(int from, int to) {
  char buffer[64 << 10];
  for (;;) {
    ssize_t count = ::read(from, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count == 0;
    for (const char* at = buffer; count > 0;) {
      const ssize_t written = ::write(to, at, static_cast<std::size_t>(count));
      if (written < 0 && errno != EINTR) return false;
      if (written <= 0) continue;
      at += written;
      count -= written;
    }
  }
}

class PrivateNames {
 public:
  explicit PrivateNames(StagingJournal* journal) : journal_(journal) {
    if (::getrandom(&next_, sizeof next_, GRND_NONBLOCK) != sizeof next_) next_ = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(this) >> 4);
    if (journal_) journal_->begin();
  }
  ~PrivateNames() {
    if (journal_) journal_->end();
  }
  PrivateNames(const PrivateNames&) = delete;
  PrivateNames& operator=(const PrivateNames&) = delete;

  std::string in(const std::string& directory) {
    if (journal_ && noted_.insert(directory).second) journal_->note(directory);
    const std::uint32_t id = journal_ ? journal_->id() : static_cast<std::uint32_t>(::getpid());
    return fmt::format("{}/.vestal-{:08x}{:08x}", directory == "/" ? "" : directory, id, next_++);
  }

 private:
  StagingJournal* const journal_;
  std::unordered_set<std::string> noted_;
  std::uint32_t next_ = 0;
};

}  // namespace

struct Replay::Staged {
  enum class How : std::uint8_t {
    nothing,  // it is already so, or there is no such thing as staging it
    rename,   // from private_path
    write,    // from private_path, into the file that is there
    keep,     // the file or symlink that is there, with a new time
  };
  How how = How::nothing;
  std::string private_path;  // empty if there is nothing to remove
  std::uint32_t mode = 0;    // file: that it is to have
  PathFacts before;          // what is at the destination
};

// The directories of a result: which are there, which it makes, where in them one can write.
class Replay::Places {
 public:
  Places(const View& view, StagingJournal* journal) : names(journal), view_(view) {}

  // Where to put private files for `path`: its directory, or the nearest one that is there already.
  Result<std::string> staging_directory(const std::string& path) {
    const std::string parent = parent_of(path);
    const auto known = staging_.find(parent);
    if (known != staging_.end()) return known->second;
    const PathFacts facts = view_.look(parent);
    if (facts.type == FileType::absent)
      return fail(Fault::not_found, path + ": its directory does not exist");
    if (facts.type != FileType::directory) return in_the_way(parent);
    staging_.emplace(parent, parent);
    return parent;
  }
  Result<bool> check_entries_may_change(const std::string& path) {
    const std::string directory = TRY(staging_directory(path));
    if (writable_.contains(directory)) return true;
    if (::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
      return failed(directory, "cannot be written to");
    writable_.insert(directory);
    return true;
  }
  void will_be_made(const std::string& directory, const std::string& staging) {
    staging_[directory] = staging;
  }

  void will_be_file(const std::string& path) { files_.insert(path); }
  bool is_made_file(const std::string& path) const { return files_.contains(path); }

  PrivateNames names;
  std::unordered_set<std::string> removed;

 private:
  const View& view_;
  std::unordered_map<std::string, std::string> staging_;
  std::unordered_set<std::string> writable_, files_;
};

Replay::Replay(const cache::StepResult& result, const cache::BlobStore& blobs, const View& view, StagingJournal* journal)
    : changes_(result.changes), blobs_(blobs), view_(view), journal_(journal) {}

Replay::~Replay() { discard(); }

void Replay::discard() {
  for (const Staged& staged : staged_) {
    if (!staged.private_path.empty()) ::unlink(staged.private_path.c_str());
  }
  staged_.clear();
}

// ---- stage
// ---------------------------------------------------------------------------------------------------------

Result<bool> Replay::stage() {
  assert(staged_.empty());
  places_ = std::make_unique<Places>(view_, journal_);
  for (Change& change : changes_) {
    if (change.what == What::removed) places_->removed.insert(change.path);
    if (change.moved_from.empty()) continue;
    const PathFacts moved = view_.look(change.moved_from);
    if (moved.type == FileType::absent || moved.type == FileType::error)
      return fail(Fault::not_found, change.moved_from + ": is not there to be moved");
    change.times_set = true;
    change.mtime_ns = moved.mtime_ns;
  }
  staged_.reserve(changes_.size());
  for (const Change& change : changes_) {
    auto staged = stage_change(change, staged_.emplace_back());
    if (!staged) {
      discard();
      return staged;
    }
  }
  return true;
}

Result<bool> Replay::stage_change(const Change& change, Staged& staged) {
  if (!is_plain(change.path)) return fail(Fault::invalid, change.path + ": not a plain absolute path");
  staged.before = view_.look(change.path);
  if (staged.before.type == FileType::error)
    return failed(change.path, "cannot be looked at", staged.before.error);
  switch (change.what) {
    case What::file:
      return stage_file(change, staged);
    case What::symlink:
      return stage_symlink(change, staged);
    case What::hard_link:
      return stage_hard_link(change, staged);
    case What::removed:
      return stage_removal(change, staged);
    case What::attributes:
      return stage_attributes(change, staged);
    case What::directory: {
      if (staged.before.type == FileType::directory) {
        if ((change.fresh || change.mode_set || change.times_set) && !may_be_changed_by_us(staged.before))
          return failed(change.path, "not ours", EPERM);
        return true;
      }
      if (staged.before.type != FileType::absent) return in_the_way(change.path);
      TRY(places_->check_entries_may_change(change.path));
      places_->will_be_made(change.path, TRY(places_->staging_directory(change.path)));
      return true;
    }
  }
  return fail(Fault::invalid, change.path + ": a change of no known kind");
}

Result<bool> Replay::stage_file(const Change& change, Staged& staged) {
  const PathFacts& before = staged.before;
  const bool exists = before.type == FileType::regular;
  if (!exists && before.type != FileType::absent) return in_the_way(change.path);
  places_->will_be_file(change.path);
  const bool keeps_mode = exists && !change.fresh && !change.mode_set;
  staged.mode = keeps_mode ? before.mode : change.mode;
  // Opening it for writing would have failed.
  if (exists && !change.fresh && ::faccessat(AT_FDCWD, change.path.c_str(), W_OK, AT_EACCESS) != 0)
    return failed(change.path, "cannot be written");

  // A fresh file is an inode of ours, which nobody else has another name for.
  const bool as_fresh = before.links == 1 && before.uid == ::geteuid() && before.gid == ::getegid();
  const bool mode_and_time_fit =
      (staged.mode == before.mode && !change.times_set) || may_be_changed_by_us(before);
  if (exists && before.bytes == change.bytes && (!change.fresh || as_fresh) && mode_and_time_fit) {
    PathFacts hashed;
    const auto digest = view_.bytes(change.path, &hashed);
    if (digest && *digest == change.content) {
      // The program would have made it anew.
      if (change.fresh) TRY(places_->check_entries_may_change(change.path));
      staged.before = hashed;
      staged.how = Staged::How::keep;
      return true;
    }
  }
  return copy_contents(change, staged);
}

Result<bool> Replay::copy_contents(const Change& change, Staged& staged) {
  const std::string directory = TRY(places_->staging_directory(change.path));
  OwnedFd file;
  do {
    staged.private_path = places_->names.in(directory);
    if (FAILPOINT("replay_stage")) return failed(change.path, "its directory takes no file");
    file.reset(::open(staged.private_path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  } while (!file && errno == EEXIST);
  if (!file) {
    const int reason = errno;
    staged.private_path.clear();
    return failed(change.path, "its directory takes no file", reason);
  }
  const std::uint64_t copied = TRY(blobs_.copy_to(change.content, file.get()));
  if (copied != change.bytes)
    return fail(Fault::corrupt, change.path + ": its contents have another size than recorded");
  // Behind the writing, which takes set-user-ID bits away.
  if (::fchmod(file.get(), staged.mode) != 0) return failed(change.path, "cannot get its mode");
  struct stat made;
  if (::fstat(file.get(), &made) != 0) return failed(change.path, "cannot be looked at");
  if (::close(file.release()) != 0) return failed(change.path, "cannot be written");
  const PathFacts& before = staged.before;
  const bool is_our_inode = before.links == 1 && before.uid == made.st_uid && before.gid == made.st_gid;
  const bool changes_user = before.mode & (S_ISUID | S_ISGID);
  const bool in_place = before.type == FileType::regular && !change.fresh && (!is_our_inode || changes_user);
  if (in_place && (change.mode_set || change.times_set) && !may_be_changed_by_us(before))
    return failed(change.path, "not ours", EPERM);
  staged.how = in_place ? Staged::How::write : Staged::How::rename;
  return true;
}

Result<bool> Replay::stage_symlink(const Change& change, Staged& staged) {
  switch (staged.before.type) {
    case FileType::absent:
    case FileType::regular:
      break;
    case FileType::symlink: {
      const auto target = view_.target(change.path);
      if (!target || *target != change.text || !may_be_changed_by_us(staged.before)) break;
      TRY(places_->check_entries_may_change(change.path));
      staged.how = Staged::How::keep;
      return true;
    }
    default:
      return in_the_way(change.path);
  }
  const std::string directory = TRY(places_->staging_directory(change.path));
  do {
    staged.private_path = places_->names.in(directory);
    if (::symlink(change.text.c_str(), staged.private_path.c_str()) == 0) {
      staged.how = Staged::How::rename;
      return true;
    }
  } while (errno == EEXIST);
  const int reason = errno;
  staged.private_path.clear();
  return failed(change.path, "its directory takes no symlink", reason);
}

Result<bool> Replay::stage_hard_link(const Change& change, Staged& staged) {
  const FileType type = staged.before.type;
  if (type != FileType::absent && type != FileType::regular) return in_the_way(change.path);
  if (!places_->is_made_file(change.text)) {
    if (!is_plain(change.text)) return fail(Fault::invalid, change.text + ": not a plain absolute path");
    if (view_.look(change.text).type != FileType::regular)
      return fail(Fault::not_found, change.text + ": no file to link to");
  }
  places_->will_be_file(change.path);
  return places_->check_entries_may_change(change.path);
}

Result<bool> Replay::stage_removal(const Change& change, Staged& staged) {
  switch (staged.before.type) {
    case FileType::absent:
      // The program would have made it, not knowing whether it was there, before it took it away.
      if (view_.look(parent_of(change.path)).type != FileType::directory) return true;
      return places_->check_entries_may_change(change.path);
    case FileType::character_device:
    case FileType::block_device:
      return in_the_way(change.path);
    case FileType::directory: {
      DIR* const directory = ::opendir(change.path.c_str());
      if (!directory) return failed(change.path, "cannot be listed");
      std::string kept;
      while (const dirent* entry = ::readdir(directory)) {
        const std::string_view name = entry->d_name;
        if (name == "." || name == "..") continue;
        std::string path = fmt::format("{}/{}", change.path, name);
        if (!places_->removed.contains(path)) kept = std::move(path);
      }
      ::closedir(directory);
      if (!kept.empty()) return fail(Fault::unsupported, kept + ": is in a directory that is to be removed");
      break;
    }
    default:
      break;
  }
  return places_->check_entries_may_change(change.path);
}

Result<bool> Replay::stage_attributes(const Change& change, Staged& staged) {
  switch (staged.before.type) {
    case FileType::absent:
      return fail(Fault::not_found, change.path + ": does not exist");
    case FileType::regular:
    case FileType::directory:
      break;
    case FileType::symlink:
      if (change.mode_set) return in_the_way(change.path);
      break;
    default:
      return in_the_way(change.path);
  }
  if (!may_be_changed_by_us(staged.before)) return failed(change.path, "not ours", EPERM);
  return true;
}

// ---- apply
// ---------------------------------------------------------------------------------------------------------

Result<bool> Replay::apply() {
  assert(staged_.size() == changes_.size());
  std::size_t made = 0;
  auto stopped = [&](const cache::Error& error) {
    discard();
    return fail(error.fault,
                fmt::format("{} (after {} of {} changes)", error.message, made, changes_.size()));
  };
  for (; made < staged_.size(); ++made) {
    const auto applied = apply_change(changes_[made], staged_[made]);
    if (!applied) return stopped(applied.error());
  }
  const auto finished = finish_directories();
  if (!finished) return stopped(finished.error());
  discard();
  return true;
}

Result<bool> Replay::apply_change(const Change& change, Staged& staged) {
  const char* const path = change.path.c_str();
  if (FAILPOINT("replay_apply")) return failed(change.path, "cannot be changed");
  switch (change.what) {
    case What::file:
      return apply_file(change, staged);
    case What::symlink:
      return apply_symlink(change, staged);
    case What::hard_link:
      return apply_hard_link(change, staged);
    case What::removed:
      if (staged.before.type == FileType::directory) return true;  // at the end
      if (::unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
        return failed(change.path, "cannot be removed");
      return true;
    case What::directory:
      if (staged.before.type == FileType::directory) return true;
      // Open to us until everything is inside.
      if (::mkdir(path, (change.mode & 0777) | 0700) == 0) return true;
      if (errno != EEXIST) return failed(change.path, "cannot be made");
      // Another step has made it meanwhile.
      staged.before = view_.look(change.path);
      if (staged.before.type != FileType::directory) return in_the_way(change.path);
      return true;
    case What::attributes:
      if (staged.before.type == FileType::directory) return true;  // at the end
      if (view_.look(change.path).type != staged.before.type) return in_the_way(change.path);
      if (change.mode_set && ::chmod(path, change.mode) != 0)
        return failed(change.path, "cannot get its mode");
      if ((change.times_set || change.fresh || !change.mode_set) && !set_time(change.path, change))
        return failed(change.path, "cannot get its time");
      return true;
  }
  return true;
}

Result<bool> Replay::apply_file(const Change& change, Staged& staged) {
  PathFacts now = view_.look(change.path);
  if (now.type != FileType::absent && now.type != FileType::regular) return in_the_way(change.path);
  if (staged.how == Staged::How::keep && now.identity() != staged.before.identity()) {
    // Somebody else has changed it since: its contents are needed after all.
    staged.before = now;
    TRY(stage_file(change, staged));
    now = staged.before;
  }
  if (staged.how == Staged::How::write) return write_in_place(change, staged);
  if (staged.how == Staged::How::keep) {
    if (staged.mode != now.mode && ::chmod(change.path.c_str(), staged.mode) != 0)
      return failed(change.path, "cannot get its mode");
    if (!set_time(change.path, change)) return failed(change.path, "cannot get its time");
    return true;
  }
  if (!set_time(staged.private_path, change)) return failed(change.path, "cannot get its time");
  const PathFacts written = view_.look(staged.private_path);
  if (::rename(staged.private_path.c_str(), change.path.c_str()) != 0)
    return failed(change.path, "cannot be put in place");
  staged.private_path.clear();
  view_.remember(change.path, change.content, written);
  return true;
}

Result<bool> Replay::write_in_place(const Change& change, Staged& staged) {
  const OwnedFd from(::open(staged.private_path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!from) return failed(change.path, "its new contents cannot be read");
  OwnedFd file(::open(change.path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  struct stat status;
  if (!file || ::fstat(file.get(), &status) != 0) return failed(change.path, "cannot be written");
  if (!S_ISREG(status.st_mode)) return in_the_way(change.path);
  if (::ftruncate(file.get(), 0) != 0 || !copy_all(from.get(), file.get()))
    return failed(change.path, "cannot be written");
  if (change.mode_set && ::fchmod(file.get(), change.mode) != 0)
    return failed(change.path, "cannot get its mode");
  if (::close(file.release()) != 0) return failed(change.path, "cannot be written");
  if (!set_time(change.path, change)) return failed(change.path, "cannot get its time");
  return true;
}

Result<bool> Replay::apply_symlink(const Change& change, Staged& staged) {
  const FileType now = view_.look(change.path).type;
  if (now != FileType::absent && now != FileType::regular && now != FileType::symlink)
    return in_the_way(change.path);
  const bool renames = staged.how == Staged::How::rename;
  if (!set_time(renames ? staged.private_path : change.path, change))
    return failed(change.path, "cannot get its time");
  if (renames && ::rename(staged.private_path.c_str(), change.path.c_str()) != 0)
    return failed(change.path, "cannot be put in place");
  staged.private_path.clear();
  return true;
}

Result<bool> Replay::apply_hard_link(const Change& change, Staged& staged) {
  const PathFacts source = view_.look(change.text), now = view_.look(change.path);
  if (now.type != FileType::absent && now.type != FileType::regular) return in_the_way(change.path);
  // rename() does nothing if both names are the same file already.
  if (now.type == FileType::regular && now.device == source.device && now.inode == source.inode) return true;
  const std::string directory = parent_of(change.path);
  do {
    staged.private_path = places_->names.in(directory);
    if (::link(change.text.c_str(), staged.private_path.c_str()) == 0) {
      if (::rename(staged.private_path.c_str(), change.path.c_str()) != 0)
        return failed(change.path, "cannot be put in place");
      staged.private_path.clear();
      return true;
    }
  } while (errno == EEXIST);
  const int reason = errno;
  staged.private_path.clear();
  return failed(change.path, "cannot be linked", reason);
}

// What is inside comes first: removing it, and giving it a time, needs the way to it and changes the time of
// the directory around it.
Result<bool> Replay::finish_directories() {
  std::vector<std::size_t> directories;
  for (std::size_t i = 0; i < staged_.size(); ++i) {
    const What what = changes_[i].what;
    const bool is_directory =
        staged_[i].before.type == FileType::directory && (what == What::removed || what == What::attributes);
    if (is_directory || what == What::directory) directories.push_back(i);
  }
  std::stable_sort(directories.begin(), directories.end(), [&](std::size_t a, std::size_t b) {
    return changes_[a].path.size() > changes_[b].path.size();
  });
  for (const std::size_t i : directories) {
    const Change& change = changes_[i];
    if (change.what == What::removed && ::rmdir(change.path.c_str()) != 0 && errno != ENOENT)
      return failed(change.path, "cannot be removed");
  }
  for (const std::size_t i : directories) {
    const Change& change = changes_[i];
    if (change.what == What::removed) continue;
    // Fresh: the step removed the one that was there.
    const bool was_there = staged_[i].before.type == FileType::directory;
    const bool made = change.what == What::directory && (change.fresh || !was_there);
    if ((made || change.mode_set) && ::chmod(change.path.c_str(), change.mode) != 0)
      return failed(change.path, "cannot get its mode");
    const bool touched = change.what == What::attributes ? change.fresh || !change.mode_set : change.fresh && was_there;
    if ((change.times_set || touched) && !set_time(change.path, change))
      return failed(change.path, "cannot get its time");
  }
  return true;
}

}  // namespace broker
