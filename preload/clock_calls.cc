// Clocks. That one has been read is logged once per way of reading it, for what
// it said will never be the same again.
#include <linux/elf.h>

#include "preload/handlers.h"
#include "preload/log_ring.h"

namespace preload {
namespace {

void note_clock(uint32_t source) {
  if (!load(state.attached) || load(state.clocks_seen) & source) return;
  if (!in_vfork_child()) __atomic_fetch_or(&state.clocks_seen, source, __ATOMIC_RELAXED);
  LogRecord record;
  record.kind = kind_clock;
  record.arg = static_cast<int>(source);
  append(record);
}

// gettimeofday and time of the vDSO, which the exported names stand in front of. Zero if it has none.
void find_vdso_calls() {
  if (load(state.vdso_read)) return;
  const char* base = state.vdso;
  if (base) {
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
    for (uint32_t i = 0; i < count; ++i) {
      const char* name = names + symbols[i].st_name;
      void* const address = reinterpret_cast<void*>(shift + symbols[i].st_value);
      if (equal(name, "__vdso_gettimeofday"))
        state.vdso_timeofday = reinterpret_cast<int (*)(void*, void*)>(address);
      if (equal(name, "__vdso_time")) state.vdso_time = reinterpret_cast<long (*)(long*)>(address);
    }
  }
  store(state.vdso_read, 1u);
}

}  // namespace

long handle_clock(const Call& call) {
  switch (call.number) {
    case __NR_gettimeofday:
      note_clock(clock_by_timeofday);
      break;
    case __NR_time:
      note_clock(clock_by_time);
      break;
    case __NR_clock_gettime:
      note_clock(clock_by_gettime);
      break;
    default:
      note_clock(clock_by_usage);
      break;
  }
  return native(call);
}

int vestal_hook_clock_gettime(int clock, void* time) {
  note_clock(clock_by_gettime);
  return reinterpret_cast<int (*)(int, void*)>(state.originals[slot_clock_gettime])(clock, time);
}

int vestal_gettimeofday(void* time, void* zone) {
  note_clock(clock_by_timeofday);
  find_vdso_calls();
  // libc gives no zone either.
  if (zone) *static_cast<uint64_t*>(zone) = 0;
  if (state.vdso_timeofday) return state.vdso_timeofday(time, nullptr);
  return static_cast<int>(kernel(__NR_gettimeofday, time, nullptr));
}

long vestal_time(long* seconds) {
  note_clock(clock_by_time);
  find_vdso_calls();
  if (state.vdso_time) return state.vdso_time(seconds);
  return kernel(__NR_time, seconds);
}

}  // namespace preload
