#include "broker/client.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

#include "broker/cache_place.h"
#include "broker/configuration.h"
#include "broker/effective_settings.h"
#include "broker/program_search.h"
#include "broker/progress_line.h"
#include "broker/server.h"
#include "broker/wording.h"
#include "cache/base/failpoint.h"
#include "cache/base/whole_io.h"
#include "cache/private_directory.h"
#include "preload/client.h"

namespace broker {
namespace {

using cache::Fault;
using cache::OwnedFd;
using cache::Result;
using cache::fail;
using Clock = std::chrono::steady_clock;

constexpr int answer_ms_max = 8'000;  // the first session ever has libc analysed
constexpr int report_ms_max = 60'000;  // for what the session still has to store
constexpr int start_ms_max = 10'000;
constexpr std::chrono::seconds find_max{5};  // while others start or leave
constexpr char shell[] = "/bin/sh";

void nap(int ms) {
  const timespec time{0, ms * 1'000'000L};
  ::nanosleep(&time, nullptr);
}

// ---- the broker -------------------------------------------------------------------------------------------------------

// The process that becomes the broker: nobody's child, in a session of its own, with no descriptor but `ready` (as 3).
// Between a clone and an exec: nothing here allocates.
[[noreturn]] void become_broker(int ready, char* const* arguments, char* const* environment) {
  ::setsid();
  sigset_t none;
  ::sigemptyset(&none);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(ready, 3);  // which, if it is the same already, is closed at exec; see below
  ::fcntl(3, F_SETFD, 0);
  // It serves all sessions to come, wherever the one that needs it first may run.
  cpu_set_t processors;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) CPU_SET(cpu, &processors);
  ::sched_setaffinity(0, sizeof processors, &processors);
  const int nothing = ::open("/dev/null", O_RDWR);
  for (int fd = 0; fd <= 2; ++fd) {
    if (::dup2(nothing, fd) < 0) ::close(fd);
  }
  ::syscall(SYS_close_range, 4u, ~0u, 0u);
  ::execve("/proc/self/exe", arguments, environment);
  constexpr char message[] = "the broker cannot be started from /proc/self/exe";
  [[maybe_unused]] const ssize_t written = ::write(3, message, sizeof message - 1);
  ::_exit(127);
}

// Of the user's variables the broker gets those that are meant for it. Of two with one name the first counts.
std::vector<char*> broker_environment(std::vector<std::string>& of_files) {
  std::vector<char*> variables;
  for (std::string& variable : of_files) variables.push_back(variable.data());
  for (char** variable = environ; variable && *variable; ++variable) {
    for (const char* name : {"VESTAL_IDLE=", "VESTAL_MAX_SIZE=", "VESTAL_SHIM=", "VESTAL_EVENTS=", "TZ=",
#ifdef VESTAL_FAILPOINTS
                             "VESTAL_FAILPOINT=",
#endif
                            }) {
      if (std::strncmp(*variable, name, std::strlen(name)) == 0) variables.push_back(*variable);
    }
  }
  variables.push_back(nullptr);
  return variables;
}

// True: it listens. False: another one is starting or ending just now.
Result<bool> start_broker(const std::string& directory) {
  // A broker serves others too, and would have the limits of the command that happened to come first.
  rlimit limit{};
  constexpr rlim_t files_min = 256;
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < files_min)
    return fail(Fault::io, "no broker is there, and none is started under so low a limit on open files (ulimit -n)");
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_max != RLIM_INFINITY)
    return fail(Fault::io, "no broker is there, and none is started under a limit on the size of files (ulimit -f)");
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_max != RLIM_INFINITY)
    return fail(Fault::io, "no broker is there, and none is started under a limit on memory (ulimit -v)");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Fault::io, std::string("no pipe: ") + std::strerror(errno));
  OwnedFd ready(away_from_standard(ends[0]));
  OwnedFd ready_writer(away_from_standard(ends[1]));
  std::string words[] = {"vestal", "broker", "--serve", directory};
  char* const arguments[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(), nullptr};
  std::vector<std::string> of_files = broker_variables_of_files();
  const std::vector<char*> environment = broker_environment(of_files);

  // A child that sends no signal when it ends, so that the command never hears of one it does not know.
  const long child = FAILPOINT("broker_start") ? -1 : ::syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr);
  if (child == 0) {
    // Not fork(), whose handlers expect that the child was made by it too.
    const long broker = ::syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr);
    if (broker == 0) become_broker(ready_writer.get(), arguments, environment.data());
    ::_exit(0);
  }
  if (child < 0) return fail(Fault::io, std::string("no process for the broker: ") + std::strerror(errno));
  while (::waitpid(static_cast<pid_t>(child), nullptr, __WALL) < 0 && errno == EINTR) {}
  ready_writer.reset();

  std::string text;
  const auto deadline = Clock::now() + std::chrono::milliseconds(start_ms_max);
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd waiting{ready.get(), POLLIN, 0};
    const int events = left > 0 ? ::poll(&waiting, 1, static_cast<int>(left)) : 0;
    if (events < 0 && errno == EINTR) continue;
    if (events <= 0) return fail(Fault::io, "the broker does not get ready");
    char piece[512];
    const ssize_t bytes = ::read(ready.get(), piece, sizeof piece);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) break;
    text.append(piece, static_cast<std::size_t>(bytes));
  }
  if (text == ready_listening) return true;
  if (text == ready_taken) return false;
  return fail(Fault::io, text.empty() ? "the broker ended as soon as it was started" : text);
}

