#include "broker/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include <fmt/format.h>

namespace broker {
namespace {

using namespace cache;
using namespace preload;

constexpr std::uint64_t sourced_bytes_max = 1 << 20;
constexpr std::uint64_t stream_bytes_kept_max = 4 << 20;
constexpr std::uint32_t look_aspects = aspect_type | aspect_mode | aspect_size | aspect_links | aspect_times;

std::int64_t now_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

std::uint64_t name_hash(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return quick_hash(name.data(), name.size());
}

PathFacts facts_of(const StatPayload& stat) {
  PathFacts facts = PathFacts::from_mode(stat.mode);
  facts.uid = stat.uid;
  facts.gid = stat.gid;
  facts.links = stat.links;
  facts.bytes = stat.size;
  facts.mtime_ns = stat.mtime_ns;
  facts.device = stat.device;
  facts.inode = stat.inode;
  return facts;
}

std::uint8_t entry_type_of(FileType type) {
  switch (type) {
    case FileType::regular: return 8;
    case FileType::directory: return 4;
    case FileType::symlink: return 10;
    case FileType::fifo: return 1;
    case FileType::socket: return 12;
    case FileType::character_device: return 2;
    case FileType::block_device: return 6;
    default: return 0;
  }
}

bool same_file(const PathFacts& a, const PathFacts& b) {
  return a.type == b.type && a.device == b.device && a.inode == b.inode && a.bytes == b.bytes && a.mtime_ns == b.mtime_ns && a.ctime_ns == b.ctime_ns;
}

// What is the same for all steps of a session and may reach their output: user, machine, limits, processors.
Digest describe_session(std::int32_t top_pid) {
  Hasher hasher;
  std::ifstream limits(fmt::format("/proc/{}/limits", top_pid));
  hasher.add_piece(std::string(std::istreambuf_iterator<char>(limits), {}));
  errno = 0;
  const int niceness = ::getpriority(PRIO_PROCESS, static_cast<id_t>(top_pid));
  hasher.add_piece({reinterpret_cast<const char*>(&niceness), sizeof niceness});
  auto add = [&](const auto& value) { hasher.add_piece({reinterpret_cast<const char*>(&value), sizeof value}); };
  add(::getuid());
  add(::geteuid());
  add(::getgid());
  add(::getegid());
  utsname names{};
  ::uname(&names);
  for (const char* text : {names.sysname, names.nodename, names.release, names.version, names.machine}) hasher.add_piece(text);
  cpu_set_t processors;
  CPU_ZERO(&processors);
  ::sched_getaffinity(0, sizeof processors, &processors);
  add(CPU_COUNT(&processors));
  return hasher.finish();
}

// The fifth field behind the name in /proc/PID/stat is the number of the controlling terminal, 0 for none.
bool process_has_terminal(std::int32_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  if (name_end == line.npos) return false;
  int parent, group, session, terminal = 0;
  char state;
  std::istringstream words(line.substr(name_end + 1));
  words >> state >> parent >> group >> session >> terminal;
  return terminal != 0;
}

// Files below these places are not files of the build: their contents are made up by the kernel.
enum class Place { ordinary, null_device, proc_stable, proc_other, random, terminal, device };

Place place_of(std::string_view path) {
  if (path.starts_with("/dev/")) {
    if (path == "/dev/null" || path == "/dev/zero" || path == "/dev/full") return Place::null_device;
    if (path == "/dev/urandom" || path == "/dev/random") return Place::random;
    if (path == "/dev/tty" || path.starts_with("/dev/pts/")) return Place::terminal;
    if (path.starts_with("/dev/shm/")) return Place::ordinary;
    return Place::device;
  }
  if (path.starts_with("/proc/")) {
    if (path == "/proc/filesystems" || path.starts_with("/proc/sys/")) return Place::proc_stable;
    return Place::proc_other;
  }
  if (path.starts_with("/sys/")) return path.starts_with("/sys/devices/system/cpu/") || path.starts_with("/sys/fs/") ? Place::proc_stable : Place::proc_other;
  return Place::ordinary;
}

}  // namespace

struct Recorder::Process {
  std::int32_t pid = 0;
  Step* step = nullptr;
  PathId directory = no_path;
  std::shared_ptr<Descriptors> fds;
  bool exec_pending = false;  // an exec is announced, the new program's shim has not reported in
  bool suspected = false;     // was not there when last looked for
  std::int32_t parent_pid = 0;
  bool made_by_fork = false;  // then its parent tells of it too,
  bool confirmed = false;     // and has done so
  struct Listing {
    std::uint64_t sum = 0;
    Position first = 0;
    bool complete = false;
  };
  std::unordered_map<PathId, Listing> listings;
  // Files it may still write to through descriptors: closed by the next exec or not.
  std::map<PathId, bool> writes;
};

// What the session knows of a path's contents.
struct Recorder::PathState {
  PathFacts facts;
  std::optional<Digest> digest;
  std::uint32_t pass = 0;     // in which `facts` were last seen to hold
  Position last_write = 0;    // by a process of this session; 0: none
};

Recorder::Recorder(Parts& parts, const SessionOptions& options, Decide decide, Done done, Finished finished)
    : parts_(parts), options_(options), decide_(std::move(decide)), done_(std::move(done)), finished_(std::move(finished)), paths_(*parts.view) {
  session_digest_ = describe_session(options.top_pid);
  uid_ = ::geteuid();
  if (options.top_pid > 0) top_process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, options.top_pid, 0)));
  has_terminal_ = process_has_terminal(options.top_pid);
  // The first floor is the moment itself, not the kernel's last tick: what was written just before the command counts as old.
  next_floor_ns_ = now_ns(CLOCK_REALTIME);
}

Recorder::~Recorder() = default;

void Recorder::begin_pass() {
  ++pass_;
  pass_floor_ns_ = next_floor_ns_;
  next_floor_ns_ = std::max(next_floor_ns_, now_ns(CLOCK_REALTIME_COARSE));
  touches_.clear();
  const std::int64_t now = now_ns(CLOCK_MONOTONIC);
  if (now - looked_again_ns_ > 1'000'000'000) {
    paths_.look_again();
    looked_again_ns_ = now;
  }
}

void Recorder::handle_pass(const std::vector<KeptEvent>& events) {
  for (const KeptEvent& kept : events) {
    const Event& event = kept.event;
    if (event.result < 0 || event.malformed || event.lost) continue;
    auto touch = [&](std::string_view text) {
      if (!text.starts_with("/dev/")) touches_.emplace(name_hash(text), Touch{event.position, event.pid, text});
    };
    switch (event.kind) {
      case kind_open:
        if (event.arg & (O_WRONLY | O_RDWR | O_TRUNC)) touch(event.text);
        break;
      case kind_rename: case kind_link:
        touch(event.text);
        touch(event.text2);
        break;
      case kind_unlink: case kind_truncate: case kind_symlink: case kind_rmdir: touch(event.text); break;
      default: break;
    }
  }
  for (const KeptEvent& kept : events) handle(kept.event);
  touches_.clear();  // they view the events
}

bool Recorder::touched_later(PathId path, Position at) {
  const auto [first, last] = touches_.equal_range(name_hash(paths_.text(path)));
  for (auto each = first; each != last; ++each) {
    const Touch& touch = each->second;
    if (touch.at <= at) continue;
    const auto process = processes_.find(touch.pid);
    if (process == processes_.end() || process->second->directory == no_path) return true;
    if (paths_.resolve(process->second->directory, touch.text, false).path == path) return true;
  }
  return false;
}

// ---- processes ---------------------------------------------------------------------------------------------------------

Recorder::Process& Recorder::add_process(std::int32_t pid, Process* parent) {
  auto process = std::make_unique<Process>();
  process->pid = pid;
  if (parent) {
    process->parent_pid = parent->pid;
    process->step = parent->step;
    process->directory = parent->directory;
    process->fds = parent->fds;
    process->writes = parent->writes;
    if (process->step) ++process->step->processes;
  }
  auto& place = processes_[pid];
  place = std::move(process);
  return *place;
}

