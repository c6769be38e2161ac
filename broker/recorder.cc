// Passes and processes: who is alive, and in which step.
#include "broker/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include <fmt/format.h>

#include "broker/recorder_state.h"

namespace broker {

using namespace cache;
using namespace preload;

namespace {

// What is the same for all steps of a session and may reach their output: user, machine, limits, processors.
Digest describe_session(std::int32_t top_pid, const SessionPolicies& policies, const std::string& build_ids) {
  Hasher hasher;
  hasher.add_piece(build_ids);
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
  const char* const host = policies.host_name[0] ? policies.host_name : names.nodename;
  for (const char* text : std::initializer_list<const char*>{names.sysname, host, names.domainname, names.release, names.version, names.machine}) hasher.add_piece(text);
  cpu_set_t processors;
  CPU_ZERO(&processors);
  ::sched_getaffinity(top_pid, sizeof processors, &processors);
  add(processors);
  std::uint64_t scheduling[48 / 8] = {};  // SCHED_ATTR_SIZE_VER0
  ::syscall(SYS_sched_getattr, top_pid, scheduling, sizeof scheduling, 0);
  add(scheduling);
  constexpr int one_process = 1;  // IOPRIO_WHO_PROCESS
  add(::syscall(SYS_ioprio_get, one_process, top_pid));
  // What a program is told of the machine depends on it (linux32, setarch).
  std::ifstream personality(fmt::format("/proc/{}/personality", top_pid));
  hasher.add_piece(std::string(std::istreambuf_iterator<char>(personality), {}));
  // What it may do: groups and capabilities.
  std::ifstream status(fmt::format("/proc/{}/status", top_pid));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("Groups:") || line.starts_with("Cap") || line.starts_with("Seccomp:")) hasher.add_piece(line);
  if (any_chosen(policies)) hasher.add_piece(bytes_of(policies));
  if (struct sysinfo memory{}; policies.clock != clock_real && ::sysinfo(&memory) == 0) {
    add(memory.totalram);
    add(memory.totalswap);
    add(memory.mem_unit);
  }
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

// Not if a program gets the image of a process that died, or a socket: then its directory has no file more.
bool leaves_core_files() {
  std::ifstream file("/proc/sys/kernel/core_pattern");
  const int first = file.get();
  return first != '|' && first != '@';
}

}  // namespace

Recorder::Recorder(Parts& parts, const SessionOptions& options, Decide decide, Done done, Finished finished, RecipeTable* recipes, TimeAsked time_asked)
    : parts_(parts),
      options_(options),
      decide_(std::move(decide)),
      done_(std::move(done)),
      finished_(std::move(finished)),
      recipes_(recipes),
      time_asked_(std::move(time_asked)),
      paths_(*parts.view) {
  session_digest_ = describe_session(options.top_pid, options.policies, parts.build_ids);
  uid_ = ::geteuid();
  if (options.top_pid > 0) top_process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, options.top_pid, 0)));
  has_terminal_ = process_has_terminal(options.top_pid);
  terminal_session_ = ::getsid(options.top_pid);
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

// The name that the event's own leads to by a symlink, or its own. What the directory of its process is now may be what it
// becomes later; then a write in this pass by another name of the file is not noticed here, but by its ctime in the next.
std::string_view Recorder::led_to(const Event& event) {
  const auto process = processes_.find(event.pid);
  const bool placed = event.text.starts_with('/') || (process != processes_.end() && process->second->directory != no_path);
  if (!placed) return event.text;
  const PathId directory = event.text.starts_with('/') ? paths_.intern("/") : process->second->directory;
  return paths_.text(paths_.resolve(directory, event.text, true).path);
}