struct Answer {
  OwnedFd connection;  // for a second reply
  std::string body;
};

// What is to be stored takes its time; a broker that dies meanwhile closes the connection.
int patience_ms(RequestKind kind) {
  switch (kind) {
    case RequestKind::tree_add:
    case RequestKind::check:
    case RequestKind::hand_out:
    case RequestKind::take_in: return -1;
    default: return answer_ms_max;
  }
}

// Sends the request to the broker of this directory. If there is none it is started, or, if it may not be, Fault::not_found.
Result<Answer> ask(const std::string& path, RequestKind kind, std::string_view body, bool may_start = true) {
  const OwnedFd directory(away_from_standard(TRY(cache::open_private_directory(path)).release()));
  const BuildId build = BuildId::of_this_program();
  const auto deadline = Clock::now() + find_max;
  bool started = false;
  do {
    OwnedFd connection(connect_in(directory.get(), path));
    if (!connection) {
      if (errno != ENOENT && errno != ECONNREFUSED) {
        return fail(Fault::io, path + ": no connection to the broker: " + std::strerror(errno));
      }
      if (!may_start) return fail(Fault::not_found, "no broker runs for " + path);
      started = TRY(start_broker(path));
      if (!started) nap(5);
      continue;
    }
    ucred peer{};
    socklen_t bytes = sizeof peer;
    if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0 || peer.uid != ::geteuid()) {
      return fail(Fault::io, "the broker of " + path + " belongs to another user");
    }
    Result<Reply> reply = send_request(connection.get(), kind, build, body).and_then([&](bool) {
      return receive_reply(connection.get(), patience_ms(kind));
    });
    if (reply && reply->status == ReplyStatus::done) return Answer{std::move(connection), std::move(reply->body)};
    if (reply && reply->status == ReplyStatus::refused) return fail(Fault::io, reply->body);
    // It is leaving, or has gone without a word.
    if (!reply && reply.error().fault != Fault::not_found) return tl::unexpected(std::move(reply.error()));
    nap(2);
  } while (Clock::now() < deadline);
  return fail(Fault::io, started ? "brokers end as soon as they are started" : "the broker of this cache does not answer");
}

Result<std::string> place_of(const CommandOptions& options) {
  return options.cache_directory.empty() ? cache_place() : Result<std::string>(options.cache_directory);
}

// A session whose top process is `top_pid`; the answer's body is the region's name.
Result<Answer> ask_for_session(pid_t top_pid, const CommandOptions& options) {
  const std::string place = TRY(place_of(options));
  SessionRequest wanted;
  wanted.client_pid = ::getpid();
  wanted.top_pid = top_pid;
  wanted.fresh = options.fresh;
  wanted.precise = options.precise;
  wanted.verbose = options.verbose || options.files.any();
  wanted.wants_progress = options.progress;
  wanted.wants_report = options.tells();
  wanted.wants_needs = options.wants_needs;
  wanted.wants_recipes = options.wants_recipes;
  wanted.policies = options.policies;
  return ask(place, RequestKind::session, std::string(reinterpret_cast<const char*>(&wanted), sizeof wanted) + options.configuration);
}

// ---- the command ------------------------------------------------------------------------------------------------------

int status_of(int error) { return error == ENOENT ? status_not_found : status_not_executable; }

// The file is not in a format that the kernel knows: the shell may read it, as execvp has it.
std::vector<char*> shell_arguments(const std::string& path, char* const* arguments) {
  std::vector<char*> all{const_cast<char*>(shell), const_cast<char*>(path.c_str())};
  for (char* const* argument = arguments + 1; *argument; ++argument) all.push_back(*argument);
  all.push_back(nullptr);
  return all;
}

