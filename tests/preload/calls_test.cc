// That each call leaves the right record, and that no call of real programs is missed.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include "tests/preload/fake_session.h"
#include "tests/preload/programs.h"

using namespace fake;
using namespace preload;

namespace {

// Runs a C++ function body with the usual headers included, in a directory of its own.
class Snippet {
 public:
  explicit Snippet(const std::string& body) {
    program_ = programs_.compile("snippet", R"--(
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>
int main(int argc, char** argv) { chdir(argv[1]); struct stat info;
)--" + body + "\nreturn 0; }");
    programs_.write("there", "contents");
  }
  Outcome run(Session& session) { return session.run({program_, programs_.path()}); }
  Outcome run() {
    Session session;
    return run(session);
  }
  std::string at(const std::string& name) const { return programs_.at(name); }
  const Programs& programs() const { return programs_; }

 private:
  Programs programs_;
  std::string program_;
};

}  // namespace

TEST_CASE("looking at a name leaves what was seen, once") {
  Snippet snippet(R"--(
    for (int i = 0; i < 3; ++i) { stat("there", &info); lstat("there", &info); stat("not-there", &info); access("there", R_OK); access("there", X_OK); }
    int directory = open(".", O_RDONLY | O_DIRECTORY);
    fstatat(directory, "there", &info, AT_SYMLINK_NOFOLLOW);
    struct statx more;
    statx(AT_FDCWD, "there", 0, STATX_BASIC_STATS, &more);
    char target[5];
    symlink("a-long-target", "link");
    readlink("link", target, sizeof target);
    readlink("there", target, sizeof target);
    chmod("there", 0600);
    stat("there", &info);
    chdir("/");
    stat("there", &info);
  )--");
  // Two looks may share a place in the small table of what has been logged, and then each is logged again: where is up to
  // the file's inode and time, so that another run is another chance.
  std::vector<Event> looks;
  std::optional<Outcome> last;
  struct stat before;
  REQUIRE(::stat(snippet.at("there").c_str(), &before) == 0);
  const mode_t first_mode = before.st_mode & 07777;
  for (int round = 0; round < 5 && looks.size() != 4; ++round) {
    if (round > 0) {
      std::filesystem::remove(snippet.at("link"));
      std::filesystem::copy_file(snippet.at("there"), snippet.at("copy"));
      std::filesystem::rename(snippet.at("copy"), snippet.at("there"));
      // The last run has set another.
      REQUIRE(::chmod(snippet.at("there").c_str(), first_mode) == 0);
    }
    last.emplace(snippet.run());
    looks.clear();
    for (const Event& event : last->of(kind_look))
      if (event.text == "there") looks.push_back(event);
  }
  const Outcome& run = *last;
  INFO(run.log());
  REQUIRE(run.exited_with(0));
  struct stat info;
  REQUIRE(::stat(snippet.at("there").c_str(), &info) == 0);
  // stat, lstat, stat after chmod, stat elsewhere; statx saw what stat had seen.
  REQUIRE(looks.size() == 4);
  CHECK(looks[0].arg == 0);
  CHECK(looks[1].arg == look_nofollow);
  const auto seen = looks[2].payload_as<StatPayload>();
  CHECK(seen.inode == info.st_ino);
  CHECK(seen.device == info.st_dev);
  CHECK(seen.size == 8);
  CHECK(seen.mode == (S_IFREG | 0600));
  CHECK(seen.links == 1);
  CHECK(seen.mtime_ns == info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec);
  CHECK(looks[3].result == -ENOENT);
  CHECK(run.find(kind_look, "not-there")->result == -ENOENT);
  CHECK(run.find(kind_look, snippet.at("there"))->arg == look_nofollow);
  CHECK(run.of(kind_access).size() == 2);
  CHECK(run.of(kind_access)[1].arg == X_OK);
  CHECK(run.of(kind_access)[1].result == -EACCES);
  CHECK(run.find(kind_readlink, "link")->text2 == "a-long-target");
  CHECK(run.find(kind_readlink, "link")->result == 13);
  CHECK(run.find(kind_readlink, "there")->result == -EINVAL);
  CHECK(run.of(kind_chdir).back().text2 == "/");
}

