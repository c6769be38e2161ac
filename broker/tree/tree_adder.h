// Makes a tree of a directory as it is now.
//
// Files that are known by device, inode, size, mtime and ctime to be what they
// were, and whose contents are stored, are not read again.
#pragma once

#include <string>
#include <vector>

#include "broker/tree/directory.h"
#include "broker/tree/tree_reader.h"
#include "broker/view.h"
#include "cache/base/result.h"
#include "cache/blob_store.h"

namespace broker::tree {

struct LeftOut {
  std::string path;  // from the root of the tree
  std::string what;  // for a human: "a socket", "its set-user-ID bit"
};

struct Added {
  cache::Digest digest;
  std::uint64_t bytes = 0;  // of the root's message
  Totals totals;
  std::vector<LeftOut> left_out;
};

// `directory` is absolute; a symlink at its end is followed. Sockets, FIFOs and devices are left out, and so are set-user-ID,
// set-group-ID and sticky bits. Fault::io for what cannot be read, Fault::changed for what changes meanwhile: then nothing is
// added, though some contents may be stored. The cache, which would change by being added, is left out where it lies in the directory. Any thread.
cache::Result<Added> add(const std::string& directory, const View& view, cache::BlobStore& blobs, const std::string& cache_directory = {});

// What somebody has changed in a tree, as overlayfs keeps it (Documentation/filesystems/overlayfs.rst, "userxattr"): entries that
// are new or changed, a character device 0/0 in place of one that has been removed, and "y" in the attribute
// user.overlay.opaque of a directory that has nothing of the one in the tree.
//
// The tree with these changes, or the new and changed entries alone, with the directories above them.
cache::Result<Added> add_changed(const std::string& layer, const cache::Digest& tree, const View& view, cache::BlobStore& blobs);
cache::Result<Added> add_changes(const std::string& layer, const View& view, cache::BlobStore& blobs);

}  // namespace broker::tree
