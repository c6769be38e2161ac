// What goes through descriptors: a process's own concern nobody, those it has
// inherited are its input and output.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include "tests/preload/fake_session.h"
#include "tests/preload/programs.h"

using namespace fake;
using namespace preload;

namespace {

std::string stream_of(const Outcome& run, int pid, int fd) {
  std::string all;
  for (const Event& event : run.of(kind_stream))
    if (event.pid == pid && event.arg == fd) all += event.text;
  return all;
}

std::string spoils(const Outcome& run) {
  std::string all;
  for (const Event& event : run.of(kind_spoil)) all += event.text + ";";
  return all;
}

}  // namespace

TEST_CASE("what is written to an inherited descriptor is in the log, in pieces and in order") {
  Session session;
  const auto run = session.run({"/usr/bin/seq", "1", "20000"});
  CHECK(run.output.size() == 108894);
  CHECK(stream_of(run, run.events.front().pid, 1) == run.output);
  const auto piece = run.of(kind_stream).front().payload_as<FdPayload>();
  CHECK(piece.kind == fd_pipe);
  CHECK(piece.fd == 1);
  CHECK(piece.writable == 1);
  for (const Event& event : run.of(kind_stream)) CHECK(event.text.size() <= stream_bytes_max);
}

TEST_CASE("gathered writes, other numbers and files keep their bytes too") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("writes", R"--(
#include <fcntl.h>
#include <sys/uio.h>
#include <sys/socket.h>
#include <string.h>
#include <unistd.h>
char big[50000];
int main(int, char** argv) {
  memset(big, 'b', sizeof big);
  iovec pieces[3] = {{(void*)"one ", 4}, {big, sizeof big}, {(void*)"two", 3}};
  if (writev(1, pieces, 3) != 50007) return 1;
  int copy = dup(1);
  write(copy, "three", 5);
  int file = open(argv[1], O_CREAT | O_WRONLY, 0600);
  write(file, "own", 3);
  dup2(file, 1);
  write(1, "own too", 7);
  int ends[2];
  pipe(ends); write(ends[1], "x", 1); char byte; read(ends[0], &byte, 1);
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends); send(ends[0], "x", 1, 0); recv(ends[1], &byte, 1, 0);
  return 0;
})--");
  const auto run = session.run({program, programs.at("file")});
  INFO(run.log());
  REQUIRE(run.exited_with(0));
  const int pid = run.events.front().pid;
  CHECK(stream_of(run, pid, 1) == "one " + std::string(50000, 'b') + "two");
  CHECK(run.of(kind_stream).size() == 5);
  CHECK(run.of(kind_stream).back().text == "three");
  CHECK(run.of(kind_fd_read).empty());
  CHECK(spoils(run) == "");
}

TEST_CASE("a file that is standard output is described with the place written to") {
  Session session;
  Programs programs;
  const auto run =
      session.shell(fmt::format("(printf 12345; printf 678) > {0}; printf 9 >> {0}", programs.at("out")));
  INFO(run.log());
  const auto streams =
      session
          .shell(fmt::format("(/usr/bin/printf 12345; /usr/bin/printf 678) > {0}; /usr/bin/printf 9 >> {0}",
                             programs.at("out")))
          .of(kind_stream);
  REQUIRE(streams.size() == 3);
  struct stat info;
  REQUIRE(::stat(programs.at("out").c_str(), &info) == 0);
  for (const Event& event : streams) {
    CHECK(event.payload_as<FdPayload>().kind == fd_regular);
    CHECK(event.payload_as<FdPayload>().inode == info.st_ino);
  }
  CHECK(streams[0].payload_as<FdPayload>().offset == 0);
  CHECK(streams[1].payload_as<FdPayload>().offset == 5);
  CHECK(streams[2].payload_as<FdPayload>().offset == 8);
  CHECK(streams[1].payload_as<FdPayload>().appends == 0);
  CHECK(streams[2].payload_as<FdPayload>().appends == 1);
}

