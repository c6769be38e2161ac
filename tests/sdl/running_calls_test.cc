// Calls that wait for the same call in another thread: `/**waitdup**/`.
#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "sdl/running_calls.h"
#include "tests/sdl/play.h"

using namespace sdl_test;
using sdl::RunningCalls;
using Turn = RunningCalls::Turn;

namespace {

const cache::Digest first = cache::digest_of("first"), second = cache::digest_of("second"), third = cache::digest_of("third");

std::size_t told(const Play& play, const std::string& line) {
  return static_cast<std::size_t>(std::ranges::count(play.trace, line));
}

// Calls `costly` eight times, as many at once as there are threads.
std::string eight_times(const std::string& before_function, const std::string& argument) {
  return "{ " + before_function +
         R"( costly(v) { s = 0; numbers = < 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 >;
    foreach a in numbers do { foreach b in numbers do { foreach c in numbers do { foreach d in numbers do { s += 1; }; }; }; };
    return s + _length(v); };
  one(x) { return x + costly()" + argument + R"(); };
  return _par_map(one, < 1, 2, 3, 4, 5, 6, 7, 8 >); })";
}

Play cached(Kept& kept, const std::string& model) {
  Play play;
  play.kept = &kept;
  play.more_threads = 7;
  play.run(model);
  CHECK(play.error == "");
  return play;
}

}  // namespace

TEST_CASE("of the same calls at once, with waitdup, one is evaluated and the others have its result") {
  for (int round = 0; round < 10; ++round) {
    Kept kept;
    const Play play = cached(kept, eight_times("/**waitdup**/", "\"x\""));
    CHECK(play.result == "< 10002, 10003, 10004, 10005, 10006, 10007, 10008, 10009 >");
    CHECK(told(play, "miss   function costly") == 1);
    CHECK(told(play, "hit    function costly") == 7);
  }
}

TEST_CASE("calls with one key that look at different things are all evaluated, with waitdup, each once") {
  for (int round = 0; round < 10; ++round) {
    Kept kept;
    const Play play = cached(kept, eight_times("/**waitdup**/", "if x < 5 then < 1 > else < 1, 2 >"));
    CHECK(play.result == "< 10002, 10003, 10004, 10005, 10007, 10008, 10009, 10010 >");
    CHECK(told(play, "miss   function costly") == 2);
    CHECK(told(play, "hit    function costly") == 6);
  }
}

TEST_CASE("of the same calls of a model at once, with waitdup, one is evaluated") {
  for (int round = 0; round < 10; ++round) {
    Kept kept;
    Play play;
    play.kept = &kept;
    play.more_threads = 7;
    play.files.files["/m.ves"] =
        "/**waitdup**/ { s = 0; foreach a in ./l do { foreach b in ./l do { foreach c in ./l do { foreach d in ./l do { s += 1; }; }; }; }; return s; }";
    play.run("import m = m; { l = < 1, 2, 3, 4, 5, 6, 7, 8, 9 >; one(x) { return x + m([ l ]); }; return _par_map(one, < 1, 2, 3, 4, 5, 6, 7, 8 >); }");
    CHECK(play.result == "< 6562, 6563, 6564, 6565, 6566, 6567, 6568, 6569 >");
    CHECK(told(play, "miss   model /m.ves") == 1);
  }
}

TEST_CASE("functions with waitdup may call themselves and each other in several threads") {
  // Lists are in no key, so all calls of one function have the same.
  for (int round = 0; round < 10; ++round) {
    Kept kept;
    const Play play = cached(kept, R"(
{ /**waitdup**/ a(l, f, g) { more(x) { return if _length(l) == 0 then x else g(_tail(l), g, f); }; s = 0;
    foreach x in _par_map(more, < 1, 2, 3 >) do { s += x; }; return s; };
  /**waitdup**/ b(l, f, g) { more(x) { return if _length(l) == 0 then x else g(_tail(l), g, f) + 1; }; s = 0;
    foreach x in _par_map(more, < 1, 2, 3 >) do { s += x; }; return s; };
  one(x) { return if x == 1 then a(< 1, 2, 3 >, a, b) else b(< 1, 2, 3 >, b, a); };
  return _par_map(one, < 1, 2, 1, 2 >); })");
    CHECK(play.result == "< 171, 192, 171, 192 >");
  }
}

TEST_CASE("who waits for a call is told when it has ended, and whether it was kept") {
  for (const bool is_kept : {false, true}) {
    RunningCalls calls;
    std::optional<RunningCalls::Place> one(std::in_place);
    REQUIRE(calls.enter(first, nullptr, *one) == Turn::entered);
    std::atomic<bool> is_back = false;
    Turn turn{};
    std::thread thread([&] {
      RunningCalls::Place other;
      turn = calls.enter(first, nullptr, other);
      is_back = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    CHECK_FALSE(is_back);
    if (is_kept) one->note_kept();
    one.reset();
    thread.join();
    CHECK(turn == (is_kept ? Turn::other_was_kept : Turn::no_use));
    CHECK(calls.enter(first, nullptr, one.emplace()) == Turn::entered);
  }
}

TEST_CASE("nobody waits for a call that could not end before") {
  RunningCalls calls;
  std::optional<RunningCalls::Place> one(std::in_place);
  RunningCalls::Place inner, nobody;
  REQUIRE(calls.enter(first, nullptr, *one) == Turn::entered);
  REQUIRE(calls.enter(third, &*one, inner) == Turn::entered);
  CHECK(calls.enter(first, &inner, nobody) == Turn::no_use);  // it is evaluated by who asks

  std::atomic<bool> is_there = false;
  std::thread thread([&] {
    RunningCalls::Place two, other;
    static_cast<void>(calls.enter(second, nullptr, two));
    is_there = true;
    static_cast<void>(calls.enter(first, &two, other));
  });
  while (!is_there) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // until it waits
  CHECK(calls.enter(second, &inner, nobody) == Turn::no_use);
  one.reset();
  thread.join();
}
