// What makes the shim a library of its own: how it starts in a process, the
// names it exports, and the functions that a compiler takes for granted.
// The rest of the room is also part of the client, which is an ordinary
// program; this file is not.
#include <linux/elf.h>

#include "preload/copied_program.h"
#include "preload/env_guard.h"
#include "preload/handlers.h"
#include "preload/log_ring.h"
#include "preload/own_stacks.h"
#include "preload/policies.h"
#include "preload/trap.h"
#include "preload/vdso.h"

// ld.so's list of what is loaded, as debuggers see it.
struct LinkMap {
  uintptr_t base;
  const char* name;
  const void* dynamic;
  LinkMap* next;
};
struct LoaderDebug {
  int version;
  LinkMap* first;
  uintptr_t changed;
  int change;
  uintptr_t loader_base;
};
extern "C" __attribute__((weak, visibility("default"))) LoaderDebug _r_debug;

extern "C" {

void* memcpy(void* to, const void* from, size_t count) {
  void* target = to;
  asm volatile("rep movsb" : "+D"(target), "+S"(from), "+c"(count) : : "memory");
  return to;
}

void* memset(void* place, int value, size_t count) {
  void* target = place;
  asm volatile("rep stosb" : "+D"(target), "+c"(count) : "a"(value) : "memory");
  return place;
}

__attribute__((visibility("default"))) int gettimeofday(void* time, void* zone) {
  return preload::vestal_gettimeofday(time, zone);
}
__attribute__((visibility("default"))) long time(long* seconds) { return preload::vestal_time(seconds); }
}

namespace preload {
namespace {

// Takes our variables out of the environment, gives the user's LD_PRELOAD back its place, and returns the
// value of VESTAL_REGION, or nullptr if they do not stand there as exec_calls.cc puts them.
//
// They are the last two. Programs that look for the auxiliary vector look behind the null at the
// environment's end, so it moves down by two words, which is one entry. ld.so and libc look where it was
// before: there its first entry is missing now, and is repeated in front of its end, where there is one word
// pair to spare:
//
//     before   ... A=1  LD_PRELOAD  VESTAL_REGION  0  |a b c ... z 0|
//     after    ... A=1  0 |a b c ... z a 0|
const char* hide_variables(char** environment) {
  size_t count = 0;
  while (environment[count]) ++count;
  if (count < 2) return nullptr;
  const char* last = environment[count - 1];
  const char* before = environment[count - 2];
  const char* region = nullptr;
  if (starts_with(last, region_variable) && starts_with(before, "LD_PRELOAD=")) {
    region = last;
  } else if (starts_with(last, user_preload_variable) && starts_with(before, region_variable)) {
    region = before;
    size_t at = count - 2;
    while (at > 0 && !starts_with(environment[at - 1], "LD_PRELOAD=")) --at;
    if (at == 0) return nullptr;
    environment[at - 1] = const_cast<char*>(last) + sizeof user_preload_variable - 1;
  } else {
    return nullptr;
  }

  struct Entry {
    uint64_t type, value;
  };
  static_assert(sizeof(Entry) == 2 * sizeof(char*));
  Entry* old_vector = reinterpret_cast<Entry*>(environment + count + 1);
  Entry* vector = old_vector - 1;
  const Entry first = *old_vector;
  size_t entries = 0;  // without the end
  for (; old_vector[entries].type != AT_NULL; ++entries) {
    switch (old_vector[entries].type) {
      case AT_SYSINFO_EHDR:
        state.vdso = reinterpret_cast<const char*>(old_vector[entries].value);
        break;
      case AT_RANDOM:
        state.random_bytes = reinterpret_cast<char*>(old_vector[entries].value);
        break;
    }
  }
  environment[count - 2] = nullptr;
  for (size_t i = 0; i < entries; ++i) vector[i] = old_vector[i];
  if (entries > 0) vector[entries] = first;
  return region + sizeof region_variable - 1;
}

void* system_call_hook() {
  return reinterpret_cast<void*>(state.plan_flags & plan_copy ? vestal_hook_copied_call : vestal_hook_system_call);
}

// Points the image's slots at the hooks. False: libc is not the image.
bool hook_libc() {
  const RegionHeader& region = header();
  const char* image = state.region + region.libc_image_path;
  if (!&_r_debug || region.libc_image_path < texts_at || region.libc_slots == 0) return false;
  const LinkMap* map = _r_debug.first;
  while (map && !(map->name && equal(map->name, image))) map = map->next;
  if (!map) return false;
  void** slots = reinterpret_cast<void**>(map->base + region.libc_slots);
  for (uint32_t i = 0; i < hook_slot_count; ++i)
    if (slots[i]) return false;
  for (uint32_t i = 1; i < hook_slot_count; ++i)
    if (region.libc_originals[i])
      state.originals[i] = reinterpret_cast<void*>(map->base + region.libc_originals[i]);
  state.libc_start = map->base;
  state.libc_end = reinterpret_cast<uintptr_t>(slots);
  vestal_original_vfork = state.originals[slot_vfork];
  auto set = [&](HookSlot slot, void* hook) {
    if (state.originals[slot]) slots[slot] = hook;
  };
  set(slot_getenv, reinterpret_cast<void*>(vestal_hook_getenv));
  set(slot_secure_getenv, reinterpret_cast<void*>(vestal_hook_secure_getenv));
  set(slot_clock_gettime, reinterpret_cast<void*>(vestal_hook_clock_gettime));
  set(slot_vfork, reinterpret_cast<void*>(vestal_hook_vfork));
  set(slot_posix_spawn, reinterpret_cast<void*>(vestal_hook_posix_spawn));
  set(slot_posix_spawnp, reinterpret_cast<void*>(vestal_hook_posix_spawnp));
  store(slots[slot_system_calls], system_call_hook());
  return true;
}

// Lays the patched text over the running ld.so, if this is the one it was made from.
bool hook_loader() {
  const RegionHeader& region = header();
  if (!_r_debug.loader_base || region.loader_text_size == 0 || region.loader_image_path < texts_at)
    return false;
  char* base = reinterpret_cast<char*>(_r_debug.loader_base);
  const char* image = state.region + region.loader_image_path;
  const int file = static_cast<int>(kernel(__NR_open, image, O_RDONLY | O_CLOEXEC));
  if (file < 0) return false;
  // Headers and build-id are the same in the image as in its original.
  constexpr size_t head_bytes = 1024;
  char head[head_bytes];
  bool same = kernel(__NR_pread64, file, head, sizeof head, 0) == static_cast<long>(head_bytes);
  for (size_t i = 0; same && i < head_bytes; i += 8)
    same = *reinterpret_cast<uint64_t*>(head + i) == *reinterpret_cast<uint64_t*>(base + i);
  void** slot = reinterpret_cast<void**>(base + region.loader_slot);
  bool done = false;
  if (same && *slot == nullptr) {
    *slot = system_call_hook();
    done = kernel(__NR_mmap, base + region.loader_text_vaddr, region.loader_text_size, PROT_READ | PROT_EXEC,
                  MAP_PRIVATE | MAP_FIXED, file, region.loader_text_offset) > 0;
    if (!done) *slot = nullptr;
  }
  kernel(__NR_close, file);
  return done;
}

// ---- a copy, whose own calls ask as well

AuxiliaryEntry* auxiliary_vector(char** environment) {
  while (*environment) ++environment;
  return reinterpret_cast<AuxiliaryEntry*>(environment + 1);
}

CopySlots* find_slots(const AuxiliaryEntry* vector) {
  const Elf64_Phdr* table = nullptr;
  uint64_t count = 0;
  for (; vector->type != AT_NULL; ++vector) {
    if (vector->type == AT_PHDR) table = reinterpret_cast<const Elf64_Phdr*>(vector->value);
    if (vector->type == AT_PHNUM) count = vector->value;
  }
  uintptr_t base = 0;
  for (uint64_t i = 0; table && i < count; ++i)
    if (table[i].p_type == PT_PHDR) base = reinterpret_cast<uintptr_t>(table) - table[i].p_vaddr;
  for (uint64_t i = 0; table && i < count; ++i) {
    const Elf64_Phdr& segment = table[i];
    if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_W) || segment.p_memsz != sizeof(CopySlots)) continue;
    auto* const slots = reinterpret_cast<CopySlots*>(base + segment.p_vaddr);
    if (slots->magic == copy_slots_magic) return slots;
  }
  return nullptr;
}

