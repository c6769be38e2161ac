// Runs real programs with the images and a small hook that stands in for the
// shim: it counts nothing and decides nothing, it only issues the call from an
// address of its own, which strace shows.

#include <algorithm>
#include <set>
#include <sstream>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "tests/broker/images/scratch.h"
#include "tests/broker/images/wishes.h"

namespace {

constexpr const char* hook_source = R"(
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

extern "C" void hook();
extern "C" char hook_return[];
extern "C" void throw_now() { throw 7; }

// A call on descriptor -77 throws.
asm(R"asm(
  .text
  .globl hook, hook_return
hook:
  .cfi_startproc
  cmp $-77,%edi
  je 1f
  syscall
hook_return:
  ret
1: push %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  mov %rsp,%rbp
  .cfi_def_cfa_register %rbp
  and $-16,%rsp
  call throw_now
  .cfi_endproc
)asm");

static char* (*original_getenv)(const char*);
static int (*original_clock)(clockid_t, timespec*);
static char* hooked_getenv(const char* name) {
  if (name[0] == '?') return const_cast<char*>("hooked");
  return original_getenv(name);
}
static int hooked_clock(clockid_t id, timespec* time) {
  const int result = original_clock(id, time);
  if (id == CLOCK_REALTIME) time->tv_sec = 42;
  return result;
}

__attribute__((constructor(101))) static void start() {
  Dl_info libc;
  dladdr(reinterpret_cast<void*>(&gnu_get_libc_version), &libc);
  char* base = static_cast<char*>(libc.dli_fbase);
  void** slots = reinterpret_cast<void**>(base + SLOTS);
  for (int i = 0; i < 8; ++i) if (slots[i]) abort();
  char* loader = reinterpret_cast<char*>(getauxval(AT_BASE));
  void** loader_slot = reinterpret_cast<void**>(loader + LOADER_SLOT);
  if (*loader_slot) abort();
  *loader_slot = reinterpret_cast<void*>(hook);
  int image = open(LOADER_IMAGE, O_RDONLY);
  if (mmap(loader + TEXT_VADDR, TEXT_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, image, TEXT_OFFSET) == MAP_FAILED) abort();
  close(image);
  original_getenv = reinterpret_cast<char* (*)(const char*)>(base + GETENV);
  original_clock = reinterpret_cast<int (*)(clockid_t, timespec*)>(base + CLOCK);
  slots[1] = reinterpret_cast<void*>(hooked_getenv);
  slots[3] = reinterpret_cast<void*>(hooked_clock);
  slots[0] = reinterpret_cast<void*>(hook);
  char name[64];
  snprintf(name, sizeof name, "/hook-ready-%lx", reinterpret_cast<unsigned long>(hook_return));
  access(name, F_OK);
}
)";

// The images, the hook compiled for them, and programs compiled to use them.
class HookedRun {
 public:
  HookedRun() {
    auto made = wishes::images_in(directory_.path());
    if (!made) FAIL(made.error().message);
    images = *made;
    compile("hook.so", hook_source,
            fmt::format("-shared -fPIC -DSLOTS={} -DLOADER_SLOT={} -DTEXT_VADDR={} -DTEXT_SIZE={} -DTEXT_OFFSET={} -DGETENV={} "
                        "-DCLOCK={} '-DLOADER_IMAGE=\"{}\"'",
                        images.libc_slots, images.loader_slot, images.loader_text_vaddr, images.loader_text_size,
                        images.loader_text_offset, images.originals[1], images.originals[3], images.loader_image));
  }

  std::string compile(const std::string& name, const std::string& source, const std::string& options = "") {
    directory_.write(name + ".cc", source);
    const auto built = scratch::run(fmt::format("g++ -std=c++20 -O1 -pthread -o {0} {0}.cc {1}", directory_.at(name), options));
    INFO(built.output);
    REQUIRE(built.status == 0);
    return directory_.at(name);
  }

  std::string preload() const { return directory_.at("hook.so") + ":" + images.libc_image; }
  scratch::Outcome run(const std::string& command) const { return scratch::run("LD_PRELOAD=" + preload() + " timeout 20 " + command); }
  scratch::Outcome run_without_hook(const std::string& command) const {
    return scratch::run("LD_PRELOAD=" + images.libc_image + " timeout 20 " + command);
  }

