#include "broker/replay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "cache/base/failpoint.h"
#include "cache/base/owned_fd.h"
#include "preload/redo.h"

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

bool may_be_changed_by_us(const PathFacts& facts) {
  static const uid_t self = ::geteuid();
  return self == 0 || facts.uid == self;
}

std::string bytes_of(preload::RedoEntry entry, const std::string& path, const std::string& text = {}) {
  entry.path_bytes = static_cast<std::uint32_t>(path.size() + 1);
  entry.text_bytes = static_cast<std::uint32_t>(text.size() + 1);
  entry.bytes = static_cast<std::uint32_t>(preload::align_up(sizeof entry + entry.path_bytes + entry.text_bytes, 8));
  std::string bytes(reinterpret_cast<const char*>(&entry), sizeof entry);
  bytes.append(path.c_str(), path.size() + 1).append(text.c_str(), text.size() + 1);
  bytes.resize(entry.bytes);
  return bytes;
}

// The log as this process fills it.
class LogWriter {
 public:
  LogWriter(preload::RedoLog& log, std::uint32_t slot) : log_(log) {
    store(log_.slot, 0);
    log_.committed = log_.begin = log_.end = log_.done = 0;
    store(log_.slot, slot);
  }
  // False: there is no room.
  bool add_private_file(const std::string& path) {
    const std::string bytes = bytes_of({.kind = preload::redo_unlink}, path);
    if (!put(bytes)) return false;
    store(log_.end, end_);
    return true;
  }
  bool commit(std::string_view changes) {
    begin_ = end_;
    if (!put(changes)) return false;
    log_.begin = begin_;
    log_.end = end_;
    log_.done = begin_;
    store(log_.committed, 1);
    return true;
  }
  // The change at `at`, from the first one.
  void is_made(std::uint32_t at, const preload::RedoEntry& entry) {
    preload::redo_entry(log_, begin_ + at).flags = entry.flags;
    store(log_.done, begin_ + at + entry.bytes);
  }

 private:
  static void store(std::uint32_t& place, std::uint32_t value) { __atomic_store_n(&place, value, __ATOMIC_RELEASE); }
  bool put(std::string_view bytes) {
    if (bytes.size() > preload::redo_bytes_max - end_) return false;
    std::memcpy(&preload::redo_entry(log_, end_), bytes.data(), bytes.size());
    end_ += static_cast<std::uint32_t>(bytes.size());
    return true;
  }

  preload::RedoLog& log_;
  std::uint32_t begin_ = 0, end_ = 0;
};

class PrivateNames {
 public:
  PrivateNames(LogWriter& log, StagingJournal* journal) : log_(log), journal_(journal) {
    if (::getrandom(&next_, sizeof next_, GRND_NONBLOCK) != sizeof next_) next_ = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(this) >> 4);
    if (journal_) journal_->begin();
  }
  ~PrivateNames() {
    if (journal_) journal_->end();
  }
  PrivateNames(const PrivateNames&) = delete;
  PrivateNames& operator=(const PrivateNames&) = delete;

  // Unused so far, and noted wherever somebody may look for what is to be removed.
  Result<std::string> in(const std::string& directory) {
    if (journal_ && noted_.insert(directory).second) journal_->note(directory);
    const std::uint32_t id = journal_ ? journal_->id() : static_cast<std::uint32_t>(::getpid());
    for (;;) {
      std::string path = fmt::format("{}/.vestal-{:08x}{:08x}", directory == "/" ? "" : directory, id, next_++);
      struct stat there;
      if (::lstat(path.c_str(), &there) == 0) continue;
      if (!log_.add_private_file(path)) return fail(Fault::unsupported, "has too many changes for one replay");
      return path;
    }
  }

 private:
  LogWriter& log_;
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
  Places(const View& view, preload::RedoLog& to, std::uint32_t slot, StagingJournal* journal) : log(to, slot), names(log, journal), view_(view) {}

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
  bool gives_access_lists(const std::string& directory) {
    const auto [known, is_new] = gives_access_lists_.emplace(directory, false);
    if (is_new) known->second = view_.gives_access_lists(directory);
    return known->second;
  }
  // What is made there would get another mode than it got when it was recorded.
  Result<bool> check_modes_are_kept(const std::string& path) {
    const std::string directory = TRY(staging_directory(path));
    if (gives_access_lists(directory)) return fail(Fault::unsupported, directory + ": has a default access list");
    return true;
  }
  void will_be_made(const std::string& directory, const std::string& staging) {
    staging_[directory] = staging;
  }

  void will_be_file(const std::string& path) { files_.insert(path); }
  bool is_made_file(const std::string& path) const { return files_.contains(path); }

  LogWriter log;
  PrivateNames names;
  std::unordered_set<std::string> removed;

 private:
  const View& view_;
  std::unordered_map<std::string, std::string> staging_;
  std::unordered_map<std::string, bool> gives_access_lists_;
  std::unordered_set<std::string> writable_, files_;
};

