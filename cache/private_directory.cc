#include "cache/private_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>

namespace cache {
namespace {

constexpr int open_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

tl::unexpected<Error> refused(const std::string& path, const std::string& why) {
  return fail(Fault::io, path + ": " + why);
}

Result<bool> make_directories(const std::string& path) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string prefix = path.substr(0, end);
    const bool made = ::mkdir(prefix.c_str(), 0700) == 0;
    // Its owner's bits may have been taken away by the umask.
    if (made ? ::chmod(prefix.c_str(), 0700) != 0 : errno != EEXIST) {
      return refused(prefix, std::string("cannot make this directory: ") + std::strerror(errno));
    }
    if (end == std::string::npos) return true;
  }
}

}  // namespace

Result<OwnedFd> open_private_directory(const std::string& spelled) {
  // A slash at the end would follow a symlink.
  std::string path = spelled;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  OwnedFd directory(::open(path.c_str(), open_flags));
  if (!directory && errno == ENOENT) {
    TRY(make_directories(path));
    directory.reset(::open(path.c_str(), open_flags));
  }
  const int opening = errno;
  struct stat status;
  if (!directory) {
    if (::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) {
      return refused(path, "is a symlink, which could be made to lead elsewhere; name the directory itself");
    }
    return refused(path, std::string("cannot be opened: ") + std::strerror(opening));
  }
  if (::fstat(directory.get(), &status) != 0) return refused(path, std::strerror(errno));
  if (status.st_uid != ::geteuid()) {
    return refused(path,
                   "belongs to another user, who could change what is in it; choose a directory of your own");
  }
  if (status.st_mode & (S_IWGRP | S_IWOTH)) {
    return refused(
        path, "can be written by other users; take that away with chmod go-w, or choose another directory");
  }
  return directory;
}

}  // namespace cache
