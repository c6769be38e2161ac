// Who uses contents of a cache, and who removes some: locks (flock(2)) of the
// file `in-use` in its directory. Whoever has looked contents up and relies on
// them for longer than a moment (a tree that is run in, models that are
// evaluated) holds it together with others; the collector holds it alone.
#pragma once

#include <optional>
#include <string>

#include "cache/base/owned_fd.h"
#include "cache/base/result.h"

namespace cache {

// Creates the directory (0700) if needed. Until the descriptor, and what children have of it, is closed. Waits for a collector.
Result<OwnedFd> hold_cache(const std::string& directory);
// Nothing: others hold it.
std::optional<OwnedFd> hold_cache_alone(const std::string& directory);

}  // namespace cache
