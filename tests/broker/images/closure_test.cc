#include "broker/images/closure.h"

#include <algorithm>
#include <sstream>

#include <catch2/catch.hpp>

#include "tests/broker/images/scratch.h"

using namespace broker::images;

namespace {

std::vector<std::string> ldd(const std::string& program) {
  std::vector<std::string> paths;
  std::istringstream lines(scratch::run("ldd " + program).output);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t arrow = line.find("=> ");
    if (arrow != line.npos) paths.push_back(line.substr(arrow + 3, line.find(" (0x") - arrow - 3));
  }
  return paths;
}

bool contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

void compile(const scratch::Directory& directory, const std::string& name, const std::string& source, const std::string& options) {
  directory.write(name + ".c", source);
  const auto built = scratch::run("gcc -o " + directory.at(name) + " " + directory.at(name + ".c") + " " + options);
  INFO(built.output);
  REQUIRE(built.status == 0);
}

}  // namespace

TEST_CASE("a program's closure is what ldd says, in its order") {
  for (const char* program : {"/usr/lib/gcc/x86_64-linux-gnu/12/cc1", "/bin/ls", "/usr/bin/git", "/usr/bin/python3"}) {
    const auto closure = library_closure(program, "");
    INFO(program);
    REQUIRE(closure);
    CHECK(closure->libraries == ldd(program));
    CHECK(closure->used_cache);
    CHECK(closure->missing.empty());
    CHECK(closure->absent.empty());
  }
}

TEST_CASE("the places of LD_LIBRARY_PATH tried in vain are listed") {
  scratch::Directory directory;
  const auto closure = library_closure("/bin/ls", directory.path() + ":/proc/nonexistent");
  REQUIRE(closure);
  CHECK(closure->libraries == ldd("/bin/ls"));
  CHECK(contains(closure->absent, directory.at("libc.so.6")));
  CHECK(contains(closure->absent, "/proc/nonexistent"));
  CHECK(contains(closure->absent, "/proc/nonexistent/libselinux.so.1"));
}

TEST_CASE("$ORIGIN is the real program's directory, even through a symlink") {
  scratch::Directory directory;
  compile(directory, "libinner.so", "int inner(void) { return 7; }", "-shared -fPIC");
  compile(directory, "program", "int inner(void); int main(void) { return inner(); }",
          "-L" + directory.path() + " -l:libinner.so '-Wl,-rpath,$ORIGIN'");
  std::filesystem::create_directory(directory.at("elsewhere"));
  std::filesystem::create_symlink(directory.at("program"), directory.at("elsewhere/link"));
  const auto closure = library_closure(directory.at("elsewhere/link"), "");
  REQUIRE(closure);
  REQUIRE(closure->libraries.size() == 2);
  CHECK(closure->libraries[0] == directory.at("libinner.so"));
}

TEST_CASE("a library that is nowhere is missing, and nothing runs") {
  scratch::Directory directory;
  compile(directory, "libgone.so", "int gone(void) { return 7; }", "-shared -fPIC");
  compile(directory, "program", "int gone(void); int main(void) { return gone(); }", "-L" + directory.path() + " -l:libgone.so");
  std::filesystem::remove(directory.at("libgone.so"));
  const auto closure = library_closure(directory.at("program"), "");
  REQUIRE(closure);
  CHECK(closure->missing == std::vector<std::string>{"libgone.so"});
}

TEST_CASE("constructors of neither program nor library run") {
  scratch::Directory directory;
  compile(directory, "program",
          "#include <stdio.h>\n__attribute__((constructor)) static void first(void) { remove(\"" + directory.at("witness") +
              "\"); } int main(void) { return 0; }",
          "");
  directory.write("witness", "still here");
  REQUIRE(library_closure(directory.at("program"), ""));
  CHECK(scratch::read(directory.at("witness")) == "still here");
}

TEST_CASE("a file ld.so cannot load is an error") {
  scratch::Directory directory;
  CHECK_FALSE(library_closure(directory.write("text", "hello"), ""));
  CHECK_FALSE(library_closure("/proc/nonexistent", ""));
}

TEST_CASE("the loader's lines are taken apart") {
  const Closure closure = parse_loader_output(
      "\tlinux-vdso.so.1 (0x1)\n\tlibz.so => /a b/libz.so (0x2)\n\t/abs/lib.so (0x3)\n\tlibq.so => not found\n",
      "  1:\t  trying file=/proc/nonexistent/a/libz.so\n");
  CHECK(closure.libraries == std::vector<std::string>{"/a b/libz.so", "/abs/lib.so"});
  CHECK(closure.missing == std::vector<std::string>{"libq.so"});
  CHECK(closure.absent == std::vector<std::string>{"/proc/nonexistent/a", "/proc/nonexistent/a/libz.so"});
  CHECK_FALSE(closure.used_cache);
}
