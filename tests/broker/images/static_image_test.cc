#include "broker/images/static_image.h"

#include <elf.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include "broker/images/function_table.h"
#include "broker/images/raw_calls.h"
#include "broker/images/static_store.h"
#include "tests/broker/images/scratch.h"
#include "tests/broker/images/wishes.h"
#include "tests/preload/fake_session.h"

using namespace broker::images;

namespace {

std::string compiled(const scratch::Directory& directory, const std::string& source, const std::string& compiler) {
  const std::string text = directory.write("program.c", source), program = directory.at("program");
  const auto built = scratch::run(compiler + " -w -o " + program + " " + text);
  INFO(built.output);
  REQUIRE(built.status == 0);
  return program;
}

WantedCalls wanted() {
  WantedCalls wishes = wishes::for_libc();
  wishes.numbers.set(SYS_getrandom);
  return wishes;
}

Result<StaticProgramImage> rewritten(const std::string& program) {
  const auto elf = ElfFile::open(program);
  const auto shim = ElfFile::open(fake::shim_path());
  REQUIRE(elf);
  REQUIRE(shim);
  return build_static_image(*elf, *shim, wanted());
}

std::string reason(const std::string& program) {
  const auto image = rewritten(program);
  REQUIRE_FALSE(image);
  return image.error().message;
}

std::string image_of(const scratch::Directory& directory, const std::string& program) {
  const auto image = rewritten(program);
  if (!image) FAIL(image.error().message);
  const std::string path = directory.write("image", {image->bytes.begin(), image->bytes.end()});
  ::chmod(path.c_str(), 0755);
  return path;
}

// Prints what a program may know of itself, and makes children in every way.
constexpr const char* curious = R"--(
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
extern char** environ;
int main(int argc, char** argv) {
  const Elf64_Phdr* segments = (void*)getauxval(AT_PHDR);
  unsigned long sum = 0;
  for (unsigned long i = 0; i < getauxval(AT_PHNUM); ++i) sum = sum * 31 + segments[i].p_type + segments[i].p_vaddr + segments[i].p_memsz;
  printf("%d %lu %lu\n", argc, getauxval(AT_PHNUM), sum);
  char* heap = (char*)syscall(SYS_brk, 0);
  if ((char*)syscall(SYS_brk, heap + 4096) != heap + 4096 || *heap != 0) return 1;
  for (char** v = environ; *v; ++v) puts(*v);
  fflush(stdout);
  int status;
  char* words[] = {"true", 0};
  pid_t child;
  if (posix_spawnp(&child, "true", 0, 0, words, environ) || waitpid(child, &status, 0) != child || status) return 2;
  if ((child = vfork()) == 0) { execvp("true", words); _exit(9); }
  if (waitpid(child, &status, 0) != child || status) return 3;
  if ((child = fork()) == 0) _exit(4);
  if (waitpid(child, &status, 0) != child || status != 4 << 8) return 4;
  if ((child = syscall(SYS_clone, 17, 0, 0, 0, 0)) == 0) _exit(5);
  if (waitpid(child, &status, 0) != child || status != 5 << 8) return 5;
  errno = 0;
  if (syscall(SYS_access, "/no/such/name", 0) != -1 || errno != ENOENT) return 6;
  return 7;
})--";

}  // namespace

TEST_CASE("a static program runs as its image as it does itself") {
  const std::string compiler = GENERATE("gcc -static", "gcc -O2 -s -static", "gcc -static-pie", "gcc -O2 -fcf-protection=full -static",
                                        "musl-gcc -static", "musl-gcc -O2 -s -static");
  INFO(compiler);
  if (compiler.starts_with("musl") && scratch::run("command -v musl-gcc").status != 0) return;
  scratch::Directory directory;
  const std::string program = compiled(directory, curious, compiler);
  const std::string image = image_of(directory, program);
  const std::string how = "env -i A=1 B=2 PATH=/usr/bin:/bin ";
  const auto plain = scratch::run(how + program + " x"), copy = scratch::run(how + image + " x");
  CHECK(plain.status == 7);
  CHECK(copy.status == 7);
  CHECK(copy.output == plain.output);
}

