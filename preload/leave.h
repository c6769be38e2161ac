// The end of a process, its own or one taken from the cache.
#pragma once

#include "preload/state.h"

#pragma GCC visibility push(hidden)

namespace preload {

// Everything that must be logged before the process ends with this status, and the question the top process
// asks.
void before_exit(int status);

// Does what the recorded step did to the outside and ends as it did.
[[noreturn]] void leave_as(const Slot& answer);

}  // namespace preload

#pragma GCC visibility pop