Replay::Replay(const cache::StepResult& result, const cache::BlobStore& blobs, const View& view, preload::RedoLog& log, std::uint32_t slot,
               StagingJournal* journal)
    : changes_(result.changes), blobs_(blobs), view_(view), log_(log), slot_(slot), journal_(journal) {}

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
  places_ = std::make_unique<Places>(view_, log_, slot_, journal_);
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
      TRY(places_->check_modes_are_kept(change.path));
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
  if (!exists || change.fresh) TRY(places_->check_modes_are_kept(change.path));
  const bool keeps_mode = exists && !change.fresh && !change.mode_set;
  staged.mode = keeps_mode ? before.mode : change.mode;
  // Opening it for writing would have failed. What can be executed may be running.
  if (exists && !change.fresh && !(before.mode & 0111) && ::faccessat(AT_FDCWD, change.path.c_str(), W_OK, AT_EACCESS) != 0)
    return failed(change.path, "cannot be written");
  if (exists && !change.fresh && before.mode & 0111 && !OwnedFd(::open(change.path.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)))
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
  staged.private_path = TRY(places_->names.in(directory));
  if (FAILPOINT("replay_stage")) return failed(change.path, "its directory takes no file");
  OwnedFd file(::open(staged.private_path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
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
  // Who has it open goes on with it, and it keeps its other names, its access list and its other attributes.
  const bool in_place = before.type == FileType::regular && !change.fresh;
  if (in_place && (change.mode_set || change.times_set) && !may_be_changed_by_us(before))
    return failed(change.path, "not ours", EPERM);
  // Half written it could not be taken back.
  struct statvfs disk;
  if (in_place && change.bytes > before.bytes && ::statvfs(change.path.c_str(), &disk) == 0 && change.bytes - before.bytes > disk.f_bavail * std::uint64_t{disk.f_frsize})
    return failed(change.path, "cannot be written", ENOSPC);
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
      // It may have other names by now, which the new one has not.
      if (!target || *target != change.text || staged.before.links != 1 || !may_be_changed_by_us(staged.before)) break;
      TRY(places_->check_entries_may_change(change.path));
      staged.how = Staged::How::keep;
      return true;
    }
    default:
      return in_the_way(change.path);
  }
  const std::string directory = TRY(places_->staging_directory(change.path));
  staged.private_path = TRY(places_->names.in(directory));
  if (::symlink(change.text.c_str(), staged.private_path.c_str()) == 0) {
    staged.how = Staged::How::rename;
    return true;
  }
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

class Replay::Plan {
 public:
  struct Entry {
    std::uint32_t at;
    std::size_t change;
  };
  Plan() : bytes_(sizeof(preload::RedoLog), '\0') {}