void Recorder::handle_pass(const std::vector<KeptEvent>& events) {
  pass_start_ = events.empty() ? pass_start_ : events.front().event.position;
  for (const KeptEvent& kept : events) {
    const Event& event = kept.event;
    if (event.result < 0 || event.malformed || event.lost) continue;
    auto touch = [&](std::string_view text, bool only_attributes = false) {
      if (!text.starts_with("/dev/")) touches_.emplace(name_hash(text), Touch{event.position, event.pid, text, only_attributes});
    };
    switch (event.kind) {
      case kind_open:
        if (event.arg & (O_WRONLY | O_RDWR | O_TRUNC)) touch(event.text), touch(led_to(event));
        break;
      case kind_rename: case kind_link:
        touch(event.text);
        touch(event.text2);
        break;
      case kind_truncate: touch(event.text), touch(led_to(event)); break;
      case kind_mapped: touch(event.text); break;
      case kind_unlink: case kind_symlink: case kind_rmdir: case kind_mkdir: case kind_mknod: touch(event.text); break;
      case kind_chmod: case kind_chown: touch(event.text, true), touch(led_to(event), true); break;
      default: break;
    }
  }
  for (const KeptEvent& kept : events) handle(kept.event);
  std::sort(changed_in_pass_.begin(), changed_in_pass_.end());
  changed_in_pass_.erase(std::unique(changed_in_pass_.begin(), changed_in_pass_.end()), changed_in_pass_.end());
  for (const PathId path : changed_in_pass_) states_[path].after_pass = parts_.view->look(paths_.text(path));
  changed_in_pass_.clear();
  touches_.clear();  // they view the events
}

bool Recorder::touched_later(PathId path, Position at, bool attributes) {
  if (replaced_about(path, at)) return true;
  const auto [first, last] = touches_.equal_range(name_hash(paths_.text(path)));
  for (auto each = first; each != last; ++each) {
    const Touch& touch = each->second;
    if (touch.at <= at || (touch.only_attributes && !attributes)) continue;
    const auto process = processes_.find(touch.pid);
    if (process == processes_.end() || process->second->directory == no_path) return true;
    if (paths_.resolve(process->second->directory, touch.text, false).path == path) return true;
  }
  return false;
}

// A replay changes names without an event; whatever was logged while it did so may have come before or after.
bool Recorder::replaced_about(PathId path, Position at) const {
  const auto state = states_.find(path);
  return state != states_.end() && at > state->second.replay_from && at < state->second.replay_until;
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
    process->mapped = parent->mapped;
    process->attributes = parent->attributes;
    process->spoils_what_follows = parent->spoils_what_follows;
    if (process->step) ++process->step->processes;
    // What fork, vfork or posix_spawn has returned. Few scripts show it, and small numbers, as in a container, stand in
    // everything.
    constexpr std::int32_t telling_min = 1000;
    if (process->step && pid >= telling_min && (process->step->policy.is_perl || process->step->policy.is_python)) process->step->numbers.insert(pid);
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
  // What it had opened to write to is written by now.
  if (recipes_ && !process->writes.empty()) recipes_->changed();
  end_mappings(*process, at);
  if (process->parent_pid && !process->confirmed && process->made_by_fork) ended_unconfirmed_.insert({process->parent_pid, pid});
  if (pid == options_.top_pid) top_gone_ = true;
  Step* step = process->step;
  if (!step) return;
  for (const auto& [directory, listing] : process->listings)
    if (!listing.complete) step->uses[directory].unknown = true;
  if (!process->unplaced.empty()) step->spoil("left without a word of how far it has read from what it was given");
  // Of a replayed one it is known already.
  if (step->guards_environment && !step->replayed && !process->named_variables_only) step->whole_environment = true;
  if (!status) step->spoil("a process ended in a way that nobody saw");
  if (process->exec_pending) {
    if (step->program && step->program->untraced) step->spoil(step->program->reason);
    else if (!step->replayed) step->spoil(step->exec.program + ": ran without the shim");
  }
  // The process may have become one program after the other: it is the end of all of them.
  for (Step* each = step; each && each->main_pid == pid; each = each->parent) {
    each->main_ended = true;
    each->status = status.value_or(0);
    each->end_was_seen = status.has_value();
  }
  --step->processes;
  step_ended(step, at);
}

