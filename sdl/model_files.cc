#include "sdl/model_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>

#include <fmt/format.h>

#include "cache/base/owned_fd.h"

namespace sdl {
namespace {

using cache::fail;
using cache::Fault;
using cache::Result;

tl::unexpected<cache::Error> failed(const std::string& path) {
  return fail(Fault::io, fmt::format("{}: {}", path, std::strerror(errno)));
}

std::string shown(const std::string& path) { return path.empty() ? "/" : path; }

Result<std::string> read_file(const std::string& path) {
  const cache::OwnedFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  struct stat status;
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return failed(path);
  if (!S_ISREG(status.st_mode)) return fail(Fault::changed, path + ": no regular file any more");
  std::string bytes;
  bytes.resize(static_cast<std::size_t>(status.st_size) + 1);  // one more, to see its end
  std::size_t used = 0;
  for (;;) {
    const ssize_t count = ::read(file.get(), bytes.data() + used, bytes.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(path);
    if (count == 0) break;
    used += static_cast<std::size_t>(count);
    if (used == bytes.size()) bytes.resize(2 * used);
  }
  bytes.resize(used);
  return bytes;
}

class DiskText final : public StoredText {
 public:
  DiskText(std::string path, bool is_executable) : path_(std::move(path)), is_executable_(is_executable) {}

  Result<std::string_view> bytes() const override {
    const std::lock_guard lock(mutex_);
    if (!contents_) contents_ = TRY(read_file(path_));
    return std::string_view(*contents_);
  }
  bool is_executable() const override { return is_executable_; }
  std::string name() const override { return path_; }

 private:
  const std::string path_;
  const bool is_executable_;
  mutable std::mutex mutex_;
  mutable std::optional<std::string> contents_;
};

}  // namespace

Result<ModelFiles::Type> DiskFiles::type(const std::string& path) {
  struct stat status;
  if (::lstat(shown(path).c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return Type::missing;
    return failed(path);
  }
  switch (status.st_mode & S_IFMT) {
    case S_IFREG:
      return Type::file;
    case S_IFDIR:
      return Type::directory;
    case S_IFLNK:
      return Type::link;
    default:
      return Type::other;
  }
}

Result<std::shared_ptr<const StoredText>> DiskFiles::file(const std::string& path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0) return failed(path);
  if (!S_ISREG(status.st_mode)) return fail(Fault::invalid, path + ": no regular file");
  return std::make_shared<DiskText>(path, (status.st_mode & S_IXUSR) != 0);
}

Result<std::vector<std::string>> DiskFiles::names(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(shown(directory).c_str()), ::closedir);
  if (!open) return failed(directory);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(open.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return failed(directory);
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string> DiskFiles::target(const std::string& link) {
  char target[PATH_MAX];
  const ssize_t count = ::readlink(link.c_str(), target, sizeof target);
  if (count < 0) return failed(link);
  return std::string(target, static_cast<std::size_t>(count));
}

}  // namespace sdl
