#include "preload/client.h"

#include <linux/prctl.h>

#include "preload/exec.h"
#include "preload/memory.h"
#include "preload/trap.h"

namespace preload {

// The client makes no code, and has nothing to trap calls with; the shim has, in trap.cc.
__attribute__((weak)) bool trap_calls_late() { return false; }

int become_command(const char* region_name, const char* program, char* const* arguments,
                   char* const* environment, bool* region_usable) {
  *region_usable = false;
  constexpr size_t name_bytes_max = 200;
  const size_t name_bytes = length_of(region_name);
  if (name_bytes == 0 || name_bytes > name_bytes_max) return -ENAMETOOLONG;
  char path[name_bytes_max + 16];
  TextWriter writer(path);
  writer.put(region_directory);
  writer.put(region_name, name_bytes);
  writer.end();
  state.region = map_session(path);
  if (!state.region) return -ENOENT;
  state.pid = own_pid();
  state.parent_pid = static_cast<int32_t>(kernel(__NR_getppid));
  const long mask = kernel(__NR_umask, 0);
  kernel(__NR_umask, mask);
  state.umask = static_cast<uint32_t>(mask);
  state.environment = environment;
  // ld.so would not let the shim into a program that gains privileges.
  if (const long result = kernel(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); result < 0)
    return static_cast<int>(result);
  *region_usable = true;
  store(state.attached, 1u);
  return static_cast<int>(execute({__NR_execve, AT_FDCWD, program, arguments, environment, 0}));
}

}  // namespace preload
