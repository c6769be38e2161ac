#include "preload/own_stacks.h"

#include "preload/state.h"

namespace preload {

namespace {

constexpr uint64_t stack_bytes = 128 << 10;
constexpr uint32_t stack_words = 160, stacks_per_word = 64;  // Go makes up to ten thousand threads

// Limits of address space hold for these as well.
uint32_t words() {
  constexpr uint32_t few = 2;
  return load(vestal_small_stacks) ? stack_words : few;
}
uint64_t all_stacks_bytes() { return stack_bytes * words() * stacks_per_word; }

struct Stacks {
  char* start;
  uint64_t claimed[stack_words];
  uint64_t left[stack_words];  // by children made by vfork
};
__attribute__((section(".data"))) constinit Stacks stacks{};

// Bits that may be claimed again.
void take_back_what_was_left(uint32_t at) {
  const uint64_t was_left = load(stacks.left[at]);
  // A child that set its bit is counted until it has no use for the stack any more.
  if (was_left == 0 || load(vestal_vfork_depth) != 0) return;
  if (exchange_if<uint64_t>(stacks.left[at], was_left, 0))
    __atomic_and_fetch(&stacks.claimed[at], ~was_left, __ATOMIC_SEQ_CST);
}

// Of the stack that `within` points into; stack_words * stacks_per_word if it is none.
uint64_t number_of(const void* within) {
  const char* place = static_cast<const char*>(within);
  if (stacks.start == nullptr || place < stacks.start || place >= stacks.start + all_stacks_bytes()) return uint64_t{stack_words} * stacks_per_word;
  return static_cast<uint64_t>(place - stacks.start) / stack_bytes;
}

}  // namespace

// Two children may be at it at once.
bool make_stacks() {
  if (load(stacks.start)) return true;
  const long place = kernel(__NR_mmap, nullptr, all_stacks_bytes(), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (place < 0 && place > -4096) return false;
  // Older kernels would fill two megabytes for the first of them.
  constexpr int no_huge_pages = 15;
  kernel(__NR_madvise, place, all_stacks_bytes(), no_huge_pages);
  if (!exchange_if<char*>(stacks.start, nullptr, reinterpret_cast<char*>(place))) kernel(__NR_munmap, place, all_stacks_bytes());
  return true;
}

char* claim_stack() {
  if (!make_stacks()) return nullptr;
  for (;;) {
    for (uint32_t at = 0; at < words(); ++at) {
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

void leave_stack(const void* within) {
  const uint64_t number = in_vfork_child() ? number_of(within) : uint64_t{stack_words} * stacks_per_word;
  if (number / stacks_per_word < stack_words)
    __atomic_or_fetch(&stacks.left[number / stacks_per_word], uint64_t{1} << number % stacks_per_word, __ATOMIC_SEQ_CST);
}

void come_back(const void* within) {
  const uint64_t number = number_of(within);
  if (number / stacks_per_word < stack_words)
    __atomic_and_fetch(&stacks.left[number / stacks_per_word], ~(uint64_t{1} << number % stacks_per_word), __ATOMIC_SEQ_CST);
}

extern "C" {

char* vestal_take_stack() { return load(vestal_small_stacks) || in_vfork_child() ? claim_stack() : nullptr; }

void vestal_give_stack(const char* top) {
  const uint64_t number = static_cast<uint64_t>(top - stacks.start) / stack_bytes - 1;
  __atomic_and_fetch(&stacks.claimed[number / stacks_per_word], ~(uint64_t{1} << number % stacks_per_word), __ATOMIC_SEQ_CST);
}

}  // extern "C"

}  // namespace preload
