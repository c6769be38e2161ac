#include "broker/images/analysis.h"

#include <sys/stat.h>

#include <chrono>

#include <catch2/catch.hpp>

#include "tests/broker/images/scratch.h"

using namespace broker::images;

namespace {

ElfAnalysis analysed(const std::string& path) {
  auto analysis = analyse(path);
  INFO(path);
  REQUIRE(analysis);
  return *analysis;
}

// A program made of one assembly function.
std::string assembled(const scratch::Directory& directory, const std::string& body, const std::string& options) {
  directory.write("program.s", ".globl main,_start\n.text\n_start: main:\n.cfi_startproc\n" + body + "\nret\n.cfi_endproc\n");
  const auto built = scratch::run("gcc " + options + " -o " + directory.at("program") + " " + directory.at("program.s"));
  INFO(built.output);
  REQUIRE(built.status == 0);
  return directory.at("program");
}

constexpr const char* cc1 = "/usr/lib/gcc/x86_64-linux-gnu/12/cc1";

}  // namespace

TEST_CASE("compilers, shells and their libraries make no system calls of their own") {
  for (const char* path : {cc1, "/bin/dash", "/bin/cat", "/usr/bin/gcc", "/usr/bin/make"}) {
    const ElfAnalysis analysis = analysed(path);
    INFO(path << ": " << analysis.reason);
    CHECK(analysis.kind == Kind::dynamic_glibc);
    CHECK_FALSE(analysis.raw_syscalls);
    CHECK(analysis.reason.empty());
  }
  const ElfAnalysis library = analysed("/usr/lib/x86_64-linux-gnu/libstdc++.so.6");
  CHECK(library.kind == Kind::shared_object);
  CHECK(library.soname == "libstdc++.so.6");
  CHECK_FALSE(library.raw_syscalls);
}

TEST_CASE("cc1 with its 34 MB is analysed, and makes no system calls of its own") {
  const ElfAnalysis analysis = analysed(cc1);
  CHECK(analysis.kind == Kind::dynamic_glibc);
  CHECK_FALSE(analysis.raw_syscalls);
}

TEST_CASE("an inline syscall is found, and the reason names file and offset") {
  scratch::Directory directory;
  const std::string program = assembled(directory, "mov $39,%eax\nsyscall", "-nostartfiles");
  const ElfAnalysis analysis = analysed(program);
  CHECK(analysis.kind == Kind::dynamic_glibc);
  CHECK(analysis.raw_syscalls);
  CHECK(analysis.reason.find(program) != std::string::npos);
  CHECK(analysis.reason.find("offset 0x") != std::string::npos);
}

TEST_CASE("the older ways into the kernel are found too") {
  scratch::Directory directory;
  CHECK(analysed(assembled(directory, "int $0x80", "-nostartfiles")).raw_syscalls);
  CHECK(analysed(assembled(directory, "sysenter", "-nostartfiles")).raw_syscalls);
}

TEST_CASE("the bytes of a syscall inside another instruction are none") {
  scratch::Directory directory;
  CHECK_FALSE(analysed(assembled(directory, "mov $0x050f050f,%eax", "-nostartfiles")).raw_syscalls);
  const std::string filler = ".rept 300\nmov $0x050f050f,%ecx\n.endr\n";
  CHECK_FALSE(analysed(assembled(directory, filler, "-nostartfiles")).raw_syscalls);
  CHECK(analysed(assembled(directory, filler + "syscall", "-nostartfiles")).raw_syscalls);
}

TEST_CASE("instructions that ask the processor for its counter or for random numbers are found") {
  scratch::Directory directory;
  const auto of = [&](const std::string& code) { return analysed(assembled(directory, code, "-nostartfiles")); };
  CHECK(of("rdtsc").counter.find("offset 0x") != std::string::npos);
  CHECK_FALSE(of("rdtscp").counter.empty());
  CHECK(of("mov $0x310f310f,%eax").counter.empty());
  CHECK(of("rdtsc\nnop\npause").counter.empty());
  for (const char* code : {"rdrand %eax", "rdrand %r9w", "rdrand %rdx", "rdseed %ax", "rdseed %r15"}) {
    INFO(code);
    CHECK_FALSE(of(code).random.empty());
    CHECK(of(code).counter.empty());
    CHECK_FALSE(of(code).raw_syscalls);
  }
  CHECK(of("cmpxchg8b (%rax)").random.empty());
  CHECK(of("mov $0xf0c70f00,%eax").random.empty());
}

