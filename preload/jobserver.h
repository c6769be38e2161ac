// The pipe through which make hands out permissions to run jobs. What is read
// there decides when something is done, not what comes of it.
#pragma once

#include "preload/state.h"

#pragma GCC visibility push(hidden)

namespace preload {

struct JobserverPipe {
  int read_fd = -1;
  int write_fd = -1;
};
// From a value of MAKEFLAGS.
JobserverPipe parse_jobserver(const char* flags);

// Gives the pipe's descriptors their class, if this process has inherited one. Done once.
void find_jobserver();

}  // namespace preload

#pragma GCC visibility pop
