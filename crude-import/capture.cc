#include "crude-import/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "broker/control.h"
#include "cache/base/whole_io.h"

namespace crude_import {
namespace {

using broker::away_from_standard;
using cache::fail;
using cache::Fault;
using cache::OwnedFd;
using cache::Result;

constexpr int look_ms = 1, grace_ms = 300;

[[noreturn]] void read_for_ever(int from, int keep, int to) {
  // It must hold no other capture's pipe open: at 1, say, of which the end would never come then.
  for (int fd = 0; fd < 3; ++fd)
    if (fd != to) ::close(fd);
  // Ends with the last writer, not with whom the terminal interrupts. Should nobody read on, the writers are to see that.
  for (const int signal : {SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGTSTP}) ::signal(signal, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  char piece[1 << 16];
  for (;;) {
    const ssize_t bytes = ::read(from, piece, sizeof piece);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0 || !cache::write_all(keep, {piece, static_cast<std::size_t>(bytes)})) ::_exit(bytes == 0 ? 0 : 1);
    if (to >= 0 && !cache::write_all(to, {piece, static_cast<std::size_t>(bytes)})) ::_exit(2);
  }
}

tl::unexpected<cache::Error> cannot(const char* what) { return fail(Fault::io, std::string(what) + ": " + std::strerror(errno)); }

}  // namespace

Result<Capture> Capture::begin(int fd, bool passes_on) {
  OwnedFd kept(away_from_standard(::memfd_create("capture", MFD_CLOEXEC)));
  OwnedFd original(::fcntl(fd, F_DUPFD_CLOEXEC, 10));
  int ends[2];
  if (!kept || !original || ::pipe2(ends, O_CLOEXEC) != 0) return cannot("what is written cannot be kept");
  const OwnedFd reader_end(away_from_standard(ends[0])), writer_end(away_from_standard(ends[1]));
  const pid_t reader = ::fork();
  if (reader == 0) {
    ::close(writer_end.get());
    read_for_ever(reader_end.get(), kept.get(), passes_on ? original.get() : -1);
  }
  if (reader < 0 || ::dup2(writer_end.get(), fd) < 0) return cannot("what is written cannot be kept");
  return Capture(fd, std::move(original), std::move(kept), reader);
}

Result<std::string> Capture::end() {
  const auto reader_ends_within = [this](int ms) {
    for (int waited = 0;; waited += look_ms) {
      const pid_t ended = ::waitpid(reader_, nullptr, WNOHANG);
      if (ended == reader_ || (ended < 0 && errno != EINTR)) return true;
      if (waited >= ms) return false;
      const timespec time{0, look_ms * 1'000'000L};
      ::nanosleep(&time, nullptr);
    }
  };
  // Our own end of the pipe keeps it from ending, and tells whether all has been read.
  int unread = 0;
  bool has_ended = false;
  while (::ioctl(fd_, FIONREAD, &unread) == 0 && unread > 0 && !(has_ended = reader_ends_within(look_ms))) {}
  ::dup2(original_.get(), fd_);
  // Something that the command has left behind may never end.
  if (!has_ended) reader_ends_within(grace_ms);
  const off_t bytes = ::lseek(kept_.get(), 0, SEEK_END);
  std::string text(static_cast<std::size_t>(bytes), '\0');
  if (bytes > 0 && ::pread(kept_.get(), text.data(), text.size(), 0) != bytes) return cannot("what was written cannot be read");
  return text;
}

}  // namespace crude_import
