// Digests of files already read, by device, inode, size, mtime and ctime.
//
// A file rewritten within one tick of the clock keeps all five, so an entry is
// believed only if mtime and ctime were older than the moment of hashing by
// `settle_ns`; others are not kept (Git calls such files racy; ccache had the
// bug). Any thread may use it. Persistent through StepCache (`m` rows): look_up
// falls back to it, remember writes through.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "cache/digest.h"

namespace cache {

class StepCache;

inline constexpr std::int64_t settle_ns = 20'000'000;  // two ticks of a 100 Hz clock

struct FileIdentity {
  std::uint64_t device = 0, inode = 0, bytes = 0;
  std::int64_t mtime_ns = 0, ctime_ns = 0;
  static FileIdentity of(const struct stat& status);
  auto operator<=>(const FileIdentity&) const = default;
};

class FileMemo {
 public:
  explicit FileMemo(StepCache* persistent) : persistent_(persistent) {}
  // Files of device `seen` are remembered as those of `known`: overlayfs has another number each time it is mounted, and with
  // layers of one file system its files have the inode numbers of that (Documentation/filesystems/overlayfs.rst, "Inode properties").
  FileMemo(StepCache* persistent, std::uint64_t seen, std::uint64_t known) : seen_(seen), known_(known), persistent_(persistent) {}

  std::optional<Digest> look_up(const FileIdentity& file);
  // `hashed_at_ns` is CLOCK_REALTIME from just before the file was opened to be
  // hashed; `file` was taken from the open file before and found unchanged after.
  void remember(const FileIdentity& file, const Digest& digest, std::int64_t hashed_at_ns);
  // Its contents have changed and none of this tells so.
  void forget(std::uint64_t device, std::uint64_t inode);

 private:
  struct Key {
    std::uint64_t device, inode;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return key.device * 0x9e3779b97f4a7c15 ^ key.inode; }
  };
  struct Entry {
    FileIdentity file;
    Digest digest;
  };
  std::uint64_t lasting(std::uint64_t device) const { return device == seen_ ? known_ : device; }

  const std::uint64_t seen_ = 0, known_ = 0;
  std::mutex mutex_;
  std::unordered_map<Key, Entry, KeyHash> entries_;
  StepCache* persistent_;
};

}  // namespace cache
