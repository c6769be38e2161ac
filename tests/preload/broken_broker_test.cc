// A broker that is gone, silent or slow never holds up a build for good.

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include "preload/redo.h"
#include "tests/broker/images/scratch.h"
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

TEST_CASE("a broker that has been killed and that nobody waits for is noticed as well") {
  Session session;  // the process that plays the broker goes on, as one that is left is there for kill(2)
  session.silent = true;
  session.unlock();
  const auto run = session.run({"/bin/echo", "one"});
  CHECK(run.output == "one\n");
  CHECK(session.header().state == region_gone);
}

namespace {

// The broker takes the question of an `echo`, writes down the changes of a replay, makes some of them, and dies.
struct BrokenOff {
  Session session;
  scratch::Directory place;
  std::string entries;
  std::uint32_t done = 0;

  std::string at(const std::string& name) const { return place.at(name); }
  void put(const std::string& name, const std::string& text) const { std::ofstream(at(name)) << text; }
  std::string get(const std::string& name) const {
    std::ifstream file(at(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void add(RedoEntry entry, const std::string& path, const std::string& text = {}) {
    entry.path_bytes = static_cast<std::uint32_t>(path.size() + 1);
    entry.text_bytes = static_cast<std::uint32_t>(text.size() + 1);
    entry.bytes = static_cast<std::uint32_t>(align_up(sizeof entry + entry.path_bytes + entry.text_bytes, 8));
    const std::size_t begin = entries.size();
    entries.append(reinterpret_cast<const char*>(&entry), sizeof entry);
    entries.append(path.c_str(), path.size() + 1).append(text.c_str(), text.size() + 1);
    entries.resize(begin + entry.bytes);
  }
  // `private_files`: as many of the entries stand for those.
  std::uint32_t private_files = 0;
  bool committed = true;
  void write(std::uint32_t slot) {
    RedoLog& log = *reinterpret_cast<RedoLog*>(session.region() + redo_at);
    std::memcpy(&log + 1, entries.data(), entries.size());
    log.committed = committed;
    log.begin = 0;
    for (std::uint32_t i = 0; i < private_files; ++i) log.begin += redo_entry(log, log.begin).bytes;
    log.end = static_cast<std::uint32_t>(entries.size());
    log.done = log.begin + done;
    log.slot = slot;
  }
  Outcome run() {
    session.on_exec = [&](const Event& event, Slot& slot) {
      if (event.words()[0] != "/bin/echo") return;
      slot.verdict = verdict_leave;
      slot.status = 7 << 8;
      write(static_cast<std::uint32_t>(event.slot));
      session.dies_answering = true;
      session.silent = true;
      session.unlock();
    };
    return session.shell("/bin/echo itself; echo $?");
  }
};

}  // namespace

TEST_CASE("a replay over which the broker is killed is finished by whoever waits for it") {
  BrokenOff replay;
  replay.put("private", "new");
  replay.put("out", "old");
  replay.put("gone", "");
  replay.private_files = 2;
  replay.add({.kind = redo_unlink}, replay.at("private"));
  replay.add({.kind = redo_unlink}, replay.at("private2"));
  replay.add({.kind = redo_mkdir, .mode = 0700}, replay.at("made"));
  replay.add({.kind = redo_rename}, replay.at("private"), replay.at("out"));
  replay.add({.kind = redo_link}, replay.at("private2"), replay.at("out"));
  replay.add({.kind = redo_rename, .flags = redo_same_file}, replay.at("private2"), replay.at("made/link"));
  replay.add({.kind = redo_unlink}, replay.at("gone"));
  replay.add({.kind = redo_time, .mtime_ns = -500000000}, replay.at("out"));
  replay.add({.kind = redo_chmod, .mode = 0750, .type = S_IFDIR}, replay.at("made"));
  auto holds = [&] {
    CHECK(replay.get("out") == "new");
    CHECK(replay.get("made/link") == "new");
    struct stat info {};
    REQUIRE(::stat(replay.at("out").c_str(), &info) == 0);
    CHECK(info.st_nlink == 2);
    CHECK(info.st_mtim.tv_sec == -1);
    CHECK(info.st_mtim.tv_nsec == 500000000);
    CHECK(std::filesystem::status(replay.at("made")).permissions() == std::filesystem::perms(0750));
    CHECK_FALSE(std::filesystem::exists(replay.at("gone")));
    CHECK_FALSE(std::filesystem::exists(replay.at("private")));
    CHECK_FALSE(std::filesystem::exists(replay.at("private2")));
  };
  SECTION("from its beginning") {
    CHECK(replay.run().output == "7\n");
    holds();
  }
  SECTION("from wherever it was, whether or not the change it was at has been made") {
    replay.write(0);
    RedoLog& log = *reinterpret_cast<RedoLog*>(replay.session.region() + redo_at);
    const int made = GENERATE(range(0, 14));
    for (int i = 0; i <= made / 2; ++i) {
      RedoEntry& entry = redo_entry(log, log.done);
      if (i < made / 2 || made % 2 == 1) REQUIRE(redo(log, entry, false) == 0);
      if (i < made / 2) log.done += entry.bytes;
    }
    replay.done = log.done - log.begin;
    CHECK(replay.run().output == "7\n");
    holds();
  }
}

TEST_CASE("a file that a replay writes in place is whole when whoever waits has finished the replay") {
  BrokenOff replay;
  const std::string wanted(300000, 'w');
  replay.put("private", wanted);
  replay.put("out", std::string(400000, 'o'));
  std::filesystem::create_hard_link(replay.at("out"), replay.at("other"));
  replay.add({.kind = redo_overwrite}, replay.at("private"), replay.at("out"));
  replay.add({.kind = redo_unlink}, replay.at("nothing"));
  SECTION("from its beginning") {}
  SECTION("after half of it") { std::fstream(replay.at("out"), std::ios::in | std::ios::out) << std::string(100000, 'w'); }
  SECTION("after all of it") {
    std::filesystem::remove(replay.at("private"));
    replay.put("out", wanted);
  }
  CHECK(replay.run().output == "7\n");
  CHECK((replay.get("out") == wanted));
  CHECK((replay.get("other") == wanted));
  CHECK_FALSE(std::filesystem::exists(replay.at("private")));
}

TEST_CASE("of a replay that was not committed when the broker was killed nothing stays") {
  BrokenOff replay;
  replay.put("out", "old");
  replay.put("private", "new");
  replay.committed = false;
  replay.add({.kind = redo_unlink}, replay.at("private"));
  replay.add({.kind = redo_unlink}, replay.at("private2"));
  CHECK(replay.run().output == "itself\n0\n");
  CHECK(replay.get("out") == "old");
  CHECK_FALSE(std::filesystem::exists(replay.at("private")));
}

TEST_CASE("nobody but the one who waits for it finishes a replay") {
  BrokenOff replay;
  replay.put("private", "new");
  replay.add({.kind = redo_rename}, replay.at("private"), replay.at("out"));
  replay.session.on_exec = [&](const Event& event, Slot&) {
    if (event.words()[0] != "/bin/echo") return;
    replay.write(static_cast<std::uint32_t>(event.slot) % slot_count + 1);
    replay.session.dies_answering = replay.session.silent = true;
    replay.session.unlock();
  };
  CHECK(replay.session.shell("/bin/echo itself; echo $?").output == "itself\n0\n");
  CHECK(replay.get("private") == "new");
  CHECK_FALSE(std::filesystem::exists(replay.at("out")));
}

TEST_CASE("a replay that cannot be finished is left as it is, and the program runs") {
  BrokenOff replay;
  replay.put("private", "new");
  std::filesystem::create_directory(replay.at("out"));
  replay.add({.kind = redo_rename}, replay.at("private"), replay.at("out"));
  SECTION("something is in its place") {}
  SECTION("what was written down is damaged") {
    replay.entries[0] = 1;
    replay.entries[4] = redo_unlink;
  }
  CHECK(replay.run().output == "itself\n0\n");
  CHECK(std::filesystem::is_directory(replay.at("out")));
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
