#include "broker/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "broker/sandbox/namespaces.h"
#include "broker/sandbox/tree_root.h"
#include "broker/server.h"
#include "broker/shim_place.h"
#include "broker/statistics.h"
#include "broker/tree/tree_reader.h"
#include "cache/base/whole_io.h"
#include "cache/private_directory.h"
#include "cache/remove_directory.h"
#include "cache/step_cache.h"
#include "cache/use_lock.h"

namespace broker::sandbox {
namespace {

using cache::fail;
using cache::Fault;
using cache::OwnedFd;
using cache::read_all;
using cache::Result;
using cache::write_all;

constexpr int places_max = 64;
constexpr int broker_ms_max = 60'000;
constexpr char host_name[] = "vestal";
constexpr char seed[] = "vestal";

// ---- a place on the disk ----------------------------------------------------------------------------------------------

// The directory of one sandbox at a time, below the cache directory; its names are relative to that.
class Place {
 public:
  static Result<Place> open(const std::string& cache_directory) {
    TRY(cache::open_private_directory(cache_directory + "/sandboxes"));
    for (int number = 0; number < places_max; ++number)
      if (auto place = TRY(take(cache_directory, number))) return std::move(*place);
    return fail(Fault::io, fmt::format("{} sandboxes are in use", places_max));
  }
  static std::string name_of(int number) { return fmt::format("sandboxes/{}", number); }
  // None: it is in use.
  static Result<std::optional<Place>> take(const std::string& cache_directory, int number) {
    const std::string name = name_of(number);
    TRY(cache::open_private_directory(cache_directory + "/" + name));
    const std::string path = cache_directory + "/" + name + "/lock";
    OwnedFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!lock) return fail(Fault::io, fmt::format("{}: {}", path, std::strerror(errno)));
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return std::nullopt;
    return Place(cache_directory, name, OwnedFd(away_from_standard(lock.release())));
  }
  Place(Place&&) = default;
  ~Place() {
    if (lock_) clear();
  }
  // Its first process keeps it as well: should this one be killed, the place is in use as long as anything lives there.
  int lock() const { return lock_.get(); }

  const std::string& name() const { return name_; }
  std::string upper() const { return path_ + "/upper"; }

  Result<bool> prepare(std::uint32_t root_mode, const std::vector<std::string>& holes) {
    clear();
    for (const char* part : {"/upper", "/work", "/holes", "/mount", "/cache", "/cache/blobs", "/cache/images"})
      // Whatever the umask is.
      if ((::mkdir((path_ + part).c_str(), 0700) != 0 && errno != EEXIST) || ::chmod((path_ + part).c_str(), 0700) != 0) return fail(Fault::io, fmt::format("{}{}: {}", path_, part, std::strerror(errno)));
    for (const std::string& hole : holes) TRY(make_place_for(hole));
    // The directory on top is what "/" is.
    const timespec times[] = {{tree_time, 0}, {tree_time, 0}};
    if (::chmod(upper().c_str(), root_mode) != 0 || ::utimensat(AT_FDCWD, upper().c_str(), times, 0) != 0)
      return fail(Fault::io, fmt::format("{}: {}", upper(), std::strerror(errno)));
    return true;
  }

 private:
  Place(const std::string& cache_directory, std::string name, OwnedFd lock)
      : name_(std::move(name)), path_(cache_directory + "/" + name_), lock_(std::move(lock)) {}