TEST_CASE("std::random_device counts for who uses it, not for libstdc++ itself") {
  scratch::Directory directory;
  const auto built = [&](const std::string& body) {
    const std::string source = directory.write("program.cc", "#include <random>\nint main() { " + body + " }\n");
    REQUIRE(scratch::run("g++ -o " + directory.at("program") + " " + source).status == 0);
    return analysed(directory.at("program"));
  };
  CHECK(built("std::random_device d; return d();").random.find("std::random_device") != std::string::npos);
  CHECK(built("std::mt19937 g; return g();").random.empty());
  CHECK(analysed("/usr/lib/x86_64-linux-gnu/libstdc++.so.6").random.empty());
}

TEST_CASE("where no function claims the code, any sequence of instructions that may lead to the pair counts") {
  scratch::Directory directory;
  const auto outside = [&](const std::string& code) {
    return analysed(assembled(directory, "ret\n.cfi_endproc\n" + code + "\n.cfi_startproc", "-nostartfiles")).raw_syscalls;
  };
  CHECK(outside("mov $39,%eax\nsyscall"));
  CHECK(outside(".balign 16,0xb8\n.fill 16,1,0xb8\nsyscall"));
  CHECK(outside(".rept 70\nmov $0x050f050f,%ecx\n.endr\nsyscall"));
  CHECK(outside(".rept 100\n.byte 0x3f\n.endr\nsyscall"));
  CHECK_FALSE(outside("mov 0x50f35(%rip),%rax\nret"));
  // cat's start-up code has this compare by chance.
  CHECK_FALSE(outside(".rept 20\nmov %rax,%rbx\n.endr\nendbr64\ncmpb $0,0x80cd(%rip)\nret"));
}

TEST_CASE("programs without a loader are static, fixed or position independent") {
  scratch::Directory directory;
  CHECK(analysed(assembled(directory, "nop", "-nostdlib -static")).kind == Kind::static_program);
  CHECK(analysed(assembled(directory, "nop", "-nostdlib -static-pie")).kind == Kind::static_program);
}

TEST_CASE("another loader, class or machine is foreign") {
  scratch::Directory directory;
  const std::string musl = assembled(directory, "nop", "-nostartfiles -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1");
  CHECK(analysed(musl).kind == Kind::foreign);
  CHECK(analysed(musl).interpreter == "/lib/ld-musl-x86_64.so.1");
  std::string bytes = scratch::read("/bin/true");
  bytes[18] = static_cast<char>(183);  // aarch64
  CHECK(analysed(directory.write("arm", bytes)).kind == Kind::foreign);
}

TEST_CASE("set-user-ID programs are named as such") {
  scratch::Directory directory;
  const std::string path = directory.write("su", scratch::read("/bin/true"));
  CHECK_FALSE(analysed(path).privileged);
  REQUIRE(::chmod(path.c_str(), 04755) == 0);
  CHECK(analysed(path).privileged);
  CHECK(analysed(path).reason.find("set-user-ID") != std::string::npos);
}

TEST_CASE("a script's first line is taken apart as the kernel does") {
  const auto interpreter = [](std::string_view text) { return parse_script(text).interpreter; };
  const auto argument = [](std::string_view text) { return parse_script(text).script_argument; };
  CHECK(interpreter("#!/bin/sh\necho") == "/bin/sh");
  CHECK(interpreter("#! \t /bin/sh \t\n") == "/bin/sh");
  CHECK(argument("#!/bin/sh\n").empty());
  CHECK(argument("#!/usr/bin/env  -S a b \t\n") == "-S a b");
  CHECK(interpreter("#!/bin/sh") == "/bin/sh");
  CHECK(interpreter("#!relative -x\n") == "relative");
}

TEST_CASE("what the kernel refuses as a script is no program") {
  CHECK(parse_script("echo hello\n").kind == Kind::not_a_program);
  CHECK(parse_script("#!\n").kind == Kind::not_a_program);
  CHECK(parse_script("#!   \t \n/bin/sh").kind == Kind::not_a_program);
  CHECK(parse_script("#").kind == Kind::not_a_program);
  CHECK(parse_script("#!/" + std::string(300, 'x')).kind == Kind::not_a_program);
  CHECK(parse_script("").kind == Kind::not_a_program);
}

TEST_CASE("a file that is not there is an error") {
  REQUIRE_FALSE(analyse("/proc/nonexistent/program"));
  CHECK(analyse("/proc/nonexistent/program").error().fault == cache::Fault::not_found);
  CHECK_FALSE(analyse("/"));
}