TEST_CASE("each open is logged unless it only says again what a number stands for, and fstat of what was opened") {
  Snippet snippet(R"--(
    for (int i = 0; i < 3; ++i) { int file = open("there", O_RDONLY); fstat(file, &info); int copy = dup(file); fstat(copy, &info); close(copy); close(file); }
    close(open("/etc/passwd", O_RDONLY));  // the number has another meaning
    close(open("there", O_RDONLY));
    open("not-there", O_RDONLY);
    int made = open("made", O_CREAT | O_WRONLY | O_EXCL, 0640);
    write(made, "x", 1);
    close(made);
    int directory = open("/etc", O_RDONLY);
    openat(directory, "hosts", O_RDONLY | O_CLOEXEC);
    fopen("there", "a");
    creat("created", 0600);
    long how[3] = {O_RDONLY, 0, 0};
    syscall(SYS_openat2, AT_FDCWD, "there", how, sizeof how);
  )--");
  const auto run = snippet.run();
  INFO(run.log());
  REQUIRE(run.exited_with(0));
  int opens = 0, fstats = 0;
  for (const Event& event : run.events) {
    opens += event.kind == kind_open && event.text == "there";
    fstats += event.kind == kind_fstat && event.payload_as<StatPayload>().size == 8;
  }
  CHECK(opens == 4);
  CHECK(fstats >= 1);
  const Event* again = run.find(kind_look, snippet.at("there"));  // by another number
  REQUIRE(again);
  CHECK(again->payload_as<StatPayload>().size == 8);
  CHECK(run.find(kind_open, "not-there")->result == -ENOENT);
  CHECK(run.find(kind_open, "made")->arg2 == 0640);
  CHECK(run.has(kind_open, "/etc/hosts"));
  CHECK((run.find(kind_open, "created")->arg & O_TRUNC) != 0);
  const auto preserved = run.of(kind_preserve);
  REQUIRE(preserved.size() == 1);
  CHECK(preserved[0].text == "there");
  CHECK(preserved[0].arg == 1);
}

TEST_CASE("a policy may say that fstat does not matter") {
  Snippet snippet(
      "int file = open(\"there\", O_RDONLY); fstat(file, &info); if (argc == 2) execl(argv[0], argv[0], "
      "argv[1], \"again\", (char*)0);");
  Session session;
  session.on_exec = [&](const Event&, Slot& slot) {
    reinterpret_cast<Plan*>(session.region() + plans_at)[slot.plan].flags = plan_skip_fstat;
  };
  const auto run = snippet.run(session);
  INFO(run.log());
  REQUIRE(run.exited_with(0));
  CHECK(run.of(kind_started).size() == 2);
  CHECK(run.of(kind_fstat).empty());
}

TEST_CASE("changes are logged with both names, absolute if they were relative to a descriptor") {
  Snippet snippet(R"--(
    int here = open(".", O_RDONLY | O_DIRECTORY);
    mkdir("folder", 0750); mkdirat(here, "folder2", 0700); mkdir("folder", 0700);
    rename("there", "moved"); renameat(here, "moved", here, "folder/moved");
    link("folder/moved", "linked"); symlink("target", "symbolic"); symlinkat("target", here, "symbolic2");
    chmod("linked", 0600); chown("linked", -1, -1); int file = open("linked", O_RDWR); fchmod(file, 0644); ftruncate(file, 3); truncate("linked", 2);
    struct timespec times[2] = {{1, 2}, {3, 4}}; futimens(file, times); utimensat(here, "linked", 0, 0); utimes("linked", 0);
    struct timespec only_access[2] = {{5, 0}, {0, UTIME_OMIT}}; utimensat(here, "linked", only_access, 0);
    setxattr("linked", "user.mine", "1", 1, 0);
    mknod("fifo", S_IFIFO | 0600, 0);
    unlink("linked"); unlinkat(here, "folder2", AT_REMOVEDIR); unlinkat(here, "symbolic", 0); rmdir("folder"); remove("fifo"); unlink("not-there");
    umask(077);
  )--");
  const auto run = snippet.run();
  INFO(run.log());
  REQUIRE(run.exited_with(0));
  const auto at = [&](const char* name) { return snippet.at(name); };
  CHECK(run.find(kind_mkdir, "folder")->arg == 0750);
  CHECK(run.of(kind_mkdir)[2].result == -EEXIST);
  CHECK(run.has(kind_mkdir, at("folder2")));
  CHECK(run.find(kind_rename, "there")->text2 == "moved");
  CHECK(run.find(kind_rename, at("moved"))->text2 == at("folder/moved"));
  CHECK(run.find(kind_link, "folder/moved")->text2 == "linked");
  CHECK(run.find(kind_symlink, "symbolic")->text2 == "target");
  CHECK(run.find(kind_symlink, at("symbolic2"))->text2 == "target");
  CHECK(run.find(kind_chmod, "linked")->arg == 0600);
  CHECK(run.find(kind_chmod, at("linked"))->arg == 0644);
  CHECK(run.has(kind_chown, "linked"));
  CHECK(run.has(kind_truncate, "linked"));
  CHECK(run.has(kind_truncate, at("linked")));
  const auto times = run.of(kind_utimens);
  REQUIRE(times.size() == 3);
  CHECK(times[0].text == at("linked"));
  CHECK(times[0].payload_as<TimesPayload>().mtime_ns == 3000000004);
  CHECK(times[1].payload_as<TimesPayload>().is_now == 1);
  CHECK(times[2].payload_as<TimesPayload>().is_now == 1);
  CHECK(run.has(kind_xattr_set, "linked"));
  CHECK(run.has(kind_mknod, "fifo"));
  CHECK(run.has(kind_unlink, "linked"));
  CHECK(run.has(kind_rmdir, at("folder2")));
  CHECK(run.has(kind_unlink, at("symbolic")));
  CHECK(run.find(kind_rmdir, "folder")->result == -ENOTEMPTY);
  CHECK(run.find(kind_unlink, "not-there")->result == -ENOENT);
}

