#include "sdl/deep_stack.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>

namespace sdl {
namespace {

// For all that is called without asking, and for messages.
constexpr std::size_t reserve_bytes_max = std::size_t{1} << 20;

void* run(void* act) {
  (*static_cast<const std::function<void()>*>(act))();
  return nullptr;
}

}  // namespace

bool stack_is_low_slowly() {
  if (stack_floor == UINTPTR_MAX) {
    pthread_attr_t attributes;
    void* lowest = nullptr;
    std::size_t bytes = 0;
    stack_floor = 0;
    if (::pthread_getattr_np(::pthread_self(), &attributes) == 0) {
      if (::pthread_attr_getstack(&attributes, &lowest, &bytes) == 0)
        stack_floor = reinterpret_cast<std::uintptr_t>(lowest) + std::min(bytes / 4, reserve_bytes_max);
      ::pthread_attr_destroy(&attributes);
    }
  }
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) < stack_floor;
}

void on_deep_stack(const std::function<void()>& act) {
  for (std::size_t bytes = deep_stack_bytes; bytes >= deep_stack_bytes / 64; bytes /= 2) {
    // Where memory is not promised before it is there; its last page is the guard.
    void* const stack = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) continue;
    ::mprotect(stack, 4096, PROT_NONE);
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    pthread_t thread{};
    const bool started =
        ::pthread_attr_setstack(&attributes, stack, bytes) == 0 &&
        ::pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&act)) == 0;
    ::pthread_attr_destroy(&attributes);
    if (started) ::pthread_join(thread, nullptr);
    ::munmap(stack, bytes);
    if (started) return;
  }
  act();
}

}  // namespace sdl
