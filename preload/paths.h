// Paths as a program names them: relative to the working directory, to a
// descriptor, or by the descriptor itself.
#pragma once

#include "preload/log_ring.h"

#pragma GCC visibility push(hidden)

namespace preload {

// Longer names of directories are not looked up; signal stacks are small.
inline constexpr uint32_t directory_bytes_max = 480;

// The text to log for a path. The path must be known to be readable.
//
// What is relative to a descriptor becomes absolute. If that cannot be done the
// process has been spoiled and `ok` is false: nothing need be logged.
class NamedPath {
 public:
  NamedPath(int directory, const char* path);
  // What the descriptor was opened by. Not ok, but nothing is spoiled, if that has no name or not any more.
  static NamedPath of_descriptor(int fd) { return NamedPath(fd); }
  NamedPath(const NamedPath&) = delete;

  bool ok = true;
  bool relative = false;  // to the working directory
  Text text;

  uint32_t pending() const;
  // Of the text, the working directory included if it matters; the same for the same file as far as one can
  // see.
  uint64_t hash(uint64_t seed) const;
  // Whether a record of this path may be left out as a repetition. Never in a child made by vfork if it is
  // relative: the child may have another working directory.
  bool repeats(uint64_t seed) const;

 private:
  explicit NamedPath(int fd);
  bool read_directory(int fd);

  char directory_[directory_bytes_max];
};

// The target of /proc/self/fd/N: bytes, or -errno.
long descriptor_target(int fd, char* buffer, size_t size);

// Whether the call's result says anything about the path. Some failures the kernel reports before it has read
// it.
inline bool worth_noting(long result, const char* path) {
  if (result == -EFAULT || result == -ENOSYS || (result == -EINVAL && !readable(path))) return false;
  return path[0] != 0;  // an empty one names nothing, anywhere
}

// /dev/stdin, /dev/fd/3, /proc/self/fd/3: the descriptor, or -1 for any other path.
int named_descriptor(const char* path);

// What stands behind /proc/self/ or /proc/<own number>/, or nullptr if that is not how the path begins.
const char* behind_own_process(const char* path);

void fill_stat(StatPayload& payload, const struct stat& info);
// Its parts are independent of each other, which is faster than quick_hash().
inline uint64_t hash_of(const StatPayload& seen) {
  const uint64_t what = mix(uint64_t{seen.mode} << 32 | seen.links, uint64_t{seen.uid} << 32 | seen.gid);
  return mix(mix(seen.device, seen.inode) ^ what, mix(seen.size, static_cast<uint64_t>(seen.mtime_ns)));
}

}  // namespace preload

#pragma GCC visibility pop
