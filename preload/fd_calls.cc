// Calls on descriptors. What the process opened itself goes straight to the
// kernel; what it inherited is somebody else's input or output.
#include "preload/descriptors.h"
#include "preload/handlers.h"
#include "preload/paths.h"
#include "preload/policies.h"
#include "preload/trap.h"

namespace preload {
namespace {

// As the kernel has it; no header for programs does.
struct MessageHeader {
  void* name;
  int32_t name_bytes;
  iovec* pieces;
  size_t piece_count;
  void* control;
  size_t control_bytes;
  unsigned flags;
};

bool concerns_others(FdClass fd_class) { return fd_class == fd_unknown || fd_class == fd_alias || fd_class == fd_reopened; }
bool is_writable(FdClass fd_class) { return is_own(fd_class) || fd_class == fd_jobserver; }

// Reading from an inherited descriptor is logged once, with its state before the first time.
class Reading {
 public:
  explicit Reading(int fd)
      : fd_(fd), noted_(concerns_others(examined_class(fd)) && describe(fd, payload_, info_)) {}

  void succeeded() const {
    if (!noted_) return;
    LogRecord record;
    record.kind = kind_fd_read;
    record.arg = fd_;
    record.payload = &payload_;
    record.payload_bytes = sizeof payload_;
    if (payload_.kind != fd_regular) {
      append(record);
    } else {
      const NamedPath named = NamedPath::of_descriptor(fd_);
      if (!named.ok) spoil("read from an inherited file without a name");
      record.text = named.text;
      // Again if its size was asked for before, for now it goes on from where it stands.
      reading_is_noted(fd_, info_);
      const bool moves_what_was_given = class_of(fd_) != fd_reopened;
      record.arg2 = moves_what_was_given;
      append(record);
      if (moves_what_was_given) remember_position();
    }
    set_class(fd_, fd_read_noted);
  }

  bool of_regular_file() const { return noted_ && payload_.kind == fd_regular; }
  bool of_seeded_device() const {
    return noted_ && payload_.kind == fd_random && state.policies & policy_random;
  }
  bool writable() const { return payload_.writable; }

 private:
  void remember_position() const {
    const uint32_t at = state.position_count;
    // A shell looks there whether what it cannot execute is a script.
    if (in_vfork_child() && fd_ > 2) return;
    if (in_vfork_child() || at == position_count_max || fd_ >= fd_count_max) {
      spoil("read from many inherited files");
      return;
    }
    state.position_fds[at] = fd_;
    store(state.position_count, at + 1);
  }