int report_failure(const char* name, int error) {
  complain(std::string(name) + ": " + std::strerror(error));
  return status_of(error);
}

int become_plain(const FoundProgram& program, char* const* arguments) {
  ::execve(program.path.c_str(), arguments, environ);
  if (errno == ENOEXEC) ::execve(shell, shell_arguments(program.path, arguments).data(), environ);
  return report_failure(arguments[0], errno);
}

// What was asked for by a policy only a session can give: then it is better not to run at all.
bool may_run_uncached(const CommandOptions& options) { return !any_chosen(options.policies) && !options.must_be_seen; }

void complain_of_no_session(const CommandOptions& options, const std::string& why) {
  if (may_run_uncached(options)) complain("running without the cache: " + why);
  else if (options.must_be_seen) complain("not run, for nobody would see what it needs: " + why);
  else complain("not run, for there would be no " + text_of(options.policies) + ": " + why);
}

int become_uncached(const FoundProgram& program, char* const* arguments, const CommandOptions& options, const std::string& why) {
  complain_of_no_session(options, why);
  return may_run_uncached(options) ? become_plain(program, arguments) : status_own_failure;
}

int become_traced(const std::string& region, const FoundProgram& program, char* const* arguments, const CommandOptions& options) {
  bool usable = false;
  int error = -preload::become_command(region.c_str(), program.path.c_str(), arguments, environ, &usable);
  if (!usable) return become_uncached(program, arguments, options, std::string("no session region: ") + std::strerror(error));
  if (error == ENOEXEC) {
    error = -preload::become_command(region.c_str(), shell, shell_arguments(program.path, arguments).data(), environ,
                                     &usable);
  }
  return report_failure(arguments[0], error);
}

// ---- the command as a child -------------------------------------------------------------------------------------------

// What other processes may send to `vestal` and mean for the command.
constexpr int forwarded_signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM};

// A child that has stopped stops us as well, so that whoever waits for us sees it; but not if it goes on already: after
// a stop by the terminal both are continued together, and we may be the first.
void stop_like(pid_t child) {
  for (int round = 0; round < 5; ++round) {
    siginfo_t change{};
    if (::waitid(P_PID, static_cast<id_t>(child), &change, WCONTINUED | WNOHANG | WNOWAIT) == 0 && change.si_pid != 0) return;
    nap(5);
  }
  ::kill(::getpid(), SIGSTOP);
  ::kill(child, SIGCONT);
}

// Until the child has ended; its status as wait(2) has it. The signals in `signals` are blocked.
int wait_for(pid_t child, const sigset_t& signals) {
  for (;;) {
    int status = 0;
    const pid_t changed = ::waitpid(child, &status, WNOHANG | WUNTRACED);
    if (changed == child && !WIFSTOPPED(status)) return status;
    if (changed < 0 && errno != EINTR) return status_own_failure << 8;
    if (changed == child) {
      stop_like(child);
      continue;
    }
    siginfo_t signal{};
    if (::sigwaitinfo(&signals, &signal) < 0 || signal.si_signo == SIGCHLD) continue;
    // What the terminal sends goes to the command as well.
    if (signal.si_code <= 0 && signal.si_pid != child) ::kill(child, signal.si_signo);
  }
}

// What the broker tells of a session that has not ended; empty if nothing.
std::string progress_of(pid_t top_pid, const std::string& place) {
  const std::int32_t number = top_pid;
  const auto answer = ask(place, RequestKind::progress, {reinterpret_cast<const char*>(&number), sizeof number}, false);
  return answer ? progress_text(answer->body) : std::string();
}