  // Something of the same kind at that path, for it to be mounted on.
  Result<bool> make_place_for(const std::string& hole) const {
    struct stat status {};
    if (::lstat(hole.c_str(), &status) != 0) return fail(Fault::invalid, fmt::format("--hole {}: {}", hole, std::strerror(errno)));
    if (S_ISLNK(status.st_mode)) return fail(Fault::invalid, fmt::format("--hole {}: a symbolic link; name where it leads", hole));
    const std::filesystem::path place = path_ + "/holes" + hole;
    std::error_code error;
    std::filesystem::create_directories(S_ISDIR(status.st_mode) ? place : place.parent_path(), error);
    if (error) return fail(Fault::io, fmt::format("{}: {}", place.string(), error.message()));
    if (S_ISDIR(status.st_mode)) return true;
    const OwnedFd file(::open(place.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (!file) return fail(Fault::io, fmt::format("{}: {}", place.string(), std::strerror(errno)));
    return true;
  }

  // What the last one has left, however it ended.
  void clear() const {
    for (const char* part : {"/upper", "/work", "/holes"}) cache::remove_directory(path_ + part);
  }

  std::string name_, path_;
  OwnedFd lock_;
};

// ---- the processes in it ----------------------------------------------------------------------------------------------

struct Pipe {
  OwnedFd reader, writer;
  static Result<Pipe> open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Fault::io, std::string("no pipe: ") + std::strerror(errno));
    Pipe made;
    made.reader = OwnedFd(away_from_standard(ends[0]));
    made.writer = OwnedFd(away_from_standard(ends[1]));
    return made;
  }
};

// Whom a signal to this process is meant for. One in each process: the handlers of the next one are its own.
volatile sig_atomic_t meant_for = 0;
void pass_on(int signal, siginfo_t* info, void*) {
  // What the terminal sends goes to everybody in any case.
  if (info->si_code <= 0 && meant_for > 0) ::kill(meant_for, signal);
}

// As long as it lives, signals go to `meant_for`; what has been ignored goes on being ignored.
class Forwarding {
 public:
  Forwarding() {
    for (std::size_t each = 0; each < std::size(signals); ++each) {
      struct sigaction action {};
      action.sa_sigaction = pass_on;
      action.sa_flags = SA_SIGINFO | SA_RESTART;
      ::sigaction(signals[each], nullptr, &before_[each]);
      if (before_[each].sa_handler != SIG_IGN) ::sigaction(signals[each], &action, nullptr);
    }
  }
  ~Forwarding() { restore(); }
  // For a child that goes on as somebody else.
  void restore() const {
    for (std::size_t each = 0; each < std::size(signals); ++each) ::sigaction(signals[each], &before_[each], nullptr);
  }
  Forwarding(const Forwarding&) = delete;
  Forwarding& operator=(const Forwarding&) = delete;

 private:
  static constexpr int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM};
  struct sigaction before_[std::size(signals)];
};

// Alone in a network without interfaces.
bool reaches_nobody(const SessionPolicies& policies) { return policies.network == preload::network_denied && policies.address_count == 0; }

// It stands where /proc/self/environ shows it, whatever becomes of `environ`.
void forget_environment() {
  for (char** variable = environ; variable && *variable; ++variable) std::memset(*variable, 0, std::strlen(*variable));
  ::clearenv();
}

void close_others(std::vector<int> kept) {
  std::ranges::sort(kept);
  unsigned from = 3;
  for (const int fd : kept) {
    if (static_cast<unsigned>(fd) > from) ::syscall(SYS_close_range, from, static_cast<unsigned>(fd) - 1, 0u);
    from = static_cast<unsigned>(fd) + 1;
  }
  ::syscall(SYS_close_range, from, ~0u, 0u);
}

std::string cache_inside() { return std::string(runtime_directory) + "/cache"; }

// The broker of this sandbox, without an exec: the program's own files are not in the tree.
[[noreturn]] void become_broker(int ready) {
  // By /proc the command would come to the cache as this process has it.
  ::prctl(PR_SET_DUMPABLE, 0);
  if (const auto open = keep_cache_open().and_then([](bool) { return give_up_capabilities(); }); !open) {
    write_all(ready, open.error().message);
    ::_exit(1);
  }
  ::setsid();
  const int nothing = ::open("/dev/null", O_RDWR);
  for (int fd = 0; fd <= 2; ++fd) ::dup2(nothing, fd);
  if (ready != 3) ::dup2(ready, 3);
  ::syscall(SYS_close_range, 4u, ~0u, 0u);
  ::setenv("VESTAL_SHIM", (std::string(runtime_directory) + "/lib/libvestal_shim.so").c_str(), 1);
  const int status = serve(cache_inside(), 3, Peers::may_have_other_mounts);
  ::_exit(status);
}

