// What the sanitizers of a SAN build do. In the program itself, not in the environment, for the broker keeps nothing of
// the user's environment and a command is started with all of it.
#ifdef SANITIZER_LOG

#include <cstdio>
#include <cstdlib>
#include <cstring>

#define COMMON "log_path=" SANITIZER_LOG ":log_exe_name=1:exitcode=99:print_stacktrace=1:handle_segv=1:allow_addr2line=1"

extern "C" const char* __asan_default_options() { return COMMON ":detect_stack_use_after_return=1:strict_string_checks=1:detect_leaks=1:disable_coredump=0"; }
// Asked at the end. Who is traced (strace) cannot stop its own threads to look for leaks.
extern "C" int __lsan_is_turned_off() {
  std::FILE* const status = std::fopen("/proc/self/status", "re");
  if (!status) return 0;
  int tracer = 0;
  for (char line[256]; std::fgets(line, sizeof line, status);)
    if (!std::strncmp(line, "TracerPid:", 10)) tracer = std::atoi(line + 10);
  std::fclose(status);
  return tracer != 0;
}
extern "C" const char* __ubsan_default_options() { return COMMON; }
extern "C" const char* __tsan_default_options() { return COMMON ":die_after_fork=0:second_deadlock_stack=1"; }

// Debian's LevelDB is not instrumented: the thread sanitizer sees the bytes that it copies into its table in memory, and
// who compares them later, but not the atomic pointer by which they were handed over.
extern "C" const char* __tsan_default_suppressions() { return "race:leveldb::MemTable::Add\nrace:leveldb::Arena::AllocateNewBlock\nrace:BytewiseComparatorImpl::Compare\n"; }

#endif
