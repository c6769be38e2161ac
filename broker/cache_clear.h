// Removes a cache, while nobody uses it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cache/base/result.h"

namespace broker {

struct Cleared {
  std::uint64_t bytes = 0;
  std::vector<std::string> left;  // names in the directory that are no part of a cache, and stay
};

// Its broker is asked to leave, and none can begin until all is out of the way. Fault::io: a command runs with it, somebody stands on
// its trees or evaluates models; nothing has been removed then.
cache::Result<Cleared> clear_cache(const std::string& cache_directory);

}  // namespace broker
