#include "broker/path_table.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <catch2/catch.hpp>

#include "tests/broker/images/scratch.h"
#include "tests/broker/world.h"

using namespace broker;

namespace {

struct Table {
  scratch::Directory directory;
  world::Cache cache{directory.at("cache")};
  PathTable paths{*cache.parts.view};
  std::string root = std::filesystem::canonical(directory.path());
  std::string at(const std::string& name) const { return root + "/" + name; }
  std::string resolved(const std::string& spelled, bool follow = true) {
    return paths.text(paths.resolve(paths.intern(root), spelled, follow).path);
  }
};

}  // namespace

TEST_CASE("a path resolves as realpath says, whatever way it is spelled") {
  Table table;
  std::filesystem::create_directories(table.at("a/b"));
  std::filesystem::create_directory_symlink("a/b", table.at("link"));
  std::filesystem::create_directory_symlink(table.at("a"), table.at("absolute"));
  table.directory.write("a/b/file", "x");
  std::filesystem::create_symlink("file", table.at("a/b/alias"));
  for (const char* spelled : {"a/b/file", "./a//b/./file", "link/file", "link/../b/file", "absolute/b/alias", "a/b/../../link/alias", "link", "link/",
                              "a/b/..", ".", ".."}) {
    INFO(spelled);
    CHECK(table.resolved(spelled) == std::filesystem::canonical(table.at(spelled)));
    CHECK(table.resolved(table.at(spelled)) == std::filesystem::canonical(table.at(spelled)));
  }
}

TEST_CASE("the last component is followed only if asked, and every symlink on the way is told") {
  Table table;
  std::filesystem::create_directories(table.at("real"));
  std::filesystem::create_directory_symlink("real", table.at("one"));
  std::filesystem::create_directory_symlink("one", table.at("two"));
  table.directory.write("real/file", "x");
  std::filesystem::create_symlink("file", table.at("real/alias"));
  CHECK(table.resolved("two/alias", false) == table.at("real/alias"));
  const Resolution found = table.paths.resolve(table.paths.intern(table.root), "two/alias", true);
  std::vector<std::string> crossed;
  for (const PathId link : found.crossed) crossed.push_back(table.paths.text(link));
  CHECK(crossed == std::vector<std::string>{table.at("two"), table.at("one"), table.at("real/alias")});
  CHECK(table.paths.link_target(found.crossed[0]) == "one");
}

TEST_CASE("a missing directory on the way is what the look-up was about") {
  Table table;
  const Resolution found = table.paths.resolve(table.paths.intern(table.root), "none/deep/file", true);
  CHECK_FALSE(found.complete);
  CHECK(table.paths.text(found.path) == table.at("none"));
}

TEST_CASE("a symlink whose text ends with a slash leads to a directory or nowhere") {
  Table table;
  std::filesystem::create_directories(table.at("directory"));
  table.directory.write("file", "x");
  for (const char* name : {"directory", "file", "absent"}) {
    std::filesystem::create_symlink(std::string(name) + "/", table.at(std::string("to-") + name));
    INFO(name);
    const Resolution found = table.paths.resolve(table.paths.intern(table.root), std::string("to-") + name, true);
    CHECK(table.paths.text(found.path) == table.at(name));
    CHECK(found.complete == (std::string(name) == "directory"));
  }
}

TEST_CASE("a loop of symlinks ends") {
  Table table;
  std::filesystem::create_symlink("b", table.at("a"));
  std::filesystem::create_symlink("a", table.at("b"));
  CHECK_FALSE(table.paths.resolve(table.paths.intern(table.root), "a/file", true).complete);
}

TEST_CASE("a directory made later is found after it was said to have changed") {
  Table table;
  CHECK_FALSE(table.paths.resolve(table.paths.intern(table.root), "later/file", true).complete);
  std::filesystem::create_directory(table.at("later"));
  table.paths.changed(table.paths.intern(table.at("later")), true);
  CHECK(table.resolved("later/file") == table.at("later/file"));
}

TEST_CASE("a symlink that leads elsewhere is followed anew after it was said to have changed") {
  Table table;
  std::filesystem::create_directories(table.at("one"));
  std::filesystem::create_directories(table.at("two"));
  std::filesystem::create_directory_symlink("one", table.at("current"));
  CHECK(table.resolved("current/file") == table.at("one/file"));
  std::filesystem::remove(table.at("current"));
  std::filesystem::create_directory_symlink("two", table.at("current"));
  table.paths.changed(table.paths.intern(table.at("current")), false);
  CHECK(table.resolved("current/file") == table.at("two/file"));
}

TEST_CASE("what is behind a process is left as it is spelled") {
  Table table;
  std::filesystem::create_symlink("/dev/stdin", table.at("in"));
  std::filesystem::create_symlink("/proc/self/cwd", table.at("here"));
  std::filesystem::create_symlink("/proc", table.at("proc"));
  CHECK(table.resolved("in") == "/proc/self/fd/0");
  CHECK(table.resolved("in", false) == table.at("in"));
  CHECK(table.resolved("here") == "/proc/self/cwd");
  CHECK(table.resolved("here/a/../b") == "/proc/self/cwd/a/../b");
  CHECK(table.resolved("proc/self") == "/proc/self");
  CHECK(table.resolved("proc/1/root/etc/") == "/proc/1/root/etc");
  CHECK(table.resolved("//dev/./fd/7") == "/proc/self/fd/7");
  CHECK(table.paths.resolve(table.paths.intern("/"), "/proc/self/cwd/absent/file", true).complete);
  for (const char* path : {"/proc/self/cwd", "/proc/self/cwd/a", "/proc/thread-self/root/etc", "/proc/12/fd/3", "/proc/self//cwd", "/proc/self/./cwd", "/proc/self/..",
                           "/proc/self/exe/../cwd", "/proc/self/task/1/fd/2", "/dev/stdin", "/dev/fd/3"}) {
    INFO(path);
    CHECK(leads_by_process(path));
  }
  for (const char* path : {"/proc", "/proc/self", "/proc/self/", "/proc/self/fd", "/proc/self/fd/", "/proc/self/exe", "/proc/12/maps", "/proc/self/cwdx", "/proc/cpuinfo",
                           "/proc/x1/cwd", "/dev/null", "/dev/fd", "/home/proc/self/cwd"}) {
    INFO(path);
    CHECK_FALSE(leads_by_process(path));
  }
}
