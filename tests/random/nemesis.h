// What may happen to vestal while a build runs, and must not be seen in the build.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <thread>

#include "tests/random/dice.h"
#include "tests/random/runner.h"

namespace random_builds {

enum class Nemesis {
  none,
  kill_broker,  // SIGKILL at some moment of a build
  kill_step,    // a build of which some process is killed goes before; the tree is put back then
  two_builds,   // the same scenario in two places at once
  flip_byte,    // in a file of the cache, before a build
  clock_jump,   // edits that set all times back
  full_disk,    // a cache directory on a full file system
};

std::optional<Nemesis> nemesis_named(const std::string& name);

// Disturbs the builds of one scenario.
class Disturber {
 public:
  Disturber(Nemesis kind, std::uint64_t seed, const Place& place, const std::string& cache) : kind_(kind), dice_(seed), place_(place), cache_(cache) {}

  void before_build(const std::string& tree, const std::string& text);

 private:
  void kill_broker_soon();
  void run_and_kill_a_step(const std::string& tree, const std::string& text);
  void flip_a_byte();

  const Nemesis kind_;
  Dice dice_;
  const Place place_;
  const std::string cache_;
  std::jthread thread_;
};

}  // namespace random_builds