TEST_CASE("an image differs from its program only where it is described to") {
  scratch::Directory directory;
  const std::string program = compiled(directory, curious, "gcc -static");
  const auto original = ElfFile::open(program);
  const std::string path = image_of(directory, program);
  const auto image = ElfFile::open(path);
  REQUIRE(original);
  REQUIRE(image);
  CHECK(image->segments().size() == original->segments().size() + 2);
  CHECK(image->first_segment(PT_INTERP) == nullptr);
  std::uint64_t end = 0;
  for (const Segment& segment : original->segments()) end = std::max(end, segment.loaded() ? segment.vaddr + segment.memory_bytes : 0);
  std::uint64_t last = 0;
  std::size_t above = 0;
  for (const Segment& segment : image->segments()) {
    if (!segment.loaded()) continue;
    CHECK(segment.vaddr >= last);
    CHECK(segment.vaddr % page_bytes == segment.offset % page_bytes);
    CHECK_FALSE((segment.executable() && segment.writable()));
    last = segment.vaddr + segment.memory_bytes;
    above += segment.vaddr >= end;
  }
  CHECK(above == 2);
  std::size_t changed = 0;
  for (std::size_t i = sizeof(Elf64_Ehdr); i < original->bytes().size(); ++i) changed += original->bytes()[i] != image->bytes()[i];
  const auto made = rewritten(program);
  CHECK(changed <= made->sites * 15);
  CHECK(changed >= made->sites);
}

TEST_CASE("functions of a program without .eh_frame_hdr are read from .eh_frame and the symbols") {
  scratch::Directory directory;
  for (const char* compiler : {"gcc -static", "gcc -static -s"}) {
    const std::string program = compiled(directory, curious, compiler);
    const auto elf = ElfFile::open(program);
    REQUIRE(elf);
    CHECK(elf->first_segment(PT_GNU_EH_FRAME) == nullptr);
    const FunctionTable functions = FunctionTable::read(*elf);
    CHECK(functions.size() > 500);
    for (std::size_t i = 0; i + 1 < functions.size(); ++i) REQUIRE(functions.start(i) < functions.start(i + 1));
    // All of glibc's calls stand in functions, but for some assembly that only the symbols name.
    const RawCalls calls = find_raw_calls(*elf);
    CHECK(calls.count > 50);
    CHECK(std::count_if(calls.calls.begin(), calls.calls.end(), [](const PossibleCall& call) { return !call.in_function; }) <= 2);
  }
}

TEST_CASE("calls that cannot be patched are left to be trapped, and a clock that no trap shows is a reason to refuse") {
  scratch::Directory directory;
  const auto with = [&](const std::string& text, const std::string& compiler = "gcc -static") {
    return compiled(directory, "int main(void) { __asm__ volatile(\"" + text + "\" ::: \"rax\", \"rcx\", \"r11\", \"memory\"); return 0; }", compiler);
  };
  const auto is_trapped = [&](const std::string& program) {
    const auto image = rewritten(program);
    if (!image) FAIL(image.error().message);
    CHECK(image->sites == 0);
    const std::string_view bytes(reinterpret_cast<const char*>(image->bytes.data()), image->bytes.size());
    const std::string original = scratch::read(program);
    // Nothing but the header is another.
    CHECK(bytes.substr(sizeof(Elf64_Ehdr), original.size() - sizeof(Elf64_Ehdr)) == std::string_view(original).substr(sizeof(Elf64_Ehdr)));
  };
  is_trapped(with("int $0x80"));
  // A number that is not known, and no room for a jump: every neighbour is a jump's target.
  is_trapped(with("mov %%rbx,%%rax; 1: syscall; 2: jc 1b; 3: jz 2b; 4: js 3b; jo 4b"));
  is_trapped(with("nop", "gcc -nostdlib -static -Wl,-N,-e,main"));
  is_trapped(with("nop", "gcc"));
  for (const char* call : {"mov $0xffffffffff600400,%%rax; call *%%rax", "call *0xffffffffff600800", "movabs $0xffffffffff600000,%%rax; call *%%rax",
                           "movq $0xffffffffff600400,-24(%%rsp)", "movq $0xffffffffff600400,-2400(%%rsp)", "push $0xffffffffff600000; pop %%rax"})
    CHECK(reason(with(call)).find("vsyscall") != std::string::npos);
  // A number, and what stands behind it: be 00 00 00 60  ff d2.
  const auto other = rewritten(with("jmp 1f; mov $0x60000000,%%esi; call *%%rdx; 1:"));
  if (!other) FAIL(other.error().message);
  CHECK(other->sites > 0);
  std::string bytes = scratch::read(with("nop"));
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.e_shoff = header.e_shnum = header.e_shstrndx = 0;
  std::memcpy(bytes.data(), &header, sizeof header);
  const std::string bare = directory.write("bare", bytes);
  is_trapped(bare);
}

