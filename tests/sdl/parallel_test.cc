// `_par_map`, with and without threads.
#include <catch2/catch.hpp>

#include "tests/sdl/play.h"

using namespace sdl_test;

namespace {

Play played(const std::string& model, unsigned more_threads) {
  Play play;
  play.more_threads = more_threads;
  play.run(model);
  return play;
}

// The values share much: a list that grows, a text, closures and the environment.
const std::string busy = R"(
{ . = [ base = 1000, words = "" ];
  numbers = < 1, 2, 3, 4, 5, 6, 7, 8 >;
  grow(n) { l = numbers; t = ./words; foreach i in numbers do { l += < i * n >; t += "x"; }; return < _length(l), _length(t), ./base + n >; };
  named(n, v) { inner(x) { return x + v; }; return [ $(n + "s") = _par_map(inner, numbers) ]; };
  return < _par_map(grow, numbers + numbers + numbers), _par_map(named, [ a = 1, b = 2, c = 3, d = 4 ]) >; }
)";

}  // namespace

TEST_CASE("calls side by side come out as those one after the other") {
  const Play alone = played(busy, 0);
  REQUIRE(alone.error.empty());
  for (int round = 0; round < 20; ++round) CHECK(played(busy, 5).result == alone.result);
}

TEST_CASE("of several calls that fail the first is told, and what those before it print") {
  const std::string model =
      R"({ f(x) { d = _print(x); return if x > 3 then _assert(FALSE, "no " + (if x == 4 then "four" else "other")) else x; };
    return _par_map(f, < 1, 2, 3, 4, 5, 6, 7, 8, 9 >); })";
  const Play alone = played(model, 0);
  CHECK(alone.printed == "1\n2\n3\n4\n");
  for (int round = 0; round < 20; ++round) {
    const Play together = played(model, 4);
    CHECK(together.printed == alone.printed);
    CHECK(together.error == alone.error);
  }
}

TEST_CASE("calls within calls share the threads that there are") {
  const std::string model =
      "{ g(y) { return y + 1; }; f(x) { return _par_map(g, < x, x + 1, x + 2 >); }; return _par_map(f, < 1, "
      "10, 20, 30 >); }";
  for (int round = 0; round < 20; ++round)
    CHECK(played(model, 3).result == "< < 2, 3, 4 >, < 11, 12, 13 >, < 21, 22, 23 >, < 31, 32, 33 > >");
}
