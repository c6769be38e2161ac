// Trees as they lie in the blob store: each directory is a blob, the message of
// directory.h, and names the blobs of its files and directories. A tree is named
// by the digest of its root directory, and never changes.
//
// Needs nothing but the store, no broker; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "broker/tree/directory.h"
#include "cache/blob_store.h"

namespace broker::tree {

struct Totals {
  std::uint64_t files = 0, directories = 0, symlinks = 0;  // the root counts
  std::uint64_t bytes = 0;                                 // of files, each as often as it stands there
};

class Reader {
 public:
  explicit Reader(const cache::BlobStore& blobs) : blobs_(blobs) {}

  // Fault::not_found: the store has no such blob. Fault::corrupt: it is no directory.
  cache::Result<Directory> directory(const cache::Digest& digest) const;

  // What a path leads to, symlinks followed, also one at its end; absolute ones begin at the root of the tree. Fault::not_found;
  // Fault::invalid for a path that leaves the tree, or goes round in circles.
  struct FoundDirectory { cache::Digest digest; Directory contents; };
  using Found = std::variant<FoundDirectory, File>;
  cache::Result<Found> find(const cache::Digest& root, std::string_view path) const;

  // All of a tree, each directory before what is in it, in the order of names. Paths have no '/' in front; that of the root is empty.
  struct Visitor {
    std::function<void(const std::string& path, const Directory&)> directory;
    std::function<void(const std::string& path, const File&)> file;
    std::function<void(const std::string& path, const Symlink&)> symlink;
  };
  cache::Result<bool> walk(const cache::Digest& root, const Visitor& visitor) const;
  cache::Result<Totals> totals(const cache::Digest& root) const;

  // What `to` has otherwise than `from`. `kind`: 'A' added, 'D' gone, 'M' other contents or another mode, 'T' another kind of thing.
  // Of a directory that is new or gone all that is in it is told; its path ends with '/'.
  using Difference = std::function<void(char kind, const std::string& path)>;
  cache::Result<bool> difference(const cache::Digest& from, const cache::Digest& to, const Difference& tell) const;

  // Makes the tree at `directory`, which must not be there or be empty: there is all of it or, after an Error, nothing.
  // `time`, in seconds since 1970, is given to everything in it.
  cache::Result<bool> check_out(const cache::Digest& root, const std::string& directory, std::optional<long> time = {}) const;

 private:
  cache::Result<bool> walk(const cache::Digest& digest, const std::string& path, const Visitor& visitor) const;
  cache::Result<bool> difference(const Directory& from, const Directory& to, const std::string& path, const Difference& tell) const;
  cache::Result<bool> tell_all(const Subdirectory& of, const std::string& path, char kind, const Difference& tell) const;
  cache::Result<bool> fill(const cache::Digest& digest, const std::string& path, std::optional<long> time) const;

  const cache::BlobStore& blobs_;
};

}  // namespace broker::tree