[[noreturn]] void become_runner(char* const* arguments, const Wanted& wanted, int report) {
  ::clearenv();
  for (const std::string& variable : wanted.environment) ::putenv(const_cast<char*>(variable.c_str()));
  ::umask(static_cast<mode_t>(wanted.umask));
  if (wanted.fixed_addresses) ::personality(ADDR_NO_RANDOMIZE);
  CommandOptions options = wanted.options;
  options.cache_directory = cache_inside();
  if (options.on_report)
    options.on_report = [report](const std::string& text, int) {
      write_all(report, text);
      return std::nullopt;
    };
  const int status = run_command(arguments, options);
  ::_exit(status);
}

// The first process of the sandbox: waits for the command and for all that others leave behind. When it ends, everything does.
[[noreturn]] void be_first(const Stage& stage, char* const* arguments, const Wanted& wanted, const Forwarding& forwarding, int lock, int words, int report) {
  const auto give_up = [&](const cache::Error& error) {
    write_all(words, (error.fault == Fault::not_found ? "N" : error.fault == Fault::invalid ? "I" : "E") + error.message);
    ::_exit(1);
  };
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::umask(022);
  meant_for = 0;
  forget_environment();
  close_others({lock, words, report});
  if (const auto entered = enter(stage); !entered) give_up(entered.error());
  auto ready = Pipe::open();
  if (!ready) give_up(ready.error());
  const pid_t broker = ::fork();
  if (broker == 0) {
    forwarding.restore();
    become_broker(ready->writer.get());
  }
  ready->writer.reset();
  if (const std::string text = read_all(ready->reader.get()); text != ready_listening)
    give_up({Fault::io, text.empty() ? "its broker has ended" : text});
  // The command may be the same user outside. What of the machine this process has known or open is none of its business.
  if (const auto closed = close_cache(stage).and_then([](bool) { return give_up_capabilities(); }); !closed) give_up(closed.error());
  const pid_t runner = ::fork();
  if (runner == 0) {
    forwarding.restore();
    become_runner(arguments, wanted, report);
  }
  meant_for = runner;
  ::prctl(PR_SET_DUMPABLE, 0);
  ::close(report);
  if (runner < 0) give_up({Fault::io, std::string("no process: ") + std::strerror(errno)});
  int status = 0;
  for (pid_t ended = 0; ended != runner; ended = ::waitpid(-1, &status, 0))
    if (ended < 0 && errno != EINTR) give_up({Fault::io, "the command's process is lost"});
  // The broker writes down what it has before it leaves, unless the command has stopped it.
  const OwnedFd watched(static_cast<int>(::syscall(SYS_pidfd_open, broker, 0u)));
  pollfd waiting{watched.get(), POLLIN, 0};
  if (watched && ::kill(broker, SIGTERM) == 0)
    while (::poll(&waiting, 1, broker_ms_max) < 0 && errno == EINTR) {}
  write_all(words, std::string("S") + std::string(reinterpret_cast<const char*>(&status), sizeof status));
  ::_exit(0);
}

}  // namespace

SessionPolicies hermetic_policies(const SessionPolicies& chosen) {
  SessionPolicies policies = chosen;
  // All of these words are right.
  if (chosen.clock == preload::clock_real) static_cast<void>(choose_clock(policies, fmt::format("tick:@{}", tree_time)));
  if (chosen.random == preload::random_real) static_cast<void>(choose_random(policies, seed));
  if (!chosen.host_name[0]) static_cast<void>(choose_host_name(policies, host_name));
  if (chosen.network == preload::network_allowed) static_cast<void>(choose_network(policies, "deny"));
  return policies;
}

