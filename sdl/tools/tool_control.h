// What `./tool_dep_control` says of a tool's dependencies. Spec: 8.6.
//
// It never makes a result fit where it would not otherwise: what is dropped from
// the needs is in the primary key, and the rest only gets coarser.
#pragma once

#include <string>
#include <vector>

#include "cache/base/result.h"
#include "cache/digest.h"
#include "sdl/tools/directories.h"
#include "sdl/tools/tool_needs.h"
#include "sdl/value.h"

namespace sdl {

class ToolControl {
 public:
  // Unbound: the default. `warnings`: of names that mean nothing.
  static cache::Result<ToolControl> of(const Value& control, std::vector<std::string>& warnings);

  // What stands in the tree where `pk` says so; what is not there is warned of, and means nothing from then on.
  cache::Result<bool> add_to_key(cache::Hasher& key, Directories& directories, const cache::Digest& tree,
                                 std::vector<std::string>& warnings);
  // The needs of a tool that has run in that tree, as they are to be kept. Sorted, each once.
  cache::Result<bool> apply(std::vector<ToolNeed>& needs, Directories& directories, const cache::Digest& tree) const;

 private:
  // Paths as in needs, sorted.
  std::vector<std::string> in_key_, whole_, by_names_;
};

}  // namespace sdl