  int fd_;
  FdPayload payload_;
  struct stat info_;
  bool noted_;
};

// Logs what has been written to a stream, in order, in pieces of stream_bytes_max.
void note_stream(int fd, const iovec* pieces, size_t piece_count, uint64_t bytes) {
  FdPayload payload;
  struct stat info;
  if (!describe(fd, payload, info)) return;
  if (payload.kind == fd_regular && payload.offset >= static_cast<int64_t>(bytes))
    payload.offset -= static_cast<int64_t>(bytes);
  size_t piece = 0, piece_at = 0;
  while (bytes > 0 && piece < piece_count) {
    const uint64_t wanted = bytes < stream_bytes_max ? bytes : stream_bytes_max;
    LogWriter writer;
    if (!writer.reserve(sizeof(RecordHead) + sizeof payload + wanted)) return;
    writer.seek(sizeof(RecordHead));
    writer.put(&payload, sizeof payload);
    uint64_t left = wanted;
    while (left > 0 && piece < piece_count) {
      const uint64_t here = pieces[piece].iov_len - piece_at;
      const uint64_t count = here < left ? here : left;
      writer.put(static_cast<const char*>(pieces[piece].iov_base) + piece_at, count);
      left -= count;
      piece_at += count;
      if (piece_at == pieces[piece].iov_len) ++piece, piece_at = 0;
    }
    RecordHead head{};
    sign(head);
    head.kind = kind_stream;
    head.arg = fd;
    head.payload_bytes = sizeof payload;
    head.text_bytes = static_cast<uint32_t>(wanted - left);
    writer.commit(head);
    bytes -= wanted;
    if (payload.kind == fd_regular) payload.offset += static_cast<int64_t>(wanted);
  }
}

// The result of writing to an inherited descriptor.
void note_written(int fd, const iovec* pieces, size_t piece_count, long result) {
  if (result > 0) note_stream(fd, pieces, piece_count, static_cast<uint64_t>(result));
  if (result == -EBADF) note_closed(fd);
  const bool ordinary = result >= 0 || result == -EINTR || result == -EAGAIN || result == -EFAULT ||
                        result == -EBADF || result == -EINVAL;
  if (!ordinary) spoil("could not write to an inherited descriptor");
}

bool passes_descriptors(const MessageHeader& message) {
  return message.control != nullptr && message.control_bytes > 0;
}

// Of sendmsg and sendmmsg, if one of the messages has an address that may not be reached.
long refusal_of_messages(const Call& call) {
  if (!(state.policies & policy_network) || !readable(call.path(1))) return 0;
  const bool several = call.number == __NR_sendmmsg;
  constexpr size_t messages_max = 1024;  // the kernel's own
  constexpr size_t message_bytes = sizeof(MessageHeader) + 8;
  const size_t count = !several ? 1 : static_cast<unsigned>(call.integer(2)) < messages_max ? static_cast<unsigned>(call.integer(2)) : messages_max;
  for (size_t i = 0; i < count; ++i) {
    const auto& message = *reinterpret_cast<const MessageHeader*>(call.path(1) + i * message_bytes);
    if (!message.name) continue;
    if (const long refusal = network_refusal(call.fd(0), message.name, static_cast<size_t>(message.name_bytes))) return refusal;
  }
  return 0;
}

constexpr char network_words[] = "used the network or a socket";

}  // namespace

// Of read, pread64, readv, preadv, preadv2, recvfrom and recvmmsg only the descriptor matters here.
// What a shell reads from its standard input, a line at a time: bash reads single bytes.
void note_input(const char* bytes, long count) {
  if (state.input_told > input_told_max) return;
  const auto flush = [](bool is_last) {
    if (state.input_held == 0) return;
    LogRecord record;
    record.kind = kind_input;
    record.arg = is_last ? input_is_last_piece : input_is_piece;
    record.text = Text::of(state.input, state.input_held);
    append(record);
    state.input_held = 0;
  };
  for (long i = 0; i < count; ++i) {
    if (state.input_held == input_piece_max) flush(false);
    state.input[state.input_held++] = bytes[i] ? bytes[i] : '\n';
    if (++state.input_told > input_told_max) return flush(true);
  }
  if (count != 1 || bytes[0] == '\n') flush(false);
}

bool has_zero(const char* bytes, long count) {
  for (long i = 0; i < count; ++i)
    if (!bytes[i]) return true;
  return false;
}

// A shell has read from a file that it has opened: what it runs, or lines for its `read`. A short one, which may be made for
// this alone and removed at once, is told whole.
void note_file_input(int fd, const char* bytes, long count) {
  struct stat info;
  if (stat_descriptor(fd, info) != 0 || (info.st_mode & S_IFMT) != S_IFREG) return;
  const uint64_t state_of_file = mix(info.st_ino ^ info.st_dev << 40, mix(info.st_mtime_nsec ^ info.st_mtime << 30, static_cast<uint64_t>(info.st_size)));
  if (seen(mix(kind_input << 8, state_of_file))) return;
  const NamedPath named = NamedPath::of_descriptor(fd);
  if (!named.ok) return spoil("reads a file without a name");
  LogRecord record;
  record.kind = kind_input;
  record.arg = input_is_file;
  record.text = named.text;
  if (count == info.st_size && count <= input_file_max && !has_zero(bytes, count)) record.text2 = Text::of(bytes, static_cast<size_t>(count));
  append(record);
}

long handle_read(const Call& call) {
  const int fd = call.fd(0);
  const FdClass fd_class = class_of(fd);
  if (fd_class == fd_seeded) return read_seeded(call);
  const bool tells = call.number == __NR_read && state.plan_flags & plan_tells_input && !in_vfork_child();
  const bool is_told = tells && fd == 0 && !is_own(fd_class);
  if (!concerns_others(fd_class)) {
    const long result = native(call);
    if (__builtin_expect(state.plan_flags & plan_is_watched, 0) && result == 1 && call.arguments[2] == 1) {
      LogRecord record;
      record.kind = kind_token;
      append(record);
    }
    if (tells && result > 0 && (fd_class == fd_own || fd_class == fd_own_elsewhere)) note_file_input(fd, call.pointer<const char>(1), result);
    if (is_told && result >= 0) note_input(call.pointer<const char>(1), result);
    return result;
  }
  const Reading reading(fd);
  if (reading.of_seeded_device()) {
    reading.succeeded();
    set_class(fd, fd_seeded);
    return read_seeded(call);
  }
  const long result = native(call);
  if (result >= 0) reading.succeeded();
  if (is_told && result >= 0) note_input(call.pointer<const char>(1), result);
  if (result == -EBADF) note_closed(fd);
  const bool ordinary = result >= 0 || result == -EINTR || result == -EAGAIN || result == -EFAULT || result == -EBADF || result == -EINVAL;
  if (!ordinary && concerns_others(class_of(fd))) spoil("could not read from an inherited descriptor");
  return result;
}

long handle_receive_message(const Call& call) {
  const long result = handle_read(call);
  if (result >= 0 && call.number == __NR_recvmsg && passes_descriptors(*call.pointer<const MessageHeader>(1)))
    spoil("received descriptors or credentials");
  return result;
}

// write and sendto.
long handle_write(const Call& call) {
  const int fd = call.fd(0);
  const bool addressed = call.number == __NR_sendto && call.arguments[4] != 0;
  if (addressed) {
    const long refusal = network_refusal(fd, call.pointer<void>(4), static_cast<size_t>(call.arguments[5]));
    return refusal ? refusal : spoiling(call, network_words);
  }
  if (is_writable(examined_class(fd))) return native(call);
  const long result = native(call);
  const iovec piece{call.pointer<void>(1), static_cast<size_t>(call.arguments[2])};
  note_written(fd, &piece, 1, result);
  return result;
}

long handle_write_pieces(const Call& call) {
  const int fd = call.fd(0);
  if (is_writable(examined_class(fd))) return native(call);
  const long result = native(call);
  note_written(fd, call.pointer<const iovec>(1), static_cast<size_t>(call.arguments[2]), result);
  return result;
}

long handle_send_message(const Call& call) {
  const int fd = call.fd(0);
  const FdClass fd_class = examined_class(fd);
  if (const long refusal = refusal_of_messages(call)) return refusal;
  const long result = native(call);
  if (result < 0 && is_own(fd_class)) return result;
  if (call.number == __NR_sendmmsg) {
    if (!is_own(fd_class)) spoil("sent several messages at once");
    return result;
  }
  if (result == -EFAULT) return result;
  const MessageHeader& message = *call.pointer<const MessageHeader>(1);
  if (result >= 0 && passes_descriptors(message)) spoil("sent descriptors or credentials");
  if (result >= 0 && message.name != nullptr) spoil(network_words);
  if (!is_writable(fd_class)) note_written(fd, message.pieces, message.piece_count, result);
  return result;
}

long handle_write_at(const Call& call) {
  const int fd = call.fd(0);
  const bool own = is_writable(examined_class(fd));
  const long result = native(call);
  // pwritev2 with offset -1 is an ordinary write.
  if (!own && call.number == __NR_pwritev2 && call.arguments[3] == -1)
    note_written(fd, call.pointer<const iovec>(1), static_cast<size_t>(call.arguments[2]), result);
  else if (!own && result > 0)
    spoil("wrote at a position of an inherited file");
  return result;
}

namespace {

// Then they have to pass through the process, to be overwritten.
bool gives_seeded_bytes(int fd) {
  if (!(state.policies & policy_random)) return false;
  FdPayload payload;
  struct stat info;
  return describe(fd, payload, info) && payload.kind == fd_random;
}

}  // namespace

namespace {

// sendfile(2) by reading and writing, each logged as ever. Nobody needs to be ready for its being refused.
long send_by_hand(const Call& call) {
  constexpr size_t piece_max = 4096;
  char bytes[piece_max];
  const int to = call.fd(0), from = call.fd(1);
  int64_t* const position = call.pointer<int64_t>(2);
  const size_t wanted = static_cast<size_t>(call.arguments[3]);
  int64_t offset = 0;
  // The kernel looks at both before it moves anything.
  const long flags = handle_control({__NR_fcntl, {to, F_GETFL}}), from_flags = handle_control({__NR_fcntl, {from, F_GETFL}});
  if (flags < 0 || from_flags < 0 || (flags & O_ACCMODE) == O_RDONLY || (from_flags & O_ACCMODE) == O_WRONLY) return -EBADF;
  if (flags & O_APPEND) return -EINVAL;
  // It looks at that before the descriptors.
  if (position && kernel(__NR_sendfile, -1, -1, position, 0) == -EFAULT) return -EFAULT;
  if (position) offset = *position;
  if (offset < 0) return -EINVAL;
  size_t done = 0;
  while (done < wanted) {
    const size_t piece = wanted - done < piece_max ? wanted - done : piece_max;
    const long place = reinterpret_cast<long>(bytes);
    Call reading{position ? __NR_pread64 : __NR_read, {from, place, static_cast<long>(piece), static_cast<long>(offset + static_cast<int64_t>(done))}};
    const long got = handle_read(reading);
    if (got <= 0) {
      if (got < 0 && done == 0) return got;
      break;
    }
    const Call writing{__NR_write, {to, place, got}};
    const long put = handle_write(writing);
    // What was read and not written has not been moved.
    if (!position && put < got) kernel(__NR_lseek, from, (put > 0 ? put : 0) - got, 1 /* SEEK_CUR */);
    if (put > 0) done += static_cast<size_t>(put);
    if (put < got) {
      if (put < 0 && done == 0) return put;
      break;
    }
  }
  if (position) *position = offset + static_cast<int64_t>(done);
  return static_cast<long>(done);
}

// copy_file_range(2) the same way, one piece of it. So a disk that is full, or a limit, is said of the copying, as it is
// without vestal.
long copy_by_hand(const Call& call) {
  constexpr size_t piece_max = 128 << 10;
  const int from = call.fd(0), to = call.fd(2);
  int64_t* const from_place = call.pointer<int64_t>(1);
  int64_t* const to_place = call.pointer<int64_t>(3);
  // The kernel looks at everything before it copies nothing.
  if (const long looked = kernel(__NR_copy_file_range, from, from_place, to, to_place, 0, call.arguments[5]); looked < 0) return looked;
  // But at this only if there is something to copy. At the end of a file it does not copy at all.
  if (const long flags = handle_control({__NR_fcntl, {to, F_GETFL}}); call.arguments[4] != 0 && flags >= 0 && (flags & O_APPEND)) return -EBADF;
  const size_t wanted = static_cast<size_t>(call.arguments[4]) < piece_max ? static_cast<size_t>(call.arguments[4]) : piece_max;
  const long place = kernel(__NR_mmap, nullptr, piece_max, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (place < 0 && place > -4096) return -EXDEV;
  Call reading{from_place ? __NR_pread64 : __NR_read, {from, place, static_cast<long>(wanted), from_place ? static_cast<long>(*from_place) : 0}};
  const long got = wanted == 0 ? 0 : handle_read(reading);
  long put = got;
  if (got > 0) {
    const Call writing{to_place ? __NR_pwrite64 : __NR_write, {to, place, got, to_place ? static_cast<long>(*to_place) : 0}};
    put = to_place ? handle_write_at(writing) : handle_write(writing);
    // What was read and not written has not been copied.
    if (!from_place && put < got) kernel(__NR_lseek, from, (put > 0 ? put : 0) - got, 1 /* SEEK_CUR */);
    if (from_place && put > 0) *from_place += put;
    if (to_place && put > 0) *to_place += put;
  }
  kernel(__NR_munmap, place, piece_max);
  return put;
}

}  // namespace

// Bytes that go from one descriptor to another are never seen here. Into an inherited one copy_file_range is refused in the
// way that makes every caller read and write instead; not every caller of the others does.
long handle_move_bytes(const Call& call) {
  int from = call.fd(0), to = call.fd(1);
  switch (call.number) {
    case __NR_sendfile:
      from = call.fd(1), to = call.fd(0);
      if (!is_writable(examined_class(to)) || gives_seeded_bytes(from)) return send_by_hand(call);
      break;
    case __NR_splice:
      to = call.fd(2);
      break;
    case __NR_copy_file_range:
      to = call.fd(2);
      break;
    case __NR_vmsplice:
      to = from;
      break;
  }
  const bool goes_outside = !is_writable(examined_class(to)) && kernel(__NR_fcntl, to, F_GETFD) >= 0;
  const bool by_copying = call.number == __NR_copy_file_range;
  if (gives_seeded_bytes(from)) return by_copying ? -EXDEV : -EINVAL;
  if (goes_outside && by_copying) return copy_by_hand(call);
  const Reading reading(from);
  const long result = native(call);
  if (result >= 0) reading.succeeded();
  if (result > 0 && goes_outside) spoil("moves bytes into what it was given (splice)");
  return result;
}

// What a program is started with has been looked into by the broker; what it loads later may make system calls of its own.
void note_code(int fd) {
  if (state.trap_from) return;
  const NamedPath named = NamedPath::of_descriptor(fd);
  if (!named.ok) return spoil("ran code from a file without a name");
  LogRecord record;
  record.kind = kind_code;
  record.text = named.text;
  append(record);
}

// What a program makes itself and then runs may make system calls as well. (Of a static one static_start.cc says so.)
void note_made_code() {
  if (state.own_file || state.trap_from || seen(mix(kind_spoil, __NR_mprotect))) return;
  if (!trap_calls_late()) spoil(made_code);
}

// What is written there no call tells, nor, on some file systems, the file's times. It may be made writable later.
void note_shared_mapping(int fd) {
  const long flags = kernel(__NR_fcntl, fd, F_GETFL);
  struct stat info;
  if (flags < 0 || (flags & O_ACCMODE) != O_RDWR || stat_descriptor(fd, info) != 0 || (info.st_mode & S_IFMT) != S_IFREG) return;
  const NamedPath named = NamedPath::of_descriptor(fd);
  if (!named.ok) return;
  // It is the mapping of another process.
  if (in_vfork_child()) return spoil("mapped a file for writing in a child that shares its parent's memory");
  StatPayload payload;
  fill_stat(payload, info);
  if (named.repeats(mix(kind_mapped << 8, mix(info.st_ino, info.st_dev)))) return;
  LogRecord record;
  record.kind = kind_mapped;
  record.text = named.text;
  append(record, payload);
}

long handle_protect(const Call& call) {
  if (call.arguments[2] & PROT_EXEC) note_made_code();
  return native(call);
}

long handle_map(const Call& call) {
  const int fd = call.fd(4);
  if (call.arguments[3] & MAP_ANONYMOUS) {
    if (call.arguments[2] & PROT_EXEC) note_made_code();
    return native(call);
  }
  if (call.arguments[2] & PROT_EXEC) {
    if (call.arguments[2] & PROT_WRITE) note_made_code();
    note_code(fd);
  }
  const bool shared = (call.arguments[3] & MAP_TYPE) != MAP_PRIVATE;
  if (is_own(class_of(fd))) {
    const long result = native(call);
    if (shared && (result >= 0 || result <= -4096)) note_shared_mapping(fd);
    return result;
  }
  const Reading reading(fd);
  const long result = native(call);
  if (result < 0 && result > -4096) return result;
  reading.succeeded();
  if (shared && call.arguments[2] & PROT_WRITE) spoil("mapped an inherited file for writing");
  return result;
}

long handle_fstat(const Call& call) {
  const long result = native(call);
  if (result == 0) note_fstat(call.fd(0), *call.pointer<const struct stat>(1));
  if (result == -EBADF) note_closed(call.fd(0));
  return result;
}

namespace {

constexpr int seek_data = 3, seek_hole = 4;

void note_holes(int fd, int whence, long from, long result) {
  struct stat info;
  if ((result < 0 && result != -ENXIO) || stat_descriptor(fd, info) != 0 || (info.st_mode & S_IFMT) != S_IFREG || from >= info.st_size) return;
  const bool told = result < 0 || result != (whence == seek_data ? from : info.st_size);
  if (class_of(fd) == fd_own_nameless || seen(mix(mix(kind_holes << 8 | told, info.st_ino), info.st_dev))) return;
  const NamedPath named = NamedPath::of_descriptor(fd);
  if (!named.ok) return spoil("asked where a file without a name has holes");
  LogRecord record;
  record.kind = kind_holes;
  record.arg = told;
  record.text = named.text;
  append(record);
}

}  // namespace

long handle_seek(const Call& call) {
  const int fd = call.fd(0);
  const FdClass fd_class = examined_class(fd);
  const int whence = call.integer(2);
  const bool of_holes = whence == seek_data || whence == seek_hole;
  if (is_own(fd_class) || fd_class == fd_jobserver) {
    const long result = native(call);
    if (__builtin_expect(of_holes, 0)) note_holes(fd, whence, call.arguments[1], result);
    return result;
  }
  const Reading reading(fd);
  const long result = native(call);
  if (result == -ESPIPE) note_question(fd, fd_asked_exactly);
  if (result == -EBADF) note_closed(fd);
  if (of_holes) note_holes(fd, whence, call.arguments[1], result);
  if (result < 0) return result;
  constexpr int seek_current = 1;
  if (call.integer(2) == seek_current && call.arguments[1] == 0) {
    note_question(fd, fd_asked_exactly | fd_asked_position);
  } else if (reading.of_regular_file()) {
    // Where a file that is only read was left is told at the end.
    if (reading.writable()) spoil("moved the position of an inherited file");
    reading.succeeded();
  } else if (FdPayload payload; fd_class == fd_read_noted) {
    struct stat info;
    if (describe(fd, payload, info) && payload.writable) spoil("moved the position of an inherited file");
  }
  return result;
}

// A lock is an agreement with other processes. A replay would neither wait for them nor keep them out, and whoever does not
// wait is told whether somebody else has it. What a process gives back it has asked for, but by a descriptor that others have too.
long handle_lock(const Call& call) {
  const bool own = call.number != __NR_flock && (call.integer(1) == F_SETLK || call.integer(1) == F_SETLKW);
  const bool gives_back = own && readable(call.path(2)) && *call.pointer<const short>(2) == F_UNLCK;
  return gives_back ? native(call) : spoiling_either_way(call, "locks a file");
}

long handle_control(const Call& call) {
  const int fd = call.fd(0);
  switch (call.integer(1)) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      return handle_duplicate(call);
    case F_GETFD:
    case F_GETFL: {
      const FdClass fd_class = examined_class(fd);
      const long result = native(call);
      if (result == -EBADF)
        note_closed(fd);
      else if (concerns_others(fd_class) || fd_class == fd_read_noted)
        note_question(fd, call.integer(1) == F_GETFL ? fd_asked_terminal | fd_asked_access : fd_asked_terminal);
      return result;
    }
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
      return handle_lock(call);
    default:
      return native(call);
  }
}

void note_polled(const Call& call) {
  struct Polled {
    int fd;
    short events, happened;
  };
  constexpr size_t polled_max = 64;
  const size_t count = static_cast<unsigned>(call.integer(1)) < polled_max ? static_cast<unsigned>(call.integer(1)) : polled_max;
  for (size_t i = 0; i < count; ++i) {
    const Polled& each = call.pointer<const Polled>(0)[i];
    constexpr short reading = 1, writing = 4, not_open = 0x20;  // POLLIN, POLLOUT, POLLNVAL
    // Some ask with all of them only to know which numbers are in use.
    if (each.fd < 0 || each.happened & not_open || (each.events & (reading | writing)) == (reading | writing)) continue;
    if (!concerns_others(examined_class(each.fd))) continue;
    note_question(each.fd, fd_asked_exactly);
    FdPayload payload;
    struct stat info;
    const bool may_be_empty = describe(each.fd, payload, info) && (payload.kind == fd_pipe || payload.kind == fd_socket || payload.kind == fd_terminal);
    if (may_be_empty && each.events & reading) spoil("waits for what comes by a descriptor it was given");
  }
}

long handle_device_control(const Call& call) {
  const int fd = call.fd(0);
  const unsigned request = static_cast<unsigned>(call.arguments[1]);
  switch (request) {
    case 0x80086601: case 0x40086602: case 0x801c581f: case 0x401c5820: case 0x80087601: case 0x40087602:
      // FS_IOC_GETFLAGS, SETFLAGS, FSGETXATTR, FSSETXATTR, GETVERSION, SETVERSION
      return spoiling(call, "asked for attributes of a file that only its file system knows");
  }
  const FdClass fd_class = examined_class(fd);
  if (is_own(fd_class) || fd_class == fd_jobserver) return native(call);
  constexpr unsigned tcgets2 = 0x802c542a, tcsets2 = 0x402c542b, clone = 0x40049409, clone_range = 0x4020940d;
  switch (request) {
    case TCGETS:
    case TCGETA:
    case tcgets2:
    case TIOCGPGRP:
      note_question(fd, fd_asked_terminal);
      break;
    case TIOCGWINSZ:
      note_question(fd, fd_asked_window);
      break;
    case FIONREAD:
      return handle_read(call);
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
    case tcsets2:
    case TIOCSWINSZ:
    case TIOCSTI:
      return spoiling(call, "changed the settings of a terminal");
    case clone:
    case clone_range:
      return -EOPNOTSUPP;
  }
  return native(call);
}

long handle_close(const Call& call) {
  const uint16_t pending = closing(call.fd(0));
  const long result = native(call);
  closed(pending);
  return result;
}

long handle_close_range(const Call& call) {
  constexpr unsigned only_flag = 4;  // CLOSE_RANGE_CLOEXEC
  if (call.arguments[2] & only_flag) return native(call);
  const unsigned first = static_cast<unsigned>(call.integer(0)),
                 last = static_cast<unsigned>(call.integer(1));
  for (unsigned fd = first; fd <= last && fd < fd_count_max; ++fd) closed(closing(static_cast<int>(fd)));
  return native(call);
}

long handle_duplicate(const Call& call) {
  const bool onto = call.number == __NR_dup2 || call.number == __NR_dup3;
  const int from = call.fd(0);
  if (onto && from == call.fd(1)) return native(call);
  const FdClass from_class = examined_class(from);
  uint16_t pending = 0;
  if (onto && kernel(__NR_fcntl, from, F_GETFD) >= 0) pending = closing(call.fd(1));
  const long result = native(call);
  closed(pending);
  if (result == -EBADF) note_closed(from);
  if (result < 0) return result;
  FdClass to_class = from_class;
  if (from_class == fd_own) to_class = fd_own_elsewhere;
  if (from_class == fd_unknown) to_class = fd_alias;
  const bool known = static_cast<unsigned>(from) < fd_count_max;
  opened(static_cast<int>(result), to_class, known ? state.fd_pending[from] : 0);
  return result;
}

long handle_pair(const Call& call) {
  const long result = native(call);
  if (result < 0) return result;
  const int* pair = call.pointer<const int>(call.number == __NR_socketpair ? 3 : 0);
  opened(pair[0], fd_own_nameless, 0);
  opened(pair[1], fd_own_nameless, 0);
  return result;
}

long make_nameless(const Call& call) {
  const long result = native(call);
  if (result >= 0) opened(static_cast<int>(result), fd_own_nameless, 0);
  return result;
}

}  // namespace preload
