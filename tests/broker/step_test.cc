#include "broker/step.h"

#include <catch2/catch.hpp>

#include "tests/broker/images/scratch.h"
#include "tests/broker/world.h"

using namespace broker;
using namespace cache;

namespace {

struct Steps {
  scratch::Directory directory;
  world::Cache cache{directory.at("cache")};
  PathTable paths{*cache.parts.view};
  Step outer, inner;
  PathId path(const std::string& text) { return paths.intern(text); }

  static PathFacts file(std::uint64_t bytes) {
    PathFacts facts;
    facts.type = FileType::regular;
    facts.bytes = bytes;
    return facts;
  }
  static PathContents holding(const std::string& text) {
    PathContents contents;
    contents.bytes = digest_of(text);
    return contents;
  }
  void reads(Step& step, const std::string& name, const std::string& text, Position at) {
    step.observe(path(name), aspect_type | aspect_bytes, file(text.size()), holding(text), at, true);
  }
  void writes(Step& step, const std::string& name, Position at) {
    PathUse& use = step.change(path(name), at);
    use.contents_changed = use.present = true;
    use.entry_type = 8;
  }
  bool needs(const Step& step, const std::string& name) {
    NeedSet names;
    NeedValues values;
    std::string problem;
    collect_needs(step, paths, names, values, problem);
    for (const NeedName& need : names)
      if (need.kind == NeedKind::path && need.text == name) return true;
    return false;
  }
  std::string problem(const Step& step) {
    NeedSet names;
    NeedValues values;
    std::string text;
    collect_needs(step, paths, names, values, text);
    return text;
  }
};

}  // namespace

TEST_CASE("what a step reads after writing it is not its need") {
  Steps world;
  world.writes(world.outer, "/made", 1);
  world.reads(world.outer, "/made", "x", 2);
  world.reads(world.outer, "/given", "y", 3);
  world.writes(world.outer, "/given", 4);
  CHECK_FALSE(world.needs(world.outer, "/made"));
  CHECK(world.needs(world.outer, "/given"));
}

TEST_CASE("what one inner step wrote before another read it is no need of the step around them") {
  Steps world;
  Step writer, reader;
  world.writes(writer, "/between", 10);
  world.reads(reader, "/between", "x", 20);
  SECTION("merged in the order of the events") {
    merge_into(world.outer, writer, world.paths);
    merge_into(world.outer, reader, world.paths);
  }
  SECTION("merged in the other order") {
    merge_into(world.outer, reader, world.paths);
    merge_into(world.outer, writer, world.paths);
  }
  CHECK(world.needs(reader, "/between"));
  CHECK_FALSE(world.needs(world.outer, "/between"));
}

TEST_CASE("what an inner step read before another wrote it is a need of the step around them") {
  Steps world;
  Step writer, reader;
  world.reads(reader, "/between", "x", 10);
  world.writes(writer, "/between", 20);
  merge_into(world.outer, writer, world.paths);
  merge_into(world.outer, reader, world.paths);
  CHECK(world.needs(world.outer, "/between"));
}

TEST_CASE("contents that changed between two looks make the step unfit to store") {
  Steps world;
  world.reads(world.outer, "/given", "old", 1);
  world.reads(world.outer, "/given", "new", 2);
  CHECK(world.problem(world.outer) == "/given: changed while in use");
}

TEST_CASE("a step that looks at its mode after chmod still needs the contents") {
  Steps world;
  PathUse& use = world.outer.change(world.path("/script"), 1);
  use.attributes_changed = true;
  world.reads(world.outer, "/script", "x", 2);
  CHECK(world.needs(world.outer, "/script"));
}

TEST_CASE("a variable that a step passes on is its need, one that it sets itself is not") {
  Steps world;
  world.outer.exec.variables = {{"GIVEN", 7}, {"OTHER", 1}};
  world.inner.exec.variables = {{"GIVEN", 7}, {"OTHER", 2}, {"SET", 9}};
  world.inner.variables = {"GIVEN", "OTHER", "SET", "NEITHER"};
  merge_into(world.outer, world.inner, world.paths);
  CHECK(world.outer.variables == std::set<std::string, std::less<>>{"GIVEN", "NEITHER"});
}

