// Becoming another program, for hooks and for the client.
#pragma once

#include "preload/state.h"

#pragma GCC visibility push(hidden)

namespace preload {

struct ExecRequest {
  long number;  // execve or execveat
  int directory;
  const char* path;
  char* const* arguments;
  char* const* environment;
  int flags;
};

// Returns only if it fails.
long execute(const ExecRequest& request);

}  // namespace preload

#pragma GCC visibility pop
