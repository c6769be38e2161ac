// Sleeping on a word of shared memory and waking who sleeps there. The words
// lie in memory that other processes map, so none of these is FUTEX_PRIVATE.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>

namespace broker {

// Returns when woken, when the word is not `seen` (any more), after `ms`, or for no reason.
inline void futex_wait(std::uint32_t& word, std::uint32_t seen, int ms) {
  const timespec time{ms / 1000, ms % 1000 * 1'000'000L};
  ::syscall(SYS_futex, &word, FUTEX_WAIT, seen, &time, nullptr, 0);
}

inline void futex_wake_all(std::uint32_t& word) { ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }

// A word of the region: whoever reads or writes it does so through this.
template <class T>
std::atomic_ref<T> shared(T& word) {
  return std::atomic_ref<T>(word);
}

}  // namespace broker
