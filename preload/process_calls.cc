// Processes: how they begin, end and hear of each other. And what spoils them.
#include "preload/ask.h"
#include "preload/descriptors.h"
#include "preload/handlers.h"
#include "preload/leave.h"
#include "preload/policies.h"

namespace preload {

namespace {

long clone_flags(const Call& call) {
  if (call.number == __NR_clone) return call.arguments[0];
  // A struct clone_args begins with them.
  return call.number == __NR_clone3 ? *call.pointer<const long>(0) : 0;
}

}  // namespace

// fork, and clone and clone3 without CLONE_VM and without a stack for the child; stubs.S and trap.cc keep the others.
long handle_fork(const Call& call) {
  constexpr long new_namespaces =
      0x7e020080;  // CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME
  constexpr long shares = 0x8600;  // CLONE_FS, CLONE_FILES, CLONE_PARENT
  const long flags = clone_flags(call);
  if (flags & new_namespaces) spoil_what_follows("made namespaces of its own");
  if (flags & shares) spoil("made a process that shares its descriptors, its directory or its parent");
  const int parent = current_pid();
  const uint32_t index = __atomic_fetch_add(&state.children_forked, 1, __ATOMIC_RELAXED);
  const long result = native(call);
  if (result < 0) return result;
  LogRecord record;
  if (result == 0) {
    became_child(parent);
    draw_as_child(index);
    record.kind = kind_forked_child;
    record.arg = parent;
  } else {
    record.kind = kind_forked;
    record.arg = static_cast<int>(result);
  }
  append(record);
  return result;
}

long handle_exit(const Call& call) {
  before_exit(call.integer(0));
  return native(call);
}

namespace {

void note_reaped(long pid, int status) {
  LogRecord record;
  record.kind = kind_reaped;
  record.arg = static_cast<int>(pid);
  record.result = status;
  append(record);
}

// How much time its children used. Go asks each time it waits for one, for nothing; what it makes is static, or a copy.
void note_usage_of_children(const void* place) {
  if (place && !(state.plan_flags & (plan_static | plan_copy))) note_usage();
}

}  // namespace

long handle_wait(const Call& call) {
  Call own = call;
  if (call.number == __NR_wait4) {
    int status = 0;
    int* place = call.pointer<int>(1);
    if (place == nullptr) own.arguments[1] = word(place = &status);
    const long result = native(own);
    if (result > 0) note_usage_of_children(call.pointer<void>(3));
    if (result > 0 && (*place & 0xff) != 0x7f && *place != 0xffff) note_reaped(result, *place);
    return result;
  }
  // waitid: siginfo_t, of which only these fields matter.
  struct ChildInfo {
    int signal, error, code, gap, pid, uid, status;
    int rest[25];
  } info{};
  static_assert(sizeof info == 128);
  ChildInfo* place = call.pointer<ChildInfo>(2);
  if (place == nullptr) own.arguments[2] = word(place = &info);
  const long result = native(own);
  if (result == 0 && place->pid != 0) note_usage_of_children(call.pointer<void>(4));
  constexpr int leave_waitable = 0x01000000;  // WNOWAIT
  if (result != 0 || place->pid == 0 || call.integer(3) & leave_waitable) return result;
  enum { exited = 1, killed = 2, dumped = 3 };
  if (place->code == exited) note_reaped(place->pid, (place->status & 0xff) << 8);
  if (place->code == killed) note_reaped(place->pid, place->status & 0x7f);
  if (place->code == dumped) note_reaped(place->pid, (place->status & 0x7f) | 0x80);
  return result;
}

long handle_signal(const Call& call) {
  const int target = call.integer(0);
  LogRecord record;
  record.kind = kind_signalled;
  record.arg = target;
  record.result = call.integer(call.number == __NR_tgkill || call.number == __NR_rt_tgsigqueueinfo ? 2 : 1);
  const bool itself = target == current_pid();
  // After a signal to itself, or to its group, there may be nobody left to log it.
  if (record.result != 0 && (itself || target == 0)) append(record);
  const long result = native(call);
  // Also a refusal, and signal 0, tell whether the other one is there.
  if (target != 0 && !itself) append(record);
  return result;
}

long handle_umask(const Call& call) {
  const long result = native(call);
  if (!in_vfork_child()) store(state.umask, static_cast<uint32_t>(call.arguments[0] & 0777));
  return result;
}

namespace {

struct Identity {
  uint32_t users[3], groups[3];
};

void read_identity(Identity& now) {
  kernel(__NR_getresuid, &now.users[0], &now.users[1], &now.users[2]);
  kernel(__NR_getresgid, &now.groups[0], &now.groups[1], &now.groups[2]);
}

}  // namespace

// make, among others, becomes who it is already.
long handle_identity(const Call& call) {
  Identity before, after;
  read_identity(before);
  const long result = native(call);
  read_identity(after);
  for (int i = 0; i < 3; ++i)
    if (before.users[i] != after.users[i] || before.groups[i] != after.groups[i]) {
      spoil_what_follows("became another user or group");
      break;
    }
  return result;
}

namespace {

void note_altered(int attribute, const uint64_t* value, size_t bytes) {
  LogRecord record;
  record.kind = kind_altered;
  record.arg = attribute;
  record.payload = value;
  record.payload_bytes = static_cast<uint32_t>(align_up(bytes, 8));
  append(record);
}

// Whether a call by number of a process or thread is about this process as a whole. What it does to another one, to a
// group, or to one thread of several cannot be told from here.
bool is_about_this_process(int number) {
  const int own = own_pid();
  return number == own || (number == 0 && kernel(__NR_gettid) == own);
}

}  // namespace

// What holds afterwards is asked of the kernel: the caller's memory may have changed with the call.
long handle_limits(const Call& call) {
  const bool by_pid = call.number == __NR_prlimit64;
  const int resource = call.integer(by_pid ? 1 : 0);
  const bool sets = call.arguments[by_pid ? 2 : 1] != 0;
  const bool is_own = !by_pid || call.integer(0) == 0 || call.integer(0) == own_pid();
  const long result = native(call);
  if (!sets || (result < 0 && result != -EFAULT)) return result;
  uint64_t limits[2] = {};
  if (!is_own) {
    spoil_session("set limits of another process");
  } else if (kernel(__NR_prlimit64, 0, resource, nullptr, limits) == 0) {
    note_altered(attribute_limit + resource, limits, sizeof limits);
  }
  return result;
}

// The processors it may use, the kernel's personality, niceness, how it is scheduled.
long handle_attribute(const Call& call) {
  constexpr size_t sched_attr_bytes = 48;  // SCHED_ATTR_SIZE_VER0
  const long result = native(call);
  if (result < 0) return result;
  switch (call.number) {
    case __NR_personality: {
      constexpr uint64_t just_asking = 0xffffffff;
      const uint64_t persona = static_cast<uint64_t>(call.arguments[0]) & just_asking;
      if (persona != just_asking) note_altered(attribute_personality, &persona, sizeof persona);
      break;
    }
    case __NR_sched_setaffinity: {
      uint64_t processors[1024 / 64] = {};
      const long bytes = kernel(__NR_sched_getaffinity, 0, sizeof processors, processors);
      if (!is_about_this_process(call.integer(0)) || bytes < 0) spoil_session("set the processors of another process or thread");
      else note_altered(attribute_processors, processors, sizeof processors);
      break;
    }
    case __NR_sched_setscheduler: case __NR_sched_setparam: case __NR_sched_setattr: {
      uint64_t scheduling[sched_attr_bytes / 8] = {};
      const long known = kernel(__NR_sched_getattr, 0, scheduling, sizeof scheduling, 0);
      if (!is_about_this_process(call.integer(0)) || known < 0) spoil_session("set the scheduling of another process or thread");
      else note_altered(attribute_scheduling, scheduling, sizeof scheduling);
      break;
    }
    case __NR_ioprio_set: {
      constexpr int one_process = 1;  // IOPRIO_WHO_PROCESS
      const uint64_t priority = static_cast<uint64_t>(kernel(__NR_ioprio_get, one_process, 0));
      if (call.integer(0) != one_process || !is_about_this_process(call.integer(1))) spoil_session("set the disk priority of others");
      else note_altered(attribute_disk_priority, &priority, sizeof priority);
      break;
    }
    default: {
      constexpr int one_process = 0;  // PRIO_PROCESS
      const uint64_t niceness = static_cast<uint64_t>(kernel(__NR_getpriority, one_process, 0));
      if (call.integer(0) != one_process || !is_about_this_process(call.integer(1))) spoil_session("set the niceness of others");
      else note_altered(attribute_niceness, &niceness, sizeof niceness);
    }
  }
  return result;
}

// A filter may kill the process for a call of the shim's own, so from then on it makes none.
long handle_seccomp(const Call& call) {
  constexpr int ask_action = 2, ask_sizes = 3;  // SECCOMP_GET_ACTION_AVAIL, SECCOMP_GET_NOTIF_SIZES
  if (call.number == __NR_seccomp && (call.integer(0) == ask_sizes || call.integer(0) == ask_action)) return native(call);
  spoil_what_follows("filters its system calls");
  const long result = native(call);
  if (result >= 0) detach();
  return result;
}

// Most of what prctl does is about the process alone. What takes permissions away holds for what it executes as well.
long handle_prctl(const Call& call) {
  constexpr int set_seccomp = 22, drop_from_bounding_set = 24, set_secure_bits = 28, ambient = 47;  // <linux/prctl.h>
  if (call.integer(0) == set_seccomp) return handle_seccomp(call);
  const long result = native(call);
  if (result < 0) return result;
  switch (call.integer(0)) {
    case drop_from_bounding_set: case set_secure_bits: case ambient:
      // PR_CAP_AMBIENT_IS_SET asks.
      if (call.integer(0) == ambient && call.integer(1) == 1) break;
      spoil_what_follows("changed what it may do");
  }
  return result;
}

static void note_number(long number) {
  if (number <= 0 || seen(mix(kind_number, static_cast<uint64_t>(number)))) return;
  LogRecord record;
  record.kind = kind_number;
  record.arg = static_cast<int>(number);
  append(record);
}

long handle_number(const Call& call) {
  const long result = native(call);
  note_number(result);
  return result;
}

// Who is at the other end. What else it tells is of a socket that has been logged otherwise.
long handle_socket_option(const Call& call) {
  constexpr int level_socket = 1, peer_credentials = 17;  // SOL_SOCKET, SO_PEERCRED
  const long result = native(call);
  if (result == 0 && call.integer(1) == level_socket && call.integer(2) == peer_credentials) note_number(*call.pointer<const int>(3));
  return result;
}

// uname(2). Of what it tells only the name may be another than the real one.
long handle_host(const Call& call) {
  const long result = native(call);
  constexpr size_t name_at = 65, name_bytes = 65;
  static_assert(policy_text_bytes < name_bytes);
  if (result < 0 || !(state.policies & policy_host)) return result;
  char* name = call.pointer<char>(0) + name_at;
  for (size_t i = 0; i < name_bytes; ++i) name[i] = i < policy_text_bytes ? header().policies.host_name[i] : 0;
  return result;
}

long spoiling(const Call& call, const char* what) {
  const long result = native(call);
  if (result < 0) return result;
  if (!seen(quick_hash(what, length_of(what), kind_spoil))) spoil(what);
  return result;
}

long spoiling_either_way(const Call& call, const char* what) {
  const long result = native(call);
  if (!seen(quick_hash(what, length_of(what), kind_spoil))) spoil(what);
  return result;
}

long spoiling_what_follows(const Call& call, const char* what) {
  const long result = native(call);
  if (result >= 0) spoil_what_follows(what);
  return result;
}

long spoiling_descriptor(const Call& call, const char* what) {
  const long result = spoiling(call, what);
  if (result >= 0) opened(static_cast<int>(result), fd_own_nameless, 0);
  return result;
}

// The names are part of every step's key, as they were when the session began.
long handle_host_change(const Call& call) {
  const long result = native(call);
  if (result == 0) spoil_session("changed the name of the machine");
  return result;
}

// What is done through it would not be seen. Kernels without it, and containers, say the same, so every program has another way.
long handle_io_uring(const Call&) { return -ENOSYS; }

long unknown_call(const Call& call) { return spoiling(call, "used a system call that vestal does not know"); }

int vestal_hook_posix_spawn(int* pid, const char* path, const void* actions, const void* attributes,
                            char* const* arguments, char* const* environment) {
  using Spawn = int(int*, const char*, const void*, const void*, char* const*, char* const*);
  begin_vfork();
  const int result = reinterpret_cast<Spawn*>(state.originals[slot_posix_spawn])(
      pid, path, actions, attributes, arguments, environment);
  end_vfork();
  return result;
}

int vestal_hook_posix_spawnp(int* pid, const char* file, const void* actions, const void* attributes,
                             char* const* arguments, char* const* environment) {
  using Spawn = int(int*, const char*, const void*, const void*, char* const*, char* const*);
  begin_vfork();
  const int result = reinterpret_cast<Spawn*>(state.originals[slot_posix_spawnp])(
      pid, file, actions, attributes, arguments, environment);
  end_vfork();
  return result;
}

}  // namespace preload
