// The kernel without libc: system calls by instructions of our own, and the few
// types of the kernel's that its headers for programs leave out.
//
// Every function returns what the kernel does, a failure as -errno. Nothing
// here touches errno, and everything may be used anywhere.
#pragma once

#include <asm/errno.h>
#include <asm/ioctls.h>

#include <asm/signal.h>
#include <asm/stat.h>
#include <asm/unistd.h>
#include <linux/auxvec.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/limits.h>
#include <linux/mman.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <linux/time_types.h>
#include <linux/uio.h>
#include <stddef.h>
#include <stdint.h>

namespace preload {

// sigaction as the kernel has it; the header's is libc's.
struct SignalAction {
  uintptr_t handler;
  unsigned long flags;
  uintptr_t restorer;
  uint64_t mask;
};

// A call as a site makes it; stubs.S lays it out on the stack.
struct Call {
  long number;
  long arguments[6];

  int fd(int at) const { return static_cast<int>(arguments[at]); }
  int integer(int at) const { return static_cast<int>(arguments[at]); }
  template <class T>
  T* pointer(int at) const {
    return reinterpret_cast<T*>(arguments[at]);
  }
  const char* path(int at) const { return pointer<const char>(at); }
};

// The places of the shim's own calls, as against those it passes on, stand in a section of the file that is never
// loaded: who watches a process from outside (tests/kernel) can tell them apart.
template <bool own>
inline long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile inline(
      "syscall\n"
      "\t.if %c8\n"
      "771:\t.pushsection .vestal.own_calls, \"\", @progbits\n"
      "\t.quad 771b\n"
      "\t.popsection\n"
      "\t.endif"
      : "=a"(result)
      : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9), "i"(own)
      : "rcx", "r11", "memory");
  return result;
}

template <class T>
long word(T value) {
  if constexpr (sizeof(T) < sizeof(long))
    return static_cast<long>(value);
  else
    return (long)value;
}

// A call of the shim's own, with arguments of any type.
template <class... Arguments>
long kernel(long number, Arguments... arguments) {
  return system_call<true>(number, word(arguments)...);
}

// The program's own, as it was made.
inline long native(const Call& call) {
  return system_call<false>(call.number, call.arguments[0], call.arguments[1], call.arguments[2], call.arguments[3],
                            call.arguments[4], call.arguments[5]);
}

inline int own_pid() { return static_cast<int>(kernel(__NR_getpid)); }

inline long stat_at(int directory, const char* path, struct stat& info, int flags) {
  return kernel(__NR_newfstatat, directory, path, &info, flags);
}
inline long stat_descriptor(int fd, struct stat& info) { return kernel(__NR_fstat, fd, &info); }

// Whether the pointer leads to a text the kernel can read.
inline bool readable(const char* path) { return kernel(__NR_access, path, 0) != -EFAULT; }

// Milliseconds of a clock that is never set.
inline uint64_t now_ms() {
  __kernel_timespec now{};
  kernel(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

// Waits on a futex that other processes change too.
inline long futex_wait(uint32_t* word, uint32_t value, int ms) {
  const __kernel_timespec limit{ms / 1000, ms % 1000 * 1000000};
  return kernel(__NR_futex, word, FUTEX_WAIT, value, &limit);
}
// How long this process may make a file; SIGXFSZ follows a try to make it longer.
inline uint64_t file_bytes_max() {
  constexpr int file_size = 1;  // RLIMIT_FSIZE
  uint64_t limits[2] = {~uint64_t{0}, 0};
  kernel(__NR_prlimit64, 0, file_size, nullptr, limits);
  return limits[0];
}
inline void futex_wake_all(uint32_t* word) { kernel(__NR_futex, word, FUTEX_WAKE, INT32_MAX); }

template <class T>
T load(const T& place) {
  return __atomic_load_n(&place, __ATOMIC_ACQUIRE);
}
template <class T>
void store(T& place, T value) {
  __atomic_store_n(&place, value, __ATOMIC_RELEASE);
}
template <class T>
bool exchange_if(T& place, T expected, T desired) {
  return __atomic_compare_exchange_n(&place, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

}  // namespace preload