// Behind the fields that join_session() has read. They lie on this process's own stack.
char* behind_fields(const char* value) {
  constexpr int fields = 4;
  for (int colons = 0; *value; ++value)
    if (*value == ':' && ++colons == fields) return const_cast<char*>(value + 1);
  return nullptr;
}

// Without the kernel's library every look at a clock is a system call.
void correct_vector(AuxiliaryEntry* vector, const char* executed) {
  for (; vector->type != AT_NULL; ++vector) {
    if (vector->type == AT_EXECFN) vector->value = reinterpret_cast<uint64_t>(executed);
    if (vector->type == AT_SYSINFO_EHDR) vector->type = AT_IGNORE;
  }
}

// False: it is no copy, or there is no memory.
bool hook_copy(const char* value, char** environment) {
  AuxiliaryEntry* const vector = auxiliary_vector(environment);
  char* const original = behind_fields(value);
  CopySlots* const slots = find_slots(vector);
  const char* const executed = original && slots ? learn_own_file(original) : nullptr;
  vestal_small_stacks = 1;
  if (!executed || !make_stacks()) {
    vestal_small_stacks = 0;
    return false;
  }
  take_name(executed);
  correct_vector(vector, executed);
  slots->choose = reinterpret_cast<void*>(vestal_choose);
  slots->vfork_depth = &vestal_vfork_depth;
  store(slots->hook, reinterpret_cast<void*>(vestal_hook_static_call));
  note_go();
  return true;
}

// What no call passes by: the kernel's own library, and the random bytes that came with the arguments. libc and ld.so
// have made their secrets of these already.
void apply_policies() {
  constexpr size_t random_bytes = 16;
  if (!replace_vdso_calls()) spoil("the kernel's library in it could not be changed");
  if (state.policies & policy_random && state.random_bytes) draw(state.random_bytes, random_bytes);
}

// ld.so calls constructors with main's arguments; this one, by -z initfirst, before all others.
__attribute__((constructor)) void start(int, char**, char** environment) {
  const char* value = hide_variables(environment);
  if (!value) return;
  if (!join_session(value)) return;
  state.environment = environment;
  LogRecord started;
  started.kind = kind_started;
  started.arg = state.parent_pid;
  append(started);
  store(state.attached, 1u);
  if (load(header().state) != region_live || !hook_libc()) {
    spoil("the patched libc was not loaded");
    detach();
    return;
  }
  if (state.policies) apply_policies();
  if (state.plan_flags & plan_copy && !hook_copy(value, environment)) spoil("the copy of the program was not loaded");
  if (!hook_loader()) spoil("the patched loader was not loaded");
  if (state.plan_flags & plan_guards_environment) guard_environment(environment);
  if (state.plan_flags & plan_traps && !trap_calls()) spoil(cannot_trap);
}

}  // namespace
}  // namespace preload
