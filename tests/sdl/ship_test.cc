#include "sdl/ship.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "sdl/access.h"
#include "tests/sdl/play.h"

using namespace sdl;
namespace fs = std::filesystem;

namespace {

struct Scratch {
  fs::path path;
  Scratch() {
    std::string name = (fs::temp_directory_path() / "ship.XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Scratch() { fs::remove_all(path); }
};

Value binding(const std::string& name, Value value) {
  BindingBuilder builder;
  builder.add(make_text(name), std::move(value));
  return builder.finish();
}

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

TEST_CASE("a binding becomes a directory beside what is there") {
  const Scratch scratch;
  std::ofstream(scratch.path / "old") << "old";
  std::ofstream(scratch.path / "a") << "in the way";
  const Value value =
      overlay_of(binding("a", binding("b.txt", make_text("one\n"))), binding("c", make_text("two")));
  REQUIRE(ship(value, scratch.path.string(), ""));
  CHECK(contents(scratch.path / "a/b.txt") == "one\n");
  CHECK(contents(scratch.path / "c") == "two");
  CHECK(contents(scratch.path / "old") == "old");
  CHECK(std::distance(fs::directory_iterator(scratch.path), fs::directory_iterator()) == 3);
}

TEST_CASE("a text becomes a file, or one in a directory") {
  const Scratch scratch;
  REQUIRE(ship(make_text("x"), (scratch.path / "file").string(), "name"));
  CHECK(contents(scratch.path / "file") == "x");
  REQUIRE(ship(make_text("y"), scratch.path.string(), "name"));
  CHECK(contents(scratch.path / "name") == "y");
  CHECK_FALSE(ship(make_text("y"), scratch.path.string(), ""));
}

TEST_CASE("a file stays executable") {
  const Scratch scratch;
  const auto stored = std::make_shared<sdl_test::TextInMemory>("/run.sh", "#!/bin/sh\n", true);
  REQUIRE(ship(binding("run", make_stored_text(stored)), scratch.path.string(), ""));
  REQUIRE(ship(binding("data", make_text("")), scratch.path.string(), ""));
  CHECK(::access((scratch.path / "run").c_str(), X_OK) == 0);
  CHECK((fs::status(scratch.path / "data").permissions() & fs::perms::owner_exec) == fs::perms::none);
}

TEST_CASE("nothing is written if one part cannot be a file") {
  const Scratch scratch;
  const auto refused = [&](const char* name, Value value) {
    const Value all =
        overlay_of(binding("good", make_text("1")), binding("d", binding(name, std::move(value))));
    const auto shipped = ship(all, (scratch.path / "out").string(), "");
    return shipped ? std::string("shipped") : shipped.error().message;
  };
  CHECK(refused("n", Value::integer(1)) == "/d/n is t_int; only texts and bindings can be shipped");
  CHECK(refused("..", make_text("")) == "/d/..: no file can have this name");
  CHECK(refused("a/b", make_text("")) == "/d/a/b: no file can have this name");
  CHECK_FALSE(fs::exists(scratch.path / "out"));
}

TEST_CASE("a symbolic link is replaced, not followed") {
  const Scratch scratch;
  fs::create_directory(scratch.path / "out");
  fs::create_directory(scratch.path / "elsewhere");
  std::ofstream(scratch.path / "target") << "kept";
  fs::create_symlink("../target", scratch.path / "out/file");
  fs::create_symlink("../elsewhere", scratch.path / "out/dir");
  const Value value =
      overlay_of(binding("file", make_text("new")), binding("dir", binding("f", make_text("f"))));
  REQUIRE(ship(value, (scratch.path / "out").string(), ""));
  CHECK(contents(scratch.path / "target") == "kept");
  CHECK(contents(scratch.path / "out/file") == "new");
  CHECK(contents(scratch.path / "out/dir/f") == "f");
  CHECK(fs::is_empty(scratch.path / "elsewhere"));
}

TEST_CASE("a part of a result is selected by its path") {
  const Value value = binding("a", binding("b", make_text("x")));
  CHECK(view_of(*selected(value, "a/b")) == "x");
  CHECK(view_of(*selected(value, "/a//b/")) == "x");
  CHECK(selected(value, "")->is_binding());
  CHECK(selected(value, "a/c").error().message == "a has no name 'c'");
  CHECK(selected(value, "a/b/c").error().message == "a/b is t_text and has no name 'c'");
}