  // Returns where the entry begins.
  std::uint32_t add(std::size_t change, preload::RedoEntry entry, const std::string& path, const std::string& text = {}) {
    const auto at = static_cast<std::uint32_t>(changes().size());
    bytes_ += bytes_of(entry, path, text);
    entries.push_back({at, change});
    return at;
  }
  void add_mode(std::size_t number, const std::string& path, std::uint32_t mode, FileType type) {
    const std::uint32_t wanted = type == FileType::directory ? S_IFDIR : S_IFREG;
    add(number, {.kind = preload::redo_chmod, .mode = mode, .type = wanted}, path);
  }
  void add_time(std::size_t number, const std::string& path, const Change& change) {
    if (change.times_set) {
      add(number, {.kind = preload::redo_time, .mtime_ns = change.mtime_ns}, path);
      return;
    }
    // What came out at the same time does so again.
    const bool is_same = change.mtime_ns != 0 && change.mtime_ns == latest_place_;
    add(number, {.kind = preload::redo_time, .flags = is_same ? preload::redo_same : preload::redo_now}, path, is_same ? latest_path_ : std::string());
    latest_place_ = change.mtime_ns;
    latest_path_ = path;
  }

  std::string_view changes() const { return std::string_view(bytes_).substr(sizeof(preload::RedoLog)); }
  // With nothing but these.
  preload::RedoLog& log() { return *reinterpret_cast<preload::RedoLog*>(bytes_.data()); }

  std::vector<Entry> entries;
  std::unordered_map<std::size_t, std::uint32_t> made_directories;  // by change: the entry

 private:
  std::string bytes_;
  std::int64_t latest_place_ = 0;
  std::string latest_path_;
};

Result<bool> Replay::apply() {
  assert(staged_.size() == changes_.size());
  Plan plan;
  std::vector<std::size_t> by_time(changes_.size());
  std::iota(by_time.begin(), by_time.end(), 0);
  const auto place = [&](std::size_t number) { return changes_[number].times_set ? 0 : changes_[number].mtime_ns; };
  std::stable_sort(by_time.begin(), by_time.end(), [&](std::size_t a, std::size_t b) { return place(a) < place(b); });
  auto each_planned = [&](const std::vector<std::size_t>& order, auto how) -> Result<bool> {
    for (const std::size_t number : order) TRY((this->*how)(number, plan));
    return true;
  };
  std::vector<std::size_t> in_order(changes_.size());
  std::iota(in_order.begin(), in_order.end(), 0);
  auto planned = each_planned(by_time, &Replay::plan_contents);
  if (planned) planned = each_planned(in_order, &Replay::plan_names);
  if (!planned) {
    discard();
    return planned;
  }
  plan_directories(plan);
  if (!places_->log.commit(plan.changes())) {
    discard();
    return fail(Fault::unsupported, fmt::format("{} changes are too many for one replay", changes_.size()));
  }
  for (const Plan::Entry& planned : plan.entries) {
    preload::RedoEntry& entry = preload::redo_entry(plan.log(), planned.at);
    if (const auto made = make(plan, entry, planned.change); !made) {
      discard();
      return fail(made.error().fault, fmt::format("{} (after {} of {} changes)", made.error().message, planned.change, changes_.size()));
    }
    places_->log.is_made(planned.at, entry);
  }
  discard();
  return true;
}

Result<bool> Replay::make(Plan& plan, preload::RedoEntry& entry, std::size_t number) {
  const Change& change = changes_[number];
  Staged& staged = staged_[number];
  if (FAILPOINT("replay_apply")) return failed(change.path, "cannot be changed");
  const bool places = entry.kind == preload::redo_rename, is_file = places && change.what == What::file;
  const PathFacts written = is_file ? view_.look(staged.private_path) : PathFacts{};
  if (const long result = preload::redo(plan.log(), entry, false); result < 0) {
    if (result == -EEXIST) return in_the_way(change.path);
    return failed(change.path, "cannot be changed", static_cast<int>(-result));
  }
  if (places || entry.kind == preload::redo_overwrite) staged.private_path.clear();
  if (is_file) view_.remember(change.path, change.content, written);
  return true;
}

Result<bool> Replay::plan_contents(std::size_t number, Plan& plan) {
  const Change& change = changes_[number];
  const Staged& staged = staged_[number];
  switch (change.what) {
    case What::file:
      return plan_file(number, plan);
    case What::symlink:
      plan.add_time(number, staged.private_path.empty() ? change.path : staged.private_path, change);
      return true;
    case What::attributes:
      if (staged.before.type == FileType::directory) return true;  // at the end
      if (view_.look(change.path).type != staged.before.type) return in_the_way(change.path);
      if (change.mode_set) plan.add_mode(number, change.path, change.mode, FileType::regular);
      if (change.times_set || change.fresh || !change.mode_set) plan.add_time(number, change.path, change);
      return true;
    default:
      return true;
  }
}