TEST_CASE("reading from what was inherited is logged once, with its name and where it was left") {
  Session session;
  Programs programs;
  programs.write("input", "line 1\nline 2\nline 3\n");
  const auto run =
      session.shell(fmt::format("exec <{}; read x; /bin/cat; echo y | /bin/cat", programs.at("input")));
  INFO(run.log());
  auto reads = run.of(kind_fd_read);
  // The first cat asks for the size as well.
  std::erase_if(reads, [](const Event& event) { return event.payload_as<FdPayload>().kind == fd_regular && event.arg2 == 0; });
  REQUIRE(reads.size() == 2);
  CHECK(reads[0].text == programs.at("input"));
  CHECK(reads[0].arg == 0);
  CHECK(reads[0].payload_as<FdPayload>().kind == fd_regular);
  CHECK(reads[0].payload_as<FdPayload>().offset == 7);
  CHECK(reads[1].payload_as<FdPayload>().kind == fd_pipe);
  CHECK(reads[1].text == "");
  const auto positions = run.of(kind_fd_position);
  REQUIRE(positions.size() == 1);
  CHECK(positions[0].pid == reads[0].pid);
  CHECK(positions[0].payload_as<FdPayload>().offset == 21);
  CHECK(spoils(run) == "");
}

TEST_CASE("/dev/stdin and its like are the inherited stream") {
  Session session;
  const auto run = session.shell("echo hello | /bin/cat /dev/stdin");
  INFO(run.log());
  CHECK(run.output == "hello\n");
  CHECK_FALSE(run.has(kind_open, "/dev/stdin"));
  REQUIRE(run.of(kind_fd_read).size() == 1);
  const auto tee = session.shell("echo hello | /usr/bin/tee /dev/stderr 2>&1 >/dev/null");
  INFO(tee.log());
  CHECK(tee.output == "hello\n");
  CHECK_FALSE(tee.has(kind_open, "/dev/stderr"));
  int streamed = 0;
  for (const Event& event : tee.of(kind_stream)) streamed += event.text == "hello\n";
  CHECK(streamed == 2);
  // A process's own pipe remains its own.
  const auto own =
      session.run({"/bin/bash", "-c", "exec 3< <(echo inner); read x <&3; read y < <(echo two); echo $x $y"});
  CHECK(own.output == "inner two\n");
  CHECK(own.of(kind_fd_read).empty());
}

TEST_CASE("bytes are not moved inside the kernel into an inherited descriptor; sendfile and copy_file_range move them by hand") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("moves", R"--(
#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>
int main(int, char** argv) {
  int file = open(argv[0], O_RDONLY), ends[2];
  pipe(ends);
  if (sendfile(1, file, 0, 10) != 10 || lseek(file, 0, SEEK_CUR) != 10) return 1;
  off_t at = 1;
  if (sendfile(1, file, (off_t*)8, 3) >= 0 || errno != EFAULT) return 8;
  if (sendfile(1, file, &at, 3) != 3 || at != 4 || lseek(file, 0, SEEK_CUR) != 10) return 7;
  // It is a pipe.
  if (copy_file_range(file, 0, 1, 0, 10, 0) >= 0 || errno != EINVAL) return 2;
  write(ends[1], "xxxx", 4);
  if (splice(ends[0], 0, 1, 0, 2, 0) != 2) return 3;
  if (sendfile(ends[1], file, 0, 10) != 10) return 5;
  if (sendfile(77, file, 0, 10) >= 0 || errno != EBADF) return 6;
})--");
  const auto run = session.run({program});
  INFO(run.log());
  CHECK(run.exited_with(0));
  CHECK(stream_of(run, run.events.front().pid, 1) == scratch::read(program).substr(0, 10) + "ELF");
  CHECK(run.has(kind_spoil, "moves bytes into what it was given (splice)"));
  CHECK(stream_of(session.run({"/bin/cat", "/etc/passwd", "/etc/group"}), 0, 1) == "");
  const auto cat = session.run({"/bin/cat", "/etc/passwd", "/etc/group"});
  CHECK(stream_of(cat, cat.events.front().pid, 1) ==
        scratch::read("/etc/passwd") + scratch::read("/etc/group"));
}

