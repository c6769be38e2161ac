// Processes: that they live and die as ever, and that the log tells who they were.

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include "tests/preload/fake_session.h"
#include "tests/preload/programs.h"

using namespace fake;
using namespace preload;

namespace {

// Every pid's first record says where it came from, and every pid but those killed says how it ended.
void check_family(const Outcome& run, bool all_exit = true) {
  std::set<int> known, ended;
  for (const Event& event : run.events) {
    INFO(event.describe());
    if (known.insert(event.pid).second && event.position != run.events.front().position)
      CHECK((event.kind == kind_started || event.kind == kind_forked_child || event.parent_pid != 0));
    if (event.kind == kind_exited) ended.insert(event.pid);
  }
  if (all_exit) CHECK(known == ended);
}

}  // namespace

TEST_CASE("exit statuses and deaths by signal are kept") {
  Session session;
  CHECK(session.shell("exit 0").exited_with(0));
  CHECK(session.shell("exit 300").exited_with(44));
  const auto killed = session.shell("kill -TERM $$");
  CHECK(WIFSIGNALED(killed.status));
  CHECK(WTERMSIG(killed.status) == SIGTERM);
  const Event* signal = nullptr;
  for (const Event& event : killed.events)
    if (event.kind == kind_signalled) signal = &event;
  REQUIRE(signal);
  CHECK(signal->arg == signal->pid);
  CHECK(signal->result == SIGTERM);
  const auto inner = session.shell("sh -c 'kill -9 $$'; echo $?; (exit 5); echo $?");
  CHECK(inner.output == "137\n5\n");
  const auto reaped = inner.of(kind_reaped);
  REQUIRE(reaped.size() == 2);
  CHECK(reaped[0].result == SIGKILL);
  CHECK(reaped[1].result == 5 << 8);
  Programs programs;
  const auto aborted =
      session.run({programs.compile("abort", "#include <stdlib.h>\nint main() { abort(); }")});
  CHECK(WTERMSIG(aborted.status) == SIGABRT);
}

TEST_CASE("forks are logged by parent and child, execs with what names the step") {
  Session session;
  const auto run = session.shell("cd /usr; umask 27; A=1 /bin/echo one 'two words' >/dev/null; (exit 3)");
  INFO(run.log());
  check_family(run);
  // For the first command dash takes vfork.
  REQUIRE(run.of(kind_forked).size() == 1);
  REQUIRE(run.of(kind_forked_child).size() == 1);
  CHECK(run.of(kind_forked)[0].arg == run.of(kind_forked_child)[0].pid);
  const Event* echo = run.find(kind_exec, "/bin/echo");
  REQUIRE(echo);
  CHECK(echo->words() == std::vector<std::string>{"/bin/echo", "/usr", "/bin/echo", "one", "two words"});
  const auto exec = echo->payload_as<ExecPayload>();
  CHECK(exec.umask == 027);
  CHECK(exec.parent_pid == run.events.front().pid);
  std::uint64_t key = 0;
  for (const std::string& word : echo->words()) key = short_key_add(key, word.data(), word.size());
  CHECK(exec.short_key == key);
  const auto variables = echo->variables();
  REQUIRE(variables.count("A") == 1);
  CHECK(variables.at("A") == fingerprint(session.header().fingerprint_key, "1", 1));
  CHECK(variables.count("LD_PRELOAD") == 0);
  CHECK(variables.count("VESTAL_REGION") == 0);
  REQUIRE(exec.fd_count >= 2);
  CHECK(exec.fds[1].fd == 1);
  CHECK(exec.fds[1].kind == fd_null);
  CHECK(exec.fds[1].writable == 1);
}

