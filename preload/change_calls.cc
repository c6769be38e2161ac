// Calls that change what a path names.
#include "preload/descriptors.h"
#include "preload/handlers.h"
#include "preload/paths.h"
#include "preload/preserve.h"

namespace preload {
namespace {

int directory_of(const Call& call, int place) { return place == AT_FDCWD ? AT_FDCWD : call.fd(place); }

// A change by an argument that names nothing: logged by what the descriptor was opened by.
void note_descriptor(LogRecord& record, int fd) {
  const FdClass fd_class = examined_class(fd);
  if (fd_class == fd_own_nameless || fd_class == fd_jobserver) return;
  // Its name is not that of the file next time.
  if (!is_own(fd_class)) spoil("changed a file by an inherited descriptor");
  // With O_PATH it may be a symbolic link itself.
  if (struct stat info; stat_descriptor(fd, info) == 0 && (info.st_mode & S_IFMT) == S_IFLNK) {
    if (record.kind == kind_utimens)
      record.arg = 1;
    else
      spoil("changed a symbolic link by its descriptor");
  }
  const NamedPath named = NamedPath::of_descriptor(fd);
  if (!named.ok) return;
  record.text = named.text;
  append(record);
}

// Of a file by the name of a descriptor: fchmodat of a libc without fchmodat2 is chmod of /proc/self/fd/N.
bool note_by_descriptor_name(LogRecord& record, const char* path) {
  const bool follows = record.kind == kind_chmod || record.kind == kind_chown || (record.kind == kind_utimens && record.arg == 0);
  const int fd = record.result == 0 && follows ? named_descriptor(path) : -1;
  if (fd < 0) return false;
  note_descriptor(record, fd);
  return true;
}

void note_path(LogRecord& record, int directory, const char* path) {
  if (note_by_descriptor_name(record, path)) return;
  const NamedPath named(directory, path);
  if (!named.ok) return;
  record.text = named.text;
  append(record);
}

void note_two(LogRecord& record, int directory, const char* path, int directory2, const char* path2) {
  const NamedPath named(directory, path), named2(directory2, path2);
  if (!named.ok || !named2.ok) return;
  record.text = named.text;
  record.text2 = named2.text;
  append(record);
  if (record.result == 0) mark_pending(named2.pending(), true);
}

// With AT_EMPTY_PATH, the only way in which an empty path succeeds.
long change_unnamed(const Call& call, Kind kind, int fd, int value) {
  LogRecord record;
  record.kind = kind;
  if (value >= 0) record.arg = call.integer(value);
  if (fd == AT_FDCWD)
    note_path(record, fd, ".");
  else
    note_descriptor(record, fd);
  return 0;
}

}  // namespace

long change_path(const Call& call, Kind kind, int directory, int path, int value) {
  if (kind == kind_mkdir || kind == kind_mknod) before_change(directory_of(call, directory), call.path(path));
  if (kind == kind_rmdir) before_loss(directory_of(call, directory), call.path(path), AT_SYMLINK_NOFOLLOW);
  const long result = native(call);
  if (result == 0 && call.path(path)[0] == 0) return change_unnamed(call, kind, directory_of(call, directory), value);
  if (!worth_noting(result, call.path(path))) return result;
  LogRecord record;
  record.kind = kind;
  record.result = static_cast<int>(result);
  if (value >= 0) record.arg = call.integer(value);
  if (kind == kind_mkdir) record.arg &= ~static_cast<int>(load(state.umask));
  note_path(record, directory_of(call, directory), call.path(path));
  return result;
}

long change_descriptor(const Call& call, Kind kind, int value) {
  const long result = native(call);
  if (result < 0) return result;
  LogRecord record;
  record.kind = kind;
  if (value >= 0) record.arg = call.integer(value);
  note_descriptor(record, call.fd(0));
  return result;
}

namespace {

// The access list that says no more than the permission bits: four entries at most, none of them for a named
// user.
bool is_mode_alone(const char* name, uint64_t bytes) {
  static constexpr char wanted[] = "system.posix_acl_access";
  if (!readable(name) || bytes > 4 + 3 * 8) return false;
  for (size_t i = 0; i < sizeof wanted; ++i)
    if (name[i] != wanted[i]) return false;
  return true;
}

}  // namespace

long handle_set_attribute(const Call& call) {
  const bool by_descriptor = call.number == __NR_fsetxattr;
  const Kind kind = is_mode_alone(call.path(1), call.arguments[3]) ? kind_chmod : kind_xattr_set;
  return by_descriptor ? change_descriptor(call, kind, -1) : change_path(call, kind, AT_FDCWD, 0, -1);
}

long handle_unlink(const Call& call) {
  const bool plain = call.number == __NR_unlink;
  const int directory = plain ? AT_FDCWD : call.fd(0);
  const char* path = call.path(plain ? 0 : 1);
  const bool folder = !plain && call.integer(2) & AT_REMOVEDIR;
  before_loss(directory, path, AT_SYMLINK_NOFOLLOW);
  const long result = native(call);
  if (!worth_noting(result, path)) return result;
  LogRecord record;
  record.kind = folder ? kind_rmdir : kind_unlink;
  record.result = static_cast<int>(result);
  note_path(record, directory, path);
  return result;
}

long handle_rename(const Call& call) {
  const bool plain = call.number == __NR_rename;
  const int directory = plain ? AT_FDCWD : call.fd(0), directory2 = plain ? AT_FDCWD : call.fd(2);
  const char* path = call.path(plain ? 0 : 1);
  const char* path2 = call.path(plain ? 1 : 3);
  before_loss(directory, path, AT_SYMLINK_NOFOLLOW);
  before_change(directory2, path2);
  const long result = native(call);
  if (!worth_noting(result, path) || !worth_noting(result, path2)) return result;
  LogRecord record;
  record.kind = kind_rename;
  record.result = static_cast<int>(result);
  if (call.number == __NR_renameat2) record.arg = call.integer(4);
  note_two(record, directory, path, directory2, path2);
  return result;
}

long handle_link(const Call& call) {
  const bool plain = call.number == __NR_link;
  const int directory = plain ? AT_FDCWD : call.fd(0), directory2 = plain ? AT_FDCWD : call.fd(2);
  const char* path = call.path(plain ? 0 : 1);
  const char* path2 = call.path(plain ? 1 : 3);
  const int flags = plain ? 0 : call.integer(4);
  const long result = native(call);
  // A file without a name gets one: it is told by its descriptor.
  char by_descriptor[32];
  if (flags & AT_EMPTY_PATH && result == 0 && path[0] == 0) {
    TextWriter writer(by_descriptor);
    writer.put("/proc/self/fd/");
    writer.put_number(static_cast<uint32_t>(directory));
    writer.end();
    path = by_descriptor;
  }
  if (!worth_noting(result, path) || !worth_noting(result, path2)) return result;
  if (const int fd = named_descriptor(path); result == 0 && fd >= 0 && !is_own(examined_class(fd))) spoil("gave a name to an inherited file");
  LogRecord record;
  record.kind = kind_link;
  record.result = static_cast<int>(result);
  record.arg = flags & AT_SYMLINK_FOLLOW ? 1 : 0;
  note_two(record, directory, path, directory2, path2);
  return result;
}

long handle_symlink(const Call& call) {
  const bool plain = call.number == __NR_symlink;
  const char* target = call.path(0);
  const char* path = call.path(plain ? 1 : 2);
  before_change(plain ? AT_FDCWD : call.fd(1), path);
  const long result = native(call);
  if (!worth_noting(result, path) || !worth_noting(result, target)) return result;
  LogRecord record;
  record.kind = kind_symlink;
  record.result = static_cast<int>(result);
  record.text2 = Text::of(target);
  note_path(record, plain ? AT_FDCWD : call.fd(1), path);
  return result;
}

long handle_truncate(const Call& call) {
  before_cut(call.path(0));
  return change_path(call, kind_truncate, AT_FDCWD, 0, -1);
}

long handle_times(const Call& call) {
  const long result = native(call);
  if (result == -EFAULT || result == -ENOSYS) return result;
  const bool by_directory = call.number == __NR_utimensat || call.number == __NR_futimesat;
  const int directory = by_directory ? call.fd(0) : AT_FDCWD;
  const char* path = call.path(by_directory ? 1 : 0);
  TimesPayload payload{0, 0};
  LogRecord record;
  record.kind = kind_utimens;
  record.result = static_cast<int>(result);
  if (const long* times = call.pointer<const long>(by_directory ? 2 : 1); times == nullptr) {
    payload.is_now = 1;
  } else if (result < 0) {
    // What they would have been does not matter.
  } else if (call.number == __NR_utime) {
    payload.mtime_ns = times[1] * 1000000000;
  } else if (call.number != __NR_utimensat) {
    payload.mtime_ns = times[2] * 1000000000 + times[3] * 1000;
  } else {
    constexpr long time_now = 0x3fffffff, time_omit = 0x3ffffffe;
    payload.mtime_ns = times[2] * 1000000000 + times[3];
    if (times[3] == time_now) payload = {0, 1};
    if (times[3] == time_omit) return result;  // of the time of access nobody takes notice
  }
  const int flags = call.number == __NR_utimensat ? call.integer(3) : 0;
  record.arg = flags & AT_SYMLINK_NOFOLLOW ? 1 : 0;
  record.payload = &payload;
  record.payload_bytes = sizeof payload;
  if (path == nullptr || (path[0] == 0 && flags & AT_EMPTY_PATH)) {
    if (result == 0 && directory == AT_FDCWD) note_path(record, directory, ".");
    else if (result == 0) note_descriptor(record, directory);
  } else if (worth_noting(result, path)) {
    note_path(record, directory, path);
  }
  return result;
}

namespace {

// False: the name does not fit.
template <size_t room>
__attribute__((noinline)) bool note_new_directory(LogRecord record, bool same_text) {
  char name[room];
  const long bytes = kernel(__NR_getcwd, name, sizeof name);
  if (bytes == -ERANGE && room < PATH_MAX) return false;
  if (bytes <= 1 || name[0] != '/')
    spoil("went to a directory whose name is not known");
  else
    record.text2 = Text::of(name, static_cast<size_t>(bytes) - 1);
  if (same_text) record.text = record.text2;
  append(record);
  return true;
}

}  // namespace

long handle_chdir(const Call& call) {
  const long result = native(call);
  const bool by_descriptor = call.number == __NR_fchdir;
  if (by_descriptor ? result < 0 : !worth_noting(result, call.path(0))) return result;
  LogRecord record;
  record.kind = kind_chdir;
  record.result = static_cast<int>(result);
  if (!by_descriptor) record.text = Text::of(call.path(0));
  if (result < 0) {
    append(record);
    return result;
  }
  if (!in_vfork_child()) __atomic_add_fetch(&state.cwd_epoch, 1, __ATOMIC_RELAXED);
  // Signal stacks are small, and so are most names.
  if (!note_new_directory<directory_bytes_max>(record, by_descriptor))
    note_new_directory<PATH_MAX>(record, by_descriptor);
  return result;
}

}  // namespace preload
