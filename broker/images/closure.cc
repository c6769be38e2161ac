#include "broker/images/closure.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include <fmt/format.h>

namespace broker::images {
namespace {

using cache::Fault;
using cache::Result;
using cache::fail;

constexpr const char* loader = "/lib64/ld-linux-x86-64.so.2";
constexpr std::size_t output_bytes_max = 8 << 20;

class Pipe {
 public:
  Pipe() { opened_ = ::pipe2(ends_.data(), O_CLOEXEC) == 0; }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  bool opened() const { return opened_; }
  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }
  void close_end(int end) {
    if (ends_[end] >= 0) ::close(ends_[end]);
    ends_[end] = -1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
  bool opened_ = false;
};

// Starts ld.so with clean signals and only the two pipes to write to.
Result<pid_t> start_loader(const std::string& program, const std::string& library_path, const Pipe& list, const Pipe& trace) {
  std::string library_variable = "LD_LIBRARY_PATH=" + library_path;
  char trace_objects[] = "LD_TRACE_LOADED_OBJECTS=1";
  char debug[] = "LD_DEBUG=libs";
  std::vector<char*> environment{trace_objects, debug};
  if (!library_path.empty()) environment.push_back(library_variable.data());
  environment.push_back(nullptr);
  std::string loader_name = loader, program_name = program;
  char* arguments[] = {loader_name.data(), program_name.data(), nullptr};

  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, list.writer(), 1);
  ::posix_spawn_file_actions_adddup2(&files, trace.writer(), 2);
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t child = -1;
  const int failure = ::posix_spawn(&child, loader, &files, &attributes, arguments, environment.data());
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  if (failure != 0) return fail(Fault::io, fmt::format("{}: {}", loader, std::strerror(failure)));
  return child;
}

// Reads both pipes to their ends. False if that took too long or too much.
bool drain(const Pipe& list, const Pipe& trace, std::string& list_text, std::string& trace_text) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::milliseconds(closure_ms_max);
  std::array<pollfd, 2> waiting{{{list.reader(), POLLIN, 0}, {trace.reader(), POLLIN, 0}}};
  std::array<std::string*, 2> texts{&list_text, &trace_text};
  std::array<char, 16384> buffer;
  while (waiting[0].fd >= 0 || waiting[1].fd >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    if (::poll(waiting.data(), waiting.size(), static_cast<int>(left)) < 0 && errno != EINTR) return false;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      if (waiting[i].fd < 0 || waiting[i].revents == 0) continue;
      const ssize_t count = ::read(waiting[i].fd, buffer.data(), buffer.size());
      if (count > 0) texts[i]->append(buffer.data(), static_cast<std::size_t>(count));
      else if (count == 0 || errno != EINTR) waiting[i].fd = -1;
      if (texts[i]->size() > output_bytes_max) return false;
    }
  }
  return true;
}

template <class Visit>
void each_line(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

bool exists(const std::string& path) {
  struct stat status;
  return ::lstat(path.c_str(), &status) == 0;
}

bool is_loader(const std::string& path) {
  struct stat a, b;
  return ::stat(path.c_str(), &a) == 0 && ::stat(loader, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

void add_once(std::vector<std::string>& list, std::string item) {
  if (std::find(list.begin(), list.end(), item) == list.end()) list.push_back(std::move(item));
}

// "\tlibc.so.6 => /lib/libc.so.6 (0x7f...)", "\t/abs/lib.so (0x7f...)" or
// "\tlibz.so => not found".
void read_list_line(std::string_view line, Closure& closure) {
  if (!line.starts_with('\t')) return;
  line.remove_prefix(1);
  constexpr std::string_view arrow = " => ";
  const std::size_t arrow_at = line.find(arrow);
  std::string_view found = arrow_at == line.npos ? line : line.substr(arrow_at + arrow.size());
  if (arrow_at != line.npos && found == "not found") return add_once(closure.missing, std::string(line.substr(0, arrow_at)));
  const std::size_t address_at = found.rfind(" (0x");
  if (address_at == found.npos) return;
  std::string path(found.substr(0, address_at));
  if (path.find('/') == std::string::npos || is_loader(path)) return;  // the vdso
  closure.libraries.push_back(std::move(path));
}

void read_trace_line(std::string_view line, Closure& closure) {
  constexpr std::string_view trying = "\t  trying file=", cache = "\t search cache=";
  if (line.find(cache) != line.npos) closure.used_cache = true;
  const std::size_t at = line.find(trying);
  if (at == line.npos) return;
  std::string path(line.substr(at + trying.size()));
  const std::string directory = path.substr(0, path.rfind('/'));
  if (!directory.empty() && !exists(directory)) add_once(closure.absent, directory);
  if (!exists(path)) add_once(closure.absent, std::move(path));
}

}  // namespace

Closure parse_loader_output(std::string_view list, std::string_view trace) {
  Closure closure;
  each_line(list, [&](std::string_view line) { read_list_line(line, closure); });
  each_line(trace, [&](std::string_view line) { read_trace_line(line, closure); });
  return closure;
}

Result<Closure> library_closure(const std::string& program, const std::string& library_path) {
  // The kernel gives ld.so the program's real path as $ORIGIN; given a name,
  // ld.so takes the name's directory. So the name must be the real path.
  char* real = ::realpath(program.c_str(), nullptr);
  if (!real) return fail(Fault::not_found, fmt::format("{}: {}", program, std::strerror(errno)));
  const std::string real_path = real;
  ::free(real);
  Pipe list, trace;
  if (!list.opened() || !trace.opened()) return fail(Fault::io, fmt::format("pipe: {}", std::strerror(errno)));
  const pid_t child = TRY(start_loader(real_path, library_path, list, trace));
  list.close_end(1);
  trace.close_end(1);
  std::string list_text, trace_text;
  const bool drained = drain(list, trace, list_text, trace_text);
  if (!drained) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!drained) return fail(Fault::io, program + ": ld.so did not list its libraries in time");
  Closure closure = parse_loader_output(list_text, trace_text);
  const bool succeeded = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!succeeded && closure.missing.empty()) return fail(Fault::unsupported, program + ": ld.so cannot load it");
  return closure;
}

}  // namespace broker::images
