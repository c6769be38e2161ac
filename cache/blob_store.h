// File contents, each stored once as a plain file under its SHA-256:
// <directory>/ab/cdef... below the cache directory.
//
// A blob appears under its name complete or not at all (private name, then
// rename), mode 0400, and is never changed or handed out for writing. Nothing is
// fsynced: after a power failure a blob may be short or empty, which is noticed
// because whoever reads a blob gets its bytes checked against its name. A blob
// that does not match is removed and reported as Fault::corrupt.
//
// Any thread and any number of processes may use one directory at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "cache/base/owned_fd.h"
#include "cache/base/result.h"
#include "cache/digest.h"

namespace cache {

struct StoredBlob {
  Digest digest;
  std::uint64_t bytes = 0;
};

class BlobStore {
 public:
  // Creates the directory (0700) if needed. Removes nothing.
  static Result<BlobStore> open(const std::string& directory);
  BlobStore(BlobStore&&) noexcept;
  BlobStore& operator=(BlobStore&&) noexcept;
  ~BlobStore();

  // Stores everything that can be read from `file`, from its start, whatever
  // its offset. Shares blocks with the file if the file system can (FICLONE),
  // and then still hashes what was stored, not what is there now.
  Result<StoredBlob> put_file(int file);
  Result<StoredBlob> put(std::string_view bytes);

  // By name alone, without reading it.
  bool has(const Digest& digest) const;

  // Copies a blob to the start of the empty file `file` (FICLONE where possible)
  // and checks what it copied. After an Error the file's contents are undefined.
  Result<std::uint64_t> copy_to(const Digest& digest, int file) const;
  // The checked bytes of a blob of at most `bytes_max`.
  Result<std::string> read(const Digest& digest, std::uint64_t bytes_max = 64 << 20) const;

  // Not an Error if it is not there.
  void remove(const Digest& digest) const;
  // Of all blobs, by walking the directory.
  struct Usage { std::uint64_t blobs = 0, bytes = 0; };
  Usage usage() const;

 private:
  explicit BlobStore(std::string directory);
  std::string path_of(const Digest& digest) const;
  Result<OwnedFd> open_blob(const Digest& digest) const;
  tl::unexpected<Error> damaged(const Digest& digest) const;  // removes it
  std::string directory_;
  OwnedFd root_;
};

}  // namespace cache