Result<bool> Replay::plan_names(std::size_t number, Plan& plan) {
  const Change& change = changes_[number];
  const Staged& staged = staged_[number];
  const bool is_directory = staged.before.type == FileType::directory;
  switch (change.what) {
    case What::file:
      if (staged.how == Staged::How::rename) plan.add(number, {.kind = preload::redo_rename}, staged.private_path, change.path);
      return true;
    case What::symlink:
      if (!staged.private_path.empty())
        plan.add(number, {.kind = preload::redo_rename, .flags = preload::redo_over_symlink}, staged.private_path, change.path);
      return true;
    case What::hard_link:
      return plan_hard_link(number, plan);
    case What::removed:
      if (!is_directory) plan.add(number, {.kind = preload::redo_unlink}, change.path);  // else at the end
      return true;
    case What::directory:
      // Open to us until everything is inside.
      if (!is_directory) plan.made_directories[number] = plan.add(number, {.kind = preload::redo_mkdir, .mode = (change.mode & 0777) | 0700}, change.path);
      return true;
    case What::attributes:
      return true;
  }
  return true;
}

Result<bool> Replay::plan_file(std::size_t number, Plan& plan) {
  const Change& change = changes_[number];
  Staged& staged = staged_[number];
  PathFacts now = view_.look(change.path);
  if (now.type != FileType::absent && now.type != FileType::regular) return in_the_way(change.path);
  if (staged.how == Staged::How::keep && now.identity() != staged.before.identity()) {
    // Somebody else has changed it since: its contents are needed after all.
    staged.before = now;
    TRY(stage_file(change, staged));
    now = staged.before;
  }
  if (staged.how == Staged::How::keep) {
    if (staged.mode != now.mode) plan.add_mode(number, change.path, staged.mode, FileType::regular);
  } else if (staged.how == Staged::How::write) {
    plan.add(number, {.kind = preload::redo_overwrite}, staged.private_path, change.path);
    if (change.mode_set) plan.add_mode(number, change.path, change.mode, FileType::regular);
  }
  plan.add_time(number, staged.how == Staged::How::rename ? staged.private_path : change.path, change);
  return true;
}

Result<bool> Replay::plan_hard_link(std::size_t number, Plan& plan) {
  const Change& change = changes_[number];
  std::string& name = staged_[number].private_path;
  const std::string directory = TRY(places_->staging_directory(change.path));
  name = TRY(places_->names.in(directory));
  plan.add(number, {.kind = preload::redo_link}, name, change.text);
  plan.add(number, {.kind = preload::redo_rename, .flags = preload::redo_same_file}, name, change.path);
  return true;
}

// What is inside comes first: removing it, and giving it a time, needs the way to it and changes the time of
// the directory around it.
void Replay::plan_directories(Plan& plan) {
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
  for (const std::size_t i : directories)
    if (changes_[i].what == What::removed) plan.add(i, {.kind = preload::redo_rmdir}, changes_[i].path);
  for (const std::size_t i : directories) {
    const Change& change = changes_[i];
    if (change.what == What::removed) continue;
    // Fresh: the step removed the one that was there.
    const auto made = plan.made_directories.find(i);
    const bool was_there = made == plan.made_directories.end();
    if (change.mode_set || (change.what == What::directory && change.fresh))
      plan.add_mode(i, change.path, change.mode, FileType::directory);
    else if (!was_there)  // one that somebody else has made meanwhile keeps its mode
      plan.add(i, {.kind = preload::redo_chmod, .flags = preload::redo_if_made, .mode = change.mode, .type = S_IFDIR, .maker = made->second}, change.path);
    const bool touched = change.what == What::attributes ? change.fresh || !change.mode_set : change.fresh && was_there;
    if (change.times_set || touched) plan.add_time(i, change.path, change);
  }
}

}  // namespace broker
