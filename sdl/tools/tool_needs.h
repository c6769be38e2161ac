// What a run of a tool has depended on, as names in the tree that it ran in. Spec: 8.6.
//
// A name has no symbolic link on the way: each one crossed is a need of its own.
// What a need is worth is not kept: the tree of the run is, and another tree will
// do as well if all needs have in it what they had there. Where both trees have the
// same directory nobody looks any further.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/result.h"
#include "cache/digest.h"
#include "sdl/tools/directories.h"

namespace sdl {

enum class NeedKind : std::uint8_t {
  value = 'N',      // a file, a link, or all of a directory
  existence = '!',  // whether there is something
  names = 'B',      // of a directory, and what kind of thing each is
  type = 'T',       // file, directory, link or nothing
};

struct ToolNeed {
  std::string path;  // relative to the root, without '/' at either end; empty: the root
  NeedKind kind = NeedKind::value;
  auto operator<=>(const ToolNeed&) const = default;
};

struct ToolNeeds {
  std::vector<ToolNeed> files;         // sorted, each once
  std::vector<std::string> variables;  // sorted
  bool whole_environment = false;
  bool may_be_kept = true;  // not: something was seen, or not seen, that may be another next time
};

// Of a session's report (JSON). What could not be seen makes the whole tree a need, and all variables.
cache::Result<ToolNeeds> needs_of(std::string_view report, Directories& directories,
                                  const cache::Digest& tree);

// What a path leads to, links followed, or that it leads nowhere.
cache::Result<bool> add_need(ToolNeeds& needs, Directories& directories, const cache::Digest& tree,
                             const std::string& path);

// Whether all of them have in both trees the same.
cache::Result<bool> hold(const std::vector<ToolNeed>& needs, Directories& directories,
                         const cache::Digest& then, const cache::Digest& now);

}  // namespace sdl
