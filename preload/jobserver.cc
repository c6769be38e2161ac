#include "preload/jobserver.h"

#include "preload/env_guard.h"

#include "preload/memory.h"

namespace preload {
namespace {

bool is_pipe(int fd) {
  struct stat info;
  return stat_descriptor(fd, info) == 0 && (info.st_mode & S_IFMT) == S_IFIFO;
}

}  // namespace

JobserverPipe parse_jobserver(const char* flags) {
  JobserverPipe pipe;
  for (; *flags; ++flags) {
    if (*flags != '-') continue;
    constexpr char option[] = "--jobserver-auth=", old_option[] = "--jobserver-fds=";
    const bool named = starts_with(flags, option);
    if (named || starts_with(flags, old_option)) {
      const char* at = flags + (named ? sizeof option : sizeof old_option) - 1;
      if (*at < '0' || *at > '9') continue;  // fifo:PATH, which is opened by name
      const uint64_t read_fd = take_number(at, 10);
      if (*at++ != ',') continue;
      const uint64_t write_fd = take_number(at, 10);
      // The last one counts.
      if (read_fd < fd_count_max && write_fd < fd_count_max)
        pipe = {static_cast<int>(read_fd), static_cast<int>(write_fd)};
    }
  }
  return pipe;
}

void find_jobserver() {
  if (load(state.jobserver_read) || state.environment == nullptr) return;
  store(state.jobserver_read, 1u);
  for (char* const* variable = state.environment; *variable; ++variable) {
    const char* text = unguarded(*variable);
    if (!starts_with(text, "MAKEFLAGS=")) continue;
    const JobserverPipe pipe = parse_jobserver(text + 10);
    const int fds[] = {pipe.read_fd, pipe.write_fd};
    for (const int fd : fds)
      if (fd > 2 && class_of(fd) == fd_unknown && is_pipe(fd)) set_class(fd, fd_jobserver);
  }
}

}  // namespace preload
