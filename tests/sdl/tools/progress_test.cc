#include "sdl/tools/progress.h"

#include <catch2/catch.hpp>

using sdl::Progress;

TEST_CASE("the line of a build says how long, how many and what") {
  CHECK(Progress::line({std::chrono::seconds(5), 2, 3, 40, "cc -c a.c"}, 100) == "vestal: 0:05  2 running, 3 run, 40 found  cc -c a.c");
  CHECK(Progress::line({std::chrono::seconds(65), 0, 3, 0, ""}, 100) == "vestal: 1:05  0 running, 3 run, 0 found");
  CHECK(Progress::line({std::chrono::seconds(7384), 0, 0, 0, ""}, 100) == "vestal: 2:03:04  0 running, 0 run, 0 found");
}

TEST_CASE("the line of a build is never longer than the terminal is wide") {
  const Progress::State state{std::chrono::seconds(5), 2, 3, 40, std::string(500, 'x')};
  for (std::size_t columns = 0; columns < 200; ++columns) CHECK(Progress::line(state, columns).size() == columns);
  CHECK(Progress::line(state, 60).ends_with("xxx..."));
}

TEST_CASE("what a command has in it cannot move the cursor") {
  CHECK(Progress::line({{}, 1, 0, 0, "a\nb\x1b[2Jc\xc3\xa4"}, 100) == "vestal: 0:00  1 running, 0 run, 0 found  a?b?[2Jc??");
}
