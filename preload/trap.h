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

// From now on the calls of this thread, of the threads and of the children that it makes come here. False, and nothing has
// changed: the kernel does not do that.
bool trap_calls();
// The same for code that turns up while the program runs; also false if there are other threads already.
bool trap_calls_late();

// What a program made by Go has asked by being started.
void note_go();

}  // namespace preload

#pragma GCC visibility pop
