// The world as it is now, in the same form in which steps observed it.
//
// PathFacts is what one look at a path tells; value_of() turns facts into the
// value of a need. The recorder uses it with facts from the log, the judge with
// facts from the file system: two values are equal exactly if the step could
// not tell the difference.
//
// Paths are absolute and have no symlink in front of the last component; the
// last component is never followed. Any thread may use a View.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cache/base/result.h"
#include "cache/blob_store.h"
#include "cache/digest.h"
#include "cache/file_memo.h"
#include "cache/record.h"

namespace broker {

enum class FileType : std::uint8_t {
  absent,
  regular,
  directory,
  symlink,
  fifo,
  socket,
  character_device,
  block_device,
  error
};

// As getdents tells it.
inline std::uint8_t entry_type_of(FileType type) {
  switch (type) {
    case FileType::regular: return 8;
    case FileType::directory: return 4;
    case FileType::symlink: return 10;
    case FileType::fifo: return 1;
    case FileType::socket: return 12;
    case FileType::character_device: return 2;
    case FileType::block_device: return 6;
    default: return 0;
  }
}

struct PathFacts {
  FileType type = FileType::absent;
  int error = 0;           // FileType::error: what looking failed with; absent: 0, or ENOTDIR if something on the way is no directory
  std::uint32_t mode = 0;  // permission bits, set-id and sticky
  std::uint32_t uid = 0, gid = 0, links = 0;
  std::uint64_t bytes = 0;
  std::int64_t mtime_ns = 0;
  // Not part of any value: to tell whether a file is still the same.
  std::uint64_t device = 0, inode = 0;
  std::int64_t ctime_ns = 0;  // 0 if not known (facts from the log)

  static PathFacts from(const struct stat& status);
  static PathFacts from_error(int error_number);
  // From stat's mode word, as in a log record.
  static PathFacts from_mode(std::uint32_t st_mode);
  cache::FileIdentity identity() const { return {device, inode, bytes, mtime_ns, ctime_ns}; }
};

// What facts alone cannot say; each is looked at only if its aspect is asked for.
struct PathContents {
  std::optional<cache::Digest> bytes;    // of a regular file
  std::optional<std::string> target;     // of a symlink
  std::optional<std::uint64_t> listing;  // of a directory
  std::optional<std::uint64_t> attributes;  // sum of a hash of their names
};

// `aspects` is a set of cache::Aspect. A value is one byte FileType, then for each aspect in ascending order,
// all little-endian:
//
//   mode      mode (not of a symlink), uid, gid    4 bytes each
//   size      byte count                           8
//   links     link count                           4
//   times     mtime in ns                          8
//   bytes     SHA-256, of a regular file           32
//   target    length and text, of a symlink        4 + n
//   listing   sum, of a directory                  8
//   attributes  sum over names                     8
//
// What the type makes meaningless is left out: size and links of a directory, everything but the errno (4
// bytes) of a path that cannot be looked at or is absent for another reason than ENOENT. So is the size of a symlink whose
// target is there. With aspect_replaceable, which stands alone or with aspect_links, aspect_size and aspect_mode, the value is one byte, 1 or 0.
//
// If `contents` lacks what the aspects ask for, the value equals no other, not even the next one made so.
std::string value_of(std::uint32_t aspects, const PathFacts& facts, const PathContents& contents);

// A value taken apart: what its type and aspects have.
struct ValueParts {
  bool readable = true;  // false: the contents were not known, and nothing else is told
  FileType type = FileType::absent;
  int error = 0;
  std::optional<std::uint32_t> mode, links;
  std::optional<std::pair<std::uint32_t, std::uint32_t>> owner;  // uid, gid
  std::optional<std::uint64_t> bytes, listing, attributes;
  std::optional<std::int64_t> mtime_ns;
  std::optional<cache::Digest> digest;
  std::optional<std::string> target;
};
// Nothing if the value is damaged, or that of aspect_replaceable.
std::optional<ValueParts> parts_of(std::uint32_t aspects, std::string_view value);

// For a human: "absent", "regular file, 120 bytes, sha256 3f2a...", naming only what the aspects of a value
// hold.
std::string describe(std::uint32_t aspects, std::string_view value);

class View {
 public:
  // With `blobs`, contents that are hashed can be kept on the way (keep_bytes).
  View(cache::FileMemo& memo, cache::BlobStore& blobs) : memo_(memo), blobs_(blobs) {}

