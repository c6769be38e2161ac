// How `vestal` itself becomes the command: by the same code with which a traced
// process executes another. Linked into the client without shim_start.cc.
#pragma once

namespace preload {

// Maps the region, records the step, asks, and executes `program` (absolute
// path) in the calling process, or, if the broker says so, leaves with its
// recorded result. Sets NO_NEW_PRIVS. The process must be the region's top_pid
// and have one thread. Returns -errno if the region cannot be used (nothing has
// happened then: execute the command without it) or if the execve fails.
int become_command(const char* region_name, const char* program, char* const* arguments, char* const* environment,
                   bool* region_usable);

}  // namespace preload
