// System calls of instructions that no jump could be put in place of: in
// libraries and programs with calls of their own, in those that cannot be taken
// apart, and in code that is made while the program runs.
//
// The kernel sends a SIGSYS for each call that does not come from the shim's
// own text (Syscall User Dispatch, Linux 5.11,
// Documentation/admin-guide/syscall-user-dispatch.rst), and the handler gives it
// to the same functions that patched calls come to. That costs one
// or two microseconds for each call, seen or left alone; nothing else of the program
// changes: libc's image goes on jumping to the shim without a signal.
//
// What belongs to a thread (that it is trapped, its mask of signals) is taken
// care of in new threads and children too. execve ends it.
#pragma once

#include "preload/state.h"

#pragma GCC visibility push(hidden)

namespace preload {

inline constexpr char cannot_trap[] = "makes system calls of its own, which this kernel cannot trap";
inline constexpr char made_code[] = "makes code while it runs";

inline constexpr int sigsys = 31;
inline constexpr uint64_t sigsys_bit = uint64_t{1} << (sigsys - 1);

// A handler that runs while its thread waits with this mask makes calls, too.
class OpenMask {
 public:
  // `call` then leads to a mask that lives as long as this.
  explicit OpenMask(Call& call) {
    if (!state.trap_from) return;
    const int at = place(call.number);
    if (at < 0 || call.arguments[at] == 0 || !readable(call.path(at))) return;
    if (call.number == __NR_pselect6) {
      pair_ = *call.pointer<Pair>(at);
      if (!pair_.mask || !readable(reinterpret_cast<const char*>(pair_.mask))) return;
      mask_ = *pair_.mask & ~sigsys_bit;
      pair_.mask = &mask_;
      call.arguments[at] = word(&pair_);
    } else {
      mask_ = *call.pointer<uint64_t>(at) & ~sigsys_bit;
      call.arguments[at] = word(&mask_);
    }
  }

 private:
  struct Pair {
    uint64_t* mask;
    uint64_t bytes;
  };
  static int place(long number) {
    switch (number) {
      case __NR_rt_sigsuspend: return 0;
      case __NR_ppoll: return 3;
      case __NR_epoll_pwait: case __NR_epoll_pwait2: return 4;
      case __NR_pselect6: return 5;
    }
    return -1;
  }
  uint64_t mask_;
  Pair pair_;
};

// From now on the calls of this thread, of the threads and of the children that it makes come here. False, and nothing has
// changed: the kernel does not do that.
bool trap_calls();
// The same for code that turns up while the program runs; also false if there are other threads already.
bool trap_calls_late();

}  // namespace preload

#pragma GCC visibility pop
