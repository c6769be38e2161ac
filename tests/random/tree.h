// What stands in a directory: names, types, modes, link targets, link counts and contents, and the times of files
// that somebody set to a moment long ago.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace random_builds {

struct TreeEntry {
  std::uint32_t mode = 0;    // with the type
  std::uint64_t links = 0;   // 0 for directories
  std::int64_t time_ns = 0;  // of a regular file, if long ago
  std::string content;       // of a file; the target of a link
  bool operator==(const TreeEntry&) const = default;
};

using Tree = std::map<std::string, TreeEntry>;  // by name below the top

Tree tree_of(const std::string& directory);

// Removes a directory with all that is in it, whatever its permissions are.
void remove_tree(const std::string& directory);

// A line for each name that is not the same, a few of them.
std::string differences(const Tree& wanted, const Tree& got);

}  // namespace random_builds
