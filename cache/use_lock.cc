#include "cache/use_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include <cstring>

#include "cache/private_directory.h"

namespace cache {
namespace {

OwnedFd open_lock(const std::string& directory) {
  return OwnedFd(::open((directory + "/in-use").c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
}

}  // namespace

Result<OwnedFd> hold_cache(const std::string& directory) {
  TRY(open_private_directory(directory));
  OwnedFd file = open_lock(directory);
  while (file && ::flock(file.get(), LOCK_SH) != 0)
    if (errno != EINTR) file = OwnedFd();
  if (file) return file;
  return fail(Fault::io, directory + "/in-use: " + std::strerror(errno));
}

std::optional<OwnedFd> hold_cache_alone(const std::string& directory) {
  OwnedFd file = open_lock(directory);
  if (!file || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return std::nullopt;
  return file;
}

}  // namespace cache