TEST_CASE("children of vfork, posix_spawn, system and popen are known by their parents") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("spawns", R"--(
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
extern char** environ;
int main() {
  int status;
  char line[80];
  if (vfork() == 0) { execl("/bin/echo", "echo", "vforked", (char*)0); _exit(9); }
  if (wait(&status) < 0 || status) return 1;
  if (vfork() == 0) { execl("/no/such/program", "x", (char*)0); _exit(9); }
  if (wait(&status) < 0 || WEXITSTATUS(status) != 9) return 2;
  pid_t child;
  char* arguments[] = {(char*)"echo", (char*)"spawned", 0};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 7, "/dev/null", 0, 0);
  if (posix_spawnp(&child, "echo", &actions, 0, arguments, environ) || waitpid(child, &status, 0) != child || status) return 3;
  if (posix_spawn(&child, "/no/such/program", 0, 0, arguments, environ) == 0) return 4;
  fflush(stdout);
  if (system("echo by system; exit 3") != 3 << 8) return 5;
  FILE* pipe = popen("echo by popen", "r");
  if (!fgets(line, sizeof line, pipe) || strcmp(line, "by popen\n") || pclose(pipe)) return 6;
  return 0;
})--");
  const auto run = session.run({program});
  INFO(run.log());
  CHECK(run.exited_with(0));
  CHECK(run.output == "vforked\nspawned\nby system\n");
  check_family(run);
  const int parent = run.events.front().pid;
  for (const Event& event : run.events) {
    if (event.kind != kind_exec || event.pid == parent) continue;
    INFO(event.describe());
    if (event.words()[0] == "/bin/echo" || event.words()[0] == "/bin/sh") CHECK(event.parent_pid == parent);
    CHECK(event.payload_as<ExecPayload>().parent_pid == parent);
    CHECK((event.payload_as<ExecPayload>().flags & exec_unknown_parent) == 0);
  }
  CHECK(run.has(kind_look, "/no/such/program"));
  CHECK(run.find(kind_open, "/dev/null")->parent_pid == parent);
}

TEST_CASE("storms of children under a fast timer lose nothing") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("storm", R"--(
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
extern char** environ;
volatile int ticks;
void tick(int) { int saved = errno; struct stat info; stat("/etc/passwd", &info); close(open("/etc/group", O_RDONLY)); getenv("HOME"); ++ticks; errno = saved; }
pid_t patient(pid_t child, int* status) { pid_t got; while ((got = waitpid(child, status, 0)) < 0 && errno == EINTR) {} return got; }
void* look(void*) { struct stat info; for (int i = 0; i < 20000; ++i) { char name[40]; sprintf(name, "/tmp/not-there-%d", i % 700); stat(name, &info); } return 0; }
int main() {
  struct sigaction action = {};
  action.sa_handler = tick;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, 0);
  itimerval fast = {{0, 300}, {0, 300}};
  setitimer(ITIMER_REAL, &fast, 0);
  pthread_t thread;
  pthread_create(&thread, 0, look, 0);
  char* arguments[] = {(char*)"true", 0};
  for (int i = 0; i < 60; ++i) {
    int status;
    pid_t child = fork();
    if (child == 0) { itimerval off = {}; setitimer(ITIMER_REAL, &off, 0); _exit(i); }
    if (patient(child, &status) != child || WEXITSTATUS(status) != i) return 1;
    child = vfork();
    if (child == 0) { execl("/bin/true", "true", (char*)0); _exit(1); }
    if (patient(child, &status) != child || status) return 2;
    int failed = posix_spawn(&child, "/bin/true", 0, 0, arguments, environ);
    if (failed || patient(child, &status) != child || status) return 3;
    FILE* pipe = popen("echo x", "r");
    int c;
    while ((c = getc(pipe)) == EOF && ferror(pipe) && errno == EINTR) clearerr(pipe);
    if (c != 'x') return 4;
    while (pclose(pipe) < 0 && errno == EINTR) {}
  }
  itimerval off = {};
  setitimer(ITIMER_REAL, &off, 0);
  pthread_join(thread, 0);
  return ticks > 20 ? 0 : 5;
})--");
  const auto run = session.run({program});
  INFO(WEXITSTATUS(run.status));
  CHECK(run.exited_with(0));
  check_family(run);
  CHECK(run.of(kind_forked).size() == 60);
  CHECK(run.of(kind_spoil).empty());
}