Recorder::Process* Recorder::process_of(const Event& event) {
  if (const auto found = processes_.find(event.pid); found != processes_.end()) return found->second.get();
  if (event.parent_pid == 0) return nullptr;
  const auto parent = processes_.find(event.parent_pid);
  return parent == processes_.end() ? nullptr : &add_process(event.pid, parent->second.get());
}

void Recorder::end_process(std::int32_t pid, std::optional<std::int32_t> status, Position at) {
  const auto found = processes_.find(pid);
  if (found == processes_.end()) return;
  const std::unique_ptr<Process> process = std::move(found->second);
  processes_.erase(found);
  if (process->parent_pid && !process->confirmed && process->made_by_fork) ended_unconfirmed_.insert({process->parent_pid, pid});
  if (pid == options_.top_pid) top_gone_ = true;
  Step* step = process->step;
  if (!step) return;
  for (const auto& [directory, listing] : process->listings)
    if (!listing.complete) step->uses[directory].unknown = true;
  if (!status) step->spoil("a process ended in a way that nobody saw");
  if (process->exec_pending) {
    if (step->program && step->program->untraced) step->spoil(step->program->reason);
    else if (!step->replayed) step->spoil(step->exec.program + ": ran without the shim");
  }
  // The process may have become one program after the other: it is the end of all of them.
  for (Step* each = step; each && each->main_pid == pid; each = each->parent) {
    each->main_ended = true;
    each->status = status.value_or(0);
  }
  --step->processes;
  step_ended(step, at);
}

void Recorder::step_ended(Step* step, Position at) {
  while (step && step->processes == 0 && step->open_steps == 0 && step->main_ended) {
    Step* outer = step->parent;
    finish(*step, at);
    if (outer) --outer->open_steps;
    steps_.erase(step->number);
    step = outer;
  }
  // Its first process has gone, others live on.
  for (; step; step = step->parent)
    if (step->main_ended && (step->processes > 0 || step->open_steps > 0)) step->not_storable("leaves a process behind");
}

void Recorder::check_processes() {
  // What a process logged just before it went may still be unread: it is missed only when it is not there twice.
  std::vector<std::int32_t> gone;
  for (const auto& [pid, process] : processes_) {
    const bool alive = ::kill(pid, 0) == 0 || errno != ESRCH;
    if (!alive && process->suspected) gone.push_back(pid);
    process->suspected = !alive;
  }
  for (const std::int32_t pid : gone) end_process(pid, std::nullopt, never - 1);
  pollfd top{top_process_.get(), POLLIN, 0};
  if (!top_process_ || ::poll(&top, 1, 0) > 0) {
    // What it logged last has been read by now, or never will be.
    if (top_suspected_ && processes_.count(options_.top_pid)) end_process(options_.top_pid, std::nullopt, never - 1);
    if (top_suspected_) top_gone_ = true;
    top_suspected_ = true;
  }
}

void Recorder::abandon() {
  processes_.clear();
  steps_.clear();
}

void Recorder::spoil_all(const std::string& reason) {
  for (auto& [number, step] : steps_) step->spoil(reason);
}

void Recorder::spoil(Process& process, const std::string& reason) {
  if (process.step) process.step->spoil(reason);
}

// ---- events ------------------------------------------------------------------------------------------------------------

void Recorder::handle(const Event& event) {
  if (event.lost) return spoil_all("part of the log was lost");
  Process* process = process_of(event);
  if (event.malformed) {
    if (process) spoil(*process, "wrote to the log itself");
    else spoil_all("somebody wrote to the log");
    return;
  }
  if (event.kind == kind_exec) return handle_exec(process, event);
  if (event.kind == kind_forked_child && !process) {
    const auto parent = processes_.find(event.arg);
    if (parent != processes_.end()) add_process(event.pid, parent->second.get()).made_by_fork = true;
    else spoil_all("a process of unknown origin");
    return;
  }
  if (!process) {
    if (event.slot >= 0) done_(event.slot);
    if (event.kind != kind_exited && event.kind != kind_flush) spoil_all("a process of unknown origin");
    return;
  }
  Step* step = process->step;
  if (!step) {
    if (event.slot >= 0) done_(event.slot);
    return;
  }
  switch (event.kind) {
    case kind_started:
      process->exec_pending = false;
      step->started = true;
      process->fds = std::make_shared<Descriptors>();
      break;
    case kind_exec_failed: handle_exec_failed(*process, event); break;
    case kind_forked: {
      const auto known = processes_.find(event.arg);
      // Its own records may have come first, even the last of them.
      if (known != processes_.end() && known->second->parent_pid == event.pid && !known->second->confirmed) {
        known->second->confirmed = true;
        break;
      }
      if (ended_unconfirmed_.erase({event.pid, event.arg})) break;
      // A number that is used again, whose former owner went unseen.
      if (known != processes_.end()) end_process(event.arg, std::nullopt, event.position);
      if (const auto again = processes_.find(event.pid); again != processes_.end()) add_process(event.arg, again->second.get()).confirmed = true;
      break;
    }
    case kind_forked_child: break;
    case kind_exited: {
      const auto now = static_cast<std::int64_t>(static_cast<std::uint32_t>(event.arg) | static_cast<std::uint64_t>(static_cast<std::uint32_t>(event.arg2)) << 32);
      for (Step* each = step; each; each = each->parent) each->ended_ns = std::max(each->ended_ns, now);
      end_process(event.pid, (event.result & 0xff) << 8, event.position);
      break;
    }
    case kind_reaped: {
      const int status = event.result;
      if (processes_.count(event.arg) == 0) break;
      if (WIFSIGNALED(status)) {
        const int signal = WTERMSIG(status);
        const bool own = signal == SIGABRT || signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL || signal == SIGTRAP ||
                         signal == SIGSYS;
        Process& child = *processes_[event.arg];
        if (!own && child.step) child.step->spoil(fmt::format("was ended by signal {}", signal));
      }
      if (WIFSIGNALED(status) || WIFEXITED(status)) end_process(event.arg, status, event.position);
      break;
    }
    case kind_signalled:
      if (event.arg != event.pid && processes_.count(event.arg) == 0) spoil(*process, "sent a signal to a process outside");
      break;

    case kind_look: case kind_access: case kind_readlink: handle_look(*process, event); break;
    case kind_fstat: handle_fstat(*process, event); break;
    case kind_open: handle_open(*process, event); break;
    case kind_list: handle_list(*process, event); break;
    case kind_chdir: {
      bool complete = true;
      const PathId path = resolve(*process, event.text, true, event.position, &complete);
      if (event.result < 0) observe_failure(*process, path, complete, -event.result, event.position);
      else if (event.text2.starts_with('/')) {
        observe_type(*process, path, event.position);
        process->directory = paths_.intern(event.text2);
      } else {
        spoil(*process, "works in a directory without a name");
      }
      break;
    }
    case kind_mkdir: case kind_rmdir: case kind_unlink: case kind_symlink: case kind_chmod: case kind_chown: case kind_utimens:
    case kind_truncate: case kind_mknod: case kind_xattr_set:
      handle_change(*process, event);
      break;
    case kind_rename: handle_rename(*process, event); break;
    case kind_link: handle_link(*process, event); break;

    case kind_closed:
      std::erase_if(process->writes, [&](const auto& each) {
        const std::string& text = paths_.text(each.first);
        return pending_index(text.data(), text.size()) == static_cast<std::uint32_t>(event.arg);
      });
      break;
    case kind_getenv:
      if (!step->policy.ignores_make || !event.text.starts_with("MAKE")) step->variables.emplace(event.text);
      break;
    case kind_clock: handle_clock(*process, event); break;
    case kind_random:
      if (!step->policy.ignores_random && event.arg > step->policy.ignored_random_bytes) spoil(*process, "reads random numbers");
      break;
    case kind_spoil:
      if (step->policy.ignores_file_system && event.text == "asked for the state of a file system") break;
      spoil(*process, std::string(event.text.substr(0, 200)));
      break;

    case kind_stream: handle_stream(*process, event); break;
    case kind_fd_kind: case kind_fd_read: case kind_fd_position: handle_fd(*process, event); break;

    case kind_preserve: {
      // Whatever was seen of it before has been noted by now.
      if (event.arg & 1) bytes_at(resolve(*process, event.text, true, event.position), event.position, nullptr);
      break;
    }
    default: break;
  }
  if (event.slot >= 0) done_(event.slot);
}