Result<Ended> run(const std::string& cache_directory, char* const* arguments, const Wanted& wanted) {
  TRY(cache::open_private_directory(cache_directory));
  cache::BlobStore blobs = TRY(cache::BlobStore::open(cache_directory + "/blobs"));
  TRY(cache::open_private_directory(cache_directory + "/images"));
  const OwnedFd in_use(away_from_standard(TRY(cache::hold_cache(cache_directory)).release()));
  const tree::Directory root = TRY(tree::Reader(blobs).directory(wanted.tree));
  const std::vector<std::string> parts = TRY(tree_parts(cache_directory, blobs, wanted.tree));
  const std::string base = TRY(base_root(cache_directory));
  Place place = TRY(Place::open(cache_directory));
  TRY(place.prepare(root.mode, wanted.holes));

  Stage stage;
  stage.cache_directory = cache_directory;
  stage.lower = fmt::format("{}:{}/holes:{}", fmt::join(parts, ":"), place.name(), base);
  stage.holes = wanted.holes;
  stage.upper = place.name() + "/upper";
  stage.work = place.name() + "/work";
  stage.mount = place.name() + "/mount";
  stage.cache = place.name() + "/cache";
  stage.blobs = "blobs";
  stage.images = "images";
  stage.library = std::filesystem::path(TRY(find_shim())).parent_path().string();
  stage.directory = wanted.directory;
  const SessionPolicies& policies = wanted.options.policies;
  stage.host_name = policies.host_name;
  stage.uid = wanted.uid;
  stage.gid = wanted.gid;
  stage.outer_uid = ::geteuid();
  stage.outer_gid = ::getegid();

  Pipe words = TRY(Pipe::open()), report = TRY(Pipe::open());
  const Forwarding forwarding;
  const pid_t first = static_cast<pid_t>(::syscall(SYS_clone, namespace_flags(reaches_nobody(policies)) | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (first == 0) {
    words.reader.reset();
    report.reader.reset();
    be_first(stage, arguments, wanted, forwarding, place.lock(), words.writer.get(), report.writer.get());
  }
  if (first < 0) return fail(Fault::unsupported, std::string("no namespaces of one's own: ") + std::strerror(errno));
  meant_for = first;
  words.writer.reset();
  report.writer.reset();
  Ended ended;
  ended.report = read_all(report.reader.get());
  const std::string text = read_all(words.reader.get());
  while (::waitpid(first, nullptr, 0) < 0 && errno == EINTR) {}
  meant_for = 0;
  if (text.size() != 1 + sizeof ended.status || text[0] != 'S') {
    const Fault fault = text.starts_with('N') ? Fault::not_found : text.starts_with('I') ? Fault::invalid : text.starts_with('E') ? Fault::unsupported : Fault::io;
    return fail(fault, text.empty() ? "the sandbox has ended" : text.substr(1));
  }
  std::memcpy(&ended.status, text.data() + 1, sizeof ended.status);
  cache::FileMemo memo(nullptr);
  const View view(memo, blobs);
  ended.after = TRY(tree::add_changed(place.upper(), wanted.tree, view, blobs));
  ended.changed = ended.after.digest != wanted.tree;
  if (wanted.wants_changes) ended.changes = TRY(tree::add_changes(place.upper(), view, blobs));
  return ended;
}

std::vector<std::string> caches(const std::string& cache_directory) {
  std::vector<std::string> found;
  for (int number = 0; number < places_max; ++number)
    if (std::string cache = fmt::format("{}/{}/cache", cache_directory, Place::name_of(number)); ::access(cache.c_str(), F_OK) == 0) found.push_back(std::move(cache));
  return found;
}

Result<bool> clear_counters(const std::string& cache_directory) {
  std::string kept;
  for (int number = 0; number < places_max; ++number) {
    const std::string cache = fmt::format("{}/{}/cache", cache_directory, Place::name_of(number)), counted = cache + "/" + Statistics::file_name;
    if (::access(counted.c_str(), F_OK) != 0) continue;
    const auto place = TRY(Place::take(cache_directory, number));
    auto steps = place ? cache::StepCache::open(cache + "/index", nullptr) : fail(Fault::io, "in use");
    if (!steps) {
      kept += fmt::format("{}{}: {}", kept.empty() ? "" : "; ", cache, steps.error().message);
      continue;
    }
    (*steps)->clear_counters();
    Statistics statistics(cache);
    statistics.clear();
    statistics.write((*steps)->counters());
  }
  if (!kept.empty()) return fail(Fault::io, kept);
  return true;
}

}  // namespace broker::sandbox
