// The shim in a static program: no ld.so has prepared anything, the image's
// entry stub calls (static_entry.S), and what the program believes of itself
// must be put right, for the file that runs is a copy.
//
// Not part of the client.
#include <linux/elf.h>

#include "preload/copied_program.h"
#include "preload/handlers.h"
#include "preload/leave.h"
#include "preload/log_ring.h"
#include "preload/own_stacks.h"
#include "preload/paths.h"
#include "preload/policies.h"
#include "preload/trap.h"

namespace preload {

namespace {

__attribute__((section(".data"))) constinit const char* malloc_mark = nullptr;

// ---- what the program believes of its file

// The path is known to be readable.
bool names_own_file(const char* path) {
  if (!state.own_file || path == nullptr) return false;
  const char* rest = behind_own_process(path);
  return rest ? equal(rest, "exe") : equal(path, "/proc/thread-self/exe");
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
// something took has asked for the time of day as well: time.Now reads both. Where that is chosen, see note_go().
bool is_for_scheduler(const Call& call) {
  constexpr long monotonic = 1;
  return call.number == __NR_clock_gettime && call.arguments[0] == monotonic && load(vestal_small_stacks);
}

// Code that does not stand in the program's file may make system calls that are not patched.
void see_to_code(const Call& call) {
  if (!load(state.attached) || state.trap_from || seen(mix(kind_spoil, __NR_mprotect))) return;
  const bool loads = call.number == __NR_mmap && !(call.arguments[3] & MAP_ANONYMOUS);
  if (!trap_calls_late()) spoil(loads ? "loads code while it runs, as a static program" : made_code);
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
  // Then the process ends with it.
  if (call->number == __NR_exit && load(state.attached) && is_only_thread()) before_exit(call->integer(0));
  if (makes_code(*call)) see_to_code(*call);
  const long result = vestal_dispatch(call);
  if (leaves) come_back(__builtin_frame_address(0));
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

void note_go() {
  // Its run time begins its random numbers (the order of maps, math/rand) with what the kernel has put beside the arguments.
  LogRecord random;
  random.kind = kind_random;
  random.arg = 16;
  if (!(state.policies & policy_random)) append(random);
  // Its scheduler needs the real clock for its waits.
  if (state.policies & policy_clock) spoil("is a Go program, which sees how the real time passes");
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
  if (load(vestal_small_stacks)) note_go();
  const bool can_be_followed = !load(vestal_small_stacks) || make_stacks();
  if (load(header().state) == region_live && can_be_followed) return;
  spoil("there is no memory for vestal's stacks");
  detach();
}

// ---- programs with a loader of their own

constexpr uint64_t page_bytes = 4096;
uint64_t page_up(uint64_t place) { return align_up(place, page_bytes); }

struct Loaded {
  uint64_t base, entry;
};

// Maps the program's interpreter as the kernel would have done. False: the kernel would not have either, or it is too odd.
bool load_interpreter(const char* path, Loaded& loaded) {
  const int file = static_cast<int>(kernel(__NR_open, path, O_RDONLY | O_CLOEXEC));
  if (file < 0) return false;
  Elf64_Ehdr elf;
  constexpr int headers_max = 32;
  Elf64_Phdr segments[headers_max];
  bool good = kernel(__NR_pread64, file, &elf, sizeof elf, 0) == static_cast<long>(sizeof elf) && elf.e_type == ET_DYN &&
              elf.e_phentsize == sizeof segments[0] && elf.e_phnum > 0 && elf.e_phnum <= headers_max;
  const long bytes = static_cast<long>(elf.e_phnum * sizeof segments[0]);
  good = good && kernel(__NR_pread64, file, segments, bytes, elf.e_phoff) == bytes;
  uint64_t end = 0;
  for (int i = 0; good && i < elf.e_phnum; ++i)
    if (segments[i].p_type == PT_LOAD && segments[i].p_vaddr + segments[i].p_memsz > end) end = segments[i].p_vaddr + segments[i].p_memsz;
  const long place = good ? kernel(__NR_mmap, nullptr, page_up(end), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : -EINVAL;
  good = good && end > 0 && (place >= 0 || place < -4095);
  const uint64_t base = static_cast<uint64_t>(place);
  for (int i = 0; good && i < elf.e_phnum; ++i) {
    const Elf64_Phdr& segment = segments[i];
    if (segment.p_type != PT_LOAD) continue;
    const int protection = (segment.p_flags & PF_R ? PROT_READ : 0) | (segment.p_flags & PF_W ? PROT_WRITE : 0) |
                           (segment.p_flags & PF_X ? PROT_EXEC : 0);
    const uint64_t skip = segment.p_vaddr % page_bytes, start = base + segment.p_vaddr - skip;
    const uint64_t in_file = base + segment.p_vaddr + segment.p_filesz, in_memory = base + segment.p_vaddr + segment.p_memsz;
    good = segment.p_offset % page_bytes == skip;
    if (good && segment.p_filesz > 0)
      good = kernel(__NR_mmap, start, in_file - start, protection, MAP_PRIVATE | MAP_FIXED, file, segment.p_offset - skip) == static_cast<long>(start);
    if (!good || in_memory == in_file) continue;
    const uint64_t filled = segment.p_filesz > 0 ? page_up(in_file) : start;
    // To the end of the page, as the kernel does: ld.so uses the rest of it.
    if (protection & PROT_WRITE && segment.p_filesz > 0)
      for (uint64_t at = in_file; at < filled; ++at) *reinterpret_cast<char*>(at) = 0;
    if (in_memory > filled)
      good = kernel(__NR_mmap, filled, page_up(in_memory) - filled, protection, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == static_cast<long>(filled);
  }
  kernel(__NR_close, file);
  loaded = {base, base + elf.e_entry};
  return good;
}

// The program's PT_INTERP, or nullptr.
const char* interpreter_of(const StaticImage& image) {
  const char* own = reinterpret_cast<const char*>(&image);
  const auto* segments = reinterpret_cast<const Elf64_Phdr*>(own + image.headers);
  for (uint32_t i = 0; i < image.header_count; ++i)
    if (segments[i].p_type == PT_INTERP) return own + (static_cast<int64_t>(segments[i].p_vaddr) - static_cast<int64_t>(image.vaddr));
  return nullptr;
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
  const char* entry = reinterpret_cast<const char*>(image) + image->entry;
  if (const char* interpreter = interpreter_of(*image)) {
    Loaded loaded;
    if (!load_interpreter(interpreter, loaded)) {
      // As the kernel ends a program whose execve has gone too far to fail.
      kernel(__NR_kill, own_pid(), 9);
    }
    for (auto* each = reinterpret_cast<AuxiliaryEntry*>(end + 1); each->type != AT_NULL; ++each)
      if (each->type == AT_BASE) each->value = loaded.base;
    entry = reinterpret_cast<const char*>(loaded.entry);
  }
  if (image->traps && load(state.attached) && !trap_calls()) spoil(cannot_trap);
  return {stack, entry};
}

}  // namespace preload
