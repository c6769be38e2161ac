#include "preload/leave.h"

#include "preload/ask.h"
#include "preload/descriptors.h"
#include "preload/env_guard.h"

namespace preload {
namespace {

constexpr uintptr_t default_handler = 0, ignoring_handler = 1;

// exec would have taken away the program's own handler, but left an ignored signal ignored.
void reset_handler(int signal) {
  SignalAction action{};
  kernel(__NR_rt_sigaction, signal, nullptr, &action, sizeof action.mask);
  if (action.handler == default_handler || action.handler == ignoring_handler) return;
  action = {};
  kernel(__NR_rt_sigaction, signal, &action, nullptr, sizeof action.mask);
}

bool wait_until_writable(int fd) {
  struct {
    int fd;
    short events, happened;
  } wanted{fd, 4 /* POLLOUT */, 0};
  const long result = kernel(__NR_poll, &wanted, 1, -1);
  return result > 0 || result == -EINTR;
}

bool write_all(int fd, const char* bytes, uint64_t count) {
  while (count > 0) {
    const long written = kernel(__NR_write, fd, bytes, count);
    if (written > 0) {
      bytes += written;
      count -= static_cast<uint64_t>(written);
    } else if (written != -EINTR && (written != -EAGAIN || !wait_until_writable(fd))) {
      return false;
    }
  }
  return true;
}

bool write_pieces(const char* text, uint64_t bytes) {
  bool all = true;
  for (uint64_t at = 0; at + sizeof(StreamPiece) <= bytes;) {
    StreamPiece piece;
    __builtin_memcpy(&piece, text + at, sizeof piece);
    at += sizeof piece;
    if (piece.bytes > bytes - at) return false;
    all = write_all(static_cast<int>(piece.fd), text + at, piece.bytes) && all;
    at += align_up(piece.bytes, 8);
  }
  return all;
}

bool write_pieces_of_file(const char* path) {
  const int file = static_cast<int>(kernel(__NR_open, path, O_RDONLY | O_CLOEXEC));
  if (file < 0) return false;
  struct stat info {};
  stat_descriptor(file, info);
  const uint64_t bytes = static_cast<uint64_t>(info.st_size);
  const long place = kernel(__NR_mmap, nullptr, bytes, PROT_READ, MAP_PRIVATE, file, 0);
  kernel(__NR_close, file);
  kernel(__NR_unlink, path);
  if (place < 0 && place > -4096) return false;
  const bool all = write_pieces(reinterpret_cast<const char*>(place), bytes);
  // A parent that shares this memory goes on.
  kernel(__NR_munmap, place, bytes);
  return all;
}

void log_exit(int status) {
  LogRecord record;
  record.kind = kind_exited;
  record.result = status & 0xff;
  long now[2] = {0, 0};
  kernel(__NR_clock_gettime, 0 /* CLOCK_REALTIME */, now);
  const uint64_t nanoseconds = static_cast<uint64_t>(now[0]) * 1000000000 + static_cast<uint64_t>(now[1]);
  record.arg = static_cast<int32_t>(nanoseconds);
  record.arg2 = static_cast<int32_t>(nanoseconds >> 32);
  append(record);
  store(header().exit_epoch, load(header().epoch));
  if (own_pid() != header().top_pid) return;
  record = {};
  record.kind = kind_flush;
  ask(record);
}

[[noreturn]] void end(int status) {
  for (;;) kernel(__NR_exit_group, status);
}

}  // namespace

void before_exit(int status) {
  if (in_vfork_child() || own_pid() == state.pid)
    closing_all();
  else
    spoil("a process made by clone");
  note_environment();
  log_exit(status);
}

void leave_as(const Slot& answer) {
  Slot& slot = const_cast<Slot&>(answer);
  constexpr int broken_pipe = 13;
  reset_handler(broken_pipe);
  const uint64_t bytes = answer.text_bytes <= slot_text_bytes ? answer.text_bytes : 0;
  bool all = true;
  if (!answer.in_file) {
    all = write_pieces(answer.text, bytes);
  } else if (bytes > 0 && bytes < slot_text_bytes) {
    slot.text[bytes] = 0;
    all = write_pieces_of_file(slot.text);
  }
  // The broker has looked whether there is room, but somebody else may have taken it since.
  if (!all) spoil("its recorded output could not be written");
  for (uint32_t i = 0; i < answer.position_count && i < 4; ++i)
    kernel(__NR_lseek, answer.positions[i].fd, answer.positions[i].offset, 0 /* SEEK_SET */);

  const int status = answer.status, signal = status & 0x7f;
  set_free(slot);
  if (signal == 0) {
    const int code = all || status != 0 ? status >> 8 & 0xff : 1;
    log_exit(code);
    end(code);
  }
  // Die of the same signal, without another core file.
  const uint64_t none[2] = {0, 0};
  kernel(__NR_prlimit64, 0, 4 /* RLIMIT_CORE */, none, nullptr);
  SignalAction action{};
  kernel(__NR_rt_sigaction, signal, &action, nullptr, sizeof action.mask);
  const uint64_t mask = uint64_t{1} << (signal - 1);
  kernel(__NR_rt_sigprocmask, 1 /* SIG_UNBLOCK */, &mask, nullptr, sizeof mask);
  kernel(__NR_kill, own_pid(), signal);
  end(128 + signal);
}

}  // namespace preload
