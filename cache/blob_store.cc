#include "cache/blob_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <utility>

#include "cache/base/failpoint.h"
#include "cache/private_directory.h"

namespace cache {
namespace {

// Up to this size a file is read into memory and hashed before anything is written.
constexpr std::size_t small_bytes_max = 256 << 10;
constexpr std::size_t buffer_bytes = 256 << 10;
constexpr char unfinished[] = "tmp-";  // how names begin that are no blobs yet, or no more

// `reason` is an errno, taken before the message was put together.
tl::unexpected<Error> failed(int reason, const std::string& what) {
  std::string message = what + ": " + std::strerror(reason);
  if (reason == ENOSPC || reason == EDQUOT) message += "; make room or choose another cache directory";
  return fail(Fault::io, std::move(message));
}

// What an open file is called, for messages.
std::string name_of(int file) {
  char name[4096];
  const std::string link = "/proc/self/fd/" + std::to_string(file);
  const ssize_t length = ::readlink(link.c_str(), name, sizeof name);
  return length > 0 ? std::string(name, static_cast<std::size_t>(length)) : link;
}

// At most `bytes_max`, fewer only at the end of the file; negative with errno set if it cannot be read.
ssize_t read_at(int file, char* to, std::size_t bytes_max, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < bytes_max) {
    if (FAILPOINT("blob_read")) return -1;
    const ssize_t count = ::pread(file, to + done, bytes_max - done, static_cast<off_t>(offset + done));
    if (count == 0) break;
    if (count > 0)
      done += static_cast<std::size_t>(count);
    else if (errno != EINTR)
      return -1;
  }
  return static_cast<ssize_t>(done);
}

bool write_at(int file, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    if (FAILPOINT("blob_write")) return false;
    const ssize_t count = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno != EINTR) return false;
    if (count <= 0) continue;
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return true;
}

bool share_blocks(int from, int to) { return ::ioctl(to, FICLONE, from) == 0; }

// Hashes `from` to its end and, if `to` is a file, writes there what it hashed.
struct Copied {
  StoredBlob blob;
  int reading = 0, writing = 0;  // errno of what failed
};
Copied copy_and_hash(int from, int to) {
  const auto buffer = std::make_unique_for_overwrite<char[]>(buffer_bytes);
  Hasher hasher;
  Copied copied;
  for (;;) {
    const ssize_t count = read_at(from, buffer.get(), buffer_bytes, copied.blob.bytes);
    if (count < 0) copied.reading = errno;
    if (count <= 0) break;
    const std::string_view bytes(buffer.get(), static_cast<std::size_t>(count));
    hasher.add(bytes);
    if (to >= 0 && !write_at(to, bytes, copied.blob.bytes)) {
      copied.writing = errno;
      break;
    }
    copied.blob.bytes += bytes.size();
    if (bytes.size() < buffer_bytes) break;
  }
  copied.blob.digest = hasher.finish();
  return copied;
}

// Relative to the store's directory.
std::string place_of(const Digest& digest) { return digest.hex().insert(2, "/"); }

// A file in the store's directory under a name of its own, gone again unless it becomes a blob.
class PrivateFile {
 public:
  static std::optional<PrivateFile> make(int root) {
    for (;;) {
      std::uint64_t number = 0;
      if (::getrandom(&number, sizeof number, 0) != sizeof number) return std::nullopt;
      char name[32];
      std::snprintf(name, sizeof name, "%s%016llx", unfinished, static_cast<unsigned long long>(number));
      if (FAILPOINT("blob_open")) return std::nullopt;
      const int file = ::openat(root, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
      if (file >= 0) return PrivateFile(root, name, file);
      if (errno != EEXIST) return std::nullopt;
    }
  }
  PrivateFile(PrivateFile&& other) noexcept
      : root_(other.root_), name_(std::exchange(other.name_, {})), file_(std::move(other.file_)) {}
  ~PrivateFile() {
    if (!name_.empty()) ::unlinkat(root_, name_.c_str(), 0);
  }

  int file() const { return file_.get(); }

  // False with errno set if it could not be done.
  bool become(const Digest& digest) {
    // Some file systems tell only now that they are full.
    if (::close(file_.release()) != 0) return false;
    if (FAILPOINT("blob_rename")) return false;
    const std::string place = place_of(digest);
    if (::renameat(root_, name_.c_str(), root_, place.c_str()) != 0) {
      if (errno != ENOENT) return false;
      if (::mkdirat(root_, place.substr(0, 2).c_str(), 0700) != 0 && errno != EEXIST) return false;
      if (::renameat(root_, name_.c_str(), root_, place.c_str()) != 0) return false;
    }
    name_.clear();
    return true;
  }

 private:
  PrivateFile(int root, std::string name, int file) : root_(root), name_(std::move(name)), file_(file) {}
  int root_;
  std::string name_;
  OwnedFd file_;
};

// Calls visit(directory, name) for each entry of `name` below `at`.
template <class Visit>
void each_entry(int at, const char* name, const Visit& visit) {
  const int file = ::openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return;
  DIR* const directory = ::fdopendir(file);
  if (!directory) {
    ::close(file);
    return;
  }
  while (const dirent* entry = ::readdir(directory)) visit(file, entry->d_name);
  ::closedir(directory);
}

}  // namespace

