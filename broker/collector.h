// Keeps the cache within a size: what nobody has used for the longest time goes.
//
// Blobs tell their last use themselves (cache/blob_store.h), trees that have been
// made as files (broker/sandbox/tree_root.h) by the time of access of their
// directory. A tree that is used keeps its blobs, whether they are looked at or
// not. Results of tools are files that tell their last use as well; results of
// steps go when their contents have gone. Whoever finds contents gone that a
// result names takes that for a miss.
//
// Builds may run meanwhile. What was used after the collector has looked stays; while somebody stands on a tree or evaluates
// models (cache/use_lock.h), so does every tree, and what was used within two hours.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "cache/base/result.h"
#include "cache/blob_store.h"
#include "cache/step_cache.h"

namespace broker {

struct CollectorLimits {
  std::uint64_t bytes_max = 0;            // of blobs, results of tools and trees made as files
  std::chrono::seconds unused_min{86'400};  // what was used since stays in any case
  bool only_tells = false;                // removes nothing
};

struct Collected {
  std::uint64_t bytes_before = 0;
  std::uint64_t blobs = 0, trees = 0, bytes = 0;  // removed
  std::uint64_t results = 0;                      // forgotten, of tools and steps; if only told, of tools
};

// Fault::io: nothing could be looked at. What cannot be removed is left.
cache::Result<Collected> collect(const std::string& cache_directory, cache::StepCache& steps, const CollectorLimits& limits);

// Whether somebody stands on trees of this cache at this moment.
bool sandboxes_in_use(const std::string& cache_directory);

}  // namespace broker
