#include "broker/images/elf_file.h"

#include <random>

#include <catch2/catch.hpp>

#include "broker/images/analysis.h"
#include "broker/images/function_table.h"
#include "tests/broker/images/scratch.h"

using namespace broker::images;

namespace {

// Reads everything there is to read; must return, with or without an Error.
void read_all(const std::string& path) {
  (void)analyse(path);
  auto elf = ElfFile::open(path);
  if (!elf) return;
  (void)elf->exported_functions();
  (void)elf->build_id();
  (void)elf->interpreter();
  const FunctionTable functions = FunctionTable::read(*elf);
  for (std::size_t i = 0; i < functions.size(); ++i) (void)functions.at(i);
}

}  // namespace

TEST_CASE("a library's names, needs and identity are read") {
  auto elf = ElfFile::open("/usr/lib/x86_64-linux-gnu/libstdc++.so.6");
  REQUIRE(elf);
  CHECK(elf->soname() == "libstdc++.so.6");
  CHECK(elf->needed() == std::vector<std::string>{"libm.so.6", "libc.so.6", "ld-linux-x86-64.so.2", "libgcc_s.so.1"});
  CHECK(elf->build_id().size() == 40);
  CHECK(elf->interpreter().empty());
  CHECK(elf->exported_functions()->size() > 3000);
}

TEST_CASE("the default version of a symbol is told from the old ones") {
  auto elf = ElfFile::open("/lib/x86_64-linux-gnu/libc.so.6");
  REQUIRE(elf);
  const auto functions = elf->exported_functions();
  REQUIRE(functions);
  int defaults = 0, all = 0;
  for (const ExportedFunction& function : *functions) {
    if (function.name != "clock_gettime") continue;
    ++all;
    defaults += function.default_version;
  }
  CHECK(all == 2);
  CHECK(defaults == 1);
}

TEST_CASE("every function of libc is found from each of its ends") {
  auto elf = ElfFile::open("/lib/x86_64-linux-gnu/libc.so.6");
  REQUIRE(elf);
  const FunctionTable functions = FunctionTable::read(*elf);
  REQUIRE(functions.size() > 3000);
  for (std::size_t i = 0; i < functions.size(); i += 7) {
    const auto range = functions.at(i);
    REQUIRE(range);
    CHECK(functions.covering(range->start)->start == range->start);
    CHECK(functions.covering(range->end - 1)->start == range->start);
  }
}

TEST_CASE("a truncated file is an error and never a crash") {
  scratch::Directory directory;
  const std::string whole = scratch::read("/bin/true");
  for (std::size_t size : {0, 1, 16, 63, 64, 100, 1000, 5000, 20000})
    CHECK_FALSE(ElfFile::open(directory.write("cut", whole.substr(0, size))));
}

TEST_CASE("random headers are survived") {
  scratch::Directory directory;
  const std::string whole = scratch::read("/bin/true");
  std::mt19937 random(20240501);
  for (int round = 0; round < 400; ++round) {
    std::string bytes = whole;
    const std::size_t reach = round % 2 ? 1024 : bytes.size();
    for (int change = 0; change < 60; ++change) bytes[5 + random() % (reach - 5)] = static_cast<char>(random());
    bytes[18] = 62;
    bytes[19] = 0;
    bytes[5] = 1;
    read_all(directory.write("random", bytes));
  }
  SUCCEED();
}

TEST_CASE("what is no ELF file is said to be unsupported") {
  scratch::Directory directory;
  CHECK(ElfFile::open(directory.write("text", std::string(500, 'x'))).error().fault == cache::Fault::unsupported);
  CHECK(ElfFile::open(directory.path()).error().fault == cache::Fault::unsupported);
  CHECK(ElfFile::open("/proc/nonexistent").error().fault == cache::Fault::not_found);
}