std::int64_t used_ns(const struct ::stat& status) {
  return static_cast<std::int64_t>(status.st_atim.tv_sec) * 1'000'000'000 + status.st_atim.tv_nsec;
}

void note_use(int directory, const char* name, const struct ::stat& status) {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  const std::int64_t age = (static_cast<std::int64_t>(now.tv_sec) - status.st_atim.tv_sec) * 1'000'000'000;
  if (age >= 0 && age < use_ns_step) return;
  const timespec times[] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  // If it cannot be said, it is taken for older than it is.
  static_cast<void>(::utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW));
}

BlobStore::BlobStore(std::string directory) : directory_(std::move(directory)) {}
BlobStore::BlobStore(BlobStore&&) noexcept = default;
BlobStore& BlobStore::operator=(BlobStore&&) noexcept = default;
BlobStore::~BlobStore() = default;

std::string BlobStore::path_of(const Digest& digest) const { return directory_ + "/" + place_of(digest); }

Result<BlobStore> BlobStore::open(const std::string& directory, Notes notes) {
  BlobStore store(directory);
  store.notes_ = notes;
  store.root_ = TRY(open_private_directory(directory));
  return store;
}

Result<StoredBlob> BlobStore::put(std::string_view bytes) {
  const StoredBlob blob{digest_of(bytes), bytes.size()};
  if (is_stored(blob)) return blob;
  auto copy = PrivateFile::make(root_.get());
  if (!copy || !write_at(copy->file(), bytes, 0) || !copy->become(blob.digest)) {
    const int reason = errno;
    return failed(reason, path_of(blob.digest) + ": cannot be stored");
  }
  return blob;
}

Result<StoredBlob> BlobStore::put_file(int file) {
  struct stat status;
  if (::fstat(file, &status) != 0) return failed(errno, "a descriptor that is not open");
  if (status.st_size < static_cast<off_t>(small_bytes_max)) {
    // One byte more than expected shows the end. A file that grows meanwhile is not read into memory after
    // all.
    const std::size_t room = static_cast<std::size_t>(status.st_size) + 1;
    const auto bytes = std::make_unique_for_overwrite<char[]>(room);
    const ssize_t count = read_at(file, bytes.get(), room, 0);
    const int reason = errno;
    if (count < 0) return failed(reason, name_of(file) + ": cannot be read");
    if (static_cast<std::size_t>(count) < room) return put({bytes.get(), static_cast<std::size_t>(count)});
  }
  auto copy = PrivateFile::make(root_.get());
  int reason = errno;
  if (!copy) return failed(reason, directory_ + ": cannot make a file here");
  const bool shared = share_blocks(file, copy->file());
  const Copied copied = shared ? copy_and_hash(copy->file(), -1) : copy_and_hash(file, copy->file());
  if (copied.reading) return failed(copied.reading, name_of(file) + ": cannot be read");
  if (copied.writing) return failed(copied.writing, directory_ + ": cannot store " + name_of(file) + " here");
  if (is_stored(copied.blob)) return copied.blob;
  if (!copy->become(copied.blob.digest)) {
    reason = errno;
    return failed(reason, path_of(copied.blob.digest) + ": cannot be stored");
  }
  return copied.blob;
}

void BlobStore::note(const std::string& place, const struct ::stat& status) const {
  if (notes_ == Notes::of_uses) note_use(root_.get(), place.c_str(), status);
}

// A blob cut short by a power failure does not count as stored, so that it is mended by who has its contents.
bool BlobStore::is_stored(const StoredBlob& blob) const {
  struct stat status;
  const std::string place = place_of(blob.digest);
  if (::fstatat(root_.get(), place.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode) ||
      static_cast<std::uint64_t>(status.st_size) != blob.bytes)
    return false;
  note(place, status);
  return true;
}

