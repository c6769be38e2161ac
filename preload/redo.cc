#include "preload/redo.h"

#include "preload/kernel.h"

namespace preload {
namespace {

const char* path_of(const RedoEntry& entry) { return reinterpret_cast<const char*>(&entry + 1); }
const char* text_of(const RedoEntry& entry) { return path_of(entry) + entry.path_bytes; }

// The type of what is there, 0 if nothing is, or -errno.
long type_of(const char* path) {
  struct stat info {};
  const long result = stat_at(AT_FDCWD, path, info, AT_SYMLINK_NOFOLLOW);
  if (result == -ENOENT) return 0;
  return result < 0 ? result : static_cast<long>(info.st_mode & S_IFMT);
}

long make_rename(const RedoEntry& entry, bool in_doubt) {
  const char *from = path_of(entry), *to = text_of(entry);
  if (in_doubt && type_of(from) == 0) return 0;
  const long there = type_of(to);
  if (there < 0) return there;
  if (there != 0 && there != S_IFREG && !(there == S_IFLNK && entry.flags & redo_over_symlink)) return -EEXIST;
  const long result = kernel(__NR_rename, from, to);
  // Nothing happens, and nothing is said, if both are one file.
  if (result == 0 && entry.flags & redo_same_file) kernel(__NR_unlink, from);
  return result;
}

long copy_over(int from, int to) {
  struct stat info {};
  if (const long result = stat_descriptor(to, info); result < 0) return result;
  if ((info.st_mode & S_IFMT) != S_IFREG) return -EEXIST;
  // Cut off at the end, not emptied at the beginning: what it has of the disk stays its own.
  char buffer[4096];
  for (long at = 0;;) {
    const long count = kernel(__NR_pread64, from, buffer, sizeof buffer, at);
    if (count == -EINTR) continue;
    if (count < 0) return count;
    if (count == 0) return kernel(__NR_ftruncate, to, at);
    for (const long end = at + count; at < end;) {
      const long written = kernel(__NR_pwrite64, to, buffer + (count - (end - at)), end - at, at);
      if (written > 0) at += written;
      if (written == 0) return -EIO;
      if (written < 0 && written != -EINTR) return written;
    }
  }
}

long make_overwrite(const RedoEntry& entry, bool in_doubt) {
  const long from = kernel(__NR_open, path_of(entry), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  // It goes when all has been written.
  if (from == -ENOENT && in_doubt) return 0;
  if (from < 0) return from;
  const long to = kernel(__NR_open, text_of(entry), O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  long result = to;
  if (to >= 0) {
    result = copy_over(static_cast<int>(from), static_cast<int>(to));
    const long closed = kernel(__NR_close, to);
    if (result >= 0 && closed < 0) result = closed;
  }
  kernel(__NR_close, from);
  if (result >= 0) kernel(__NR_unlink, path_of(entry));
  return result;
}

long make_directory(RedoEntry& entry, bool in_doubt) {
  const long result = kernel(__NR_mkdir, path_of(entry), entry.mode);
  if (result != -EEXIST || type_of(path_of(entry)) != S_IFDIR) return result;
  if (!in_doubt) entry.flags |= redo_found_there;
  return 0;
}

long change_mode(RedoLog& log, const RedoEntry& entry) {
  if (entry.flags & redo_if_made && redo_entry(log, log.begin + entry.maker).flags & redo_found_there) return 0;
  const long there = type_of(path_of(entry));
  if (there <= 0) return there < 0 ? there : -ENOENT;
  if (there != static_cast<long>(entry.type)) return -EEXIST;
  return kernel(__NR_chmod, path_of(entry), entry.mode);
}

long change_time(RedoEntry& entry) {
  struct stat other {};
  if (entry.flags & redo_same && stat_at(AT_FDCWD, text_of(entry), other, AT_SYMLINK_NOFOLLOW) >= 0) {
    entry.mtime_ns = static_cast<int64_t>(other.st_mtime) * 1000000000 + static_cast<int64_t>(other.st_mtime_nsec);
  } else if (entry.flags & (redo_now | redo_same)) {
    // The latest time that the kernel has given to any file, or its last tick. What somebody has looked at since gets
    // a later one (Linux 6.13, multigrain timestamps): so that two files get two times.
    const long result = kernel(__NR_utimensat, AT_FDCWD, path_of(entry), nullptr, AT_SYMLINK_NOFOLLOW);
    struct stat seen {};
    if (result < 0 || stat_at(AT_FDCWD, path_of(entry), seen, AT_SYMLINK_NOFOLLOW) < 0) return result;
    return kernel(__NR_utimensat, AT_FDCWD, path_of(entry), nullptr, AT_SYMLINK_NOFOLLOW);
  }
  // Negative times have a positive nanosecond part. Only the time of modification is part of a result.
  constexpr int64_t second = 1000000000;
  const int64_t rest = (entry.mtime_ns % second + second) % second;
  constexpr int64_t leave_alone = (1l << 30) - 2;  // UTIME_OMIT
  const __kernel_timespec times[2] = {{0, leave_alone}, {(entry.mtime_ns - rest) / second, rest}};
  return kernel(__NR_utimensat, AT_FDCWD, path_of(entry), times, AT_SYMLINK_NOFOLLOW);
}

}  // namespace

long redo(RedoLog& log, RedoEntry& entry, bool in_doubt) {
  long result = -EINVAL;
  switch (entry.kind) {
    case redo_rename:
      return make_rename(entry, in_doubt);
    case redo_overwrite:
      return make_overwrite(entry, in_doubt);
    case redo_link:
      result = kernel(__NR_link, text_of(entry), path_of(entry));
      return result == -EEXIST && in_doubt ? 0 : result;
    case redo_unlink:
      result = kernel(__NR_unlink, path_of(entry));
      return result == -ENOENT || result == -ENOTDIR ? 0 : result;
    case redo_rmdir:
      result = kernel(__NR_rmdir, path_of(entry));
      return result == -ENOENT ? 0 : result;
    case redo_mkdir:
      return make_directory(entry, in_doubt);
    case redo_chmod:
      return change_mode(log, entry);
    case redo_time:
      return change_time(entry);
  }
  return result;
}

namespace {

// Whether a whole entry stands there.
bool is_whole(RedoLog& log, uint32_t at, uint32_t end) {
  if (at > end || end - at < sizeof(RedoEntry)) return false;
  const RedoEntry& entry = redo_entry(log, at);
  return entry.bytes <= end - at && sizeof entry + uint64_t{entry.path_bytes} + entry.text_bytes <= entry.bytes;
}

}  // namespace

bool redo_rest(RedoLog& log) {
  const uint32_t begin = log.begin, end = log.end;
  if (begin > end || end > redo_bytes_max) return false;
  for (bool in_doubt = true; load(log.done) < end; in_doubt = false) {
    const uint32_t at = load(log.done);
    if (at < begin || !is_whole(log, at, end)) return false;
    RedoEntry& entry = redo_entry(log, at);
    if (entry.maker > at - begin || redo(log, entry, in_doubt) < 0) return false;
    store(log.done, at + entry.bytes);
  }
  return true;
}

void undo(RedoLog& log) {
  const uint32_t end = load(log.end);
  if (end > redo_bytes_max) return;
  for (uint32_t at = 0; is_whole(log, at, end); at += redo_entry(log, at).bytes)
    if (redo_entry(log, at).kind == redo_unlink) kernel(__NR_unlink, path_of(redo_entry(log, at)));
}

}  // namespace preload