TEST_CASE("what a child of vfork does leaves its parent's notes alone") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("child", R"--(
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
int main() {
  struct stat info;
  chdir("/usr");
  int file = open("lib", O_RDONLY | O_DIRECTORY);
  if (vfork() == 0) { chdir("/etc"); umask(077); stat("passwd", &info); close(file); dup2(1, file); execl("/bin/true", "true", (char*)0); _exit(1); }
  int status;
  wait(&status);
  stat("passwd", &info);
  fstat(file, &info);
  mkdir("/no/such/place", 0777);
  execl("/bin/true", "true", (char*)0);
})--");
  const auto run = session.run({program});
  INFO(run.log());
  CHECK(run.exited_with(0));
  int good = 0, bad = 0;
  for (const Event& event : run.of(kind_look))
    if (event.text == "passwd") (event.result == 0 ? good : bad) += 1;
  CHECK(good == 1);
  CHECK(bad == 1);
  CHECK(run.of(kind_fstat).size() >= 1);
  const auto execs = run.of(kind_exec);
  REQUIRE(execs.size() == 3);
  CHECK(execs[1].words()[1] == "/etc");
  CHECK(execs[1].payload_as<ExecPayload>().umask == 077);
  CHECK(execs[2].words()[1] == "/usr");
  CHECK(execs[2].payload_as<ExecPayload>().umask == 022);
}

TEST_CASE("a process made by a clone that cannot be seen is noticed when it executes or ends") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("clones", R"--(
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <stdlib.h>
int run(void* what) { if (what) execl("/bin/true", "true", (char*)0); _exit(0); }
int main() {
  char* stack = (char*)malloc(65536) + 65536;
  int status;
  if (clone(run, stack, SIGCHLD, (void*)1) < 0 || wait(&status) < 0 || status) return 1;
  if (clone(run, stack, SIGCHLD, 0) < 0 || wait(&status) < 0 || status) return 2;
  return 0;
})--");
  const auto run = session.run({program});
  INFO(run.log());
  CHECK(run.exited_with(0));
  CHECK(run.find(kind_exec, "/bin/true")->payload_as<ExecPayload>().flags & exec_unknown_parent);
  CHECK(run.has(kind_spoil, "a process made by clone"));
}

TEST_CASE("a thread cancelled in a call that the shim makes runs its destructors") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("cancel", R"--(
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
const char* what; const char* fifo; int ends[2];
struct Noisy { const char* name; ~Noisy() { printf("%s destroyed\n", name); } };
__attribute__((noinline)) int block() {
  Noisy inner{"inner"};
  char byte;
  if (!strcmp(what, "open")) return open(fifo, O_RDONLY);
  if (!strcmp(what, "read")) return (int)read(ends[0], &byte, 1);
  int status;
  return wait(&status);
}
void* work(void*) { Noisy outer{"outer"}; printf("%d\n", block()); return nullptr; }
int main(int, char** argv) {
  what = argv[1]; fifo = argv[2];
  if (pipe(ends) || mkfifo(fifo, 0600)) return 2;
  if (!strcmp(what, "wait") && fork() == 0) { sleep(1); _exit(0); }
  pthread_t thread;
  pthread_create(&thread, nullptr, work, nullptr);
  usleep(200000);
  pthread_cancel(thread);
  void* result;
  pthread_join(thread, &result);
  unlink(fifo);
  return result == PTHREAD_CANCELED ? 0 : 1;
})--");
  for (const char* what : {"open", "read", "wait"}) {
    const auto run = session.run({program, what, program + ".fifo"});
    INFO(what << run.log());
    CHECK(run.exited_with(0));
    CHECK(run.output == "inner destroyed\nouter destroyed\n");
  }
}