TEST_CASE("what spoils a step spoils every step around it, what only makes it unfit to store does not") {
  Steps world;
  Step innermost, sibling;
  innermost.exec.arguments = {"reads-the-clock"};
  innermost.spoil("reads the clock");
  sibling.not_storable("leaves a process behind");
  merge_into(world.inner, innermost, world.paths);
  merge_into(world.outer, sibling, world.paths);
  CHECK(world.outer.spoils.empty());
  CHECK(world.outer.unstorable.empty());
  merge_into(world.outer, world.inner, world.paths);
  CHECK(world.inner.spoils == "reads the clock");
  CHECK(world.outer.spoils == "reads the clock");
  CHECK(world.inner.spoiled_by.find("reads-the-clock") != std::string::npos);
  CHECK(world.outer.spoiled_by == world.inner.spoiled_by);
}

TEST_CASE("whether its own output was there before does not count for a step that replaces it") {
  Steps world;
  world.outer.observe(world.path("/out.o"), aspect_type | aspect_mode, Steps::file(3), {}, 1, false);
  world.writes(world.outer, "/out.o", 2);
  NeedSet names;
  NeedValues values;
  std::string problem;
  collect_needs(world.outer, world.paths, names, values, problem);
  REQUIRE(names.size() == 1);
  CHECK(names[0].detail == aspect_replaceable);
  CHECK(values[0] == value_of(aspect_replaceable, PathFacts{}, {}));
  SECTION("but it does if somebody in it cares") {
    world.outer.observe(world.path("/other"), aspect_type, Steps::file(3), {}, 3, true);
    world.writes(world.outer, "/other", 4);
    NeedSet more;
    NeedValues ignored;
    collect_needs(world.outer, world.paths, more, ignored, problem);
    REQUIRE(more.size() == 3);
    CHECK(more[0].detail == aspect_type);
  }
}

TEST_CASE("a name made up for the run leaves no need") {
  Steps world;
  world.outer.observe(world.path("/tmp/ccXYZ.s"), aspect_type, PathFacts{}, {}, 1, false);
  PathUse& use = world.outer.change(world.path("/tmp/ccXYZ.s"), 1);
  use.contents_changed = use.was_absent = use.temporary = true;
  CHECK_FALSE(world.needs(world.outer, "/tmp/ccXYZ.s"));
}

TEST_CASE("a listing does not count what the step itself had made") {
  Steps world;
  const std::uint64_t other = preload::entry_hash("a", 1, 8), own = preload::entry_hash("made", 4, 8);
  PathContents contents;
  contents.listing = other + own;
  std::string except;
  world.writes(world.outer, "/d/made", 1);
  SECTION("a name that was surely not there is taken out") {
    world.outer.uses[world.path("/d/made")].was_absent = true;
    world.outer.subtract_own_entries(world.path("/d"), 2, world.paths, contents, except);
    CHECK(except.empty());
  }
  SECTION("a name that may have been there is left out on both sides") {
    world.outer.subtract_own_entries(world.path("/d"), 2, world.paths, contents, except);
    CHECK(except == "made/");
  }
  CHECK(*contents.listing == other);
}

