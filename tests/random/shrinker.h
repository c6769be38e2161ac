// Makes a scenario smaller while something stays true of it.
#pragma once

#include <functional>

#include "tests/random/scenario.h"

namespace random_builds {

Scenario shrunk(Scenario scenario, const std::function<bool(const Scenario&)>& still_true);

}  // namespace random_builds