  PathFacts look(const std::string& path) const;  // lstat

  // SHA-256 of a regular file's contents, through the memo. `facts`, if given, are set to what the file was
  // when hashed. Fault::changed if it changed meanwhile, Fault::unsupported if it is not a regular file,
  // Fault::not_found, Fault::io. Files below /proc and /sys are read anew each time (at most 1 MiB, else
  // Fault::unsupported).
  cache::Result<cache::Digest> bytes(const std::string& path, PathFacts* facts = nullptr) const;
  // The same, and afterwards the blob store has the contents.
  cache::Result<cache::Digest> keep_bytes(const std::string& path, PathFacts* facts = nullptr) const;

  cache::Result<std::string> target(const std::string& path) const;
  // Sum of preload::entry_hash over all entries but "." and "..", and but the names in `except` (sorted, each
  // followed by a '/', as in the text of a listing need behind its NUL).
  cache::Result<std::uint64_t> listing(const std::string& path, std::string_view except = {}) const;

  // The names that listing() sums up, each with its hash; of a directory that cannot be read, none.
  std::vector<std::pair<std::string, std::uint64_t>> entries(const std::string& path, std::string_view except) const;

  // Over the names of extended attributes that users set; 0 if there are none or the file system has none.
  std::uint64_t attributes(const std::string& path) const;
  // Whether what is made in this directory gets its mode from a default access list, and not from who makes it.
  bool gives_access_lists(const std::string& directory) const;

  // The value today of a NeedKind::path need. Its text is the path, or, with aspect_listing, the path, NUL,
  // and the names left out, each followed by '/'. Never fails: what cannot be read has a value of its own
  // that equals no recorded one.
  std::string value_today(const cache::NeedName& need) const;

  // Spares hashing a file that the caller has just written itself and renamed to `path`: its contents have
  // this digest, and it was as `written` says after the last write, under a name nobody else knew. Kept only
  // where the kernel gives each change a ctime of its own once somebody has looked (Linux 6.13 with ext4,
  // xfs, btrfs or tmpfs), for elsewhere a rewrite within the same tick of the clock would go unnoticed.
  void remember(const std::string& path, const cache::Digest& digest, const PathFacts& written) const;

  // As long as somebody keeps what is returned the file's times say nothing of its contents: it is hashed each time.
  std::shared_ptr<const void> distrust(std::uint64_t device, std::uint64_t inode) const;

 private:
  struct FileKey {
    std::uint64_t device, inode;
    bool operator==(const FileKey&) const = default;
  };
  struct FileKeyHash {
    std::size_t operator()(const FileKey& key) const { return key.device * 0x9e3779b97f4a7c15 ^ key.inode; }
  };
  struct WrittenFile {
    cache::FileIdentity file;
    cache::Digest digest;
  };
  void forget(const FileKey& file) const;
  bool is_distrusted(const cache::FileIdentity& file) const;
  std::optional<cache::Digest> known(const cache::FileIdentity& file) const;
  cache::Result<cache::Digest> digest_of_file(const std::string& path, const PathFacts& looked,
                                              PathFacts* facts, bool keep) const;

  cache::FileMemo& memo_;
  cache::BlobStore& blobs_;
  // By remember(), until the memo takes them.
  mutable std::mutex written_mutex_;
  mutable std::unordered_map<FileKey, WrittenFile, FileKeyHash> written_;
  mutable std::unordered_map<FileKey, std::uint32_t, FileKeyHash> distrusted_;  // by so many
  mutable std::unordered_map<std::uint64_t, bool> stamps_each_change_;  // by device
};

}  // namespace broker
