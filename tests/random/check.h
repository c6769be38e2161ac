// One seed: its scenario plain and with the tool, in the same place.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/random/generator.h"
#include "tests/random/nemesis.h"
#include "tests/random/runner.h"

namespace random_builds {

struct CheckOptions {
  std::string tool;       // stands in front of each build
  std::string cache;      // vestal's cache directory
  std::string directory;  // for the places
  std::string repeat;     // how to run this again, but for the seed
  Nemesis nemesis = Nemesis::none;
  bool shrink = true;
};

enum class Finding { same, different, unsteady /* the scenario itself: two plain runs differ */ };

struct CheckResult {
  Finding finding = Finding::same;
  std::size_t builds = 0;  // with the tool
  std::string report;      // if not the same
};

CheckResult checked(std::uint64_t seed, const CheckOptions& options);

}  // namespace random_builds
