// Models and changes made at random: evaluated with what is kept of earlier evaluations they come out as they do without.
//
// VESTAL_SEEDS=FIRST-LAST in the environment: these instead of the usual ones.
#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>

#include "tests/sdl/play.h"
#include "tests/sdl/random_models.h"

using namespace sdl_test;

namespace {

struct Sums {
  unsigned evaluations = 0, errors = 0, builds_found = 0, unused = 0, unused_found = 0, hits = 0, misses = 0;
};

Play played(const RandomModels& models, Kept* kept, std::uint64_t seed) {
  Play play;
  play.files.files = models.files;
  play.has_tools = play.shows_all = true;
  play.kept = kept;
  play.caches_functions = seed % 3 != 0;
  play.worth_keeping = seed % 2 == 0 ? 0 : 32;
  play.more_threads = seed % 4 == 1 ? 2 : 0;
  play.limits.steps = 200'000;
  play.run();
  return play;
}

void check_seed(std::uint64_t seed, Sums& sums) {
  RandomModels models(seed);
  Kept kept;
  bool was_kept = false;
  std::string changed = "nothing yet";
  for (int round = 0; round < 8; ++round) {
    INFO("seed " << seed << ", round " << round << ", changed: " << changed);
    const Play plain = played(models, nullptr, seed);
    const Play cached = played(models, &kept, seed);
    REQUIRE(cached.result == plain.result);
    REQUIRE(cached.printed == plain.printed);
    REQUIRE(cached.error == plain.error);
    REQUIRE(cached.warnings == plain.warnings);
    REQUIRE(cached.volatile_tools_run == plain.volatile_tools_run);
    // Nothing of that is looked at, but where a model counts as a whole: all is found.
    const auto is_found = [](const Play& play) { return play.trace.size() == 1 && play.trace[0] == "hit    model /main.ves"; };
    if (was_kept && changed == RandomModels::unused) {
      ++sums.unused;
      sums.unused_found += is_found(cached);
    }
    const Play again = played(models, &kept, seed);
    REQUIRE(again.result == plain.result);
    REQUIRE(again.printed == plain.printed);
    REQUIRE(again.error == plain.error);
    was_kept = is_found(again);
    sums.evaluations += 1;
    sums.errors += !plain.error.empty();
    sums.builds_found += was_kept;
    for (const std::string& line : cached.trace) (line.starts_with("hit") ? sums.hits : sums.misses) += 1;
    changed = models.change();
  }
}

// One model, asked many times with an environment that changes little by little.
void check_environments(std::uint64_t seed, Sums& sums) {
  Play play;
  play.files.files["/lib.ves"] = RandomModels::Writer(seed, {}, 3).model_of_dot();
  play.has_tools = play.shows_all = true;
  play.caches_functions = seed % 3 != 0;
  Kept kept;
  RandomValue dot(seed);
  for (int round = 0; round < 30; ++round) {
    INFO("seed " << seed << ", round " << round << ": " << dot.text());
    play.files.files["/main.ves"] = "import lib = lib.ves; { r = lib(" + dot.text() + "); d = _print(" + std::to_string(round) + "); return r; }";
    play.kept = nullptr;
    play.run();
    const std::string result = play.result, printed = play.printed, error = play.error;
    const unsigned volatile_runs = play.volatile_tools_run;
    play.kept = &kept;
    play.run();
    REQUIRE(play.result == result);
    REQUIRE(play.printed == printed);
    REQUIRE(play.error == error);
    REQUIRE(play.volatile_tools_run == volatile_runs);
    sums.evaluations += 1;
    sums.errors += !error.empty();
    for (const std::string& line : play.trace) (line.starts_with("hit") ? sums.hits : sums.misses) += 1;
    dot.change();
  }
}

std::pair<std::uint64_t, std::uint64_t> seeds(std::uint64_t count) {
  unsigned long long from = 1, to = count;
  if (const char* const wanted = std::getenv("VESTAL_SEEDS")) REQUIRE(std::sscanf(wanted, "%llu-%llu", &from, &to) == 2);
  return {from, to};
}

}  // namespace

TEST_CASE("random models, changed at random, come out with kept calls as without") {
  const auto [first, last] = seeds(120);
  Sums sums;
  for (std::uint64_t seed = first; seed <= last; ++seed) check_seed(seed, sums);
  INFO("evaluations " << sums.evaluations << ", in error " << sums.errors << ", found whole " << sums.builds_found << ", calls found "
                      << sums.hits << ", not found " << sums.misses);
  CHECK(sums.unused_found * 20 >= sums.unused * 19);
  CHECK(sums.unused * 50 > sums.evaluations);
  CHECK(sums.errors * 2 < sums.evaluations);
  CHECK(sums.builds_found * 4 > sums.evaluations);
  CHECK(sums.hits * 10 > sums.misses);
}

TEST_CASE("a random model comes out in each environment with kept calls as without") {
  const auto [first, last] = seeds(300);
  Sums sums;
  for (std::uint64_t seed = first; seed <= last; ++seed) check_environments(seed, sums);
  INFO("evaluations " << sums.evaluations << ", in error " << sums.errors << ", calls found " << sums.hits << ", not found "
                      << sums.misses);
  CHECK(sums.errors * 2 < sums.evaluations);
  CHECK(sums.hits * 10 > sums.misses);
}
