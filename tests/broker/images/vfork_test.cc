// vfork takes its return address off the stack before its system call. It can
// be hooked all the same.

#include <catch2/catch.hpp>

#include "broker/images/disassembler.h"
#include "broker/images/stub_writer.h"
#include "tests/broker/images/scratch.h"
#include "tests/broker/images/wishes.h"

using namespace broker::images;

namespace {

std::vector<Instruction> decode(std::vector<std::uint8_t> code) {
  Disassembler disassembler(Disassembler::Detail::full);
  std::vector<Instruction> result;
  for (std::size_t at = 0; at < code.size(); at += result.back().size) {
    const auto instruction = disassembler.decode(Bytes(code.data() + at, code.size() - at), 0x1000 + at);
    REQUIRE(instruction);
    result.push_back(*instruction);
  }
  return result;
}

}  // namespace

TEST_CASE("an entry that pops is moved, and unwound with the stack it leaves") {
  StubWriter writer(0x10000, 0x20000);
  REQUIRE(writer.add_entry(decode({0x5f, 0xb8, 0x3a, 0, 0, 0}), 4));  // pop %rdi; mov $58,%eax
  const StubUnwind& unwind = writer.unwinds().back();
  REQUIRE(unwind.rows.size() == 2);
  CHECK(unwind.rows[0].caller_stack == 8);
  CHECK(unwind.rows[1].caller_stack == 0);
  CHECK(unwind.start + unwind.rows[1].offset == writer.original() + 1);
}

TEST_CASE("an entry that pops into the stack pointer is refused") {
  StubWriter writer(0x10000, 0x20000);
  CHECK_FALSE(writer.add_entry(decode({0x5c, 0xb8, 0x3a, 0, 0, 0}), 4));
}

TEST_CASE("vfork and posix_spawn work from an image without a hook") {
  scratch::Directory directory;
  WantedCalls wanted = wishes::for_libc();
  wanted.functions = {"getenv", "secure_getenv", "clock_gettime", "vfork", "posix_spawn", "posix_spawnp"};
  const auto images =
      make_system_images(wishes::libc, wishes::loader, directory.path(), wanted, wishes::for_loader());
  if (!images) FAIL(images.error().message);
  for (std::size_t slot = 1; slot <= wanted.functions.size(); ++slot) CHECK(images->originals[slot] != 0);
  directory.write("program.cc", R"--(
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
extern char** environ;
int main() {
  int status;
  for (int i = 0; i < 20; ++i) {
    const pid_t child = vfork();
    if (child == 0) { execl("/bin/true", "true", (char*)0); _exit(1); }
    if (waitpid(child, &status, 0) != child || status) return 1;
  }
  char* arguments[] = {(char*)"true", 0};
  pid_t child;
  if (posix_spawnp(&child, "true", 0, 0, arguments, environ) || waitpid(child, &status, 0) != child || status) return 2;
  return system("exit 3") == 3 << 8 ? 0 : 3;
})--");
  REQUIRE(scratch::run("g++ -o " + directory.at("program") + " " + directory.at("program.cc")).status == 0);
  CHECK(scratch::run("LD_PRELOAD=" + images->libc_image + " " + directory.at("program")).status == 0);
}
