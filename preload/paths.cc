#include "preload/paths.h"

namespace preload {
namespace {

bool ends_with(const char* text, size_t bytes, const char* end, size_t end_bytes) {
  if (bytes < end_bytes) return false;
  for (size_t i = 0; i < end_bytes; ++i)
    if (text[bytes - end_bytes + i] != end[i]) return false;
  return true;
}

}  // namespace

long descriptor_target(int fd, char* buffer, size_t size) {
  char name[48];
  // The first is the main thread's, which may have ended.
  for (int attempt = 0; attempt < 2; ++attempt) {
    TextWriter writer(name);
    writer.put(attempt == 0 ? "/proc/self/fd/" : "/proc/thread-self/fd/");
    writer.put_number(static_cast<uint32_t>(fd));
    writer.end();
    const long bytes = kernel(__NR_readlink, name, buffer, size);
    if (bytes >= 0 || bytes == -EFAULT) return bytes;
  }
  return -ENOENT;
}

bool NamedPath::read_directory(int fd) {
  const long bytes = descriptor_target(fd, directory_, sizeof directory_);
  // Who asks may take no name for no file.
  if (bytes == static_cast<long>(sizeof directory_)) spoil("uses a descriptor whose file has a longer name than can be told");
  if (bytes <= 0 || bytes == static_cast<long>(sizeof directory_) || directory_[0] != '/') return false;
  text.directory = directory_;
  text.directory_bytes = static_cast<uint32_t>(bytes);
  return true;
}

NamedPath::NamedPath(int directory, const char* path) {
  text = Text::of(path);
  // The kernel has refused it, whatever there is.
  ok = text.name_bytes < PATH_MAX;
  if (!ok || path[0] == '/') return;
  if (directory == AT_FDCWD) {
    relative = true;
    return;
  }
  ok = read_directory(directory);
  if (!ok) {
    // A descriptor that is none at all has been reported by the kernel.
    if (kernel(__NR_fcntl, directory, F_GETFD) >= 0) spoil("used a directory whose name is not known");
    return;
  }
  if (text.name_bytes == 0) return;
  text.slash = true;
  if (text.directory_bytes == 1) text.directory_bytes = 0;
}

NamedPath::NamedPath(int fd) {
  ok = read_directory(fd) && !ends_with(directory_, text.directory_bytes, " (deleted)", 10) &&
       !starts_with(directory_, "/memfd:");
}

uint32_t NamedPath::pending() const {
  if (text.name_bytes) return pending_index(text.name, text.name_bytes);
  return pending_index(text.directory, text.directory_bytes);
}

uint64_t NamedPath::hash(uint64_t seed) const {
  if (relative) seed = mix(seed, uint64_t{state.cwd_epoch} + 1);
  if (text.directory_bytes) seed = quick_hash(text.directory, text.directory_bytes, seed);
  return quick_hash(text.name, text.name_bytes, seed);
}

bool NamedPath::repeats(uint64_t seed) const { return !(relative && in_vfork_child()) && seen(hash(seed)); }

int named_descriptor(const char* path) {
  if (path[0] != '/' || (path[1] != 'd' && path[1] != 'p')) return -1;
  if (equal(path, "/dev/stdin")) return 0;
  if (equal(path, "/dev/stdout")) return 1;
  if (equal(path, "/dev/stderr")) return 2;
  const char* number = path;
  if (starts_with(path, "/dev/fd/"))
    number += sizeof "/dev/fd/" - 1;
  else if (starts_with(path, "/proc/self/fd/"))
    number += sizeof "/proc/self/fd/" - 1;
  else if (starts_with(path, "/proc/thread-self/fd/"))
    number += sizeof "/proc/thread-self/fd/" - 1;
  if (number == path || *number < '0' || *number > '9') return -1;
  const uint64_t fd = take_number(number, 10);
  return *number == 0 && fd < INT32_MAX ? static_cast<int>(fd) : -1;
}

const char* behind_own_process(const char* path) {
  if (path[0] != '/' || !starts_with(path, "/proc/")) return nullptr;
  const char* rest = path + sizeof "/proc/" - 1;
  if (starts_with(rest, "self/")) return rest + sizeof "self/" - 1;
  if (*rest < '0' || *rest > '9') return nullptr;
  const uint64_t number = take_number(rest, 10);
  return number == static_cast<uint64_t>(own_pid()) && *rest == '/' ? rest + 1 : nullptr;
}

void fill_stat(StatPayload& payload, const struct stat& info) {
  payload.mode = info.st_mode;
  payload.links = static_cast<uint32_t>(info.st_nlink);
  payload.uid = info.st_uid;
  payload.gid = info.st_gid;
  payload.device = info.st_dev;
  payload.inode = info.st_ino;
  payload.size = static_cast<uint64_t>(info.st_size);
  payload.mtime_ns =
      static_cast<int64_t>(info.st_mtime) * 1000000000 + static_cast<int64_t>(info.st_mtime_nsec);
}

}  // namespace preload