void Recorder::handle_clock(Process& process, const Event& event) {
  const Policy& policy = process.step->policy;
  if ((static_cast<std::uint32_t>(event.arg) & ~policy.ignored_clocks) == 0) return;
  spoil(process, event.arg == clock_by_usage ? "reads how much time or memory was used" : "reads the clock");
}

// ---- steps -------------------------------------------------------------------------------------------------------------

Digest step_key_of(const ExecRecord& exec, const Program& program, const Digest& session) {
  Hasher hasher;
  hasher.add_piece("step 1");
  hasher.add_piece(session.view());
  hasher.add_piece(program.identity.view());
  hasher.add_piece(exec.program);
  hasher.add_piece(exec.directory);
  hasher.add_piece({reinterpret_cast<const char*>(&exec.umask), sizeof exec.umask});
  for (const std::string& argument : exec.arguments) hasher.add_piece(argument);
  return hasher.finish();
}

namespace {

// Takes the text of a kind_exec record apart; false if it contradicts itself.
bool read_exec(const Event& event, ExecRecord& exec) {
  const auto payload = event.payload_as<ExecPayload>();
  exec.pid = event.pid;
  exec.umask = payload.umask;
  exec.flags = payload.flags;
  exec.short_key = payload.short_key;
  if (payload.fd_count > inherited_fd_max) return false;
  exec.fds.assign(payload.fds, payload.fds + payload.fd_count);
  std::string_view rest = event.text;
  bool whole = true;
  auto next = [&]() -> std::string_view {
    const std::size_t end = rest.find('\0');
    if (end == rest.npos) {
      whole = false;
      return {};
    }
    const std::string_view text = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    return text;
  };
  exec.program = next();
  exec.directory = next();
  if (payload.flags & exec_too_big) return whole;
  if (payload.argument_count > rest.size() || payload.variable_count > rest.size()) return false;
  for (std::uint32_t i = 0; i < payload.argument_count && whole; ++i) exec.arguments.emplace_back(next());
  for (std::uint32_t i = 0; i < payload.variable_count && whole; ++i) {
    if (rest.size() < 8) return false;
    std::uint64_t value;
    std::memcpy(&value, rest.data(), 8);
    rest.remove_prefix(8);
    exec.variables.emplace_back(next(), value);
  }
  if (whole && (payload.flags & exec_has_library_path)) exec.library_path = next();
  // As getenv sees it: of two variables of one name the first.
  std::stable_sort(exec.variables.begin(), exec.variables.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  exec.variables.erase(std::unique(exec.variables.begin(), exec.variables.end(), [](const auto& a, const auto& b) { return a.first == b.first; }),
                       exec.variables.end());
  return whole && exec.program.starts_with('/') && exec.directory.starts_with('/');
}

// What a shell was told to run: the argument of -c, or the script if it is small.
std::optional<std::string> shell_text(const ExecRecord& exec, const std::string& script) {
  std::string path = script;
  if (path.empty()) {
    bool from_arguments = false;
    std::size_t at = 1;
    for (; at < exec.arguments.size(); ++at) {
      const std::string& word = exec.arguments[at];
      if (word.size() < 2 || (word[0] != '-' && word[0] != '+')) break;
      if (word == "--") {
        ++at;
        break;
      }
      if (word.starts_with("--")) continue;
      from_arguments = from_arguments || (word[0] == '-' && word.find('c') != word.npos);
      if (word[0] == '-' && word.find('s') != word.npos) return std::nullopt;
      if (word.find_first_of("oO") != word.npos) ++at;  // -o pipefail
    }
    if (at >= exec.arguments.size()) return std::nullopt;  // from standard input
    if (from_arguments) return exec.arguments[at];
    path = exec.arguments[at].starts_with('/') ? exec.arguments[at] : exec.directory + "/" + exec.arguments[at];
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::string();
  std::string text(std::istreambuf_iterator<char>(file), {});
  return text;
}

}  // namespace

namespace {

// All that an awk was told to run: its arguments, and the files named by -f.
std::string awk_text(const ExecRecord& exec) {
  std::string text;
  for (std::size_t i = 1; i < exec.arguments.size(); ++i) {
    const std::string& word = exec.arguments[i];
    text += word + '\n';
    if (word == "-f-" || (word == "-f" && i + 1 < exec.arguments.size() && exec.arguments[i + 1] == "-")) text += " rand time ENVIRON ";
    if (!word.starts_with("-f")) continue;
    std::string path = word.size() > 2 ? word.substr(2) : i + 1 < exec.arguments.size() ? exec.arguments[i + 1] : std::string();
    if (!path.starts_with('/')) path = exec.directory + "/" + path;
    std::ifstream file(path, std::ios::binary);
    text.append(std::istreambuf_iterator<char>(file), {});
  }
  return text;
}

}  // namespace

void Recorder::handle_exec(Process* process, const Event& event) {
  ExecRecord exec;
  const bool readable = read_exec(event, exec);
  exec.has_terminal = has_terminal_;
  const auto payload = event.payload_as<ExecPayload>();
  if (!process) {
    const auto parent = processes_.find(payload.parent_pid);
    if (event.pid == options_.top_pid && !top_seen_) process = &add_process(event.pid, nullptr);
    else if (parent != processes_.end()) process = &add_process(event.pid, parent->second.get());
    else {
      spoil_all("a process of unknown origin");
      process = &add_process(event.pid, nullptr);
    }
  }
  if (event.pid == options_.top_pid) top_seen_ = true;
  Step* outer = process->step;
  if (payload.flags & exec_unknown_parent && outer) outer->spoil("made a process in an unusual way");

  auto owned = std::make_unique<Step>();
  Step& step = *owned;
  step.number = next_step_++;
  steps_.emplace(step.number, std::move(owned));
  step.parent = outer;
  step.main_pid = event.pid;
  step.processes = 1;
  step.began = event.position;
  step.began_ns = now_ns(CLOCK_MONOTONIC);
  step.exec = std::move(exec);
  if (outer) {
    --outer->processes;
    ++outer->open_steps;
  }
  process->step = &step;
  std::erase_if(process->writes, [](const auto& each) { return each.second; });
  process->exec_pending = true;
  if (!readable) {
    step.spoil("wrote to the log itself");
    if (event.slot >= 0) decide_(step, event.slot);
    return;
  }
  process->directory = paths_.intern(step.exec.directory);
  if (step.exec.flags & exec_too_big) step.not_storable("has too many arguments to record");
  if (step.exec.flags & exec_foreign_fds) step.spoil("was given more descriptors than are recorded");
  if (step.exec.flags & exec_has_preload) step.spoil("runs with an LD_PRELOAD of its own");

  // Where the program's name leads is the outer step's look-up; what the program is, a need of its own kind.
  const Resolution resolution = paths_.resolve(process->directory, step.exec.program, true);
  step.file = resolution.path;
  if (outer) {
    for (const PathId link : resolution.crossed) {
      PathContents contents;
      contents.target = paths_.link_target(link);
      PathFacts facts;
      facts.type = FileType::symlink;
      outer->observe(link, aspect_type | aspect_target, facts, contents, event.position, true);
    }
  }
  if (auto program = parts_.programs->look_up(step.exec.program, step.exec.library_path)) {
    step.program = *program;
    step.policy = policy_for(step.program->real_path, step.exec.arguments);
    if (!step.program->spoils.empty()) step.spoil(step.program->spoils);
    if (step.policy.waits) step.not_storable("waits");
    if (step.policy.is_shell) {
      const auto text = shell_text(step.exec, step.program->script);
      if (!text) step.spoil("runs a text that is not known beforehand");
      step.text = text.value_or(std::string());
      if (shell_text_compares_times(step.text)) {
        step.policy.stat_aspects = look_aspects;
        step.policy.ignores_fstat = false;
      }
      if (shell_text_varies(step.text)) step.spoil("its text asks for a process id, the clock or random numbers");
      if (step.policy.environment == EnvironmentUse::shell) {
        if (auto names = shell_names(step.text)) step.variables.insert(names->begin(), names->end());
        else step.whole_environment = true;
        for (const auto& [name, value] : step.exec.variables)
          if (name.starts_with("BASH_FUNC_")) step.variables.insert(name);
      }
    } else {
      step.whole_environment = step.policy.environment == EnvironmentUse::whole;
    }
    if (step.policy.is_awk) {
      step.text = awk_text(step.exec);
      if (awk_text_varies(step.text)) step.policy.ignored_clocks = 0, step.policy.ignores_random = false;
      if (step.text.find("ENVIRON") != step.text.npos) step.whole_environment = true;
    }
    if (!(step.exec.flags & exec_too_big)) step.key = step_key_of(step.exec, *step.program, *session_digest_);
  }
  for (const std::string& argument : step.exec.arguments) {
    if (argument.empty() || temporary_names_.empty()) continue;
    const std::size_t slash = argument.find('/');
    if (slash == argument.npos) continue;
    const PathId path = paths_.resolve(process->directory, std::string_view(argument).substr(slash), false).path;
    if (temporary_names_.count(path)) step.not_storable("has the name of a temporary file among its arguments");
  }
  if (event.slot >= 0) decide_(step, event.slot);
}

void Recorder::handle_exec_failed(Process& process, const Event& event) {
  Step* step = process.step;
  if (!process.exec_pending || step->main_pid != process.pid) return;
  Step* outer = step->parent;
  process.exec_pending = false;
  process.step = outer;
  if (outer) {
    --outer->open_steps;
    ++outer->processes;
    bool complete = true;
    const PathId path = resolve(process, step->exec.program, true, event.position, &complete);
    if (event.result == -ENOEXEC) observe_bytes(process, path, event.position, true);
    else observe_failure(process, path, complete, -event.result, event.position);
  }
  steps_.erase(step->number);
}

bool Recorder::verify_observations(Step& step) {
  bool all = true;
  for (auto& [path, use] : step.uses) {
    if (!(use.aspects & aspect_bytes) || use.unknown || use.facts.type != FileType::regular) continue;
    const auto found = states_.find(path);
    if (found == states_.end() || found->second.pass == pass_) continue;
    PathState& state = found->second;
    // A later write by the session is no reason for doubt: what was seen was noted before.
    if (state.last_write > use.observed_first || state.digest != use.contents.bytes) continue;
    const PathFacts now = parts_.view->look(paths_.text(path));
    if (same_file(now, state.facts)) {
      state.pass = pass_;
      continue;
    }
    // Replaced as a whole: who had it open kept the old one.
    if (now.inode != state.facts.inode || now.type != FileType::regular) continue;
    const auto digest = parts_.view->bytes(paths_.text(path), &state.facts);
    if (digest && *digest == *use.contents.bytes) continue;
    state.digest.reset();
    use.unknown = true;
    all = false;
  }
  return all;
}

bool Recorder::collect_result(Step& step, Position at, StepResult& result, std::string& problem) {
  std::vector<std::pair<PathId, const PathUse*>> changes;
  for (const auto& [path, use] : step.uses)
    if (use.changed()) changes.emplace_back(path, &use);
  std::sort(changes.begin(), changes.end(), [](const auto& a, const auto& b) { return a.second->order < b.second->order; });
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> inodes;
  for (const auto& [path, use] : changes) {
    const std::string& text = paths_.text(path);
    if (touched_later(path, at)) {
      problem = text + ": was changed again before it could be kept";
      return false;
    }
    const PathFacts facts = parts_.view->look(text);
    // It must be as the step left it: what others did since is none of its result.
    const bool exists = facts.type != FileType::absent;
    if ((use->contents_changed && exists != use->present) || (exists && step.ended_ns > 0 && facts.ctime_ns > step.ended_ns && facts.type != FileType::directory)) {
      problem = text + ": was changed again before it could be kept";
      return false;
    }
    Change change;
    change.path = text;
    change.mode = facts.mode;
    change.fresh = use->fresh;
    change.mode_set = use->mode_set;
    change.times_set = use->times_set;
    if (change.times_set) change.mtime_ns = facts.mtime_ns;
    // Opened without knowing whether it was there: if it is not the next time, it is made with the mode asked for.
    if (!use->fresh && !use->mode_set && !use->was_absent && use->creation_mode >= 0) change.mode = static_cast<std::uint32_t>(use->creation_mode);
    if (exists && facts.uid != uid_ && (use->fresh || use->was_absent)) {
      problem = text + ": belongs to somebody else";
      return false;
    }
    switch (facts.type) {
      case FileType::absent:
        if (!use->contents_changed || (use->was_absent && (use->temporary || !use->replaceable()))) continue;
        change.what = Change::What::removed;
        change.mode = 0;
        break;
      case FileType::regular: {
        if (!use->contents_changed) {
          change.what = Change::What::attributes;
          break;
        }
        change.what = Change::What::file;
        const auto inode = std::pair(facts.device, facts.inode);
        if (facts.links > 1) {
          if (const auto known = inodes.find(inode); known != inodes.end()) {
            change.what = Change::What::hard_link;
            change.text = known->second;
            break;
          }
          inodes.emplace(inode, text);
          if (use->linked_to != no_path && !step.owns(use->linked_to, never)) {
            const PathFacts other = parts_.view->look(paths_.text(use->linked_to));
            if (other.device == facts.device && other.inode == facts.inode) {
              change.what = Change::What::hard_link;
              change.text = paths_.text(use->linked_to);
              break;
            }
          }
        }
        PathState& state = states_[path];
        std::optional<Digest> digest;
        if (state.digest && same_file(state.facts, facts) && parts_.blobs->has(*state.digest)) {
          digest = state.digest;
        } else {
          PathFacts kept;
          const auto stored = parts_.view->keep_bytes(text, &kept);
          if (!stored) {
            problem = stored.error().message;
            return false;
          }
          state.facts = kept;
          state.digest = digest = *stored;
          state.pass = pass_;
        }
        change.content = *digest;
        change.bytes = state.facts.bytes;
        break;
      }
      case FileType::directory:
        change.what = use->contents_changed ? Change::What::directory : Change::What::attributes;
        break;
      case FileType::symlink: {
        change.what = Change::What::symlink;
        const auto target = parts_.view->target(text);
        if (!target) {
          problem = target.error().message;
          return false;
        }
        change.text = *target;
        change.mode = 0;
        break;
      }
      default: problem = text + ": is a special file"; return false;
    }
    if (change.what == Change::What::attributes && !use->attributes_changed) continue;
    result.changes.push_back(std::move(change));
  }
  result.streams = step.streams;
  for (const auto& [fd, offset] : step.positions) result.positions.push_back({fd, offset});
  result.status = step.status;
  result.wall_ns = static_cast<std::uint64_t>(now_ns(CLOCK_MONOTONIC) - step.began_ns);
  return true;
}

bool Recorder::store(Step& step, Position at, std::string& reason) {
  if (!step.spoils.empty()) reason = step.spoils;
  else if (!step.unstorable.empty()) reason = step.unstorable;
  else if (step.policy.is_shell && step.status != 0 && step.text.find("trap") != step.text.npos) reason = "may have been interrupted";
  else if (!step.key) reason = step.exec.program + ": could not be analysed";
  if (!reason.empty()) return false;
  NeedSet names;
  NeedValues values;
  collect_needs(step, paths_, names, values, reason);
  StepResult result;
  if (reason.empty()) collect_result(step, at, result, reason);
  LastRun run;
  run.program = step.exec.program;
  run.arguments = step.exec.arguments;
  run.directory = step.exec.directory;
  run.need_set = digest_of(names);
  run.values = values;
  run.when_ns = now_ns(CLOCK_REALTIME);
  run.not_stored = reason;
  if (!reason.empty()) return false;
  const auto stored = parts_.cache->store(*step.key, step.exec.short_key, names, values, result, run);
  if (!stored) reason = stored.error().message;
  return stored.has_value();
}

void Recorder::finish(Step& step, Position at) {
  std::string reason;
  bool stored = false;
  if (!step.replayed) {
    for (auto& [path, use] : step.uses)
      if (!use.times_matter && use.facts.type == FileType::directory && (use.aspects & aspect_listing)) use.aspects &= ~std::uint32_t{aspect_times};
    verify_observations(step);
    if (!step.started) step.spoil(step.program && step.program->untraced ? step.program->reason : step.exec.program + ": ran without the shim");
    stored = store(step, at, reason);
  }
  finished_(step, stored, reason);
  if (step.parent) merge_into(*step.parent, step, paths_);
}

// ---- what is seen --------------------------------------------------------------------------------------------------------

void Recorder::observe(Process& process, PathId path, std::uint32_t aspects, const PathFacts& facts, const PathContents& contents, Position at) {
  Step& step = *process.step;
  step.observe(path, aspects, facts, contents, at, !step.policy.replaces_outputs);
  if ((aspects & aspect_times) && !step.policy.ignores_listed_directory_times) step.uses[path].times_matter = true;
}

PathId Recorder::resolve(Process& process, std::string_view spelled, bool follow, Position at, bool* complete) {
  // Links that lead each process somewhere else are not for us to follow.
  if (spelled.starts_with("/proc/") || spelled.starts_with("/dev/fd/") || spelled.starts_with("/dev/std")) {
    if (complete) *complete = true;
    return paths_.intern(spelled);
  }
  const Resolution& found = paths_.resolve(process.directory == no_path ? paths_.intern("/") : process.directory, spelled, follow);
  const PathId path = found.path;
  if (complete) *complete = found.complete;
  if (found.crossed.empty()) return path;
  const std::vector<PathId> crossed = found.crossed;  // what follows resolves other names
  PathFacts facts;
  facts.type = FileType::symlink;
  for (const PathId link : crossed) {
    if (touched_later(link, at) && !process.step->owns(link, at)) observe_unknown(process, link);
    PathContents contents;
    contents.target = paths_.link_target(link);
    process.step->observe(link, aspect_type | aspect_target, facts, contents, at, true);
  }
  return path;
}

void Recorder::observe_absent(Process& process, PathId path, Position at) { observe(process, path, aspect_type, PathFacts{}, {}, at); }

void Recorder::observe_unknown(Process& process, PathId path) { process.step->uses[path].unknown = true; }

void Recorder::observe_type(Process& process, PathId path, Position at, std::uint32_t extra_aspects) {
  const std::uint32_t aspects = aspect_type | extra_aspects;
  const auto known = process.step->uses.find(path);
  if (known != process.step->uses.end() && (known->second.aspects & aspects) == aspects) return;
  if (process.step->owns(path, at)) return;
  // What is there now came later.
  if (touched_later(path, at)) return observe_unknown(process, path);
  const PathFacts facts = parts_.view->look(paths_.text(path));
  observe(process, path, aspect_type | extra_aspects, facts, {}, at);
}

void Recorder::observe_failure(Process& process, PathId path, bool complete, int error, Position at) {
  if (!complete || error == ENOENT) {
    if (complete) return observe_absent(process, path, at);
    // A directory on the way is missing, or is something else.
    return observe_type(process, path, at);
  }
  switch (error) {
    case EEXIST: case EISDIR: case ENOTDIR: case EINVAL: case ELOOP: return observe_type(process, path, at);
    case EACCES: case EPERM: return observe_type(process, path, at, aspect_mode);
    case ENOTEMPTY: {
      PathContents contents;
      if (step_owns_or_lost(process, path, at)) return;
      if (auto sum = parts_.view->listing(paths_.text(path))) contents.listing = *sum;
      std::string except;
      process.step->subtract_own_entries(path, at, paths_, contents, except);
      observe(process, path, aspect_type | aspect_listing, PathFacts::from_mode(S_IFDIR), contents, at);
      process.step->uses[path].except = except;
      return;
    }
    case ENAMETOOLONG: case EROFS: case EXDEV: case EBUSY: case ETXTBSY: return observe_type(process, path, at);
    case EINTR: case EAGAIN: return;
    default: spoil(process, fmt::format("{}: {}", paths_.text(path), std::strerror(error)));
  }
}

std::optional<Digest> Recorder::bytes_at(PathId path, Position at, PathFacts* facts) {
  const std::string& text = paths_.text(path);
  PathState& state = states_[path];
  if (place_of(text) == Place::proc_stable) {
    auto digest = parts_.view->bytes(text, facts);
    return digest ? std::optional(*digest) : std::nullopt;
  }
  if (touched_later(path, at)) {
    // Only what was noted before can be told of it now.
    if (state.digest && state.pass + 1 >= pass_ && facts) *facts = state.facts;
    return state.pass + 1 >= pass_ ? state.digest : std::nullopt;
  }
  // What comes through a descriptor that is open is not logged.
  const bool written_to = std::any_of(processes_.begin(), processes_.end(), [&](const auto& each) { return each.second->writes.count(path) > 0; });
  if (state.digest && state.pass == pass_ && !written_to) {
    if (facts) *facts = state.facts;
    return state.digest;
  }
  PathFacts now = parts_.view->look(text);
  if (written_to && now.ctime_ns >= pass_floor_ns_) return std::nullopt;
  if (state.digest && same_file(now, state.facts)) {
    state.pass = pass_;
    if (facts) *facts = now;
    return state.digest;
  }
  const bool old = now.ctime_ns < pass_floor_ns_;
  if (!old && state.last_write == 0) return std::nullopt;
  const auto digest = parts_.view->bytes(text, &now);
  if (!digest) return std::nullopt;
  state.facts = now;
  state.digest = *digest;
  state.pass = pass_;
  if (facts) *facts = now;
  return state.digest;
}

void Recorder::observe_bytes(Process& process, PathId path, Position at, bool also_mode) {
  Step& step = *process.step;
  if (step.owns(path, at)) return;
  PathFacts facts = PathFacts::from_mode(S_IFREG);
  PathContents contents;
  contents.bytes = bytes_at(path, at, &facts);
  observe(process, path, aspect_type | aspect_bytes | (also_mode ? aspect_mode : 0u), facts, contents, at);
  if (!contents.bytes) step.uses[path].unknown = true;
}

// Nothing is to be looked at now: the step made it itself, or what was there has been replaced since.
bool Recorder::step_owns_or_lost(Process& process, PathId path, Position at) {
  if (process.step->owns(path, at)) return true;
  if (!touched_later(path, at)) return false;
  observe_unknown(process, path);
  return true;
}

void Recorder::handle_look(Process& process, const Event& event) {
  const bool is_link_call = event.kind == kind_readlink;
  const bool follow = !is_link_call && !(event.kind == kind_look && (event.arg & look_nofollow));
  bool complete = true;
  if (event.text.empty()) return;
  const PathId path = resolve(process, event.text, follow, event.position, &complete);
  const std::string& text = paths_.text(path);
  if (event.result < 0 && !(is_link_call && event.result == -EINVAL))
    return observe_failure(process, path, complete, -event.result, event.position);
  const Place place = place_of(text);
  if (text.starts_with("/dev/std") || text.starts_with("/dev/fd/")) return spoil(process, "asks about " + text);
  if (is_link_call) {
    if (place == Place::proc_other) {
      // Its own program is part of its key; where its descriptors lead is nobody's.
      if (text != "/proc/self/exe" && text != fmt::format("/proc/{}/exe", process.pid)) spoil(process, "reads " + text);
      return;
    }
    if (event.result == -EINVAL) return observe_type(process, path, event.position);  // it is no symlink
    PathFacts facts;
    facts.type = FileType::symlink;
    PathContents contents;
    contents.target = std::string(event.text2);
    return observe(process, path, aspect_type | aspect_target, facts, contents, event.position);
  }
  if (event.kind == kind_access) return observe_type(process, path, event.position, event.arg == F_OK ? 0u : aspect_mode);
  if (event.arg & look_no_stat) return observe_type(process, path, event.position);
  if (place == Place::proc_other || place == Place::device || place == Place::terminal || place == Place::null_device || place == Place::random)
    return observe_type(process, path, event.position);
  const auto facts = facts_of(event.payload_as<StatPayload>());
  std::uint32_t aspects = process.step->policy.stat_aspects;
  if (facts.type == FileType::symlink) {
    if (step_owns_or_lost(process, path, event.position)) return;
    PathContents contents;
    if (auto target = parts_.view->target(text)) contents.target = *target;
    return observe(process, path, aspect_type | aspect_target, facts, contents, event.position);
  }
  observe(process, path, aspects, facts, {}, event.position);
}

void Recorder::handle_fstat(Process& process, const Event& event) {
  if (process.step->policy.ignores_fstat) return;
  const auto facts = facts_of(event.payload_as<StatPayload>());
  if (facts.type != FileType::regular && facts.type != FileType::directory) return;
  const auto known = process.fds ? process.fds->find(event.arg) : Descriptors::iterator{};
  if (!process.fds || known == process.fds->end()) return spoil(process, "asked about a file of unknown origin");
  const PathId path = known->second;
  if (path == no_path || process.step->owns(path, event.position)) return;
  const Place place = place_of(paths_.text(path));
  if (place != Place::ordinary) return;
  observe(process, path, process.step->policy.stat_aspects, facts, {}, event.position);
}

void Recorder::handle_open(Process& process, const Event& event) {
  Step& step = *process.step;
  const int flags = event.arg;
  const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
  const bool exclusive = (flags & O_CREAT) && (flags & O_EXCL);
  const bool follow = !(flags & O_NOFOLLOW) && !exclusive;
  bool complete = true;
  const PathId path = resolve(process, event.text, follow, event.position, &complete);
  const std::string text = paths_.text(path);
  const Position at = event.position;
  if (event.result == -ENXIO && text == "/dev/tty") {
    step.descriptors[controlling_terminal] |= fd_asked_kind;
    return;
  }
  if (event.result < 0) return observe_failure(process, path, complete, -event.result, at);
  if (!process.fds) process.fds = std::make_shared<Descriptors>();
  if (process.fds.use_count() > 1) process.fds = std::make_shared<Descriptors>(*process.fds);
  (*process.fds)[event.result] = (flags & O_TMPFILE) == O_TMPFILE ? no_path : path;
  if ((flags & O_TMPFILE) == O_TMPFILE) return;

  switch (place_of(text)) {
    case Place::ordinary: case Place::proc_stable: break;
    case Place::null_device: return observe_type(process, path, at);
    case Place::random: return spoil(process, "reads random numbers");
    case Place::terminal: return spoil(process, "uses the terminal");
    case Place::device: return spoil(process, "uses the device " + text);
    case Place::proc_other:
      // Where its own memory lies: some look for the end of their stack.
      if ((text == "/proc/self/maps" || text == fmt::format("/proc/{}/maps", process.pid)) && *step.policy.reason) return;
      if ((flags & O_DIRECTORY) == 0) spoil(process, "reads " + text);
      return;
  }
  if (flags & O_PATH) return observe_type(process, path, at);
  if (flags & O_DIRECTORY) {
    process.listings[path] = {};
    process.listings[path].complete = true;  // until something is read
    PathFacts facts = PathFacts::from_mode(S_IFDIR);
    return observe(process, path, aspect_type, facts, {}, at);
  }
  if (!writes && !(flags & O_CREAT)) {
    const PathFacts facts = parts_.view->look(text);
    if (facts.type == FileType::directory) {
      process.listings[path] = {};
      process.listings[path].complete = true;
      return observe(process, path, aspect_type, facts, {}, at);
    }
    if (facts.type == FileType::fifo || facts.type == FileType::socket) {
      if (!step.owns(path, at)) spoil(process, "reads from " + text);
      return;
    }
    if (facts.type == FileType::character_device || facts.type == FileType::block_device) return spoil(process, "uses the device " + text);
    // It may be a text that the shell runs with ".".
    if (step.policy.is_shell && facts.bytes <= sourced_bytes_max && paths_.text(step.file) != text) {
      std::ifstream file(text, std::ios::binary);
      const std::string sourced(std::istreambuf_iterator<char>(file), {});
      if (shell_text_varies(sourced)) spoil(process, "reads a text that asks for a process id, the clock or random numbers");
      if (shell_text_compares_times(sourced) && !(step.policy.stat_aspects & aspect_times)) spoil(process, "reads a text that compares times of files");
    }
    return observe_bytes(process, path, at);
  }

  // From here on the file is made or written.
  const PathFacts now = parts_.view->look(text);
  if (now.type == FileType::character_device || now.type == FileType::block_device) return spoil(process, "writes to the device " + text);
  if (now.type == FileType::fifo || now.type == FileType::socket) {
    if (!step.owns(path, at)) spoil(process, "writes to " + text);
    return;
  }
  const bool owned = step.owns(path, at);
  PathState& state = states_[path];
  const auto before = step.uses.find(path);
  const bool seen_absent = before != step.uses.end() && before->second.aspects && before->second.facts.type == FileType::absent;
  bool was_absent = false;
  if (exclusive) {
    was_absent = true;
    if (!owned) {
      const bool looked_for = before != step.uses.end() && before->second.aspects;
      observe_absent(process, path, at);
      if (!looked_for && is_temporary(text)) {
        step.uses[path].temporary = true;
        temporary_names_[path] = true;
      }
    }
  } else if (!owned && !(flags & O_TRUNC)) {
    // Appended to or changed in part: what was there before counts. The shim has had it kept if there was something.
    if (state.digest && state.pass + 1 >= pass_) {
      PathContents contents;
      contents.bytes = state.digest;
      observe(process, path, aspect_type | aspect_bytes, state.facts, contents, at);
    } else if (flags & O_CREAT) {
      observe_absent(process, path, at);
      was_absent = true;
    } else {
      step.uses[path].unknown = true;
    }
  } else if (!owned && !(flags & O_CREAT)) {
    observe(process, path, aspect_type, PathFacts::from_mode(S_IFREG), {}, at);
  }
  const bool own_removed = owned && !step.uses[path].present;
  PathUse& use = change(process, path, at);
  if (!owned) use.was_absent = was_absent || seen_absent;
  use.contents_changed = true;
  use.fresh = use.fresh || exclusive || own_removed || step.policy.makes_new_files;
  use.present = true;
  use.entry_type = 8;
  use.times_set = false;
  if ((flags & O_CREAT) && use.creation_mode < 0) use.creation_mode = event.arg2 & 07777;
  process.writes[path] = flags & O_CLOEXEC;
}

PathUse& Recorder::change(Process& process, PathId path, Position at) {
  Step& step = *process.step;
  PathState& state = states_[path];
  state.last_write = at;
  state.digest.reset();
  state.pass = 0;
  parts_.programs->forget(paths_.text(path));
  const PathId directory = paths_.parent(path);
  if (!step.owns(directory, at + 1)) {
    const auto known = step.uses.find(directory);
    if (known == step.uses.end() || known->second.aspects == 0)
      step.observe(directory, aspect_type, PathFacts::from_mode(S_IFDIR), {}, at, true);
  }
  return step.change(path, at);
}

void Recorder::handle_list(Process& process, const Event& event) {
  const PathId path = paths_.intern(event.text);
  const Place place = place_of(event.text);
  if (place == Place::proc_other || event.text == "/proc") {
    // The list of one's own descriptors is closed over by the descriptors recorded at exec; others vary.
    if (!event.text.starts_with("/proc/self/fd") && event.text != fmt::format("/proc/{}/fd", process.pid)) spoil(process, "reads " + std::string(event.text));
    return;
  }
  Process::Listing& listing = process.listings[path];
  if (event.result < 0) return spoil(process, "could not read the directory " + std::string(event.text));
  if (event.result > 0) {
    if (listing.complete) listing = {};
    const auto part = event.payload_as<ListPayload>();
    if (listing.first == 0) listing.first = event.position;
    listing.sum += part.sum;
    return;
  }
  if (listing.first == 0) listing.first = event.position;
  PathContents contents;
  contents.listing = listing.sum;
  const Position first = listing.first;
  listing = {};
  listing.complete = true;
  Step& step = *process.step;
  if (step.owns(path, first)) return;
  std::string except;
  step.subtract_own_entries(path, first, paths_, contents, except);
  const auto known = step.uses.find(path);
  if (known != step.uses.end() && (known->second.aspects & aspect_listing)) return;
  PathFacts facts = PathFacts::from_mode(S_IFDIR);
  observe(process, path, aspect_type | aspect_listing, facts, contents, first);
  step.uses[path].except = except;
}

// ---- what is changed -------------------------------------------------------------------------------------------------------

void Recorder::handle_change(Process& process, const Event& event) {
  Step& step = *process.step;
  const Position at = event.position;
  const bool follow = event.kind == kind_chmod || event.kind == kind_chown || event.kind == kind_truncate || event.kind == kind_xattr_set ||
                      (event.kind == kind_utimens && event.arg == 0);
  bool complete = true;
  const PathId path = resolve(process, event.text, follow, at, &complete);
  const std::string text = paths_.text(path);
  if (event.result < 0) return observe_failure(process, path, complete, -event.result, at);
  const bool owned = step.owns(path, at);
  const Place place = place_of(text);
  if (place != Place::ordinary) {
    if (event.kind == kind_unlink || event.kind == kind_mkdir || event.kind == kind_symlink || event.kind == kind_mknod || event.kind == kind_rmdir)
      spoil(process, "changes " + text);
    return;
  }
  switch (event.kind) {
    case kind_mkdir: {
      if (!owned) {
        const bool looked_for = step.uses.count(path) && step.uses[path].aspects;
        observe_absent(process, path, at);
        if (!looked_for && is_temporary(text)) {
          step.uses[path].temporary = true;
          temporary_names_[path] = true;
        }
      }
      PathUse& use = change(process, path, at);
      if (!owned) use.was_absent = true;
      use.contents_changed = use.present = true;
      use.entry_type = 4;
      paths_.changed(path, true);
      break;
    }
    case kind_symlink: {
      if (!owned) observe_absent(process, path, at);
      PathUse& use = change(process, path, at);
      if (!owned) use.was_absent = true;
      use.contents_changed = use.present = use.fresh = true;
      use.entry_type = 10;
      paths_.changed(path, true);
      break;
    }
    case kind_mknod: {
      if (!owned) observe_absent(process, path, at);
      PathUse& use = change(process, path, at);
      if (!owned) use.was_absent = true;
      use.contents_changed = use.present = use.fresh = true;
      use.entry_type = entry_type_of(parts_.view->look(text).type);
      break;
    }
    case kind_rmdir: case kind_unlink: {
      if (!owned) {
        const auto known = step.uses.find(path);
        if (known == step.uses.end() || known->second.aspects == 0) {
          const bool directory = event.kind == kind_rmdir;
          PathFacts facts = PathFacts::from_mode(directory ? S_IFDIR : S_IFREG);
          PathContents contents;
          if (directory) contents.listing = 0;
          observe(process, path, aspect_type | (directory ? std::uint32_t{aspect_listing} : 0u), facts, contents, at);
        }
      }
      PathUse& use = change(process, path, at);
      use.contents_changed = true;
      use.present = false;
      use.fresh = false;
      use.mode_set = use.times_set = false;
      paths_.changed(path, event.kind == kind_rmdir);
      break;
    }
    case kind_truncate:
      if (!owned) observe_bytes(process, path, at);
      {
        PathUse& use = change(process, path, at);
        use.contents_changed = use.present = true;
        use.entry_type = 8;
      }
      break;
    case kind_chmod: case kind_chown: case kind_utimens: {
      if (!owned) {
        const auto known = step.uses.find(path);
        if (known == step.uses.end() || known->second.aspects == 0) {
          PathFacts facts = parts_.view->look(text);
          observe(process, path, aspect_type, facts, {}, at);
        }
      }
      if (event.kind == kind_chown) break;  // whose it is now is looked at when the result is collected
      // Contents that were noted stay what they are.
      PathState& state = states_[path];
      const auto digest = state.digest;
      const auto facts = state.facts;
      const auto pass = state.pass;
      PathUse& use = change(process, path, at);
      if (digest) {
        const PathFacts now = parts_.view->look(text);
        if (now.inode == facts.inode && now.bytes == facts.bytes) {
          state.digest = digest;
          state.facts = now;
          state.pass = pass;
        }
      }
      use.attributes_changed = true;
      if (event.kind == kind_chmod) use.mode_set = true;
      if (event.kind == kind_utimens) {
        use.times_set = event.payload_as<TimesPayload>().is_now == 0;
        // Also after a chmod the time is to become now.
        if (!use.contents_changed && !use.times_set) use.fresh = true;
      }
      break;
    }
    case kind_xattr_set: spoil(process, "sets extended attributes"); break;
    default: break;
  }
}

void Recorder::handle_rename(Process& process, const Event& event) {
  Step& step = *process.step;
  const Position at = event.position;
  bool complete_from = true, complete_to = true;
  const PathId from = resolve(process, event.text, false, at, &complete_from);
  const PathId to = resolve(process, event.text2, false, at, &complete_to);
  if (event.result < 0) {
    if (event.result == -EEXIST || event.result == -ENOTEMPTY) return observe_failure(process, to, complete_to, -event.result, at);
    if (!complete_to) return observe_failure(process, to, complete_to, -event.result, at);
    if (!step.owns(from, at)) observe_failure(process, from, complete_from, -event.result, at);
    return;
  }
  if (event.arg & 2 /* RENAME_EXCHANGE */) return spoil(process, "exchanges two files");
  if (paths_.text(from) == paths_.text(to)) return;
  const PathFacts moved = parts_.view->look(paths_.text(to));
  if (moved.type == FileType::directory) return move_directory(process, from, to, at);
  move_name(process, from, to, moved, at, event.arg & 1 /* RENAME_NOREPLACE */);
  const bool moves_link = moved.type == FileType::symlink;
  paths_.changed(from, moves_link);
  paths_.changed(to, moves_link);
}

// Everything below the directory goes with it. It is noted as if each name had been moved by itself: what was needed of
// the old names, what is there now, and last what is gone.
void Recorder::move_directory(Process& process, PathId from, PathId to, Position at) {
  constexpr std::size_t names_max = 10'000;
  const std::string old_root = paths_.text(from), new_root = paths_.text(to);
  std::vector<std::pair<std::string, PathFacts>> names;  // below the root, directories before what is in them
  std::error_code problem;
  for (auto each = std::filesystem::recursive_directory_iterator(new_root, problem); !problem && each != std::filesystem::end(each); each.increment(problem)) {
    if (names.size() == names_max) return spoil(process, "renames a large directory: " + old_root);
    const std::string path = each->path();
    names.emplace_back(path.substr(new_root.size()), parts_.view->look(path));
  }
  if (problem) return spoil(process, "renames a directory: " + old_root);
  Step& step = *process.step;
  auto move_one = [&](const std::string& below, const PathFacts& facts) {
    const PathId old_path = paths_.intern(old_root + below), new_path = paths_.intern(new_root + below);
    if (facts.type != FileType::directory) return move_name(process, old_path, new_path, facts, at, false);
    if (!step.owns(old_path, at)) {
      PathContents contents;
      if (auto sum = parts_.view->listing(new_root + below)) contents.listing = *sum;
      std::string except;
      step.subtract_own_entries(old_path, at, paths_, contents, except);
      observe(process, old_path, aspect_type | aspect_mode | aspect_listing, facts, contents, at);
      step.uses[old_path].except = except;
    }
    const bool owned = step.owns(new_path, at);
    PathUse& arrived = change(process, new_path, at);
    if (!owned) arrived.was_absent = true;
    arrived.contents_changed = arrived.present = true;
    arrived.entry_type = 4;
  };
  if (!step.owns(to, at)) {
    // It replaces nothing, or a directory that was empty.
    const auto known = step.uses.find(to);
    const bool was_directory = known != step.uses.end() && known->second.aspects && known->second.facts.type == FileType::directory;
    PathContents empty;
    empty.listing = 0;
    if (was_directory) observe(process, to, aspect_type | aspect_listing, PathFacts::from_mode(S_IFDIR), empty, at);
    else if (known == step.uses.end() || known->second.aspects == 0) observe_absent(process, to, at);
  }
  move_one("", parts_.view->look(new_root));
  for (const auto& [below, facts] : names) move_one(below, facts);
  for (auto each = names.rbegin(); each != names.rend(); ++each) lose_name(process, paths_.intern(old_root + each->first), at);
  lose_name(process, from, at);
  paths_.changed(from, true);
  paths_.changed(to, true);
}

void Recorder::lose_name(Process& process, PathId path, Position at) {
  PathUse& gone = change(process, path, at);
  gone.contents_changed = true;
  gone.present = gone.fresh = gone.mode_set = gone.times_set = false;
}

// What is not a directory has another name now; `moved` is what it is under the new one.
void Recorder::move_name(Process& process, PathId from, PathId to, const PathFacts& moved, Position at, bool to_nothing) {
  Step& step = *process.step;
  const bool own_source = step.owns(from, at);
  if (!own_source && moved.type == FileType::regular && moved.links > 1) step.not_storable("moves a file that has other names as well");
  std::optional<Digest> digest;
  PathFacts digest_facts = moved;
  // The contents go with the name: what they are now is what they were.
  if (moved.type == FileType::regular && !touched_later(to, at)) {
    const PathState& old = states_[from];
    if (old.digest && old.facts.inode == moved.inode && old.facts.bytes == moved.bytes && old.facts.mtime_ns == moved.mtime_ns) digest = old.digest;
    else if (own_source) digest.reset();
    else if (auto now = parts_.view->bytes(paths_.text(to), &digest_facts)) digest = *now;
  }
  if (!own_source) {
    PathContents contents;
    contents.bytes = digest;
    if (moved.type == FileType::symlink) {
      if (auto target = parts_.view->target(paths_.text(to))) contents.target = *target;
      observe(process, from, aspect_type | aspect_target, moved, contents, at);
    } else if (digest) {
      observe(process, from, aspect_type | aspect_mode | aspect_bytes, digest_facts, contents, at);
    } else {
      step.uses[from].unknown = true;
      step.uses[from].aspects |= aspect_type;
    }
  }
  const bool target_owned = step.owns(to, at);
  const auto known = step.uses.find(to);
  const bool target_seen_absent = known != step.uses.end() && known->second.aspects && known->second.facts.type == FileType::absent;
  const bool set_mode = own_source && step.uses[from].mode_set, set_times = own_source && step.uses[from].times_set;
  PathUse& arrived = change(process, to, at);
  arrived.contents_changed = arrived.present = arrived.fresh = true;
  arrived.entry_type = entry_type_of(moved.type);
  arrived.mode_set = set_mode;
  arrived.times_set = set_times;
  arrived.linked_to = own_source ? step.uses[from].linked_to : no_path;
  if (!target_owned) arrived.was_absent = target_seen_absent || to_nothing;
  PathState& state = states_[to];
  if (digest) {
    state.facts = parts_.view->look(paths_.text(to));
    state.digest = digest;
    state.pass = pass_;
  }
  lose_name(process, from, at);
}

void Recorder::handle_link(Process& process, const Event& event) {
  Step& step = *process.step;
  const Position at = event.position;
  bool complete_from = true, complete_to = true;
  const bool by_descriptor = event.text.starts_with("/proc/self/fd/");
  const PathId from = by_descriptor ? no_path : resolve(process, event.text, event.arg == 1, at, &complete_from);
  const PathId to = resolve(process, event.text2, false, at, &complete_to);
  if (event.result < 0) {
    if (from != no_path) observe_failure(process, from, complete_from, event.result == -EEXIST ? EINVAL : -event.result, at);
    if (event.result == -EEXIST || !complete_to) observe_failure(process, to, complete_to, -event.result, at);
    return;
  }
  if (from != no_path) {
    // The new name changed the file's ctime.
    states_[from].last_write = at;
    if (!step.owns(from, at)) observe_bytes(process, from, at, true);
  }
  const bool owned = step.owns(to, at);
  if (!owned) observe_absent(process, to, at);
  PathUse& use = change(process, to, at);
  if (!owned) use.was_absent = true;
  use.contents_changed = use.present = use.fresh = true;
  use.entry_type = 8;
  use.linked_to = from;
}

// ---- descriptors ---------------------------------------------------------------------------------------------------------

void Recorder::handle_stream(Process& process, const Event& event) {
  FdPayload what = event.payload_as<FdPayload>();
  if (what.kind == fd_null) {
    // Nobody gets the bytes; that holds only as long as there is nobody.
    for (Step* step = process.step; step; step = step->parent) {
      bool was_given_it = false;
      for (const FdPayload& fd : step->exec.fds) {
        if (fd.fd == 0 || fd.kind != fd_null) continue;
        step->descriptors[fd.fd] |= fd_asked_kind;
        was_given_it = true;
      }
      if (!was_given_it) return;
    }
    return;
  }
  if (!process.step->exec.same_stream(what)) {
    // Made within the step: by the program itself, or by the one that ran before in the same process.
    return;
  }
  for (Step* step = process.step; step; step = step->parent) {
    const FdPayload* same = step->exec.same_stream(what);
    if (!same) return;
    step->descriptors[same->fd] |= fd_asked_sharing;
    step->stream_bytes += event.text.size();
    if (step->stream_bytes > stream_bytes_kept_max) {
      step->not_storable("writes more to its standard output than is kept");
      step->streams.clear();
    } else if (!step->streams.empty() && step->streams.back().fd == same->fd) {
      step->streams.back().bytes += event.text;
    } else {
      step->streams.push_back({same->fd, std::string(event.text)});
    }
    what.fd = same->fd;
  }
}

void Recorder::handle_fd(Process& process, const Event& event) {
  FdPayload what = event.payload_as<FdPayload>();
  Step& step = *process.step;
  const FdPayload* own = step.exec.same_stream(what);
  if (event.kind == kind_fd_kind) {
    if (what.kind == fd_closed) {
      step.descriptors[static_cast<std::uint32_t>(event.arg)] |= fd_asked_kind;
      return;
    }
    if (!own) return;
    // Where standard input stands matters to who reads from it, and reading is logged.
    if (own->fd == 0 && event.result == fd_asked_exactly && *step.policy.reason) return;
    if ((event.result & fd_asked_window) && what.kind == fd_terminal) return spoil(process, "asks for the size of the terminal");
    step.descriptors[own->fd] |= static_cast<std::uint32_t>(event.result) & (fd_asked_kind | fd_asked_exactly);
    return;
  }
  if (!own) return;
  if (event.kind == kind_fd_position) {
    step.positions[own->fd] = what.offset;
    return;
  }
  // Reads from something it was given.
  switch (what.kind) {
    case fd_null: step.descriptors[own->fd] |= fd_asked_kind; return;
    case fd_regular: {
      const PathId path = paths_.intern(event.text);
      if (step.owns(path, event.position)) return;
      const auto digest = bytes_at(path, event.position, nullptr);
      if (digest) step.inherited_files.emplace(own->fd, std::pair(own->offset, *digest));
      else step.not_storable("reads a file that changed while in use");
      return;
    }
    default: {
      const char* kind = what.kind == fd_terminal ? "reads from the terminal" : what.kind == fd_pipe ? "reads from a pipe it was given" : "reads from a descriptor it was given";
      for (Step* each = &step; each && each->exec.same_stream(what); each = each->parent) each->not_storable(kind);
      return;
    }
  }
}

void Recorder::note_replayed(PathId path, Position at, const std::optional<Digest>& content) {
  PathState& state = states_[path];
  state.last_write = at;
  state.digest = content;
  state.facts = parts_.view->look(paths_.text(path));
  state.pass = content ? pass_ : 0;
  paths_.changed(path, state.facts.type == FileType::directory || state.facts.type == FileType::symlink);
}

}  // namespace broker
