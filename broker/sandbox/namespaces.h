// Leaves the machine behind: the calling process and its children see a tree and nothing else.
#pragma once

#include <string>
#include <vector>

#include "cache/base/result.h"

namespace broker::sandbox {

inline constexpr char runtime_directory[] = "/dev/.vestal";

// All paths but `directory` and `library` are relative to `cache_directory`.
struct Stage {
  std::string cache_directory;  // absolute
  std::string lower;            // one of overlayfs's lower directories or several with ':' between, the first on top
  std::string upper, work;      // empty directories of one file system
  std::string mount;            // an empty directory
  std::string cache;            // appears as runtime_directory/cache
  std::string blobs, images;    // appear in it
  std::string library;          // absolute directory of the shim; appears as runtime_directory/lib
  std::vector<std::string> holes;  // see sandbox.h; something to mount them on is in a lower directory
  std::string directory;        // where to be afterwards, in the tree
  std::string host_name;        // empty: as it is
  unsigned uid = 0, gid = 0;    // inside
  unsigned outer_uid = 0, outer_gid = 0;  // who that is outside; the new namespace knows no more of it
};

// The flags for clone(2) that enter() relies on.
int namespace_flags(bool without_network);

// In the first process of its namespaces, which has one thread. An Error says what was refused; the process is then good for nothing
// but to end. Afterwards it still has the capabilities of its namespaces.
cache::Result<bool> enter(const Stage& stage);

// For the broker alone, which has to write to its cache: mounts of its own, from before close_cache().
cache::Result<bool> keep_cache_open();
// Whatever is of the machine's cache and program can only be read from now on.
cache::Result<bool> close_cache(const Stage& stage);
// Of the namespaces' own; what the command needs of them it has by its user.
cache::Result<bool> give_up_capabilities();

}  // namespace broker::sandbox
