// Results of tools by what they were asked, each with the tree in which it came out
// and what it needed of that. Spec: 9.2 to 9.6.
//
//   <cache>/tools/ab/cdef...   by primary key: the latest results, the newest first
//
// Its time of access says when it was last used (cache/blob_store.h). A file is sealed (cache/sealed_bytes.h), written beside its place and renamed; one that is damaged is no
// result. Two who add at once may lose one of the two, which costs a run. Any thread, any number of
// processes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cache/base/result.h"
#include "cache/digest.h"
#include "sdl/tools/directories.h"
#include "sdl/tools/tool_needs.h"

namespace sdl {

inline constexpr std::size_t results_max = 12;  // of one key

struct ToolResult {
  std::int32_t status = 0;  // as wait(2) has it
  cache::StoredBlob output, errors;
  cache::Digest tree, after;  // in which it came out; as it was afterwards
  ToolNeeds needs;
  bool is_kept = true;  // or could have been
  std::vector<std::pair<std::string, cache::Digest>>
      variables;  // those of the needs, digest of each value; a missing one is not here
};

class ToolCache {
 public:
  explicit ToolCache(std::string directory) : directory_(std::move(directory)) {}

  std::vector<ToolResult> look_up(const cache::Digest& key) const;
  // Errors are for a log: the cache is only that.
  cache::Result<bool> add(const cache::Digest& key, const ToolResult& result) const;

 private:
  std::string path_of(const cache::Digest& key) const;
  const std::string directory_;
};

}  // namespace sdl
