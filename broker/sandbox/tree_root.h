// A tree as directories of files, made once and then kept in the cache, for a
// sandbox to stand on. Nobody writes to them.
//
// Trees that are run in have much in common (usr), so what stands at the top of
// one is made part by part: a directory alone is a tree itself, with that
// directory in it.
//
//   <cache>/trees/<digest>/   such a part; every time in it is `tree_time`, but the time of access of the part itself
//                             is when it was last used (cache/blob_store.h)
//   <cache>/trees/base/       what each sandbox has besides: empty dev, proc and tmp
//
// Any number of processes may make the same at once.
#pragma once

#include <string>
#include <vector>

#include "broker/tree/tree_reader.h"
#include "cache/base/result.h"

namespace broker::sandbox {

// Trees have no times of their own; 2000-01-01, which archives of every kind can tell.
inline constexpr long tree_time = 946'684'800;

// mount(2) takes a page of options.
inline constexpr std::size_t parts_max = 40;

// Names below the cache directory, at most parts_max; together they are the tree, but for the mode of its root.
// Fault::not_found, Fault::corrupt, Fault::io.
cache::Result<std::vector<std::string>> tree_parts(const std::string& cache_directory, cache::BlobStore& blobs, const cache::Digest& tree);
cache::Result<std::string> base_root(const std::string& cache_directory);

}  // namespace broker::sandbox
