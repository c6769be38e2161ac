// Runs part of a test in a child process, for what cannot be undone: limits, another user.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

namespace child {

// Whether `check` was true there.
template <class Check>
bool holds(const Check& check) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(check() ? 0 : 1);
  int status = -1;
  ::waitpid(pid, &status, 0);
  return status == 0;
}

// An ordinary user's id: permissions do not hold root back.
inline constexpr uid_t nobody = 65534;

template <class Check>
bool holds_for_ordinary_user(const Check& check) {
  return holds([&] {
    if (::geteuid() == 0 &&
        (::setresgid(nobody, nobody, nobody) != 0 || ::setresuid(nobody, nobody, nobody) != 0)) {
      return false;
    }
    return check();
  });
}

// Gives a directory to who runs the checks above.
inline void give_to_ordinary_user(const char* directory) {
  if (::geteuid() == 0 && ::chown(directory, nobody, nobody) != 0) ::abort();
}

}  // namespace child