int run_as_child(const FoundProgram& program, char* const* arguments, const CommandOptions& options, const report::ToldFiles& files) {
  // Like a pipe, but writing to it raises no SIGPIPE if the child has gone.
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return become_uncached(program, arguments, options, std::strerror(errno));
  }
  OwnedFd name_reader(away_from_standard(ends[0]));
  OwnedFd name_writer(away_from_standard(ends[1]));

  sigset_t signals, mask;
  ::sigemptyset(&signals);
  for (const int signal : forwarded_signals) ::sigaddset(&signals, signal);
  ::sigaddset(&signals, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &signals, &mask);
  const auto on_child = ::signal(SIGCHLD, SIG_DFL);

  const pid_t child = ::fork();
  if (child <= 0) {
    ::signal(SIGCHLD, on_child);
    ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  }
  if (child < 0) return become_uncached(program, arguments, options, std::strerror(errno));
  if (child == 0) {
    name_writer.reset();
    const std::string region = cache::read_all(name_reader.get());
    name_reader.reset();
    if (!region.empty()) ::_exit(become_traced(region, program, arguments, options));
    ::_exit(may_run_uncached(options) ? become_plain(program, arguments) : status_own_failure);
  }
  name_reader.reset();
  const auto session = ask_for_session(child, options);
  if (session) {
    ::send(name_writer.get(), session->body.data(), session->body.size(), MSG_NOSIGNAL);
  } else {
    complain_of_no_session(options, session.error().message);
  }
  name_writer.reset();
  std::optional<ProgressLine> progress;
  if (session && options.progress)
    if (const auto place = place_of(options)) progress.emplace([child, place = *place] { return progress_of(child, place); });
  const int status = wait_for(child, signals);
  progress.reset();
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  std::optional<int> other_status;
  if (session) {
    const auto report = receive_reply(session->connection.get(), report_ms_max);
    const bool is_there = report && report->status == ReplyStatus::done;
    if (options.on_report && is_there) other_status = options.on_report(report->body, status);
    else if (options.on_report && !options.must_be_seen) other_status = options.on_report({}, status);
    if (is_there && options.files.any()) files.write(report->body);
    std::string lines;
    if (is_there) lines = report_lines(report->body, options.verbose);
    if (is_there && !options.verbose && !options.summary) {
      // Nobody asked for them.
    } else if (lines.empty()) {
      if (options.must_be_seen && !other_status) other_status = status_own_failure;
      complain("no summary: " + (report ? report->body : report.error().message));
    } else {
      ::dprintf(2, "%s", lines.c_str());
    }
  } else if (options.on_report && !options.must_be_seen) {
    other_status = options.on_report({}, status);
  }
  if (other_status) return *other_status;
  end_like(status);
}

}  // namespace

void end_like(int status) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::signal(signal, SIG_DFL);
    sigset_t only;
    ::sigemptyset(&only);
    ::sigaddset(&only, signal);
    ::sigprocmask(SIG_UNBLOCK, &only, nullptr);
    ::raise(signal);
    ::_exit(128 + signal);
  }
  ::_exit(WEXITSTATUS(status));
}

void complain(const std::string& text) {
  std::string line = "vestal: " + text;
  for (char& byte : line) {
    if (byte == '\n') byte = ' ';
  }
  line += '\n';
  [[maybe_unused]] const ssize_t written = ::write(2, line.data(), line.size());
}

int run_command(char* const* arguments, const CommandOptions& given) {
  CommandOptions options = given;
  if (options.cache_directory.empty()) {
    const auto configuration = find_configuration(&complain);
    const auto settings = configuration.and_then([](const auto& files) { return read_configuration(files); }).and_then([&](const Configuration& configured) {
      return Settings::find(configured.settings, options.said, &complain);
    });
    if (!settings) {
      complain(settings.error().message);
      return status_own_failure;
    }
    apply(*settings, options);
    options.configuration = encode(*configuration);
  }
  const FoundProgram program = find_program(arguments[0]);
  if (program.error != 0) {
    complain(program.message);
    return status_of(program.error);
  }
  options.progress = options.progress && ProgressLine::is_possible();
  const auto files = report::ToldFiles::open(options.files);
  if (!files) {
    complain("not run, for it could not be told of: " + files.error().message);
    return status_own_failure;
  }
  if (options.tells()) return run_as_child(program, arguments, options, *files);
  const auto session = ask_for_session(::getpid(), options);
  if (!session) return become_uncached(program, arguments, options, session.error().message);
  return become_traced(session->body, program, arguments, options);
}

namespace {

Result<std::string> ask_without_session(RequestKind kind, std::string_view body, bool may_start) {
  const std::string place = TRY(cache_place());
  const bool stores = kind == RequestKind::tree_add || kind == RequestKind::take_in;
  if (!stores && ::access(place.c_str(), F_OK) != 0 && errno == ENOENT) {
    return fail(Fault::not_found, "there is no cache at " + place + " yet");
  }
  return std::move(TRY(ask(place, kind, body, may_start)).body);
}

}  // namespace

Result<std::string> ask_broker(RequestKind kind, std::string_view body) { return ask_without_session(kind, body, true); }
Result<std::string> ask_running_broker(RequestKind kind, std::string_view body) { return ask_without_session(kind, body, false); }

}  // namespace broker