TEST_CASE("a backtrace from a signal handler passes through the shim") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("trace", R"--(
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
  for (int i = 0; i < count; ++i) { libc |= strstr(names[i], "read+") != nullptr; caller |= strstr(names[i], "waiting_caller") != nullptr; }
  printf("%d %d\n", libc, caller);
  fflush(stdout);
  _exit(0);
}
extern "C" __attribute__((noinline)) int waiting_caller() { char byte; return (int)read(ends[0], &byte, 1) + 1; }
int main() { if (pipe(ends)) return 2; signal(SIGALRM, on_alarm); ualarm(300000, 0); return waiting_caller(); })--",
                                               "-rdynamic");
  CHECK(session.run({program}).output == "1 1\n");
}

TEST_CASE("hooks work on a signal stack of the smallest size") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("small", R"--(
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
int directory;
void handler(int) {
  struct stat info;
  stat("/etc/passwd", &info);
  fstatat(directory, "passwd", &info, 0);
  faccessat(directory, "group", R_OK, 0);
  renameat(directory, "no-such-file", directory, "nor-this");
  unlinkat(directory, "no-such-file", 0);
  close(openat(directory, "hosts", O_RDONLY));
  write(1, "x", 1);
  (void)!chdir("/etc");
}
int main() {
  directory = open("/etc", O_RDONLY | O_DIRECTORY);
  // MINSIGSTKSZ on top of what the kernel itself stores there. Resolving symbols late would need more.
  const size_t size = getauxval(AT_MINSIGSTKSZ) + 2048;
  char* place = (char*)mmap(0, 16384 + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(place + 4096, 16384, PROT_READ | PROT_WRITE);
  stack_t stack = {};
  stack.ss_sp = place + 4096;
  stack.ss_size = size < 16384 ? size : 16384;
  sigaltstack(&stack, 0);
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, 0);
  memset(place + 4096, 0x5a, 16384);
  raise(SIGUSR1);
  return 0;
})--",
                                               "-Wl,-z,now");
  CHECK(Session::run_plain({program}).output == "x");
  const auto run = session.run({program});
  INFO(run.log());
  CHECK(run.exited_with(0));
  CHECK(run.output == "x");
  CHECK(run.has(kind_look, "/etc/passwd"));
  CHECK(run.has(kind_access, "/etc/group"));
}

TEST_CASE("a shell script, make and python run as ever") {
  Session session;
  Programs programs;
  programs.write("Makefile",
                 "all: a b\na b:\n\t@echo making $@; cp /etc/hostname $@\nclean:\n\t@rm -f a b\n");
  const std::string script =
      programs.write("script", "#!/bin/sh -e\nx=$(echo inner | tr i o)\necho \"$0 $1 $x\"\n");
  scratch::run("chmod +x " + script);
  const std::vector<std::vector<std::string>> commands = {
      {"/bin/sh", "-c", script + " hello"},
      {"/usr/bin/make", "-C", programs.path(), "clean"},
      {"/usr/bin/make", "-B", "-C", programs.path(), "all"},
      {"/bin/sh", "-c", "make -Bsj2 -C " + programs.path() + " a b | sort"},
      {"/usr/bin/perl", "-e", "print `echo perl`; opendir D, '/usr'; print join ' ', sort readdir D"},
      {"/bin/bash", "-c",
       "for i in 1 2 3; do (echo $i | cat); done; read a b < <(echo 1 2); echo $b; cat <<< here"},
      {"/bin/sh", "-c",
       "python3 -c 'import subprocess, os; print(subprocess.check_output([\"echo\", \"x\"]), "
       "len(os.listdir(\"/usr\")))'"},
      {"/bin/sh", "-c",
       "find /etc -maxdepth 1 | sort | tail -5; tar cf - /etc/passwd 2>/dev/null | tar tf -; git --version"}};
  for (const auto& command : commands) {
    INFO(fmt::format("{}", command.back()));
    const auto plain = Session::run_plain(command);
    const auto run = session.run(command);
    CHECK(run.status == plain.status);
    CHECK(run.output == plain.output);
    check_family(run);
  }
}