TEST_CASE("bytes in a table that look like a call are left alone") {
  scratch::Directory directory;
  const std::string source = R"--(
__asm__(".text\n table: .byte 0x61,0x62,0xd7,0x6c,0x0f,0x05,0x6d,0xec,0x9b,0xe5,0x66,0xf4,0x0f,0x05,0x0e,0x06\n .fill 64,1,0x06\n");
extern unsigned char table[];
int main(void) { return table[4] == 0x0f && table[5] == 0x05 && table[12] == 0x0f && table[13] == 0x05 ? 7 : 1; })--";
  const std::string program = compiled(directory, source, "gcc -static");
  const auto image = rewritten(program);
  // Either it is certain that these are none, or the program stays as it is.
  if (image) CHECK(scratch::run(image_of(directory, program)).status == 7);
}

TEST_CASE("an image is made once, made anew when it is damaged, and for another shim") {
  scratch::Directory directory;
  const std::string program = compiled(directory, "int main(void) { return 7; }", "gcc -static");
  const std::string digest = scratch::run("sha256sum < " + program).output.substr(0, 64);
  const StaticStore store(directory.path(), fake::shim_path(), wanted());
  const auto made = store.image_of(program, digest);
  if (!made) FAIL(made.error().message);
  CHECK(scratch::run(*made).status == 7);
  const std::string bytes = scratch::read(*made);
  const auto inode = [&] {
    struct stat status;
    return ::stat(made->c_str(), &status) == 0 ? status.st_ino : 0;
  };
  const auto before = inode();
  CHECK(store.image_of(program, digest) == *made);
  CHECK(inode() == before);
  std::string flipped = bytes;
  flipped[0x3000] = static_cast<char>(flipped[0x3000] ^ 1);
  for (const std::string& damaged : {bytes.substr(0, 4000), std::string(), flipped}) {
    std::ofstream(*made, std::ios::binary) << damaged;
    CHECK(store.image_of(program, digest) == *made);
    CHECK(scratch::read(*made) == bytes);
  }
  ::chmod(made->c_str(), 0600);
  CHECK(store.image_of(program, digest) == *made);
  CHECK(scratch::run(*made).status == 7);
  std::ofstream(*made + ".note", std::ios::app) << "x";
  CHECK(store.image_of(program, digest) == *made);

  const std::string other_shim = directory.write("shim.so", scratch::read(fake::shim_path()) + "x");
  const auto other = StaticStore(directory.path(), other_shim, wanted()).image_of(program, digest);
  REQUIRE(other);
  CHECK(*other != *made);
  CHECK_FALSE(std::filesystem::exists(*made));

  // The digest has to be the program's, the shim a shim, the folder there.
  CHECK_FALSE(store.image_of(program, std::string(64, '0')));
  CHECK_FALSE(StaticStore(directory.path(), "/lib/x86_64-linux-gnu/libm.so.6", wanted()).image_of(program, digest));
  CHECK_FALSE(StaticStore("/nonexistent", fake::shim_path(), wanted()).image_of(program, digest));
}
