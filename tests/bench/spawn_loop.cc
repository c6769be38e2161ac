// spawn_loop COUNT PROGRAM [ARG...]: starts the program COUNT times, one after another, and waits for each.
//
// Prints one line: microseconds of wall time per start, and of CPU time, ours and the children's.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>

extern char** environ;

namespace {

double seconds_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double cpu_seconds(int who) {
  rusage usage{};
  getrusage(who, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 2 ? std::atoi(argv[1]) : 0;
  if (count <= 0) {
    std::fprintf(stderr, "usage: spawn_loop COUNT PROGRAM [ARG...]\n");
    return 2;
  }
  const double started = seconds_now();
  for (int i = 0; i < count; ++i) {
    pid_t child = 0;
    int status = 0;
    if (posix_spawn(&child, argv[2], nullptr, nullptr, argv + 2, environ) != 0 || waitpid(child, &status, 0) != child || status != 0) {
      std::fprintf(stderr, "spawn_loop: %s did not run\n", argv[2]);
      return 1;
    }
  }
  const double wall = seconds_now() - started;
  std::printf("%.3f %.3f\n", wall / count * 1e6, (cpu_seconds(RUSAGE_SELF) + cpu_seconds(RUSAGE_CHILDREN)) / count * 1e6);
  return 0;
}
