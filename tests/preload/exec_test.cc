// The question before an exec and its answers.

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include "tests/preload/fake_session.h"
#include "tests/preload/programs.h"

using namespace fake;
using namespace preload;

namespace {

std::string piece(std::uint32_t fd, const std::string& bytes) {
  const StreamPiece head{fd, static_cast<std::uint32_t>(bytes.size())};
  std::string result(reinterpret_cast<const char*>(&head), sizeof head);
  result += bytes;
  result.resize(sizeof head + align_up(bytes.size(), 8));
  return result;
}

// Answers that the programs of this name are to leave with the status, writing the pieces.
void leave_instead_of(Session& session, const std::string& program, int status,
                      const std::string& pieces = "") {
  session.on_exec = [=, &session](const Event& event, Slot& slot) {
    if (event.words()[0] != program) return;
    session.mark_known(event.payload_as<ExecPayload>().short_key);
    slot.verdict = verdict_leave;
    slot.status = status;
    slot.text_bytes = static_cast<std::uint32_t>(pieces.size());
    std::memcpy(slot.text, pieces.data(), pieces.size());
  };
}

}  // namespace

TEST_CASE("a program with a valid plan is not asked about again, unless its step is known") {
  Session session;
  const auto first = session.shell("/bin/true; /bin/true; /bin/true x");
  INFO(first.log());
  const auto execs = first.of(kind_exec);
  REQUIRE(execs.size() == 4);
  CHECK(execs[1].slot != 0);
  CHECK(execs[2].slot == 0);
  CHECK(execs[3].slot == 0);
  session.mark_known(execs[3].payload_as<ExecPayload>().short_key);
  const auto second = session.shell("/bin/true; /bin/true x");
  REQUIRE(second.of(kind_exec).size() == 3);
  CHECK(second.of(kind_exec)[1].slot == 0);
  CHECK(second.of(kind_exec)[2].slot != 0);
  session.header().session_flags = session_fresh;
  CHECK(session.shell("/bin/true x; :").of(kind_exec)[1].slot == 0);
}

TEST_CASE("a program that has changed is asked about again") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("program", "int main() {}");
  CHECK(session.shell(program + "; :").of(kind_exec)[1].slot != 0);
  CHECK(session.shell(program + "; :").of(kind_exec)[1].slot == 0);
  scratch::run("touch -d yesterday " + program);
  CHECK(session.shell(program + "; :").of(kind_exec)[1].slot != 0);
}

TEST_CASE("LD_LIBRARY_PATH makes another plan and stands in the record") {
  Session session;
  session.shell("/bin/true; :");
  const auto run = session.shell("LD_LIBRARY_PATH=/usr/lib /bin/true; :");
  const Event exec = run.of(kind_exec)[1];
  CHECK(exec.slot != 0);
  CHECK(exec.payload_as<ExecPayload>().flags == exec_has_library_path);
  CHECK(exec.text.substr(exec.text.size() - 9) == std::string("/usr/lib\0", 9));
}

TEST_CASE("a step that is known leaves with its output and status, and never runs") {
  Session session;
  leave_instead_of(session, "/bin/ls", 3 << 8,
                   piece(1, "first ") + piece(2, "error\n") + piece(1, "second\n"));
  for (const char* command : {"/bin/ls 2>&1; echo $?", "(exec /bin/ls) 2>&1; echo $?"}) {
    const auto run = session.shell(command);
    INFO(run.log());
    CHECK(run.output == "first error\nsecond\n3\n");
    int started = 0, exited = 0, pid = 0;
    for (const Event& event : run.events) {
      if (event.kind == kind_exec && event.words()[0] == "/bin/ls") pid = event.pid;
      if (!pid || event.pid != pid) continue;
      started += event.kind == kind_started;
      exited += event.kind == kind_exited && event.result == 3;
      CHECK(event.kind != kind_stream);
    }
    CHECK(started == 0);
    CHECK(exited == 1);
  }
  const auto python = session.shell(
      "python3 -c 'import subprocess; print(subprocess.run([\"/bin/ls\"], capture_output=True))'");
  CHECK(python.output ==
        "CompletedProcess(args=['/bin/ls'], returncode=3, stdout=b'first second\\n', stderr=b'error\\n')\n");
}

TEST_CASE("the command itself may be known") {
  Session session;
  leave_instead_of(session, "/bin/sh", 7 << 8, piece(1, "known\n"));
  const auto run = session.shell("echo not run");
  CHECK(run.exited_with(7));
  CHECK(run.output == "known\n");
  CHECK(run.of(kind_flush).size() == 1);
}

TEST_CASE("a step that died of a signal dies of it again") {
  Session session;
  leave_instead_of(session, "/bin/ls", SIGSEGV, piece(1, "before\n"));
  const auto run = session.shell("/bin/ls; echo $?");
  CHECK(run.output == "before\n139\n");
  const auto whole = session.run({"/bin/ls"});
  CHECK(WIFSIGNALED(whole.status));
  CHECK(WTERMSIG(whole.status) == SIGSEGV);
}

