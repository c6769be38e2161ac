// Places at which a test can make the machine fail, each with a name:
//
//   if (FAILPOINT("blob_write") || ::pwrite(...) < 0) return failed(errno, ...);
//
// Only in a build with FAILPOINTS=1 are they more than `false`. There $VESTAL_FAILPOINT says NAME:NTH:ACTION:FILE. The
// NTH time that a process comes to NAME, FILE is made, so that the test knows it came that far, and ACTION happens: an
// errno by number, which is then set and FAILPOINT is true, or "kill", which is what kill -9 does.
//
// Any thread.
#pragma once

#ifdef VESTAL_FAILPOINTS

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace cache {

inline bool failpoint(std::string_view name) {
  static std::atomic<int> times = 0;
  const char* const variable = std::getenv("VESTAL_FAILPOINT");
  if (!variable) return false;
  const std::string_view wanted(variable);
  const std::size_t nth = wanted.find(':'), action = wanted.find(':', nth + 1), file = wanted.find(':', action + 1);
  if (file == wanted.npos || wanted.substr(0, nth) != name) return false;
  if (++times != std::atoi(variable + nth + 1)) return false;
  const int marker = ::open(variable + file + 1, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (marker >= 0) ::close(marker);
  if (wanted.substr(action + 1, file - action - 1) == "kill") ::kill(::getpid(), SIGKILL);
  errno = std::atoi(variable + action + 1);
  return true;
}

}  // namespace cache

#define FAILPOINT(name) (::cache::failpoint(name))

#else

#define FAILPOINT(name) false

#endif
