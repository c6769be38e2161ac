// Calls that look at what a path names, or open it.
#include "preload/ask.h"
#include "preload/descriptors.h"
#include "preload/handlers.h"
#include "preload/paths.h"
#include "preload/policies.h"
#include "preload/preserve.h"

namespace preload {
namespace {

void note_look(int directory, const char* path, long result, const StatPayload* payload, int flags) {
  if (result == 0 && path[0] == 0) path = ".";  // AT_EMPTY_PATH of the working directory
  if (!worth_noting(result, path) || note_closed_name(path, result)) return;
  const NamedPath named(directory, path);
  if (!named.ok) return;
  uint64_t key = mix(kind_look << 8 | flags, static_cast<uint64_t>(result));
  if (payload) key = mix(key, hash_of(*payload));
  if (named.repeats(key)) return;
  LogRecord record;
  record.kind = kind_look;
  record.result = static_cast<int>(result);
  record.arg = flags;
  record.text = named.text;
  if (payload) record.payload = payload, record.payload_bytes = sizeof *payload;
  append(record);
  mark_pending(named.pending());
}

// What make is told of a regular file in a precise session; in another one it is only watched. False: as if it were any other program.
bool tell_make(int directory, const char* path, long& result, struct stat& info, int flags) {
  if (result != 0 || (info.st_mode & S_IFMT) != S_IFREG || in_vfork_child()) return false;
  const NamedPath named(directory, path);
  if (!named.ok) return false;
  StatPayload payload;
  fill_stat(payload, info);
  LogRecord record;
  record.kind = kind_look;
  record.arg = flags;
  record.text = named.text;
  record.payload = &payload, record.payload_bytes = sizeof payload;
  if (!(state.plan_flags & plan_asks_times)) {
    append(record);
    mark_pending(named.pending());
    return true;
  }
  uint32_t told = verdict_time_source;
  int64_t outdated_ns = 0;
  Question question;
  const bool asks = is_known(made_name_key(path, length_of(path))) && question.claim();
  if (asks) record.slot = question.number();
  append(record);
  mark_pending(named.pending());
  if (asks && question.wait()) {
    told = question.answer().verdict;
    outdated_ns = question.answer().positions[0].offset;
    question.release();
  }
  const PreciseTimes& times = header().precise;
  int64_t shown_ns = payload.mtime_ns;
  switch (told) {
    case verdict_time_holds: shown_ns = times.holds_ns; break;
    case verdict_time_outdated: shown_ns = outdated_ns; break;
    case verdict_time_absent: result = -ENOENT; return true;
    case verdict_time_source: shown_ns = source_time_ns(shown_ns, times); break;
    default: break;
  }
  info.st_mtime = static_cast<unsigned long>(shown_ns / 1000000000);
  info.st_mtime_nsec = static_cast<unsigned long>(shown_ns % 1000000000);
  return true;
}

void note_stat(int directory, const char* path, long result, const struct stat* info, int flags) {
  StatPayload payload;
  if (result == 0) fill_stat(payload, *info);
  note_look(directory, path, result, result == 0 ? &payload : nullptr, flags);
}

// An empty path together with AT_EMPTY_PATH names the descriptor itself.
bool means_descriptor(int directory, const char* path, int flags) {
  return flags & AT_EMPTY_PATH && directory != AT_FDCWD && (path == nullptr || path[0] == 0);
}

// Opened by the name of a descriptor: what that one is open on, once more. False: it is a file that was opened here, and is
// known by its own name.
bool note_open_again(int original, int fd, uint64_t flags) {
  const FdClass fd_class = examined_class(original);
  struct stat info;
  const bool is_file = stat_descriptor(fd, info) == 0 && (info.st_mode & S_IFMT) == S_IFREG;
  if (is_own(fd_class)) {
    if (is_file && fd_class != fd_own_nameless) return false;
    opened(fd, fd_own_nameless, 0);
    return true;
  }
  // A file has another position then: what is written by the one is not behind what is written by the other.
  const bool writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
  const bool both_append = flags & O_APPEND && !(flags & O_TRUNC) && kernel(__NR_fcntl, original, F_GETFL) & O_APPEND;
  if (writes) note_question(original, fd_asked_again);
  if (is_file && writes && !both_append) spoil("opened a file by the name of a descriptor, to write to it");
  opened(fd, fd_class == fd_jobserver ? fd_jobserver : is_file && !writes ? fd_reopened : fd_alias, 0);
  return true;
}

void note_open(int directory, const char* path, long result, uint64_t flags, uint64_t mode,
               const BeforeWrite& before) {
  if (!worth_noting(result, path) || note_closed_name(path, result)) return;
  const int fd = static_cast<int>(result);
  const int original = result >= 0 ? named_descriptor(path) : -1;
  if (original >= 0 && note_open_again(original, fd, flags)) return;
  // What was written to is looked at again when it is closed; what was there before has not been kept.
  if (original >= 0 && before.writes) spoil("opened a file by the name of a descriptor, to write to it");
  const NamedPath named = original >= 0 ? NamedPath::of_descriptor(fd) : NamedPath(directory, path);
  if (!named.ok) {
    if (result >= 0) opened(fd, fd_own_nameless, 0);
    return;
  }
  // Opened for reading once more, with the same number: nobody learns anything new.
  const bool only_reads = result >= 0 && fd < fd_count_max && !before.writes && !(flags & (O_CREAT | O_PATH | O_DIRECTORY)) && !in_vfork_child();
  const uint32_t name = only_reads ? static_cast<uint32_t>(named.hash(mix(kind_open, flags))) | 1 : 0;
  if (only_reads && state.fd_names[fd] == name) {
    opened(fd, fd_own, 0);
    state.fd_names[fd] = name;
    return;
  }
  // What is there need not be made.
  if (!before.writes && before.existed) flags &= ~uint64_t{O_CREAT};
  LogRecord record;
  record.kind = kind_open;
  record.result = fd;
  record.arg = static_cast<int>(flags);
  record.arg2 = static_cast<int>(mode & ~uint64_t{load(state.umask)}) | (before.existed ? open_found_it : 0);
  if (before.has_other_names) record.arg2 |= open_has_other_names;
  record.text = named.text;
  append(record);
  if (result < 0) {
    mark_pending(named.pending());
    return;
  }
  const bool nameless = (flags & O_TMPFILE) == O_TMPFILE;
  const uint32_t pending = named.pending();
  mark_pending(pending, before.writes);
  opened(fd, nameless ? fd_own_nameless : fd_own, before.writes ? static_cast<uint16_t>(pending + 1) : 0);
  if (only_reads) state.fd_names[fd] = name;
  before.succeeded(named);
}

// The path is known to be readable.
bool names_own_environment(const char* path) {
  const char* rest = behind_own_process(path);
  return rest && equal(rest, "environ");
}

// The kernel shows the variables that the process began with, vestal's among them. Gives the file's number to one without.
void show_own_environment(int fd, uint64_t flags) {
  constexpr unsigned close_on_exec = 1;  // MFD_CLOEXEC
  constexpr size_t bytes_max = 16 << 20;
  const long place = kernel(__NR_mmap, nullptr, bytes_max, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  // Where not even a file in memory may be so long, a pipe: nobody looks for another place in it.
  constexpr long pipe_bytes = 1 << 20;  // what everybody may ask for
  const bool by_pipe = file_bytes_max() < bytes_max;
  int shown = -1, read_end = -1;
  if (place >= 0 || place <= -4096) {
    int ends[2];
    if (!by_pipe) read_end = shown = static_cast<int>(kernel(__NR_memfd_create, "environ", close_on_exec));
    else if (kernel(__NR_pipe2, ends, O_CLOEXEC | O_NONBLOCK) == 0) {
      read_end = ends[0], shown = ends[1];
      kernel(__NR_fcntl, shown, F_SETPIPE_SZ, pipe_bytes);
    }
  }
  if (shown >= 0) {
    char* const text = reinterpret_cast<char*>(place);
    size_t bytes = 0;
    for (long got; bytes + 1 < bytes_max && (got = kernel(__NR_read, fd, text + bytes, bytes_max - 1 - bytes)) > 0;) bytes += static_cast<size_t>(got);
    const char* users = nullptr;
    for (const char* each = text; each < text + bytes; each += length_of(each) + 1)
      if (starts_with(each, user_preload_variable)) users = each + sizeof user_preload_variable - 1;
    for (const char* each = text; each < text + bytes; each += length_of(each) + 1) {
      const char* told = each;
      // static_start.cc has cut it in two.
      if (starts_with(each, program_variable)) each += length_of(each) + 1;
      if (starts_with(each, region_variable)) {
        // Of a copy it has been cut in two as well.
        if (state.plan_flags & plan_copy) each += length_of(each) + 1;
        continue;
      }
      if (each != told || starts_with(each, user_preload_variable)) continue;
      if (starts_with(each, "LD_PRELOAD=") && (!state.own_file || state.plan_flags & plan_copy)) told = users;
      if (told) kernel(__NR_write, shown, told, length_of(told) + 1);
    }
    if (by_pipe) kernel(__NR_close, shown);
    else kernel(__NR_lseek, read_end, 0, 0 /* SEEK_SET */);
    kernel(__NR_dup3, read_end, fd, flags & O_CLOEXEC);
    kernel(__NR_close, read_end);
  }
  if (place >= 0 || place <= -4096) kernel(__NR_munmap, place, bytes_max);
  opened(fd, fd_own_nameless, 0);
  LogRecord record;
  record.kind = kind_getenv;
  record.arg = getenv_all;
  append(record);
  if (shown < 0) spoil("reads /proc/self/environ");
}

// Which of the kernel's tables of mounts the file is, if it is one.
const char* mount_table(int fd) {
  struct stat info;
  if (stat_descriptor(fd, info) != 0 || (info.st_mode & S_IFMT) != S_IFREG || info.st_size != 0) return nullptr;
  char name[64];
  const long bytes = descriptor_target(fd, name, sizeof name);
  if (bytes <= 0 || bytes == static_cast<long>(sizeof name)) return nullptr;
  name[bytes] = 0;
  if (!starts_with(name, "/proc/")) return nullptr;
  const char* last = name;
  for (const char* each = name; *each; ++each)
    if (*each == '/') last = each + 1;
  if (equal(last, "mounts")) return "mounts";
  if (equal(last, "mountinfo")) return "mountinfo";
  return equal(last, "mountstats") ? "mountstats" : nullptr;
}

// Gives the number of a table of mounts to the one that is told in a tree.
void show_mounts_of_tree(int fd, const char* table, uint64_t flags) {
  char name[sizeof mount_tables_directory + sizeof "mountstats"];
  TextWriter writer(name);
  writer.put(mount_tables_directory);
  writer.put(table);
  writer.end();
  const long shown = kernel(__NR_open, name, O_RDONLY | O_CLOEXEC);
  if (shown < 0) return spoil("was shown the mounts of the machine");
  kernel(__NR_dup3, shown, fd, flags & O_CLOEXEC);
  kernel(__NR_close, shown);
}

long open_named(const Call& call, int directory, const char* path, uint64_t flags, uint64_t mode) {
  const BeforeWrite before(directory, path, flags);
  const long result = native(call);
  // A shell opens it for what it executes then, which finds it empty.
  if (result >= 0 && names_own_environment(path) && !(state.plan_flags & plan_tells_input)) {
    show_own_environment(static_cast<int>(result), flags);
    return result;
  }
  if (__builtin_expect(header().session_flags & session_in_tree, 0) && result >= 0 && !(flags & O_PATH))
    if (const char* const table = mount_table(static_cast<int>(result))) show_mounts_of_tree(static_cast<int>(result), table, flags);
  note_open(directory, path, result, flags, mode, before);
  if (__builtin_expect(state.policies & policy_random, 0) && result >= 0) {
    FdPayload payload;
    struct stat info;
    if (describe(static_cast<int>(result), payload, info) && payload.kind == fd_random) set_class(static_cast<int>(result), fd_seeded);
  }
  return result;
}

}  // namespace

long handle_open(const Call& call) {
  switch (call.number) {
    case __NR_open:
      return open_named(call, AT_FDCWD, call.path(0), static_cast<unsigned>(call.integer(1)),
                        call.arguments[2] & 07777);
    case __NR_creat:
      return open_named(call, AT_FDCWD, call.path(0), O_CREAT | O_WRONLY | O_TRUNC,
                        call.arguments[1] & 07777);
    case __NR_openat:
      return open_named(call, call.fd(0), call.path(1), static_cast<unsigned>(call.integer(2)),
                        call.arguments[3] & 07777);
  }
  // openat2: what it asks for is behind a pointer that the kernel has to find readable first.
  if (static_cast<size_t>(call.arguments[3]) < sizeof(open_how) || !readable(call.path(1)) ||
      !readable(call.path(2)))
    return native(call);
  const open_how how = *call.pointer<const open_how>(2);
  return open_named(call, call.fd(0), call.path(1), how.flags, how.mode);
}

long handle_stat(const Call& call) {
  long result = native(call);
  const int flags = call.number == __NR_lstat ? look_nofollow : 0;
  if (__builtin_expect(state.plan_flags & plan_is_watched, 0) && tell_make(AT_FDCWD, call.path(0), result, *call.pointer<struct stat>(1), flags)) return result;
  note_stat(AT_FDCWD, call.path(0), result, call.pointer<struct stat>(1), flags);
  return result;
}

long handle_newfstatat(const Call& call) {
  long result = native(call);
  const int flags = call.integer(3);
  if (result == -EFAULT) return result;
  if (means_descriptor(call.fd(0), call.path(1), flags)) {
    if (result == 0) note_fstat(call.fd(0), *call.pointer<struct stat>(2));
    if (result == -EBADF) note_closed(call.fd(0));
    return result;
  }
  const int look = flags & AT_SYMLINK_NOFOLLOW ? look_nofollow : 0;
  if (__builtin_expect(state.plan_flags & plan_is_watched, 0) && tell_make(call.fd(0), call.path(1), result, *call.pointer<struct stat>(2), look)) return result;
  note_stat(call.fd(0), call.path(1), result, call.pointer<struct stat>(2), look);
  return result;
}

long handle_statx(const Call& call) {
  const long result = native(call);
  if (result == -EFAULT || result == -ENOSYS) return result;
  const int directory = call.fd(0), flags = call.integer(2);
  const char* path = call.path(1);
  struct stat info {};
  if (result == 0) {
    const auto& found = *call.pointer<const struct statx>(4);
    if ((found.stx_mask & STATX_BASIC_STATS) != STATX_BASIC_STATS) {
      if (stat_at(directory, path, info, flags & (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) < 0) return result;
    } else {
      info.st_dev = static_cast<uint64_t>(found.stx_dev_minor & 0xff) |
                    static_cast<uint64_t>(found.stx_dev_major & 0xfff) << 8 |
                    static_cast<uint64_t>(found.stx_dev_minor & ~0xffu) << 12 |
                    static_cast<uint64_t>(found.stx_dev_major & ~0xfffu) << 32;
      info.st_rdev = static_cast<uint64_t>(found.stx_rdev_minor & 0xff) |
                     static_cast<uint64_t>(found.stx_rdev_major & 0xfff) << 8;
      info.st_ino = found.stx_ino;
      info.st_mode = found.stx_mode;
      info.st_nlink = found.stx_nlink;
      info.st_uid = found.stx_uid;
      info.st_gid = found.stx_gid;
      info.st_size = static_cast<long>(found.stx_size);
      info.st_mtime = static_cast<unsigned long>(found.stx_mtime.tv_sec);
      info.st_mtime_nsec = found.stx_mtime.tv_nsec;
    }
  }
  if (means_descriptor(directory, path, flags)) {
    if (result == 0) note_fstat(directory, info);
    if (result == -EBADF) note_closed(directory);
    return result;
  }
  note_stat(directory, path, result, &info, flags & AT_SYMLINK_NOFOLLOW ? look_nofollow : 0);
  return result;
}

long handle_access(const Call& call) {
  const long result = native(call);
  const bool plain = call.number == __NR_access;
  const int directory = plain ? AT_FDCWD : call.fd(0);
  const char* path = call.path(plain ? 0 : 1);
  if (!worth_noting(result, path) || note_closed_name(path, result)) return result;
  LogRecord record;
  record.kind = kind_access;
  record.result = static_cast<int>(result);
  record.arg = call.integer(plain ? 1 : 2);
  if (call.number == __NR_faccessat2) record.arg2 = call.integer(3);
  const NamedPath named(directory, path);
  if (!named.ok ||
      named.repeats(mix(mix(kind_access << 8 | record.arg, record.arg2), static_cast<uint64_t>(result))))
    return result;
  record.text = named.text;
  append(record);
  mark_pending(named.pending());
  return result;
}

namespace {

// Reads the link again, into a place that is large enough.
__attribute__((noinline)) void note_long_link(LogRecord& record, int directory, const char* path) {
  char target[PATH_MAX];
  const long bytes = kernel(__NR_readlinkat, directory, path, target, sizeof target);
  record.result = static_cast<int>(bytes);
  if (bytes >= 0) record.text2 = Text::of(target, static_cast<size_t>(bytes));
  append(record);
}

}  // namespace

long handle_readlink(const Call& call) {
  const int shift = call.number == __NR_readlink ? 0 : 1;
  const long result = native(call);
  const long room = call.integer(2 + shift);
  const int directory = shift ? call.fd(0) : AT_FDCWD;
  const char* path = call.path(shift);
  if (room <= 0 || !worth_noting(result, path)) return result;
  if (shift && path[0] == 0) return result;  // a descriptor of a link; it was logged when it was opened
  const char* target = call.path(1 + shift);
  const NamedPath named(directory, path);
  uint64_t key = mix(kind_readlink, static_cast<uint64_t>(result));
  if (result > 0) key = quick_hash(target, static_cast<size_t>(result), key);
  if (!named.ok || named.repeats(key)) return result;
  LogRecord record;
  record.kind = kind_readlink;
  record.result = static_cast<int>(result);
  record.text = named.text;
  mark_pending(named.pending());
  if (result == room) {
    note_long_link(record, directory, path);
    return result;
  }
  if (result > 0) record.text2 = Text::of(target, static_cast<size_t>(result));
  append(record);
  return result;
}

long handle_list(const Call& call) {
  const long result = native(call);
  if (result < 0) return result;
  const bool old = call.number == __NR_getdents;
  ListPayload payload{};
  const char* entries = call.path(1);
  for (long at = 0; at < result;) {
    uint16_t bytes;
    __builtin_memcpy(&bytes, entries + at + 16, 2);
    // struct linux_dirent keeps the type behind the name, linux_dirent64 before it.
    const char* name = entries + at + (old ? 18 : 19);
    const unsigned type = static_cast<unsigned char>(entries[at + (old ? bytes - 1 : 18)]);
    at += bytes;
    if (bytes == 0) break;
    if (name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0))) continue;
    payload.sum += entry_hash(name, length_of(name), type);
    ++payload.entries;
  }
  const NamedPath named = NamedPath::of_descriptor(call.fd(0));
  if (!named.ok) return result;
  LogRecord record;
  record.kind = kind_list;
  record.result = static_cast<int>(result);
  record.text = named.text;
  append(record, payload);
  return result;
}

long handle_statfs(const Call& call) {
  const long result = native(call);
  if (result == 0) {
    if (!seen(mix(kind_spoil, __NR_statfs))) spoil("asked for the state of a file system");
  } else if (call.number == __NR_statfs) {
    note_look(AT_FDCWD, call.path(0), result, nullptr, look_no_stat);
  }
  return result;
}

long handle_attributes(const Call& call) {
  const long result = native(call);
  const bool by_descriptor = call.number == __NR_fgetxattr || call.number == __NR_flistxattr;
  const bool list =
      call.number == __NR_listxattr || call.number == __NR_llistxattr || call.number == __NR_flistxattr;
  const bool nofollow = call.number == __NR_lgetxattr || call.number == __NR_llistxattr;
  const bool found = result > 0 || result == -ERANGE || (result == 0 && !list);
  if (found && !seen(mix(kind_spoil, __NR_getxattr))) spoil("read extended attributes");
  const bool exists = found || result == 0 || result == -ENODATA || result == -EOPNOTSUPP;
  const int flags = look_xattr | look_no_stat | (nofollow ? look_nofollow : 0);
  if (!by_descriptor) {
    note_look(AT_FDCWD, call.path(0), exists ? 0 : result, nullptr, flags);
    return result;
  }
  if (!exists) return result;
  const NamedPath named = NamedPath::of_descriptor(call.fd(0));
  if (!named.ok || named.repeats(mix(kind_look << 8 | flags, 0))) return result;
  LogRecord record;
  record.kind = kind_look;
  record.arg = flags;
  record.text = named.text;
  append(record);
  return result;
}

}  // namespace preload
