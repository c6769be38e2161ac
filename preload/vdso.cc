#include "preload/vdso.h"

#include <linux/elf.h>

#include "preload/handlers.h"
#include "preload/memory.h"
#include "preload/policies.h"

namespace preload {
namespace {

constexpr uintptr_t page_bytes = 4096;

// Calls visit(name, address, size) for each function.
template <class Visit>
void each_vdso_function(Visit visit) {
  const char* base = state.vdso;
  if (!base) return;
  const auto& elf = *reinterpret_cast<const Elf64_Ehdr*>(base);
  const auto* segments = reinterpret_cast<const Elf64_Phdr*>(base + elf.e_phoff);
  const Elf64_Dyn* dynamic = nullptr;
  uint64_t shift = 0;
  for (int i = 0; i < elf.e_phnum; ++i) {
    if (segments[i].p_type == PT_LOAD)
      shift = reinterpret_cast<uint64_t>(base) + segments[i].p_offset - segments[i].p_vaddr;
    if (segments[i].p_type == PT_DYNAMIC)
      dynamic = reinterpret_cast<const Elf64_Dyn*>(base + segments[i].p_offset);
  }
  const Elf64_Sym* symbols = nullptr;
  const char* names = nullptr;
  const uint32_t* hash = nullptr;
  for (; dynamic && dynamic->d_tag != DT_NULL; ++dynamic) {
    const char* place = reinterpret_cast<const char*>(shift + dynamic->d_un.d_ptr);
    if (dynamic->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const Elf64_Sym*>(place);
    if (dynamic->d_tag == DT_STRTAB) names = place;
    if (dynamic->d_tag == DT_HASH) hash = reinterpret_cast<const uint32_t*>(place);
  }
  const uint32_t count = symbols && names && hash ? hash[1] : 0;
  for (uint32_t i = 0; i < count; ++i)
    visit(names + symbols[i].st_name, reinterpret_cast<char*>(shift + symbols[i].st_value), symbols[i].st_size);
}

// movabs $target, %rax; jmp *%rax
struct __attribute__((packed)) Jump {
  uint16_t load = 0xb848;
  uint64_t target;
  uint16_t go = 0xe0ff;
};

// Pages of the mapping. The kernel changes the protection of it only as a whole and tells its size nowhere but in a
// text, so sizes are tried. On success all of it can be written to and not executed.
uintptr_t open_for_writing() {
  constexpr uintptr_t pages_max = 64;
  for (uintptr_t pages = 1; pages <= pages_max; ++pages)
    if (kernel(__NR_mprotect, state.vdso, pages * page_bytes, PROT_READ | PROT_WRITE) == 0) return pages;
  return 0;
}

}  // namespace

void find_vdso_calls() {
  if (load(state.vdso_read)) return;
  each_vdso_function([](const char* name, char* address, uint64_t) {
    if (equal(name, "__vdso_gettimeofday")) state.vdso_timeofday = reinterpret_cast<int (*)(void*, void*)>(address);
    if (equal(name, "__vdso_time")) state.vdso_time = reinterpret_cast<long (*)(long*)>(address);
  });
  store(state.vdso_read, 1u);
}

bool replace_vdso_calls() {
  const bool clocks = state.policies & policy_clock || state.trap_from;
  if (!state.vdso || !(clocks || state.policies & policy_random)) return true;
  const uintptr_t pages = open_for_writing();
  if (pages == 0) return false;
  bool done = true;
  each_vdso_function([&](const char* name, char* address, uint64_t size) {
    void* hook = nullptr;
    if (clocks) {
      if (equal(name, "__vdso_clock_gettime")) hook = reinterpret_cast<void*>(vestal_vdso_clock_gettime);
      if (equal(name, "__vdso_gettimeofday")) hook = reinterpret_cast<void*>(vestal_vdso_gettimeofday);
      if (equal(name, "__vdso_time")) hook = reinterpret_cast<void*>(vestal_vdso_time);
    }
    if ((state.policies & policy_random || state.trap_from) && equal(name, "__vdso_getrandom"))
      hook = reinterpret_cast<void*>(vestal_vdso_getrandom);
    if (!hook) return;
    Jump jump;
    jump.target = reinterpret_cast<uint64_t>(hook);
    done = done && size >= sizeof jump;
    if (size >= sizeof jump) copy(address, &jump, sizeof jump);
  });
  return kernel(__NR_mprotect, state.vdso, pages * page_bytes, PROT_READ | PROT_EXEC) == 0 && done;
}

}  // namespace preload
