// The kernel's library in every process (linux-vdso.so.1), where most clocks
// are read without a system call.
#pragma once

#include "preload/state.h"

#pragma GCC visibility push(hidden)

namespace preload {

// Its gettimeofday and time in `state`, which the exported names stand in front of. Zero if it has none.
void find_vdso_calls();

// Has everybody who reads the wall clock there, or draws random numbers, by whatever way he has found it, end in the
// hooks instead, as far as the session's policies want it. The page is this process's own from then on. To be called
// while there is one thread. False: it cannot be changed.
bool replace_vdso_calls();

}  // namespace preload

#pragma GCC visibility pop