TEST_CASE("a descriptor differs for a step only in what the step asked of it") {
  using namespace preload;
  const auto value = [](FdKind kind, std::uint32_t questions, bool appends = false) {
    FdPayload fd{};
    fd.kind = kind;
    fd.fd = 1;
    fd.appends = appends;
    fd.waits = 1;
    ExecRecord exec;
    exec.fds = {fd};
    return descriptor_value(exec, 1, questions);
  };
  CHECK(value(fd_null, fd_asked_terminal) == value(fd_pipe, fd_asked_terminal));
  CHECK(value(fd_null, fd_asked_terminal) == value(fd_regular, fd_asked_terminal));
  CHECK(value(fd_null, fd_asked_terminal) != value(fd_terminal, fd_asked_terminal));
  CHECK(value(fd_null, fd_asked_terminal) != value(fd_device, fd_asked_terminal));
  CHECK(value(fd_null, fd_asked_kind) != value(fd_pipe, fd_asked_kind));
  CHECK(value(fd_regular, fd_asked_kind) == value(fd_pipe, fd_asked_kind));
  CHECK(value(fd_regular, fd_asked_exactly) != value(fd_pipe, fd_asked_exactly));
  CHECK(value(fd_regular, fd_asked_exactly, true) == value(fd_regular, fd_asked_exactly));
  CHECK(value(fd_regular, fd_asked_access, true) != value(fd_regular, fd_asked_access));
  CHECK(value(fd_regular, fd_asked_access) != value(fd_pipe, fd_asked_access));
  CHECK(descriptor_value(ExecRecord{}, 1, fd_asked_terminal) != value(fd_null, fd_asked_terminal));
}

TEST_CASE("a file that is moved and may be older than the step must have had one name only") {
  Steps world;
  world.inner.parent = &world.outer;
  const PathId old = world.path("/old");
  SECTION("then the steps around need that too") {
    world.inner.move_old_file(old, 1, 0644);
    for (const Step* step : {&world.inner, &world.outer}) {
      NeedSet names;
      NeedValues values;
      std::string problem;
      collect_needs(*step, world.paths, names, values, problem);
      REQUIRE(names.size() == 1);
      CHECK(names[0].detail == (aspect_replaceable | aspect_links));
      PathFacts there = Steps::file(3);
      there.links = 1;
      CHECK(values[0] == value_of(names[0].detail, there, {}));
      CHECK(values[0] == value_of(names[0].detail, PathFacts{}, {}));
      there.links = 2;
      CHECK(values[0] != value_of(names[0].detail, there, {}));
    }
  }
  SECTION("one that the step around has made itself is of no concern to it") {
    PathUse& use = world.outer.change(old, 1);
    use.contents_changed = use.fresh = use.present = true;
    world.inner.move_old_file(old, 2, 0644);
    CHECK_FALSE(world.inner.unstorable.empty());
    CHECK(world.outer.unstorable.empty());
    CHECK_FALSE(world.outer.uses[old].single_name);
  }
}

TEST_CASE("a file that two inner steps write has the mode that the first one asked for") {
  Steps world;
  world.writes(world.outer, "/out", 1);
  world.outer.uses[world.path("/out")].creation_mode = 0600;
  world.writes(world.inner, "/out", 2);
  world.inner.uses[world.path("/out")].creation_mode = 0644;
  merge_into(world.outer, world.inner, world.paths);
  CHECK(world.outer.uses[world.path("/out")].creation_mode == 0600);
}

TEST_CASE("which of the files it looks at are names of one file is a need of a step") {
  const auto value = [](std::uint32_t aspects, std::uint64_t inode_of_b) {
    Steps world;
    PathFacts facts = Steps::file(3);
    facts.links = 2;
    facts.inode = 7;
    world.outer.observe(world.path("/a"), aspects, facts, Steps::holding("abc"), 1, true);
    facts.inode = inode_of_b;
    world.outer.observe(world.path("/b"), aspects, facts, Steps::holding("abc"), 2, true);
    NeedSet names;
    NeedValues values;
    std::string problem;
    collect_needs(world.outer, world.paths, names, values, problem);
    REQUIRE(names.size() == 3);
    REQUIRE(names[2].kind == NeedKind::same_files);
    return values[2];
  };
  CHECK(value(aspect_type | aspect_bytes, 7) != value(aspect_type | aspect_bytes, 8));
  CHECK(value(aspect_type | aspect_mode, 7) != value(aspect_type | aspect_mode, 8));
  CHECK(value(aspect_type, 7) == value(aspect_type, 8));
}
