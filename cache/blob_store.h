// File contents, each stored once as a plain file under its SHA-256:
// <directory>/ab/cdef... below the cache directory.
//
// A blob appears under its name complete or not at all (private name, then
// rename), mode 0400, and is never changed or handed out for writing. Nothing is
// fsynced: after a power failure a blob may be short or empty, which is noticed
// because whoever reads a blob gets its bytes checked against its name. A blob
// that does not match is removed and reported as Fault::corrupt.
//
// Its time of access says when a blob was last stored, asked for or read, to
// within use_ns_step, whatever the file system's own habit is.
//
// Any thread and any number of processes may use one directory at once.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "cache/base/owned_fd.h"
#include "cache/base/result.h"
#include "cache/digest.h"

namespace cache {

inline constexpr std::int64_t use_ns_step = std::int64_t{3600} * 1'000'000'000;

// Makes the time of access of `name`, relative to `directory`, today's, unless `status`, which was just taken, says that it is
// already. Its other times stay.
void note_use(int directory, const char* name, const struct ::stat& status);
std::int64_t used_ns(const struct ::stat& status);

struct StoredBlob {
  Digest digest;
  std::uint64_t bytes = 0;
};

class BlobStore {
 public:
  // Creates the directory (0700) if needed. Removes nothing. `none`: what is done with it is no use of blobs.
  enum class Notes { of_uses, none };
  static Result<BlobStore> open(const std::string& directory, Notes notes = Notes::of_uses);
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

  // Gives the bytes of a blob to `take`, in pieces, as long as that is true, and checks them at the end: a damaged one is Fault::corrupt, and
  // stays. Returns how many there were.
  Result<std::uint64_t> look_through(const Digest& digest, const std::function<bool(std::string_view)>& take) const;
  // Not an Error if it is not there.
  void remove(const Digest& digest) const;

  struct Kept {
    Digest digest;
    std::uint64_t bytes = 0;
    std::int64_t used_ns = 0;  // since 1970
  };
  // All blobs, by walking the directory, in no order.
  void each(const std::function<void(const Kept&)>& visit) const;
  // Removes it unless it is used meanwhile. A look-up at just that moment may miss it.
  bool remove_unused(const Kept& blob) const;
  // Files that were to become blobs, of processes that were killed: at least a day old.
  void remove_unfinished() const;

 private:
  explicit BlobStore(std::string directory);
  bool is_stored(const StoredBlob& blob) const;
  std::string path_of(const Digest& digest) const;
  Result<OwnedFd> open_blob(const Digest& digest) const;
  tl::unexpected<Error> damaged(const Digest& digest) const;  // removes it
  void note(const std::string& place, const struct ::stat& status) const;

  std::string directory_;
  OwnedFd root_;
  Notes notes_ = Notes::of_uses;
};

}  // namespace cache