TEST_CASE("a listing is logged as a sum that does not depend on the order") {
  Snippet snippet("DIR* directory = opendir(\"folder\"); while (readdir(directory)) {} closedir(directory);");
  std::filesystem::create_directory(snippet.at("folder"));
  snippet.programs().write("folder/b", "");
  snippet.programs().write("folder/a", "");
  const auto run = snippet.run();
  INFO(run.log());
  const auto lists = run.of(kind_list);
  REQUIRE(lists.size() == 2);
  CHECK(lists[0].text == snippet.at("folder"));
  CHECK(lists[0].payload_as<ListPayload>().entries == 2);
  constexpr unsigned regular = 8;  // DT_REG
  CHECK(lists[0].payload_as<ListPayload>().sum == entry_hash("a", 1, regular) + entry_hash("b", 1, regular));
  CHECK(lists[1].result == 0);
  CHECK(lists[1].payload_as<ListPayload>().entries == 0);
}

TEST_CASE("variables, clocks and random numbers are logged once for each way of asking") {
  Snippet snippet(R"--(
    for (int i = 0; i < 3; ++i) {
      getenv("HOME"); secure_getenv("HOME"); getenv("NOT_THERE");
      time(0); struct timeval now; gettimeofday(&now, 0); struct timespec precise; clock_gettime(CLOCK_REALTIME, &precise); clock_gettime(CLOCK_MONOTONIC, &precise);
      if (now.tv_sec < 1700000000 || precise.tv_sec <= 0) return 1;
      struct timezone zone; long seconds; if (gettimeofday(&now, &zone) || time(&seconds) != seconds || seconds - now.tv_sec > 1) return 2;
      struct rusage usage; getrusage(RUSAGE_SELF, &usage);
      char bytes[16]; if (getrandom(bytes, 16, 0) != 16 || getentropy(bytes, 16)) return 3;
    }
  )--");
  const auto run = snippet.run();
  INFO(run.log());
  REQUIRE(run.exited_with(0));
  CHECK(run.of(kind_getenv).size() == 2);
  CHECK(run.has(kind_getenv, "NOT_THERE"));
  CHECK(run.of(kind_random).size() == 1);
  int sources = 0;
  for (const Event& event : run.of(kind_clock)) sources += event.arg;
  CHECK(sources == (clock_by_monotonic | clock_by_gettime | clock_by_timeofday | clock_by_time | clock_by_usage |
                    clock_by_usage_again));
}

TEST_CASE("who asks what its children used has read a clock, who asks for memory another one") {
  const auto sources = [](const std::string& body) {
    int all = 0;
    for (const Event& event : Snippet(body).run().of(kind_clock)) all |= event.arg;
    return all;
  };
  CHECK(sources("if (fork() == 0) _exit(0); struct rusage usage; syscall(61 /* wait4 */, -1, 0, 0, &usage);") == clock_by_usage);
  CHECK(sources("if (fork() == 0) _exit(0); syscall(61, -1, 0, 0, 0);") == 0);
  CHECK(sources("sysconf(_SC_PHYS_PAGES);") == clock_by_machine);
}

