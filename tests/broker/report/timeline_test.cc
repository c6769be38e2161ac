#include "broker/report/timeline.h"

#include <catch2/catch.hpp>

namespace {

using namespace broker::report;

Bar bar(std::int64_t began, std::int64_t ended, std::size_t outer = no_bar) {
  Bar one;
  one.began_ns = began;
  one.ended_ns = ended;
  one.outer = outer;
  return one;
}

using Lanes = std::vector<std::size_t>;
Lanes lanes_of(std::vector<Bar> bars) {
  assign_lanes(bars);
  Lanes lanes;
  for (const Bar& one : bars) lanes.push_back(one.lane);
  return lanes;
}

using Path = std::vector<std::pair<std::size_t, std::int64_t>>;
Path path_of(const std::vector<Bar>& bars) {
  Path path;
  for (const OnPath& one : critical_path(bars)) path.emplace_back(one.bar, one.own_ns);
  return path;
}

}  // namespace

TEST_CASE("steps that follow each other share the lane of the step around them") {
  std::vector<Bar> bars{bar(0, 100), bar(10, 20, 0), bar(20, 30, 0), bar(22, 28, 2)};
  CHECK(assign_lanes(bars) == 1);
  CHECK(bars[0].depth == 0);
  CHECK(bars[2].depth == 1);
  CHECK(bars[3].depth == 2);
}

TEST_CASE("steps that run at once are in different lanes, and who comes later takes the first free one") {
  CHECK(lanes_of({bar(0, 100), bar(10, 50, 0), bar(12, 20, 0), bar(14, 40, 0), bar(25, 30, 0), bar(60, 70, 0)}) == Lanes{0, 0, 1, 2, 1, 0});
}

TEST_CASE("what is inside a step in another lane is in that lane") {
  CHECK(lanes_of({bar(0, 100), bar(10, 50, 0), bar(12, 40, 0), bar(13, 39, 2), bar(14, 38, 3)}) == Lanes{0, 0, 1, 1, 1});
}

TEST_CASE("the critical path goes from the end back over the steps that ended last before the next began") {
  // 1 and 2 at once, then 3, which had to wait for 2.
  CHECK(path_of({bar(0, 100), bar(10, 30, 0), bar(10, 50, 0), bar(52, 95, 0)}) == Path{{0, 17}, {2, 40}, {3, 43}});
  // What is inside a step on it is on it as well.
  CHECK(path_of({bar(0, 100), bar(0, 100, 0), bar(20, 60, 1), bar(30, 90, 1)}) == Path{{1, 40}, {3, 60}});
  CHECK(path_of({}).empty());
}

TEST_CASE("the times on the critical path make the whole session") {
  std::vector<Bar> bars{bar(0, 1000)};
  std::uint64_t state = 1;
  const auto random = [&](std::int64_t below) { return static_cast<std::int64_t>((state = state * 6364136223846793005u + 1442695040888963407u) >> 33) % below; };
  for (int i = 0; i < 200; ++i) {
    const std::size_t outer = static_cast<std::size_t>(random(static_cast<std::int64_t>(bars.size())));
    const std::int64_t from = bars[outer].began_ns + random(bars[outer].took_ns() + 1), to = from + random(bars[outer].ended_ns - from + 1);
    bars.push_back(bar(from, to, outer));
  }
  std::int64_t sum = 0;
  for (const OnPath& one : critical_path(bars)) sum += one.own_ns;
  CHECK(sum == 1000);
}

TEST_CASE("a report that is none has an empty timeline") {
  CHECK(Timeline::of("").bars.empty());
  CHECK(Timeline::of("{\"command\": 7}").lanes == 0);
}

TEST_CASE("a step lies within the one around it, whatever clocks say") {
  const Timeline line = Timeline::of(R"({"command":"make","directory":"/","began_ns":1000,"ended_ns":1100,"status":null,"hits":0,"misses":2,"not_cacheable":0,"saved_ns":0,"notes":[
    {"step":2,"outer":1,"outcome":"miss","command":"gcc","directory":"/","reasons":[],"reason":"","policy":"","began_ns":990,"took_ns":500,"saved_ns":0,"process":7,"status":0},
    {"step":1,"outer":0,"outcome":"miss","command":"make","directory":"/","reasons":["a"],"reason":"a","policy":"","began_ns":1010,"took_ns":50,"saved_ns":0,"process":6,"status":0}]})");
  REQUIRE(line.bars.size() == 2);
  CHECK(line.bars[0].command == "make");
  CHECK(line.bars[1].outer == 0);
  CHECK(line.bars[1].began_ns == 10);
  CHECK(line.bars[1].ended_ns == 60);
  CHECK(line.took_ns == 100);
  CHECK(line.status == -1);
}