  struct Trace {
    int hooked = 0;
    std::vector<std::string> missed;  // wanted calls made elsewhere
  };

  // Runs the command under strace and tells which of the wanted calls, from
  // the moment each process's hook was ready, came from the hook.
  Trace trace(const std::string& command) {
    const auto outcome = scratch::run(fmt::format("strace -ff -i -o {} -E LD_PRELOAD={} {}", directory_.at("trace"), preload(), command));
    INFO(outcome.output);
    REQUIRE(outcome.status == 0);
    Trace all;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path()))
      if (entry.path().filename().string().starts_with("trace.")) {
        read_trace(scratch::read(entry.path()), all);
        std::filesystem::remove(entry.path());
      }
    return all;
  }

  broker::images::SystemImages images;

 private:
  static void read_trace(const std::string& text, Trace& all) {
    static const std::set<std::string> wanted{"read", "write", "close", "open", "openat", "newfstatat", "stat", "lstat", "statx",
                                              "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64", "getcwd",
                                              "chdir", "mkdir", "rmdir", "unlink", "unlinkat", "rename", "renameat2", "execve",
                                              "exit_group"};
    std::string hook_address;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const std::size_t close = line.find("] "), open = line.find('(');
      if (line.empty() || line[0] != '[' || close == line.npos || open == line.npos || open < close) continue;
      const std::string address = line.substr(1, close - 1), name = line.substr(close + 2, open - close - 2);
      const std::size_t ready = line.find("/hook-ready-");
      if (ready != line.npos) hook_address = line.substr(ready + 12, line.find('"', ready) - ready - 12);
      else if (hook_address.empty() || wanted.count(name) == 0) continue;
      if (address.ends_with(hook_address)) ++all.hooked;
      else all.missed.push_back(line);
      if (name == "execve" && line.ends_with("= 0")) hook_address.clear();
    }
  }

  scratch::Directory directory_;
};

// Loading in ld.so is hooked for looks only, not for read, close and mmap.
void remove_loader_data_calls(HookedRun::Trace& trace) {
  auto& lines = trace.missed;
  lines.erase(std::remove_if(lines.begin(), lines.end(),
                             [](const std::string& line) {
                               return line.find("] close(") != line.npos || (line.find("] read(") != line.npos && line.find("ELF") != line.npos);
                             }),
              lines.end());
}

}  // namespace

TEST_CASE("every wanted call of real programs goes through the hook") {
  HookedRun run;
  for (const char* command : {"/bin/ls -la /usr/lib", "/bin/sh -c 'cd /tmp; pwd; ls >/dev/null; exit 0'", "make --version",
                              "python3 -c 'import json, socket, subprocess; subprocess.check_output([\"ls\"])'"}) {
    auto trace = run.trace(command);
    remove_loader_data_calls(trace);
    INFO(command << ": " << (trace.missed.empty() ? "" : trace.missed.front()));
    CHECK(trace.hooked > 10);
    CHECK(trace.missed.empty());
  }
}

TEST_CASE("calls through syscall() reach the hook, unknown ones included") {
  HookedRun run;
  const std::string program = run.compile("program", R"(
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main() {
  if (syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY) < 0) return 1;
  if (syscall(SYS_mmap, 0L, 4096L, 1L, 0x22L, -1L, 0L) == -1) return 2;
  return syscall(9999) == -1 && errno == ENOSYS ? 0 : 3;
})");
  CHECK(run.run(program).status == 0);
  CHECK(run.trace(program).missed.empty());
}

TEST_CASE("hooked functions reach the hook, and their originals work") {
  HookedRun run;
  const std::string program = run.compile("program", R"(
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int main() {
  timespec real, steady;
  int first = clock_gettime(CLOCK_REALTIME, &real), second = clock_gettime(CLOCK_MONOTONIC, &steady);
  printf("%s %s %d %d %d %d %d\n", getenv("?"), getenv("MINE"), getenv("NONE") == 0, first, second, real.tv_sec == 42, steady.tv_sec > 0);
})");
  const auto outcome = run.run("env MINE=yes " + program);
  CHECK(outcome.output == "hooked yes 1 0 0 1 1\n");
  CHECK(run.run_without_hook("env MINE=yes '?=bare' " + program).output == "bare yes 1 0 0 0 1\n");
}