TEST_CASE("the numbers of processes that a program is told are logged, each once") {
  const auto run = Snippet("for (int i = 0; i < 3; ++i) { getpid(); getppid(); getpgrp(); getpgid(0); getsid(0); }").run();
  std::set<int> told;
  for (const Event& event : run.of(kind_number)) CHECK(told.insert(event.arg).second);
  CHECK(told.size() >= 2);  // it need not lead its group or session
  CHECK(told.contains(::getpid()));
}

TEST_CASE("a program that only calls malloc has not asked for random numbers") {
  CHECK(Snippet("char* volatile place = (char*)malloc(100); free(place);").run().of(kind_random).empty());
}

TEST_CASE("what cannot be recorded spoils, what is only refused does not") {
  const auto words = [](const std::string& body) {
    std::string all;
    for (const Event& event : Snippet(body).run().of(kind_spoil)) all += event.text + ";";
    return all;
  };
  CHECK(words("socket(AF_INET, SOCK_STREAM, 0);") == "");
  CHECK(words("struct sockaddr_un a = {AF_UNIX, \"/no/such/socket\"}; connect(socket(AF_UNIX, SOCK_STREAM, "
              "0), (sockaddr*)&a, sizeof a);") == "");
  CHECK(words("struct sockaddr a = {AF_INET}; connect(socket(AF_INET, SOCK_DGRAM, 0), &a, sizeof a);") ==
        "used the network or a socket;");
  CHECK(words("syscall(SYS_inotify_init);") == "watches files with inotify;");
  CHECK(words("syscall(9999);") == "");
  CHECK(words("struct statfs s; statfs(\"/no-such\", &s);") == "");
  CHECK(words("struct statfs s; statfs(\"/\", &s); statfs(\"/\", &s);") ==
        "asked for the state of a file system;");
  CHECK(words("char v[9]; getxattr(\"there\", \"user.x\", v, 9);") == "");
  CHECK(words("char v[9]; setxattr(\"there\", \"user.x\", \"1\", 1, 0); getxattr(\"there\", \"user.x\", v, "
              "9);") == "read extended attributes;");
  CHECK(words("syscall(SYS_shmget, 0, 4096, 0600 | 01000);") == "uses shared memory of System V;");
}

TEST_CASE("there is no io_uring, and asking for it is nothing") {
  const auto run = Snippet("char ring[120] = {}; return syscall(SYS_io_uring_setup, 1, ring) != -1 || errno != ENOSYS;").run();
  CHECK(run.exited_with(0));
  CHECK(run.of(kind_spoil).empty());
}

TEST_CASE("a full disk spoils, however the program meets it") {
  for (const char* call : {"write(f, \"1\", 1)", "pwrite(f, \"1\", 1, 0)", "writev(f, &piece, 1)"}) {
    const auto run = Snippet("int f = open(\"/dev/full\", O_WRONLY); struct iovec piece = {(void*)\"1\", 1}; (void)piece; return " + std::string(call) + " != -1 || errno != ENOSPC;").run();
    INFO(run.log());
    REQUIRE(run.exited_with(0));
    CHECK(run.has(kind_spoil, "was refused room, memory or another process"));
  }
}

TEST_CASE("having no more processes spoils") {
  for (const char* call : {"fork", "vfork"}) {
    const auto run = Snippet("struct rlimit none = {0, 0}; setrlimit(RLIMIT_NPROC, &none); if (getuid() == 0 && setuid(65534)) return 2; const int p = " + std::string(call) + "(); if (p == 0) _exit(0); return p != -1;").run();
    INFO(run.log());
    REQUIRE(run.exited_with(0));
    CHECK(run.has(kind_spoil, "was refused room, memory or another process"));
  }
}

