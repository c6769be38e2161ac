#include "cache/remove_directory.h"

#include <sys/stat.h>

#include <filesystem>

namespace cache {

std::error_code remove_directory(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::symlink_status(path, error).type() == fs::file_type::directory) ::chmod(path.c_str(), 0700);
  for (fs::recursive_directory_iterator at(path, error), end; !error && at != end; at.increment(error))
    if (at->symlink_status(error).type() == fs::file_type::directory) ::chmod(at->path().c_str(), 0700);
  error.clear();
  fs::remove_all(path, error);
  return error;
}

}  // namespace cache