bool BlobStore::has(const Digest& digest) const {
  struct stat status;
  const std::string place = place_of(digest);
  if (::fstatat(root_.get(), place.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) return false;
  note(place, status);
  return true;
}

Result<OwnedFd> BlobStore::open_blob(const Digest& digest) const {
  // The kernel takes its own note of a look at a file that was unused for a day.
  const int quietly = notes_ == Notes::none ? O_NOATIME : 0;
  OwnedFd blob(
      ::openat(root_.get(), place_of(digest).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | quietly));
  if (blob) {
    struct stat status;
    if (::fstat(blob.get(), &status) == 0) note(place_of(digest), status);
    return blob;
  }
  const int reason = errno;
  if (reason == ENOENT) return fail(Fault::not_found, path_of(digest) + ": is no longer in the cache");
  return failed(reason, path_of(digest) + ": cannot be read");
}

tl::unexpected<Error> BlobStore::damaged(const Digest& digest) const {
  remove(digest);
  return fail(Fault::corrupt,
              path_of(digest) + ": was damaged and has been removed; what needs it runs again");
}

Result<std::uint64_t> BlobStore::copy_to(const Digest& digest, int file) const {
  const OwnedFd blob = TRY(open_blob(digest));
  const Copied copied = copy_and_hash(blob.get(), share_blocks(blob.get(), file) ? -1 : file);
  if (copied.reading) return failed(copied.reading, path_of(digest) + ": cannot be read");
  if (copied.writing) return failed(copied.writing, name_of(file) + ": cannot be written");
  if (copied.blob.digest != digest) return damaged(digest);
  return copied.blob.bytes;
}

Result<std::string> BlobStore::read(const Digest& digest, std::uint64_t bytes_max) const {
  const OwnedFd blob = TRY(open_blob(digest));
  struct stat status;
  int reason = ::fstat(blob.get(), &status) == 0 ? 0 : errno;
  if (reason) return failed(reason, path_of(digest) + ": cannot be read");
  if (static_cast<std::uint64_t>(status.st_size) > bytes_max) {
    return fail(Fault::invalid, path_of(digest) + ": is larger than the " + std::to_string(bytes_max) +
                                    " bytes that are read into memory");
  }
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  const ssize_t count = read_at(blob.get(), bytes.data(), bytes.size(), 0);
  reason = errno;
  if (count < 0) return failed(reason, path_of(digest) + ": cannot be read");
  bytes.resize(static_cast<std::size_t>(count));
  if (digest_of(bytes) != digest) return damaged(digest);
  return bytes;
}

Result<std::uint64_t> BlobStore::look_through(const Digest& digest, const std::function<bool(std::string_view)>& take) const {
  const OwnedFd blob = TRY(open_blob(digest));
  const auto buffer = std::make_unique_for_overwrite<char[]>(buffer_bytes);
  Hasher hasher;
  for (std::uint64_t offset = 0;;) {
    const ssize_t count = read_at(blob.get(), buffer.get(), buffer_bytes, offset);
    const int reason = errno;
    if (count < 0) return failed(reason, path_of(digest) + ": cannot be read");
    const std::string_view bytes(buffer.get(), static_cast<std::size_t>(count));
    hasher.add(bytes);
    offset += bytes.size();
    if (!bytes.empty() && !take(bytes)) return offset;
    if (bytes.size() == buffer_bytes) continue;
    if (hasher.finish() != digest) return fail(Fault::corrupt, path_of(digest) + ": is damaged");
    return offset;
  }
}

void BlobStore::remove(const Digest& digest) const { ::unlinkat(root_.get(), place_of(digest).c_str(), 0); }

namespace {

bool is_part_of_digest(const char* name, std::size_t length) {
  return std::strlen(name) == length && std::strspn(name, "0123456789abcdef") == length;
}

}  // namespace

void BlobStore::each(const std::function<void(const Kept&)>& visit) const {
  each_entry(root_.get(), ".", [&](int root, const char* folder) {
    if (!is_part_of_digest(folder, 2)) return;
    each_entry(root, folder, [&](int parent, const char* name) {
      struct stat status;
      if (!is_part_of_digest(name, 62) || ::fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) return;
      const auto digest = Digest::from_hex(std::string(folder) + name);
      if (digest) visit({*digest, static_cast<std::uint64_t>(status.st_size), used_ns(status)});
    });
  });
}

bool BlobStore::remove_unused(const Kept& blob) const {
  // Whoever has looked it up before it gets the other name has said so by its time of access.
  const std::string place = place_of(blob.digest), aside = unfinished + blob.digest.hex();
  if (::renameat(root_.get(), place.c_str(), root_.get(), aside.c_str()) != 0) return false;
  struct stat status;
  if (::fstatat(root_.get(), aside.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && used_ns(status) > blob.used_ns) {
    static_cast<void>(::renameat(root_.get(), aside.c_str(), root_.get(), place.c_str()));
    return false;
  }
  return ::unlinkat(root_.get(), aside.c_str(), 0) == 0;
}

void BlobStore::remove_unfinished() const {
  constexpr std::int64_t old_s = 24 * 3600;
  each_entry(root_.get(), ".", [&](int root, const char* name) {
    struct stat status;
    if (std::strncmp(name, unfinished, sizeof unfinished - 1) != 0 || ::fstatat(root, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return;
    if (std::time(nullptr) - status.st_ctime >= old_s) ::unlinkat(root, name, 0);
  });
}

}  // namespace cache