// What has been written by them is there to be looked at.
void Recorder::end_mappings(Process& process, Position at) {
  for (const auto& [path, mapped] : process.mapped) {
    // Under its other names too.
    for (auto& [name, state] : states_)
      if (state.facts.device == mapped.device && state.facts.inode == mapped.inode) state.digest.reset();
    PathState& state = states_[path];
    if (at < never - 1) state.last_write = std::max(state.last_write, at);
    state.digest.reset();
    changed_in_pass_.push_back(path);
  }
  process.mapped.clear();
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

// Whether the process belongs to the step or to one inside it.
bool Recorder::is_within(std::int32_t pid, const Step& step) const {
  const auto process = processes_.find(pid);
  const Step* around = process == processes_.end() ? nullptr : process->second->step;
  while (around && around != &step) around = around->parent;
  return around;
}

void Recorder::each_step(const std::function<void(const Step&)>& visit) const {
  for (const auto& [number, step] : steps_) visit(*step);
}

void Recorder::abandon() {
  processes_.clear();
  steps_.clear();
  recipe_of_.clear();
  makes_.clear();
}

void Recorder::spoil_all(const std::string& reason) {
  for (auto& [number, step] : steps_) step->spoil(reason);
  if (recipes_spoilt_.empty()) recipes_spoilt_ = reason;
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
  if (recipes_ && step->is_make) note_by_make(*process, event);
  switch (event.kind) {
    case kind_started:
      process->exec_pending = false;
      step->started = true;
      process->fds = std::make_shared<Descriptors>();
      end_mappings(*process, event.position);
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
        // Not SIGBUS: it tells of a full disk, or a file cut short, behind a mapping.
        const bool own = signal == SIGABRT || signal == SIGSEGV || signal == SIGFPE || signal == SIGILL || signal == SIGTRAP || signal == SIGSYS;
        Process& child = *processes_[event.arg];
        if (!own && child.step) child.step->spoil(fmt::format("was ended by signal {}", signal));
        if (WCOREDUMP(status) && leaves_core_files() && child.step) child.step->spoil("left an image of its memory (core)");
      }
      if (WIFSIGNALED(status) || WIFEXITED(status)) end_process(event.arg, status, event.position);
      break;
    }
    case kind_signalled:
      if (event.arg == 0) spoil(*process, "sent a signal to its group");
      else if (event.arg != event.pid && !is_within(event.arg, *step)) spoil(*process, "sent a signal to a process outside");
      break;

    case kind_look: case kind_access: case kind_readlink: handle_look(*process, event); break;
    case kind_fstat: handle_fstat(*process, event); break;
    case kind_open: handle_open(*process, event); break;
    case kind_list: handle_list(*process, event); break;
    case kind_chdir: {
      bool complete = true;
      const PathId path = resolve(*process, event.text, true, event.position, &complete, event.result >= 0);
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

    case kind_holes: handle_holes(*process, event); break;
    case kind_mapped: {
      const auto stat = event.payload_as<StatPayload>();
      const PathId path = paths_.intern(event.text);
      process->mapped.insert_or_assign(path, Process::Mapped{stat.device, stat.inode, parts_.view->distrust(stat.device, stat.inode)});
      states_[path].last_write = event.position;
      changed_in_pass_.push_back(path);
      break;
    }
    case kind_closed:
      std::erase_if(process->writes, [&](const auto& each) {
        const std::string& text = paths_.text(each.first);
        if (pending_index(text.data(), text.size()) != static_cast<std::uint32_t>(event.arg)) return false;
        PathState& state = states_[each.first];
        state.last_write = event.position;
        changed_in_pass_.push_back(each.first);
        if (recipes_) recipes_->changed();
        return true;
      });
      break;
    case kind_getenv:
      if (event.arg == getenv_only) {
        process->named_variables_only = true;
        break;
      }
      if (event.arg == getenv_all) {
        step->whole_environment = true;
        step->variables.emplace("_");
        break;
      }
      if (!step->policy.ignores_make || !event.text.starts_with("MAKE")) step->variables.emplace(event.text);
      break;
    case kind_clock: handle_clock(*process, event); break;
    case kind_random:
      if (!step->policy.ignores_random) handle_random(*process);
      break;
    case kind_number:
      // What a shell's text says of its own number has been looked at.
      if (!step->policy.is_shell) step->numbers.insert(event.arg);
      break;
    case kind_spoil:
      if (step->policy.ignores_file_system && event.text == "asked for the state of a file system") break;
      if (step->policy.ignores_made_code && event.text == "makes code while it runs") break;
      spoil(*process, std::string(event.text.substr(0, 200)));
      if (event.arg == preload::spoils_session) {
        session_spoils_ = "runs after a process " + std::string(event.text.substr(0, 200));
        spoil_all(session_spoils_);
      }
      if (event.arg == preload::spoils_what_follows) process->spoils_what_follows = "was started by a process that " + std::string(event.text.substr(0, 200));
      break;
    case kind_altered: process->attributes[event.arg] = event.payload; break;

    case kind_input: handle_input(*process, event); break;
    case kind_code: {
      const std::string path(event.text);
      const auto own = parts_.programs->own_instructions(path);
      if (!own)
        spoil(*process, "ran code of " + path + ", which cannot be looked into");
      else if (!own->calls.empty())
        spoil(*process, "ran code of " + path + ", which may make system calls of its own");
      else
        step->spoil_by_processor(own->counter, own->random);
      break;
    }
    case kind_stream: handle_stream(*process, event); break;
    case kind_fd_kind: case kind_fd_read: case kind_fd_position: handle_fd(*process, event); break;

    case kind_preserve: {
      // Whatever was seen of it before has been noted by now.
      if ((event.arg & 1) == 0) break;
      const PathId path = resolve(*process, event.text, true, event.position);
      PathState& state = states_[path];
      state.seen_existing = event.position;
      if (bytes_at(path, event.position, nullptr) || touched_later(path, event.position)) break;
      // It was written a moment ago, from outside. Who is about to write to it waits, so this is what it finds.
      PathFacts facts;
      if (const auto digest = parts_.view->bytes(paths_.text(path), &facts)) {
        state.digest = *digest;
        state.facts = facts;
        state.pass = pass_;
      }
      break;
    }
    default: break;
  }
  if (event.slot >= 0 && event.kind == kind_look) return answer_time(*process, event);
  if (event.slot >= 0) done_(event.slot);
}

