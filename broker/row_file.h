// The rows of a cache's steps in a file: how they go from one cache to another (broker/cache_archive.h), and between broker
// and client, who cannot both have the index open.
//
//   bytes   what
//   4       bytes of the key
//   4       bytes of the value
//           key, value
//
// again and again; numbers are little-endian. What rows are is said in cache/step_cache.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "cache/base/result.h"
#include "cache/blob_store.h"
#include "cache/step_cache.h"

namespace broker {

inline constexpr std::uint64_t row_file_bytes_max = std::uint64_t{2} << 30;

// Calls visit(row) for each; Fault::corrupt if the text is no such file, or a row makes no sense.
cache::Result<bool> each_row(std::string_view text, const std::function<void(const cache::StepCache::Row&, const cache::StepResult*)>& visit);

// Whether all contents that it names are there.
bool has_contents(const cache::StepResult& result, const cache::BlobStore& blobs);

// Writes those of steps whose results have all their contents to a file in the open directory, which is there already.
cache::Result<bool> hand_out_rows(cache::StepCache& steps, const cache::BlobStore& blobs, int directory, const std::string& name);
// Adds those of a file in the open directory, all or, if one makes no sense, none. Returns how many results are new.
cache::Result<std::uint64_t> take_in_rows(cache::StepCache& steps, const cache::BlobStore& blobs, int directory, const std::string& name);

}  // namespace broker
