// One directory of a tree, as a message `Directory` of the Remote Execution API
// (build.bazel.remote.execution.v2, remote_execution.proto), in the canonical
// form that it demands: entries sorted by the bytes of their names, files,
// directories and symlinks each in a list of their own, no field that has its
// default value. Equal directories have equal bytes, and so equal digests.
//
// Of modes it says whether a file can be executed. Those that are not 0644 or
// 0755 stand as unix_mode among the properties of a file's node or, of a
// directory that is not 0755, of the message itself. Times and owners are no part of a tree.
//
// Immutable data; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/result.h"
#include "cache/digest.h"

namespace broker::tree {

inline constexpr std::uint32_t plain_mode = 0644, executable_mode = 0755, directory_mode = 0755;

// A name never is empty, "." or "..", and has neither '/' nor NUL.
struct File {
  std::string name;
  cache::Digest digest;
  std::uint64_t bytes = 0;
  std::uint32_t mode = plain_mode;  // permission bits
  bool operator==(const File&) const = default;
};
struct Subdirectory {
  std::string name;
  cache::Digest digest;    // of its own message
  std::uint64_t bytes = 0;  // of that
  bool operator==(const Subdirectory&) const = default;
};
struct Symlink {
  std::string name;
  std::string target;  // not empty
  bool operator==(const Symlink&) const = default;
};

struct Directory {
  std::vector<File> files;
  std::vector<Subdirectory> directories;
  std::vector<Symlink> symlinks;
  std::uint32_t mode = directory_mode;  // permission bits

  void sort();
  bool operator==(const Directory&) const = default;
};

// Of a sorted one.
std::string encode(const Directory& directory);
// Accepts the canonical form of what stands above and nothing else: whatever is accepted encodes to the same bytes.
// Fault::corrupt; Fault::unsupported for what others may have put there (owners, times).
cache::Result<Directory> decode(std::string_view bytes);

}  // namespace broker::tree