TEST_CASE("long output comes from a file, which is removed, and positions are set") {
  Session session;
  Programs programs;
  std::string pieces, expected;
  for (int i = 0; i < 300; ++i) {
    const std::string text(static_cast<std::size_t>(i * 7), static_cast<char>('a' + i % 26));
    pieces += piece(1, text);
    expected += text;
  }
  const std::string file = programs.write("pieces", pieces);
  programs.write("input", "0123456789");
  session.on_exec = [&](const Event& event, Slot& slot) {
    if (event.words()[0] != "/bin/ls") return;
    slot.verdict = verdict_leave;
    slot.status = 0;
    slot.in_file = 1;
    slot.text_bytes = static_cast<std::uint32_t>(file.size());
    std::memcpy(slot.text, file.data(), file.size());
    slot.position_count = 1;
    slot.positions[0].fd = 0;
    slot.positions[0].offset = 4;
  };
  const auto run = session.shell("exec <" + programs.at("input") + "; /bin/ls; read rest; echo $rest");
  CHECK(run.output == expected + "456789\n");
  CHECK(::access(file.c_str(), F_OK) != 0);
}

TEST_CASE("a reader that has gone kills a step that leaves, as it would have killed the program") {
  Session session;
  leave_instead_of(session, "/bin/ls", 0, piece(1, std::string(10000, 'x')));
  const auto run = session.run({"/bin/bash", "-c", "exec 4>&1; { sleep 0.2; /bin/ls; echo $? >&4; } | true"});
  CHECK(run.output == "141\n");
}

TEST_CASE("failures of exec are those of the kernel") {
  Session session;
  Programs programs;
  programs.write("no-magic", "just text\n");
  scratch::run("chmod +x " + programs.at("no-magic"));
  programs.write("not-executable", "x");
  programs.write("no-interpreter", "#!/no/such/interpreter\n");
  scratch::run("chmod +x " + programs.at("no-interpreter"));
  const std::string program = programs.compile("tries", R"--(
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <fcntl.h>
extern char** environ;
int main(int, char** argv) {
  chdir(argv[1]);
  for (const char* name : (const char*[]){"no-magic", "not-executable", "no-interpreter", "not-there", "no-magic/x", ".", "./no-magic"}) {
    char* arguments[] = {(char*)name, 0};
    execve(name, arguments, environ);
    printf("%s %d\n", name, errno);
  }
  fflush(stdout);
  execve("/bin/true", 0, 0);
  return 9;
})--");
  const auto plain = Session::run_plain({program, programs.path()});
  const auto run = session.run({program, programs.path()});
  INFO(run.log());
  CHECK(run.output == plain.output);
  CHECK(run.exited_with(0));
  CHECK(plain.output.find("no-magic 8") != std::string::npos);
  CHECK(run.find(kind_look, "not-there")->result == -ENOENT);
  CHECK(run.of(kind_exec_failed).size() == 3);
  CHECK(run.has(kind_exec, programs.at("no-magic")));
}

TEST_CASE("programs are found by descriptor and by relative name") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("finds", R"--(
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
extern char** environ;
int main(int, char** argv) {
  char* arguments[] = {(char*)"echo", (char*)"ran", 0};
  chdir("/bin");
  if (fork() == 0) { execve("./echo", arguments, environ); _exit(1); }
  wait(0);
  int folder = open("/bin", O_RDONLY | O_DIRECTORY), file = open("/bin/echo", O_RDONLY);
  if (fork() == 0) { execveat(folder, "echo", arguments, environ, 0); _exit(1); }
  wait(0);
  if (fork() == 0) { fexecve(file, arguments, environ); _exit(1); }
  wait(0);
  int copy = memfd_create("copy", 0);
  char buffer[65536];
  long n;
  while ((n = read(file, buffer, sizeof buffer)) > 0) write(copy, buffer, n);
  if (fork() == 0) { fexecve(copy, arguments, environ); _exit(1); }
  wait(0);
})--");
  const auto run = session.run({program});
  INFO(run.log());
  CHECK(run.output == "ran\nran\nran\nran\n");
  int found = 0;
  for (const Event& event : run.of(kind_exec))
    found += event.words()[0] == "/bin/echo" || event.words()[0] == "/usr/bin/echo";
  CHECK(found == 3);
  CHECK(run.has(kind_spoil, "executed a program without a name"));
}

TEST_CASE("a program without a plan runs untraced, with the environment it was given") {
  Session session;
  session.on_exec = [](const Event& event, Slot& slot) {
    if (event.words()[0] == "/usr/bin/env") slot.plan = plan_count;
  };
  const auto run = session.shell("X=1 /usr/bin/env | grep -e ^X= -e VESTAL -e LD_PRELOAD");
  INFO(run.log());
  CHECK(run.output == "X=1\n");
  for (const Event& event : run.of(kind_exec))
    if (event.words()[0] == "/usr/bin/env")
      for (const Event& started : run.of(kind_started)) CHECK(started.pid != event.pid);
}

TEST_CASE("arguments and environments of any size are executed, described if they fit") {
  Session session;
  const auto run = session.shell("/bin/true $(seq 1 15000); /bin/true $(seq 1 90000); echo $?");
  CHECK(run.output == "0\n");
  std::vector<unsigned> flags;
  for (const Event& event : run.of(kind_exec))
    if (event.words()[0] == "/bin/true") flags.push_back(event.payload_as<ExecPayload>().flags);
  CHECK(flags == std::vector<unsigned>{0, exec_too_big});

  Environment many = plain_environment();
  for (int i = 0; i < 3000; ++i) many.push_back(fmt::format("VARIABLE_{}={}", i, i));
  const auto crowded = session.shell(
      "env | grep -c VARIABLE_; python3 -c 'import subprocess; print(len(subprocess.check_output([\"env\"])) "
      "> 50000)'",
      many);
  CHECK(crowded.output == "3000\nTrue\n");
}

TEST_CASE("a deleted working directory does no harm") {
  Session session;
  const auto run = session.shell("d=$(mktemp -d); cd $d; rmdir $d; /bin/echo here; ls; echo $?");
  CHECK(run.output == "here\n0\n");
}
