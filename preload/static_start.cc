// The shim in a static program: no ld.so has prepared anything, the image's
// entry stub calls (static_entry.S), and what the program believes of itself
// must be put right, for the file that runs is a copy.
//
// Not part of the client.
#include "preload/handlers.h"
#include "preload/leave.h"
#include "preload/log_ring.h"
#include "preload/policies.h"

namespace preload {

namespace {

struct AuxiliaryEntry {
  uint64_t type, value;
};

// ---- stacks of our own
//
// For children that share memory, and all threads of a program with small stacks. A claimed stack is free again when
// its call returns. One on which a child of vfork executed something or ended never returns; it is free when no such
// child is left.

constexpr uint64_t stack_bytes = 128 << 10;
constexpr uint32_t stack_words = 160, stacks_per_word = 64;  // Go makes up to ten thousand threads
constexpr uint64_t all_stacks_bytes = stack_bytes * stack_words * stacks_per_word;

struct Stacks {
  char* start;
  uint64_t claimed[stack_words];
  uint64_t left[stack_words];  // by children made by vfork
};
__attribute__((section(".data"))) constinit Stacks stacks{};
__attribute__((section(".data"))) constinit const char* malloc_mark = nullptr;

// Not before they are needed. Two children may be at it at once.
bool make_stacks() {
  if (load(stacks.start)) return true;
  const long place = kernel(__NR_mmap, nullptr, all_stacks_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (place < 0 && place > -4096) return false;
  // Older kernels would fill two megabytes for the first of them.
  constexpr int no_huge_pages = 15;
  kernel(__NR_madvise, place, all_stacks_bytes, no_huge_pages);
  if (!exchange_if<char*>(stacks.start, nullptr, reinterpret_cast<char*>(place))) kernel(__NR_munmap, place, all_stacks_bytes);
  return true;
}

// Bits that may be claimed again.
void take_back_what_was_left(uint32_t at) {
  const uint64_t was_left = load(stacks.left[at]);
  // A child that set its bit is counted until it has no use for the stack any more.
  if (was_left == 0 || load(vestal_vfork_depth) != 0) return;
  if (exchange_if<uint64_t>(stacks.left[at], was_left, 0))
    __atomic_and_fetch(&stacks.claimed[at], ~was_left, __ATOMIC_SEQ_CST);
}

}  // namespace

extern "C" {

// The top of a stack for this call, or nullptr to stay where it is.
__attribute__((visibility("hidden"))) char* vestal_take_stack() {
  if (!load(vestal_small_stacks) && !in_vfork_child()) return nullptr;
  if (!make_stacks()) return nullptr;
  for (;;) {
    for (uint32_t at = 0; at < stack_words; ++at) {
      take_back_what_was_left(at);
      for (uint64_t claimed = load(stacks.claimed[at]); ~claimed != 0; claimed = load(stacks.claimed[at])) {
        const uint32_t bit = static_cast<uint32_t>(__builtin_ctzll(~claimed));
        if (!exchange_if(stacks.claimed[at], claimed, claimed | uint64_t{1} << bit)) continue;
        return stacks.start + (uint64_t{at} * stacks_per_word + bit + 1) * stack_bytes;
      }
    }
    // More threads than stacks in calls at once. Where the own stack will do, it does.
    if (!load(vestal_small_stacks)) return nullptr;
    const __kernel_timespec nap{0, 1000000};
    kernel(__NR_nanosleep, &nap, nullptr);
  }
}

__attribute__((visibility("hidden"))) void vestal_give_stack(const char* top) {
  const uint64_t number = static_cast<uint64_t>(top - stacks.start) / stack_bytes - 1;
  __atomic_and_fetch(&stacks.claimed[number / stacks_per_word], ~(uint64_t{1} << number % stacks_per_word), __ATOMIC_SEQ_CST);
}

}  // extern "C"

namespace {

// A child made by vfork leaves for good, and its parent goes on with this memory.
void leave_stack(const void* within) {
  const char* place = static_cast<const char*>(within);
  if (!in_vfork_child() || stacks.start == nullptr || place < stacks.start || place >= stacks.start + all_stacks_bytes) return;
  const uint64_t number = static_cast<uint64_t>(place - stacks.start) / stack_bytes;
  __atomic_or_fetch(&stacks.left[number / stacks_per_word], uint64_t{1} << number % stacks_per_word, __ATOMIC_SEQ_CST);
}
void come_back(const void* within) {
  const char* place = static_cast<const char*>(within);
  if (stacks.start == nullptr || place < stacks.start || place >= stacks.start + all_stacks_bytes) return;
  const uint64_t number = static_cast<uint64_t>(place - stacks.start) / stack_bytes;
  __atomic_and_fetch(&stacks.left[number / stacks_per_word], ~(uint64_t{1} << number % stacks_per_word), __ATOMIC_SEQ_CST);
}

// ---- what the program believes of its file

// The path is known to be readable.
bool names_own_file(const char* path) {
  if (!state.own_file || path == nullptr || path[0] != '/' || !starts_with(path, "/proc/")) return false;
  const char* rest = path + sizeof "/proc/" - 1;
  if (starts_with(rest, "self/exe")) return rest[sizeof "self/exe" - 1] == 0;
  if (starts_with(rest, "thread-self/exe")) return rest[sizeof "thread-self/exe" - 1] == 0;
  if (*rest < '0' || *rest > '9') return false;
  const uint64_t number = take_number(rest, 10);
  return number == static_cast<uint64_t>(own_pid()) && equal(rest, "/exe");
}

// The call has been made with a path that leads to the copy. Gives the program what it would have got.
long put_right(const Call& call, long result) {
  Call own = call;
  const int shift = call.number == __NR_readlinkat || call.number == __NR_openat || call.number == __NR_newfstatat ? 1 : 0;
  if (!names_own_file(call.path(shift))) return result;
  own.arguments[shift] = word(state.own_file);
  switch (call.number) {
    case __NR_readlink:
    case __NR_readlinkat: {
      const uint64_t room = static_cast<uint64_t>(call.arguments[2 + shift]);
      const uint64_t bytes = state.own_file_bytes < room ? state.own_file_bytes : room;
      copy(call.pointer<char>(1 + shift), state.own_file, bytes);
      return static_cast<long>(bytes);
    }
    case __NR_open:
    case __NR_openat: {
      const long other = native(own);
      if (other < 0) return result;
      kernel(__NR_dup3, other, result, call.arguments[1 + shift] & O_CLOEXEC);
      kernel(__NR_close, other);
      return result;
    }
    case __NR_newfstatat:
      own.arguments[3] = call.integer(3) & ~AT_SYMLINK_NOFOLLOW;
      [[fallthrough]];
    case __NR_stat:
      native(own);
      return result;
  }
  return result;
}

bool is_for_malloc(const Call& call) {
  constexpr long mark_bytes = 8, not_blocking = 1;
  return call.number == __NR_getrandom && malloc_mark && call.path(0) == malloc_mark && call.arguments[1] == mark_bytes &&
         call.arguments[2] == not_blocking;
}

// Go's scheduler looks at the clock that counts from the machine's start all the time. A program that asks how long
// something took has asked for the time of day as well: time.Now reads both. Where that is chosen, see start_session().
bool is_for_scheduler(const Call& call) {
  constexpr long monotonic = 1;
  return call.number == __NR_clock_gettime && call.arguments[0] == monotonic && load(vestal_small_stacks);
}

// Of the process: then it ends with the thread.
bool is_last_thread() {
  struct stat tasks {};
  constexpr uint64_t links_of_one = 3;  // ".", "..", and the thread
  return load(state.attached) && stat_at(AT_FDCWD, "/proc/self/task", tasks, 0) == 0 && tasks.st_nlink == links_of_one;
}

bool makes_code(const Call& call) {
  const bool maps = call.number == __NR_mmap || call.number == __NR_mprotect || call.number == __NR_pkey_mprotect;
  return maps && call.arguments[2] & PROT_EXEC;
}

}  // namespace

extern "C" __attribute__((visibility("hidden"))) long vestal_dispatch_static(const Call* call) {
  if (is_for_malloc(*call) || is_for_scheduler(*call)) return native(*call);
  const bool leaves = call->number == __NR_execve || call->number == __NR_execveat || call->number == __NR_exit_group ||
                      call->number == __NR_exit;
  if (leaves) leave_stack(__builtin_frame_address(0));
  if (call->number == __NR_exit && is_last_thread()) before_exit(call->integer(0));
  const long result = vestal_dispatch(call);
  if (leaves) come_back(__builtin_frame_address(0));
  // Code that did not stand in the file may make system calls that nobody sees.
  if (makes_code(*call) && (result >= 0 || result < -4095) && load(state.attached) && !seen(mix(kind_spoil, __NR_mprotect)))
    spoil("makes or loads code while it runs, as a static program");
  switch (call->number) {
    case __NR_readlink:
    case __NR_readlinkat:
    case __NR_open:
    case __NR_openat:
    case __NR_stat:
    case __NR_newfstatat:
      if (result >= 0) return put_right(*call, result);
  }
  return result;
}

namespace {

struct OwnVariables {
  char* program = nullptr;  // values
  char* region = nullptr;
};

// They are the last two, see exec_calls.cc. Everything in front of them moves up by two words, so that the auxiliary vector
// is behind the environment's end as before.
OwnVariables take_variables(char**& arguments) {
  OwnVariables own;
  uint64_t* const count_place = reinterpret_cast<uint64_t*>(arguments) - 1;
  char** const environment = arguments + *count_place + 1;
  size_t count = 0;
  while (environment[count]) ++count;
  if (count < 2 || !starts_with(environment[count - 2], program_variable) ||
      !starts_with(environment[count - 1], region_variable))
    return own;
  own.program = environment[count - 2] + sizeof program_variable - 1;
  own.region = environment[count - 1] + sizeof region_variable - 1;
  for (uint64_t* place = reinterpret_cast<uint64_t*>(environment + count - 2); place-- > count_place;) place[2] = *place;
  environment[count] = nullptr;
  arguments += 2;
  return own;
}

// Takes <bytes>:<path>:<as spelled> apart and returns the last.
const char* learn_own_file(char* value) {
  const char* text = value;
  const uint64_t bytes = take_number(text, 10);
  char* path = value + (text - value) + 1;
  if (*text != ':' || bytes == 0 || length_of(path) < bytes + 1 || path[bytes] != ':') return nullptr;
  path[bytes] = 0;
  state.own_file = path;
  state.own_file_bytes = bytes;
  return path + bytes + 1;
}

// As the kernel names a process: by the last component of what was executed.
void take_name(const char* executed) {
  const char* name = executed;
  for (const char* at = executed; *at; ++at)
    if (*at == '/') name = at + 1;
  constexpr int set_name = 15;  // PR_SET_NAME
  kernel(__NR_prctl, set_name, name);
}

void correct_vector(AuxiliaryEntry* vector, const StaticImage& image, const char* executed) {
  const char* base = reinterpret_cast<const char*>(&image);
  for (; vector->type != AT_NULL; ++vector) switch (vector->type) {
      case AT_PHDR:
        vector->value = reinterpret_cast<uint64_t>(base + image.headers);
        break;
      case AT_PHNUM:
        vector->value = image.header_count;
        break;
      case AT_ENTRY:
        vector->value = reinterpret_cast<uint64_t>(base + image.entry);
        break;
      case AT_EXECFN:
        if (executed) vector->value = reinterpret_cast<uint64_t>(executed);
        break;
      case AT_RANDOM:
        state.random_bytes = reinterpret_cast<char*>(vector->value);
        break;
      case AT_SYSINFO_EHDR:
        // Without the vDSO every look at a clock is a system call. Only then is it seen.
        if (executed) vector->type = AT_IGNORE;
        break;
    }
}

void start_session(const char* value) {
  if (!join_session(value)) return;
  LogRecord started;
  started.kind = kind_started;
  started.arg = state.parent_pid;
  append(started);
  store(state.attached, 1u);
  constexpr size_t random_bytes = 16;
  if (state.policies & policy_random && state.random_bytes) draw(state.random_bytes, random_bytes);
  if (load(vestal_small_stacks)) {
    // Go's run time begins its random numbers (the order of maps, math/rand) with what the kernel has put beside the arguments.
    LogRecord random;
    random.kind = kind_random;
    random.arg = random_bytes;
    if (!(state.policies & policy_random)) append(random);
    // Its scheduler needs the real one for its waits.
    if (state.policies & policy_clock) spoil("is a Go program, which sees how the real time passes");
  }
  const bool can_be_followed = !load(vestal_small_stacks) || make_stacks();
  if (load(header().state) == region_live && can_be_followed) return;
  spoil("there is no memory for vestal's stacks");
  detach();
}

struct Start {
  uint64_t* stack;
  const char* entry;
};

}  // namespace

// For static_entry.S: what the program is to start with.
extern "C" __attribute__((visibility("hidden"))) Start vestal_start_static(uint64_t* stack, const StaticImage* image) {
  char** arguments = reinterpret_cast<char**>(stack + 1);
  const OwnVariables own = take_variables(arguments);
  stack = reinterpret_cast<uint64_t*>(arguments) - 1;
  char** environment = arguments + *stack + 1;
  state.environment = environment;
  char** end = environment;
  while (*end) ++end;
  const char* executed = own.program ? learn_own_file(own.program) : nullptr;
  correct_vector(reinterpret_cast<AuxiliaryEntry*>(end + 1), *image, executed);
  if (executed) {
    take_name(executed);
    vestal_small_stacks = image->small_stacks;
    if (image->malloc_mark) malloc_mark = reinterpret_cast<const char*>(image) + image->malloc_mark;
    start_session(own.region);
  }
  return {stack, reinterpret_cast<const char*>(image) + image->entry};
}

}  // namespace preload