void Recorder::handle_clock(Process& process, const Event& event) {
  const Policy& policy = process.step->policy;
  const auto counts = static_cast<std::uint32_t>(event.arg) & ~policy.ignored_clocks;
  if (counts == 0) return;
  const char* reason = (static_cast<std::uint32_t>(event.arg) & (clock_by_usage | clock_by_usage_again | clock_by_machine)) ? "reads how much time or memory was used" : "reads the clock";
  if (process.step->script != no_path && (counts & ~policy.clocks_before_script) == 0) process.step->before_script = reason;
  else spoil(process, reason);
}

void Recorder::handle_random(Process& process) {
  Step& step = *process.step;
  constexpr const char* reason = "reads random numbers";
  if (step.script != no_path && step.policy.random_before_script) step.before_script = reason;
  else spoil(process, reason);
}

void Recorder::note_replayed(const Step& step, PathId path, Position at, Position done, const std::optional<Digest>& content) {
  spoil_others_that_made(path, step);
  if (recipes_) recipes_->changed();
  PathState& state = states_[path];
  state.last_write = at;
  state.replay_from = at;
  state.replay_until = done;
  state.digest = content;
  state.facts = parts_.view->look(paths_.text(path));
  state.pass = content ? pass_ : 0;
  paths_.changed(path, state.facts.type == FileType::directory || state.facts.type == FileType::symlink);
}

}  // namespace broker
