#include "broker/doctor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "broker/control.h"
#include "cache/base/owned_fd.h"

namespace broker::doctor {
namespace {

using cache::OwnedFd;
using Clock = std::chrono::steady_clock;

// A broker that is started on a busy machine, and has libc analysed, takes some of it.
constexpr std::chrono::seconds child_max{15};
constexpr std::size_t text_bytes_max = 64 << 10;

struct Stream {
  OwnedFd reader, writer;
  std::string* text;
};

bool open_streams(Stream (&streams)[3]) {
  for (Stream& stream : streams) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    stream.reader.reset(away_from_standard(ends[0]));
    stream.writer.reset(away_from_standard(ends[1]));
    if (!stream.reader || !stream.writer) return false;
  }
  return true;
}

sigset_t put_off_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&signals, signal);
  return signals;
}

[[noreturn]] void work_in_child(const std::function<int(int)>& work, Stream (&streams)[3]) {
  ::setpgid(0, 0);
  ::sigprocmask(SIG_UNBLOCK, &EndLater::put_off(), nullptr);
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing < 0 || ::dup2(nothing, 0) < 0 || ::dup2(streams[0].writer.get(), 1) < 0 || ::dup2(streams[1].writer.get(), 2) < 0) ::_exit(125);
  ::_exit(work(streams[2].writer.get()));
}

// Until each is at its end; false if that takes too long.
bool read_streams(Stream (&streams)[3], int end_wanted) {
  const auto deadline = Clock::now() + child_max;
  for (;;) {
    pollfd waiting[4] = {{streams[0].reader.get(), POLLIN, 0}, {streams[1].reader.get(), POLLIN, 0}, {streams[2].reader.get(), POLLIN, 0}, {end_wanted, POLLIN, 0}};
    if (!streams[0].reader && !streams[1].reader && !streams[2].reader) return true;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    const int events = left > 0 ? ::poll(waiting, 4, static_cast<int>(left)) : 0;
    if (events < 0 && errno == EINTR) continue;
    if (events <= 0 || waiting[3].revents) return false;
    for (int index = 0; index < 3; ++index) {
      if (!waiting[index].revents) continue;
      char piece[4096];
      const ssize_t bytes = ::read(streams[index].reader.get(), piece, sizeof piece);
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes <= 0) streams[index].reader.reset();
      else if (streams[index].text->size() < text_bytes_max) streams[index].text->append(piece, static_cast<std::size_t>(bytes));
    }
  }
}

}  // namespace

const sigset_t& EndLater::put_off() {
  static const sigset_t signals = put_off_signals();
  return signals;
}

EndLater::EndLater() { ::sigprocmask(SIG_BLOCK, &put_off(), nullptr); }
EndLater::~EndLater() { ::sigprocmask(SIG_UNBLOCK, &put_off(), nullptr); }

Told in_child(const std::function<int(int)>& work) {
  // Whoever has started us may have it ignored, and then no status would be kept.
  ::signal(SIGCHLD, SIG_DFL);
  Told told;
  Stream streams[3];
  streams[0].text = &told.out;
  streams[1].text = &told.err;
  streams[2].text = &told.words;
  // It is not read from: the signal stays for who is to get it.
  const OwnedFd end_wanted(::signalfd(-1, &EndLater::put_off(), SFD_CLOEXEC));
  if (!end_wanted || !open_streams(streams)) return told;
  const pid_t child = ::fork();
  if (child == 0) work_in_child(work, streams);
  if (child < 0) return told;
  ::setpgid(child, child);
  for (Stream& stream : streams) stream.writer.reset();
  told.ended = read_streams(streams, end_wanted.get());
  if (!told.ended) ::kill(-child, SIGKILL);
  while (::waitpid(child, &told.status, 0) < 0 && errno == EINTR) {}
  return told;
}

}  // namespace broker::doctor