TEST_CASE("a thread cancelled while an image calls a hook runs its destructors") {
  HookedRun run;
  const std::string program = run.compile("program", R"(
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
const char* what; const char* fifo; int ends[2];
struct Noisy { const char* name; ~Noisy() { printf("%s destroyed\n", name); } };
__attribute__((noinline)) int block() {
  Noisy inner{"inner"};
  char byte;
  return strcmp(what, "open") == 0 ? open(fifo, O_RDONLY) : (int)read(ends[0], &byte, 1);
}
void* work(void*) { Noisy outer{"outer"}; printf("%d\n", block()); return nullptr; }
int main(int, char** argv) {
  what = argv[1]; fifo = argv[2];
  if (pipe(ends) || mkfifo(fifo, 0600)) return 2;
  pthread_t thread;
  pthread_create(&thread, nullptr, work, nullptr);
  usleep(200000);
  pthread_cancel(thread);
  void* result;
  pthread_join(thread, &result);
  unlink(fifo);
  return result == PTHREAD_CANCELED ? 0 : 1;
})");
  for (const char* what : {"open", "read"}) {
    INFO(what);
    const std::string command = fmt::format("{} {} {}.fifo", program, what, program);
    CHECK(scratch::run(command).output == "inner destroyed\nouter destroyed\n");
    CHECK(run.run_without_hook(command).output == "inner destroyed\nouter destroyed\n");
    const auto hooked = run.run(command);
    CHECK(hooked.status == 0);
    CHECK(hooked.output == "inner destroyed\nouter destroyed\n");
  }
}

TEST_CASE("an exception passes from the hook through stubs of either shape") {
  HookedRun run;
  const std::string program = run.compile("program", R"(
#include <stdio.h>
#include <unistd.h>
struct Noisy { ~Noisy() { puts("destroyed"); } };
template <class Call> void attempt(Call call) {
  try { Noisy noisy; call(); } catch (int value) { printf("caught %d\n", value); }
}
int main() {
  char byte;
  attempt([&] { if (read(-77, &byte, 1)) puts("returned"); });
  attempt([&] { if (write(-77, &byte, 1)) puts("returned"); });
  attempt([&] { if (close(-77)) puts("returned"); });
})",
                                          "");
  const std::string each = "destroyed\ncaught 7\n";
  CHECK(run.run(program).output == each + each + each);
}

TEST_CASE("a backtrace from a signal inside a stub shows the caller") {
  HookedRun run;
  const std::string program = run.compile("program", R"(
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int ends[2];
extern "C" void on_alarm(int) {
  void* frames[32];
  const int count = backtrace(frames, 32);
  char** names = backtrace_symbols(frames, count);
  bool libc = false, caller = false;
  for (int i = 0; i < count; ++i) { libc |= strstr(names[i], "(read+") != nullptr || strstr(names[i], "__read+"); caller |= strstr(names[i], "waiting_caller") != nullptr; }
  printf("%d %d\n", libc, caller);
  fflush(stdout);
  _exit(0);
}
extern "C" __attribute__((noinline)) int waiting_caller() { char byte; return (int)read(ends[0], &byte, 1) + 1; }
int main() { if (pipe(ends)) return 2; signal(SIGALRM, on_alarm); alarm(1); return waiting_caller(); })",
                                          "-rdynamic");
  CHECK(run.run_without_hook(program).output == "1 1\n");
  CHECK(run.run(program).output == "1 1\n");
}

TEST_CASE("fork and popen work with every wanted call hooked") {
  HookedRun run;
  const std::string program = run.compile("program", R"(
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>
int main() {
  int status = 0;
  for (int i = 0; i < 50; ++i) { if (fork() == 0) _exit(i); wait(&status); if (WEXITSTATUS(status) != i) return 1; }
  if (system("exit 3") != 3 << 8) return 2;
  FILE* pipe = popen("echo popen works", "r"); char line[80] = "";
  if (!fgets(line, sizeof line, pipe)) return 3;
  fputs(line, stdout);
  char bytes[16];
  return pclose(pipe) == 0 && getentropy(bytes, 16) == 0 && getrandom(bytes, 16, 0) == 16 ? 0 : 4;
})");
  const auto outcome = run.run(program);
  CHECK(outcome.status == 0);
  CHECK(outcome.output == "popen works\n");
}