TEST_CASE("what kind of thing a descriptor is, is logged once for each question") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("asks", R"--(
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
int main() {
  struct stat info; winsize size;
  for (int i = 0; i < 3; ++i) { fstat(1, &info); isatty(1); fcntl(1, F_GETFL); lseek(1, 0, SEEK_CUR); ioctl(1, TIOCGWINSZ, &size); }
  lseek(0, 0, SEEK_CUR);
  int file = open("/etc/passwd", O_RDONLY);
  isatty(file); fcntl(file, F_GETFL); lseek(file, 3, SEEK_SET);
})--");
  const auto run = session.shell(program + " </etc/hostname");
  INFO(run.log());
  std::map<int, int> of_output, of_input;
  for (const Event& event : run.of(kind_fd_kind)) ++(event.arg == 1 ? of_output : of_input)[event.result];
  CHECK(of_output[fd_asked_terminal] == 1);
  CHECK(of_output[fd_asked_window] == 1);
  CHECK(of_output[fd_asked_exactly] == 1);  // fstat, and lseek of a pipe
  CHECK(of_output[fd_asked_terminal | fd_asked_access] == 1);
  CHECK(of_input[fd_asked_exactly | fd_asked_position] == 1);
  CHECK(run.of(kind_fd_kind).size() == 5);
  CHECK(spoils(run) == "");
}

TEST_CASE("that a descriptor is closed is worth a record too") {
  Session session;
  Programs programs;
  const std::string program = programs.compile("closed",
                                               "#include <fcntl.h>\n#include <unistd.h>\nint main() { return "
                                               "fcntl(5, F_GETFD) >= 0 || write(2, \"x\", 1) >= 0; }");
  const auto run = session.shell(program + " 2>&-");
  INFO(run.log());
  CHECK(run.exited_with(0));
  int closed = 0;
  for (const Event& event : run.of(kind_fd_kind))
    closed += event.payload_as<FdPayload>().kind == fd_closed && (event.arg == 5 || event.arg == 2);
  CHECK(closed == 2);
}

TEST_CASE("moving in an inherited file is harmless if it can only be read") {
  Session session;
  Programs programs;
  programs.write("file", "some contents");
  const std::string program =
      programs.compile("seeks", "#include <unistd.h>\nint main() { lseek(0, 5, SEEK_SET); }");
  const auto reads = session.shell(program + " <" + programs.at("file"));
  INFO(reads.log());
  CHECK(spoils(reads) == "");
  CHECK(reads.of(kind_fd_read).size() == 1);
  CHECK(reads.of(kind_fd_position)[0].payload_as<FdPayload>().offset == 5);
  CHECK(spoils(session.shell(program + " <>" + programs.at("file"))) ==
        "moved the position of an inherited file;");
}

TEST_CASE("make's tokens are nobody's input") {
  Session session;
  Programs programs;
  programs.write("inner/Makefile", "");
  std::filesystem::create_directory(programs.at("inner"));
  programs.write("inner/Makefile", "all: a b c\na b c:\n\t@true; echo $@\n");
  programs.write("Makefile", "all:\n\t+@$(MAKE) -s -C inner\n");
  const auto run = session.run({"/usr/bin/make", "-s", "-j2", "-C", programs.path()});
  INFO(run.log());
  REQUIRE(run.exited_with(0));
  CHECK(run.of(kind_fd_read).empty());
  CHECK(spoils(run) == "");
  for (const Event& event : run.of(kind_stream)) CHECK(event.arg == 1);
  int makes = 0;
  for (const Event& event : run.of(kind_exec)) {
    makes += event.words()[0] == "/usr/bin/make";
    const auto exec = event.payload_as<ExecPayload>();
    for (unsigned i = 0; i < exec.fd_count; ++i) CHECK((exec.fds[i].fd < 3 || exec.fds[i].kind != fd_pipe));
  }
  CHECK(makes == 2);
}

TEST_CASE("a process may pass its descriptors through sockets, which spoils") {
  Session session;
  const auto run = session.shell(
      "python3 -c 'import socket, array; a, b = socket.socketpair(); socket.send_fds(a, [b\"x\"], [1]); "
      "socket.recv_fds(b, 9, 1)'");
  INFO(run.log());
  CHECK(spoils(run).find("sent descriptors or credentials;received descriptors") != std::string::npos);
}
