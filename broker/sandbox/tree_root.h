// A tree as a directory of files, made once and then kept in the cache, for a
// sandbox to stand on. Nobody writes to it.
//
//   <cache>/trees/<digest>/   the tree; every time in it is `tree_time`
//   <cache>/trees/base/       what each sandbox has besides: empty dev, proc and tmp
//
// Any number of processes may make the same at once.
#pragma once

#include <string>

#include "broker/tree/tree_reader.h"
#include "cache/base/result.h"

namespace broker::sandbox {

// Trees have no times of their own; 2000-01-01, which archives of every kind can tell.
inline constexpr long tree_time = 946'684'800;

// The name below the cache directory. Fault::not_found, Fault::corrupt, Fault::io.
cache::Result<std::string> tree_root(const std::string& cache_directory, const cache::BlobStore& blobs, const cache::Digest& tree);
cache::Result<std::string> base_root(const std::string& cache_directory);

}  // namespace broker::sandbox
