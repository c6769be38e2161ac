#include "cache/file_memo.h"

#include "cache/step_cache.h"

namespace cache {
namespace {

// About 2 MiB. Whoever is forgotten is still in the step cache.
constexpr std::size_t entries_max = 1 << 14;

// Any user can set an mtime too large for 64 bits; that it then wraps does no harm, for equal stays equal.
std::int64_t nanoseconds(const struct timespec& time) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
                                   static_cast<std::uint64_t>(time.tv_nsec));
}

}  // namespace

FileIdentity FileIdentity::of(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .bytes = static_cast<std::uint64_t>(status.st_size),
          .mtime_ns = nanoseconds(status.st_mtim),
          .ctime_ns = nanoseconds(status.st_ctim)};
}

std::optional<Digest> FileMemo::look_up(const FileIdentity& as_seen) {
  FileIdentity file = as_seen;
  file.device = lasting(file.device);
  const Key key{file.device, file.inode};
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found != entries_.end() && found->second.file == file) return found->second.digest;
  }
  if (!persistent_) return std::nullopt;
  const auto row = persistent_->memo_row(file.device, file.inode);
  if (!row || row->first != file) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= entries_max) entries_.clear();
  entries_.insert_or_assign(key, Entry{file, row->second});
  return row->second;
}

void FileMemo::remember(const FileIdentity& as_seen, const Digest& digest, std::int64_t hashed_at_ns) {
  FileIdentity file = as_seen;
  file.device = lasting(file.device);
  // A time in the future is not older than anything.
  const std::int64_t settled_ns = hashed_at_ns - settle_ns;
  if (file.mtime_ns >= settled_ns || file.ctime_ns >= settled_ns) return;
  {
    const std::lock_guard lock(mutex_);
    if (entries_.size() >= entries_max) entries_.clear();
    entries_.insert_or_assign(Key{file.device, file.inode}, Entry{file, digest});
  }
  if (persistent_) persistent_->set_memo_row(file, digest);
}

void FileMemo::forget(std::uint64_t device, std::uint64_t inode) {
  device = lasting(device);
  {
    const std::lock_guard lock(mutex_);
    entries_.erase(Key{device, inode});
  }
  // A row that no file equals.
  if (persistent_ && persistent_->memo_row(device, inode)) persistent_->set_memo_row({.device = device, .inode = inode, .mtime_ns = -1, .ctime_ns = -1}, Digest{});
}

}  // namespace cache
