// A broker that is gone, silent or slow never holds up a build for good.

#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include "tests/preload/fake_session.h"
#include "tests/preload/programs.h"

using namespace fake;
using namespace preload;

namespace {

// A pid that belongs to nobody.
int dead_pid() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return child;
}

}  // namespace

TEST_CASE("without an answer from a dead broker programs run, quickly and as ever") {
  Session session;
  session.silent = true;
  session.header().broker_pid = dead_pid();
  session.seal();
  const auto run = session.shell("echo one; /bin/echo two; env | grep -c VESTAL; exit 4");
  CHECK(run.output == "one\ntwo\n0\n");
  CHECK(run.exited_with(4));
  CHECK(run.seconds < 2);
  CHECK(session.header().state == region_gone);
}

TEST_CASE("a broker that dies during a session is noticed at the next question") {
  Session session;
  Programs programs;
  const std::string mark = programs.at("mark");
  std::thread killer([&] {
    while (::access(mark.c_str(), F_OK) != 0) ::usleep(1000);
    session.silent = true;
    session.header().broker_pid = dead_pid();
    session.seal();
  });
  const auto run = session.shell(fmt::format(
      "touch {}; sleep 0.2; for i in 1 2 3 4 5; do /bin/echo $i; done; cat /etc/hostname >/dev/null", mark));
  killer.join();
  CHECK(run.output == "1\n2\n3\n4\n5\n");
  CHECK(run.seconds < 5);
}

TEST_CASE("a session that ends during a build lets it go on") {
  Session session;
  session.on_exec = [&](const Event& event, Slot&) {
    if (event.words()[0] == "/bin/cat")
      __atomic_store_n(&session.header().state, region_gone, __ATOMIC_SEQ_CST);
  };
  const auto run = session.shell(
      "/bin/cat /etc/hostname >/dev/null; for i in 1 2 3; do /bin/echo $i; done; find /etc 2>/dev/null | wc "
      "-l >/dev/null");
  CHECK(run.output == "1\n2\n3\n");
  CHECK(run.seconds < 5);
}

TEST_CASE("a full log and a dead broker do not stop a program") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("fills", R"--(
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int main() {
  for (int i = 0; i < 100000; ++i) close(open("/etc/passwd", O_RDONLY));
  puts("done");
})--");
  session.on_exec = [&](const Event&, Slot&) {
    session.silent = true;
    session.header().broker_pid = dead_pid();
    session.seal();
  };
  const auto run = session.run({program});
  CHECK(run.output == "done\n");
  CHECK(run.seconds < 10);
  CHECK(session.header().state == region_gone);
}

TEST_CASE("a full log and a slow broker lose nothing") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("fills", R"--(
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main() {
  char name[32];
  for (int i = 0; i < 60000; ++i) { sprintf(name, "/no-such-file-%d", i); access(name, F_OK); }
  puts("done");
})--");
  session.on_exec = [&](const Event&, Slot&) {
    session.silent = true;
    std::thread([&session] {
      ::usleep(700000);
      session.silent = false;
    }).detach();
  };
  const auto run = session.run({program});
  CHECK(run.output == "done\n");
  CHECK(run.of(kind_access).size() == 60000);
  CHECK(session.header().state == region_live);
}

TEST_CASE("a fast timer does not keep a program from noticing that the broker is dead") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("ticks", R"--(
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
void tick(int) {}
int main() {
  signal(SIGALRM, tick);
  itimerval fast = {{0, 500}, {0, 500}};
  setitimer(ITIMER_REAL, &fast, 0);
  if (fork() == 0) { setitimer(ITIMER_REAL, &fast, 0); execl("/bin/true", "true", (char*)0); _exit(1); }
  while (wait(0) < 0) {}
  itimerval off = {};
  setitimer(ITIMER_REAL, &off, 0);
  puts("done");
})--");
  session.on_exec = [&](const Event&, Slot&) {
    session.silent = true;
    session.header().broker_pid = dead_pid();
    session.seal();
  };
  const auto run = session.run({program});
  CHECK(run.output == "done\n");
  CHECK(run.seconds < 3);
}

TEST_CASE("a question that is given up is marked as abandoned") {
  Session session;
  session.silent = true;
  std::thread killer([&] {
    ::usleep(100000);
    session.header().broker_pid = dead_pid();
    session.seal();
  });
  const auto run = session.run({"/bin/true"});
  killer.join();
  CHECK(run.exited_with(0));
  const Slot* slots = reinterpret_cast<const Slot*>(session.region() + slots_at);
  int abandoned = 0;
  for (std::uint32_t i = 0; i < slot_count; ++i) abandoned += slots[i].state == slot_abandoned;
  CHECK(abandoned == 1);
}

TEST_CASE("slots are given back") {
  Session session;
  session.shell(
      "for i in 1 2 3; do /bin/true $i; (exec /bin/echo x); done; python3 -c 'import subprocess; "
      "subprocess.run([\"ls\"])' >/dev/null");
  const Slot* slots = reinterpret_cast<const Slot*>(session.region() + slots_at);
  for (std::uint32_t i = 0; i < slot_count; ++i) CHECK(slots[i].state == slot_free);
}

TEST_CASE("more questions at once than slots are all answered") {
  Session session;
  for (std::uint32_t i = 0; i < slot_count - 1; ++i)
    reinterpret_cast<Slot*>(session.region() + slots_at)[i].state = slot_claimed;
  session.header().session_flags = 0;
  const auto run =
      session.run({"/bin/bash", "-c", "for i in {1..30}; do LD_LIBRARY_PATH=/$i /bin/echo x & done; wait"});
  CHECK(run.output.size() == 60);
  CHECK(run.exited_with(0));
}
