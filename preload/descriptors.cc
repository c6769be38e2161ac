#include "preload/descriptors.h"

#include "preload/jobserver.h"
#include "preload/paths.h"

namespace preload {
namespace {

FdKind kind_of(const struct stat& info) {
  switch (info.st_mode & S_IFMT) {
    case S_IFREG:
      return fd_regular;
    case S_IFDIR:
      return fd_directory;
    case S_IFIFO:
      return fd_pipe;
    case S_IFSOCK:
      return fd_socket;
    case S_IFCHR: {
      const unsigned major = (info.st_rdev >> 8) & 0xfff, minor = info.st_rdev & 0xff;
      if (major == 1 && minor == 3) return fd_null;
      if (major == 1 && (minor == 8 || minor == 9)) return fd_random;
      const bool terminal = major == 4 || major == 5 || (major >= 136 && major <= 143);
      return terminal ? fd_terminal : fd_device;
    }
    default:
      return fd_device;
  }
}

// As FdPayload::offset has it.
int64_t window_size(int fd) {
  struct {
    uint16_t rows, columns, unused[2];
  } size{};
  return kernel(__NR_ioctl, fd, TIOCGWINSZ, &size) == 0 ? int64_t{size.rows} << 16 | size.columns : 0;
}

bool is_regular(const struct stat& info) { return (info.st_mode & S_IFMT) == S_IFREG; }

void fill(FdPayload& payload, int fd, const struct stat& info) {
  const long flags = kernel(__NR_fcntl, fd, F_GETFL);
  const long offset = is_regular(info) ? kernel(__NR_lseek, fd, 0, 1 /* SEEK_CUR */) : 0;
  payload.device = info.st_dev;
  payload.inode = info.st_ino;
  payload.offset = offset > 0 ? offset : 0;
  payload.kind = kind_of(info);
  if (payload.kind == fd_terminal) payload.offset = window_size(fd);
  payload.appends = flags >= 0 && flags & O_APPEND;
  payload.fd = static_cast<uint8_t>(fd < 256 ? fd : 255);
  payload.writable = flags >= 0 ? flags & O_ACCMODE : 0;
  payload.waits = !(flags >= 0 && flags & O_NONBLOCK);
}

void note_question_about(int fd, int question, const struct stat& info) {
  const uint64_t window = question & fd_asked_window ? static_cast<uint64_t>(window_size(fd)) << 20 : 0;
  if (seen(mix(mix(kind_fd_kind << 8 | question, static_cast<uint64_t>(fd)), info.st_ino ^ info.st_dev << 40 ^ window))) return;
  FdPayload payload;
  fill(payload, fd, info);
  LogRecord record;
  record.kind = kind_fd_kind;
  record.arg = fd;
  record.result = question;
  append(record, payload);
}

// The size of what can be read is as good as its bytes.
void note_size(int fd, const struct stat& info) {
  if (reading_is_noted(fd, info)) return;
  const NamedPath named = NamedPath::of_descriptor(fd);
  if (!named.ok) return;
  FdPayload payload;
  fill(payload, fd, info);
  LogRecord record;
  record.kind = kind_fd_read;
  record.arg = fd;
  record.text = named.text;
  append(record, payload);
}

void note_position(int fd) {
  FdPayload payload;
  struct stat info;
  if (!describe(fd, payload, info)) return;
  LogRecord record;
  record.kind = kind_fd_position;
  record.arg = fd;
  append(record, payload);
}

}  // namespace

bool reading_is_noted(int fd, const struct stat& info) {
  return seen(mix(kind_fd_read << 8, mix(static_cast<uint64_t>(fd), info.st_ino ^ info.st_dev << 40)));
}

FdClass examined_class(int fd) {
  const FdClass fd_class = class_of(fd);
  if (fd_class != fd_unknown || fd < 3 || in_vfork_child()) return fd_class;
  find_jobserver();
  return class_of(fd);
}

bool describe(int fd, FdPayload& payload, struct stat& info) {
  if (stat_descriptor(fd, info) < 0) return false;
  fill(payload, fd, info);
  return true;
}

void note_fstat(int fd, const struct stat& info) {
  const FdClass fd_class = examined_class(fd);
  if (fd_class == fd_own_nameless || fd_class == fd_jobserver) return;
  if (!is_own(fd_class)) {
    // Of a file that is only written to, programs want to know that it is one; of one that can be read also the size.
    const bool readable = is_regular(info) && (kernel(__NR_fcntl, fd, F_GETFL) & O_ACCMODE) != O_WRONLY;
    if (readable) note_size(fd, info);
    note_question_about(fd, fd_asked_exactly, info);
    return;
  }
  if (state.plan_flags & plan_skip_fstat) return;
  StatPayload payload;
  fill_stat(payload, info);
  LogRecord record;
  if (fd_class == fd_own) {
    if (seen(mix(hash_of(payload), mix(kind_fstat, static_cast<uint64_t>(fd))))) return;
    record.kind = kind_fstat;
    record.arg = fd;
    append(record, payload);
    return;
  }
  const NamedPath named = NamedPath::of_descriptor(fd);
  if (!named.ok || named.repeats(mix(hash_of(payload), kind_look))) return;
  record.kind = kind_look;
  record.text = named.text;
  append(record, payload);
}

void note_question(int fd, int question) {
  struct stat info;
  if (!is_own(class_of(fd)) && stat_descriptor(fd, info) == 0) note_question_about(fd, question, info);
}

void note_closed(int fd) {
  if (static_cast<unsigned>(fd) >= inherited_fd_end || class_of(fd) != fd_unknown) return;
  if (seen(mix(kind_fd_kind << 8 | fd_closed, static_cast<uint64_t>(fd)))) return;
  struct stat info;
  if (stat_descriptor(fd, info) == 0) {
    spoil("used an inherited descriptor in a way it is not open for");
    return;
  }
  FdPayload payload{};
  payload.kind = fd_closed;
  payload.fd = static_cast<uint8_t>(fd);
  LogRecord record;
  record.kind = kind_fd_kind;
  record.arg = fd;
  record.result = fd_asked_terminal;
  append(record, payload);
}

bool note_closed_name(const char* path, long result) {
  if (result != -ENOENT) return false;
  const int fd = named_descriptor(path);
  struct stat info;
  const bool can_be_told = fd >= 0 && fd < static_cast<int>(inherited_fd_end) && class_of(fd) == fd_unknown && stat_descriptor(fd, info) != 0;
  if (can_be_told) note_closed(fd);
  return can_be_told;
}

void opened(int fd, FdClass fd_class, uint16_t pending) {
  if (static_cast<unsigned>(fd) >= fd_count_max || in_vfork_child()) return;
  if (state.fd_names[fd]) state.fd_names[fd] = 0;
  if (pending || state.fd_pending[fd]) __atomic_store_n(&state.fd_pending[fd], pending, __ATOMIC_RELAXED);
  if (pending && fd > state.pending_fd_last) store(state.pending_fd_last, fd);
  set_class(fd, fd_class);
}

uint16_t closing(int fd) {
  if (static_cast<unsigned>(fd) >= fd_count_max || in_vfork_child()) return 0;
  if (class_of(fd) == fd_read_noted)
    for (uint32_t i = 0; i < state.position_count; ++i)
      if (state.position_fds[i] == fd) {
        note_position(fd);
        state.position_fds[i] = state.position_fds[--state.position_count];
      }
  const uint16_t pending = __atomic_load_n(&state.fd_pending[fd], __ATOMIC_RELAXED);
  if (pending) __atomic_store_n(&state.fd_pending[fd], uint16_t{0}, __ATOMIC_RELAXED);
  set_class(fd, fd_unknown);
  return pending;
}

void closed(uint16_t pending) {
  if (!pending) return;
  mark_pending(pending - 1u, true);
  if (in_vfork_child()) return;
  for (int fd = 0; fd <= state.pending_fd_last; ++fd)
    if (state.fd_pending[fd] == pending) return;
  LogRecord record;
  record.kind = kind_closed;
  record.arg = pending - 1;
  append(record);
}

void closing_all() {
  if (in_vfork_child()) return;
  for (uint32_t i = 0; i < state.position_count; ++i) note_position(state.position_fds[i]);
  for (int fd = 0; fd <= state.pending_fd_last; ++fd) closed(state.fd_pending[fd]);
}

}  // namespace preload