TEST_CASE("each call that reaches out of what is recorded spoils if it succeeds") {
  // Each is an expression that is negative if the kernel refuses it, as it may here, and cleans up behind itself.
  struct Reach {
    const char* call;
    const char* words;
  };
  const std::string headers = R"--(
#include <sched.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static char text[64], *const arguments[] = {(char*)"true", 0};
static struct iovec here = {text, sizeof text}, there = {text, sizeof text};
static struct timex now;
static long removed(long queue, int call) { syscall(call, queue, IPC_RMID, 0); return queue; }
static long sets_removed(long set) { semctl(set, 0, IPC_RMID); return set; }
)--";
  const Reach all[] = {
      {"syscall(SYS_userfaultfd, 1)", "uses userfaultfd"},
      {"ptrace(PTRACE_TRACEME, 0, 0, 0)", "uses ptrace"},
      {"process_vm_readv(getpid(), &here, 1, &there, 1, 0)", "reads the memory of another process"},
      {"process_vm_writev(getpid(), &here, 1, &there, 1, 0)", "writes the memory of another process"},
      {"syscall(SYS_kcmp, getpid(), getpid(), 2, 0, 0)", "compares processes"},
      {"syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, getpid(), 0), 1, 0)", "took a descriptor of another process"},
      {"removed(shmget(IPC_PRIVATE, 4096, 0600), SYS_shmctl)", "uses shared memory of System V"},
      {"removed(msgget(IPC_PRIVATE, 0600), SYS_msgctl)", "uses message queues of System V"},
      {"sets_removed(semget(IPC_PRIVATE, 1, 0600))", "uses semaphores of System V"},
      {"syscall(SYS_keyctl, 0, -3, 0)", "uses the kernel's keys"},
      {"unshare(0)", "made namespaces of its own"},
      {"adjtimex(&now)", "asked for the state of the clock"},
  };
  for (const Reach& one : all) {
    Programs programs;
    const auto run = Session().run({programs.compile(
        "reaches", headers + "#include <stdlib.h>\nint main() { return " + one.call + " < 0 ? 77 : 0; }")});
    INFO(one.call << "\n" << run.log());
    if (run.exited_with(77)) continue;
    REQUIRE(run.exited_with(0));
    CHECK(run.has(kind_spoil, one.words));
  }
  Programs programs;
  const auto run = Session().run({programs.compile("nameless", headers + R"--(
#include <fcntl.h>
#include <stdlib.h>
extern char** environ;
int main() {
  const int from = open("/bin/true", O_RDONLY), to = memfd_create("true", 0);
  for (ssize_t bytes; (bytes = read(from, text, sizeof text)) > 0;) write(to, text, bytes);
  fexecve(to, arguments, environ);
  return 1;
})--")});
  INFO(run.log());
  REQUIRE(run.exited_with(0));
  CHECK(run.has(kind_spoil, "executed a program without a name"));
}

TEST_CASE("a daemon that is not there is a name that was looked for") {
  Session session;
  const auto run = Snippet(
                       "struct sockaddr_un a = {AF_UNIX, \"/no/such/socket\"}; connect(socket(AF_UNIX, "
                       "SOCK_STREAM, 0), (sockaddr*)&a, sizeof a);")
                       .run(session);
  CHECK(run.find(kind_look, "/no/such/socket")->result == -ENOENT);
}

TEST_CASE("bad pointers are the kernel's to refuse") {
  Snippet snippet(R"--(
    const char* bad = (const char*)16;
    if (open(bad, O_RDONLY) >= 0 || errno != EFAULT) return 1;
    if (open(bad, O_RDWR | O_TRUNC) >= 0 || errno != EFAULT) return 2;
    if (stat(bad, &info) >= 0 || errno != EFAULT) return 3;
    if (syscall(SYS_newfstatat, AT_FDCWD, bad, &info, 0x40000000) >= 0 || errno != EINVAL) return 4;
    if (access(bad, 77) >= 0 || errno != EINVAL) return 5;
    if (rename(bad, bad) >= 0 || unlink(bad) >= 0 || mkdir(bad, 0) >= 0 || chdir(bad) >= 0) return 6;
    if (execl(bad, "x", (char*)0) >= 0 || errno != EFAULT) return 7;
    if (readlink(bad, (char*)bad, 4) >= 0 || symlink(bad, bad) >= 0 || utimensat(AT_FDCWD, bad, 0, 0) >= 0) return 8;
    if (syscall(SYS_openat2, AT_FDCWD, bad, bad, 24) >= 0 || errno != EFAULT) return 9;
    if (write(1, bad, 4) >= 0 || errno != EFAULT || read(0, (char*)bad, 0) > 0) return 10;
  )--");
  const auto run = snippet.run();
  INFO(run.log());
  CHECK(run.exited_with(0));
}

TEST_CASE("a file without a name that gets one is linked by its descriptor") {
  const auto run = Snippet(R"--(
    int file = open(".", O_TMPFILE | O_WRONLY, 0600);
    if (file < 0) return errno == EOPNOTSUPP ? 77 : 1;
    write(file, "x", 1);
    char name[40]; sprintf(name, "/proc/self/fd/%d", file);
    if (linkat(AT_FDCWD, name, AT_FDCWD, "named", AT_SYMLINK_FOLLOW)) return 2;
    if (linkat(file, "", AT_FDCWD, "named too", AT_EMPTY_PATH) && errno != ENOENT && errno != EPERM) return 3;
  )--")
                       .run();
  INFO(run.log());
  if (run.exited_with(77)) return;
  REQUIRE(run.exited_with(0));
  const auto links = run.of(kind_link);
  REQUIRE(links.size() >= 1);
  CHECK(links[0].text == "/proc/self/fd/3");
  CHECK(links[0].text2 == "named");
  CHECK((run.of(kind_open)[0].arg & O_TMPFILE) == O_TMPFILE);
}

TEST_CASE("an empty path names nothing, or the working directory") {
  const auto run = Snippet(R"--(
    stat("", &info); open("", O_RDONLY); access("", F_OK);
    if (fstatat(AT_FDCWD, "", &info, AT_EMPTY_PATH)) return 1;
  )--")
                       .run();
  INFO(run.log());
  REQUIRE(run.exited_with(0));
  CHECK_FALSE(run.has(kind_look, ""));
  CHECK_FALSE(run.has(kind_open, ""));
  CHECK(run.has(kind_look, "."));
}

TEST_CASE("contents that are pending are preserved before they are lost") {
  Snippet snippet(R"--(
    FILE* made = fopen("made", "w"); fputs("x", made); fclose(made);
    made = fopen("made", "w"); fclose(made);
    unlink("made");
    made = fopen("made", "a"); fclose(made);
    made = fopen("made", "a"); fclose(made);
    rename("there", "made");
  )--");
  Session session;
  session.hashes = false;
  const auto run = snippet.run(session);
  INFO(run.log());
  REQUIRE(run.exited_with(0));
  // Not by what creates it, nor for the file that nobody has opened.
  const auto preserved = run.of(kind_preserve);
  REQUIRE(preserved.size() == 4);
  for (const Event& event : preserved) CHECK(event.text == "made");
  Session hashing;
  const auto later = Snippet("usleep(50000); unlink(\"there\");").run(hashing);
  CHECK(later.of(kind_preserve).empty());
}

TEST_CASE("every kernel call with a known number stands in the table exactly once") {
  std::map<int, int> rows;
#define ONE_PATH(effect, call, kind, directory, path, value) ++rows[__NR_##call];
#define DESCRIPTOR(effect, call, kind, value) ++rows[__NR_##call];
#define BY_HAND(effect, call, handler) ++rows[__NR_##call];
#define SPOILS(effect, call, words) ++rows[__NR_##call];
#define SPOILS_WHAT_FOLLOWS(effect, call, words) ++rows[__NR_##call];
#define SPOILS_BY_DESCRIPTOR(effect, call, words) ++rows[__NR_##call];
#define LEFT_ALONE(call, reason) ++rows[__NR_##call];
#include "preload/calls.def"
  for (const auto& [number, count] : rows) {
    INFO("call " << number);
    CHECK(count == 1);
  }
  std::istringstream names(
      scratch::run("echo '#include <asm/unistd.h>' | gcc -E -dM - | grep -E '^#define __NR_' | sort").output);
  int found = 0;
  for (std::string define, name, number; names >> define >> name >> number;) {
    INFO(name);
    // Younger calls than this table cannot be in the libc it is for.
    constexpr int last = __NR_open_tree_attr;
    if (std::stoi(number) > last) continue;
    CHECK(rows.count(std::stoi(number)) == 1);
    ++found;
  }
  CHECK(found > 350);
}

namespace {

struct Seen {
  int pid;
  std::string call, path;
  bool relative_to_descriptor;
};

// The path calls of a process from the moment it has the shim, as strace saw them.
std::vector<Seen> traced_calls(const std::string& folder) {
  std::vector<Seen> result;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string file = entry.path().filename().string();
    if (file.rfind("trace.", 0) != 0) continue;
    const int pid = std::stoi(file.substr(6));
    bool started = false;
    std::istringstream lines(scratch::read(entry.path()));
    for (std::string line; std::getline(lines, line);) {
      const std::size_t open = line.find('('), quote = line.find('"');
      if (open == line.npos) continue;
      const std::string call = line.substr(0, open);
      if (call == "execve" && line.find(" = 0") != line.npos) started = false;
      // The constructor ends by mapping the patched loader, and closing it.
      if (line.find("/ld-") != line.npos && line.find("images") != line.npos)
        started = true;
      else if (started && quote != line.npos) {
        const std::string path = line.substr(quote + 1, line.find('"', quote + 1) - quote - 1);
        const bool relative =
            line.compare(open + 1, 8, "AT_FDCWD") != 0 && line[open + 1] != '"' && path[0] != '/';
        result.push_back({pid, call, path, relative});
      }
    }
  }
  return result;
}

}  // namespace

