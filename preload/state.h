// What the shim knows of its process.
//
// A child made by vfork shares all of it with its parent and must leave it
// alone: whoever changes something here first makes sure that in_vfork_child()
// is false. A child made by fork has a copy and starts with became_child().
//
// Descriptors have a class each: where they come from decides whether what is
// read from or written to them concerns anybody else. The table may err to the
// side of `fd_unknown`, which costs records and never loses any.
//
// `seen_keys` keeps what this process has logged already, by hash. An entry may be
// pushed out by another; then something is logged twice.
//
// All of it may be used by any thread and in signal handlers; nothing is locked.
#pragma once

#include "preload/kernel.h"
#include "preload/protocol.h"

#pragma GCC visibility push(hidden)

namespace preload {

enum FdClass : uint8_t {
  fd_unknown = 0,    // inherited, or never heard of
  fd_alias,          // another number for one of these
  fd_reopened,       // a file that one of these is open on, opened once more: it has a position of its own
  fd_read_noted,     // one of these, and reading from it has been logged
  fd_jobserver,      // make's tokens: they say how fast to work, not what to do
  fd_own,            // opened here, under this number
  fd_own_elsewhere,  // opened under another number or by the process this one was forked from
  fd_own_nameless,   // pipes, sockets and the like made here
  fd_seeded,         // a random device that this process reads the session's own random numbers from
};

inline constexpr int fd_count_max = 1024;
inline constexpr uint32_t seen_count = 1024;
inline constexpr uint32_t position_count_max = 4;

// Random numbers by the session's seed; see policies.h.
struct RandomState {
  uint64_t start;    // of the program
  uint64_t lineage;  // of a child made by fork: which one of whom
  uint64_t key[2];   // of this process
  uint64_t drawn;    // bytes
  uintptr_t asker;   // the thread that draws, 0 if none has
};

// The process's own time under a clock policy; see policies.h.
struct ClockState {
  int64_t age_ns;     // of the program, in its own time
  int64_t since_ns;   // if not 0, age_ns was right at this moment of the real CLOCK_MONOTONIC, and both go on together
  uintptr_t asker;    // the thread that looks, 0 if none has
};

// A command, by its short key, and how often it has been executed.
struct Executed {
  uint64_t key;
  uint32_t times;
};
inline constexpr uint32_t executed_count = 256;

struct State {
  // 0: nobody is told anything, every call goes straight to the kernel. Never set again once it is cleared.
  uint32_t attached;
  int32_t pid;
  int32_t parent_pid;
  uint32_t umask;
  uint32_t plan_flags;   // PlanFlags of this program
  uint32_t cwd_epoch;    // raised whenever relative paths change their meaning
  uint32_t clocks_seen;  // ClockSource bits
  uint32_t input_told, input_held;  // bytes; held back until a line is whole
  char input[input_piece_max];
  uint32_t clock_looks;  // logged, of a program with plan_every_look
  uint32_t jobserver_read;
  uint32_t policies;        // Policies
  uint32_t children_forked;
  ClockState clock;
  RandomState random;
  char* random_bytes;       // that the kernel has given the program with its arguments
  char* region;
  void* originals[hook_slot_count];
  uintptr_t libc_start, libc_end;
  char* const* environment;  // as the program got it
  // Of a static program, which runs as a copy: its file. Else null.
  const char* own_file;
  uint64_t own_file_bytes;
  // The shim's text, if calls from anywhere else are trapped (trap.h); else 0.
  uintptr_t trap_from, trap_bytes;
  SignalAction own_trap_action;  // what the program has set for SIGSYS
  // The copies of the variables' texts, and how far from them the texts are; no bytes: there are none. See env_guard.h.
  uintptr_t guard_from, guard_bytes, guard_shift;
  const char* vdso;
  uint32_t vdso_read;
  int32_t pending_fd_last;  // no higher descriptor has ever had an entry in fd_pending
  uint32_t position_count;
  int (*vdso_timeofday)(void* time, void* zone);
  long (*vdso_time)(long* seconds);
  // Inherited files whose final position has to be told.
  int32_t position_fds[position_count_max];
  uint8_t fd_classes[fd_count_max];
  // Of descriptors opened for writing: pending_index() + 1 of the name.
  uint16_t fd_pending[fd_count_max];
  // What the descriptor was opened by when that was logged last: a hash, or 0.
  uint32_t fd_names[fd_count_max];
  // What this process has logged; last, for many processes never need these pages.
  uint64_t seen_keys[seen_count];
  // Only if random numbers are seeded. Children made by vfork count here too: only together are they in an order.
  Executed executed[executed_count];
};

extern State state;
// How many vfork or posix_spawn calls are under way. Counted by stubs.S, therefore by a name of its own.
extern "C" {
extern uint32_t vestal_vfork_depth;
extern void* vestal_original_vfork;
// Not zero in a static program whose own stacks are too small for the shim.
extern uint32_t vestal_small_stacks;
}

inline RegionHeader& header() { return *reinterpret_cast<RegionHeader*>(state.region); }
inline uint32_t* pending_table() { return reinterpret_cast<uint32_t*>(state.region + pending_at); }

inline bool in_vfork_child() {
  return __builtin_expect(load(vestal_vfork_depth) != 0, 0) && own_pid() != state.pid;
}
inline int current_pid() { return load(vestal_vfork_depth) != 0 ? own_pid() : state.pid; }

// Whether this process has no other thread.
bool is_only_thread();

// A new thread, or the first of a new process, is not trapped yet. False: the kernel does not do that.
inline bool trap_this_thread() {
  constexpr int dispatch = 59, on = 1;  // PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON
  return kernel(__NR_prctl, dispatch, on, state.trap_from, state.trap_bytes, 0) == 0;
}

// One more or less, for the whole time of a call that makes a child sharing this memory.
void begin_vfork();
void end_vfork();
// In a child with memory of its own, before anything else.
void became_child(int parent);
inline constexpr char region_directory[] = "/dev/shm/";
inline constexpr size_t region_path_bytes_max = 216;
// Maps the region at `path`, or returns nullptr if it is none that can be used.
char* map_session(const char* path);
// Maps the session that the value of VESTAL_REGION names and learns who this process is. False: it cannot be used.
bool join_session(const char* value);
// The session cannot be used any more, by nobody.
void give_up_session();
// This process is done with it.
inline void detach() { store(state.attached, 0u); }

// ---- descriptors

inline FdClass class_of(int fd) {
  if (static_cast<unsigned>(fd) >= fd_count_max || in_vfork_child()) return fd_unknown;
  return static_cast<FdClass>(__atomic_load_n(&state.fd_classes[fd], __ATOMIC_RELAXED));
}
inline bool is_own(FdClass fd_class) { return fd_class >= fd_own; }
void set_class(int fd, FdClass fd_class);

// ---- what has been logged

// Whether `key` was here before; it is from now on.
bool seen(uint64_t key);
bool is_marked(uint64_t key);
void mark(uint64_t key);

// Contents that the broker has yet to hash, by pending_index().
void mark_pending(uint32_t index, bool written = false);
inline bool is_pending(uint32_t index) {
  const uint32_t entry = load(pending_table()[index]), hashed = load(header().hashed_epoch);
  return (entry & ~pending_written) > hashed ||
         (entry & pending_written && load(header().exit_epoch) > hashed);
}

}  // namespace preload

#pragma GCC visibility pop
