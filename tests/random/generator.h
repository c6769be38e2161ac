// Makes scenarios up. The same seed gives the same scenario.
//
// A scenario does the same each time it is run without a tool: what races, asks the clock, or compares times of files
// that were written a moment ago is not made up, nor what docs/limits.md lists under "Facts that are not looked at".
// All files begin with times long ago; in `times` are those whose times steps compare, and every edit sets them.
#pragma once

#include <cstdint>

#include "tests/random/scenario.h"

namespace random_builds {

struct GeneratorOptions {
  bool clock_jumps = false;  // edits that set the times of everything back
};

Scenario made_up(std::uint64_t seed, const GeneratorOptions& options);

}  // namespace random_builds