TEST_CASE("every path that strace sees after the shim has started is in the log") {
  static const std::set<std::string> wanted{"open",     "openat",     "newfstatat", "stat",      "lstat",
                                            "readlink", "readlinkat", "access",     "faccessat", "faccessat2",
                                            "unlink",   "rename",     "mkdir",      "chdir",     "chmod"};
  Programs programs;
  programs.write("hello.c", "#include <stdio.h>\nint main() { puts(\"hello\"); }\n");
  programs.write("Makefile", "hello: hello.c\n\tgcc -o $@ $<\n");
  const std::vector<std::string> commands = {
      "ls -la /usr /etc", "gcc -c " + programs.at("hello.c") + " -o " + programs.at("hello.o"),
      "make -C " + programs.path(),
      "python3 -c 'import json, subprocess; subprocess.check_output([\"ls\", \"/\"])'",
      "getent passwd root; echo x | iconv -f utf8 -t utf16 | wc -c; find /etc | head -50 | sort"};
  for (const std::string& command : commands) {
    Session session;
    Environment environment = plain_environment();
    for (const std::string& variable : session.variables_for("/bin/sh")) environment.push_back(variable);
    scratch::Directory traces;
    // strace itself must not be traced: env puts the variables last.
    std::string put;
    for (const std::string& variable : session.variables_for("/bin/sh")) put += " '" + variable + "'";
    programs.write("command", command);
    const auto outcome = scratch::run(
        fmt::format("env -u MAKEFLAGS strace -ff -qq -s 4096 -o {}/trace -e signal=none env {} /bin/sh {}",
                    traces.path(), put, programs.at("command")));
    INFO(command << outcome.output);
    CHECK(outcome.status == 0);
    std::set<std::pair<int, std::string>> logged;
    std::map<int, int> parents;
    for (const Event& event : session.take_events()) {
      logged.insert({event.pid, event.text});
      if (event.kind == kind_exec && event.payload_as<ExecPayload>().flags == 0)
        logged.insert({event.pid, event.words()[0]});
      if (event.kind == kind_forked_child) parents[event.pid] = event.arg;
      if (event.kind == kind_forked) parents[event.arg] = event.pid;
    }
    // A child does not repeat what its parent has logged before the fork.
    const auto is_logged = [&](int pid, const std::string& path) {
      for (;; pid = parents[pid]) {
        if (logged.count({pid, path})) return true;
        if (parents.count(pid) == 0) return false;
      }
    };
    int checked = 0;
    std::string missed;
    for (const Seen& seen : traced_calls(traces.path())) {
      if (wanted.count(seen.call) == 0 || seen.path.empty()) continue;
      // The shim's own: it makes sure that the image is there before it has it preloaded.
      if (seen.call == "access" && seen.path.find("/libc-") != seen.path.npos && seen.path.ends_with(".so.6")) continue;
      if (seen.path.rfind("/dev/shm/", 0) == 0 || seen.path.rfind("/proc/self/fd/", 0) == 0) continue;
      ++checked;
      if (!seen.relative_to_descriptor && !is_logged(seen.pid, seen.path))
        missed += fmt::format("{} {} {}\n", seen.pid, seen.call, seen.path);
    }
    INFO(missed.substr(0, 2000));
    CHECK(missed.empty());
    CHECK(checked > 20);
  }
}
