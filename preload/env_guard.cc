#include "preload/env_guard.h"

#include "preload/log_ring.h"
#include "preload/memory.h"

namespace preload {
namespace {

constexpr uintptr_t page_bytes = 4096;
constexpr int on_fault = 1;  // MLOCK_ONFAULT

bool lock() { return kernel(__NR_mlock2, state.guard_from, state.guard_bytes, on_fault) == 0; }

bool is_left_alone() {
  const int file = static_cast<int>(kernel(__NR_open, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  if (file < 0) return false;
  constexpr uint64_t there = uint64_t{3} << 62;  // in memory, or swapped out
  bool none = true;
  const uint64_t pages = state.guard_bytes / page_bytes;
  for (uint64_t at = 0; none && at < pages;) {
    uint64_t entries[64];
    const uint64_t wanted = pages - at < 64 ? pages - at : 64;
    const long bytes = static_cast<long>(wanted * sizeof entries[0]);
    none = kernel(__NR_pread64, file, entries, bytes, (state.guard_from / page_bytes + at) * sizeof entries[0]) == bytes;
    for (uint64_t i = 0; none && i < wanted; ++i) none = (entries[i] & there) == 0;
    at += wanted;
  }
  kernel(__NR_close, file);
  return none;
}

}  // namespace

void guard_environment(char** environment) {
  if (!environment[0]) return;
  char* const start = environment[0];
  char* end = start;
  size_t count = 0;
  for (; environment[count]; ++count) {
    if (environment[count] != end) return;
    end += length_of(end) + 1;
  }
  const size_t bytes = static_cast<size_t>(end - start);
  const uintptr_t mapped = align_up(bytes, page_bytes);
  // Files in memory are files: more than that, and the kernel kills with SIGXFSZ.
  if (file_bytes_max() < mapped) return;
  constexpr unsigned close_on_exec = 1;  // MFD_CLOEXEC
  const int file = static_cast<int>(kernel(__NR_memfd_create, "environment", close_on_exec));
  if (file < 0) return;
  long place = -EINVAL;
  // The kernel fills the pages that are mapped then; none of this process's is touched.
  if (kernel(__NR_ftruncate, file, mapped) == 0 && kernel(__NR_pwrite64, file, start, bytes, 0) == static_cast<long>(bytes))
    place = kernel(__NR_mmap, nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  kernel(__NR_close, file);
  if (place < 0 && place > -4096) return;
  state.guard_from = static_cast<uintptr_t>(place);
  state.guard_bytes = mapped;
  state.guard_shift = reinterpret_cast<uintptr_t>(start) - state.guard_from;
  if (!lock()) {
    kernel(__NR_munmap, place, mapped);
    state.guard_bytes = 0;
    return;
  }
  for (size_t i = 0; i < count; ++i) environment[i] -= state.guard_shift;
}

void note_environment() {
  if (!state.guard_bytes || !load(state.attached)) return;
  // What a child has touched that shares this memory, its parent will tell.
  if (!in_vfork_child() && !is_left_alone()) return;
  LogRecord record;
  record.kind = kind_getenv;
  record.arg = getenv_only;
  append(record);
}

void guard_as_child() {
  // Locks are not inherited.
  if (state.guard_bytes && !lock()) spoil("the variables' memory could not be locked");
}

}  // namespace preload
