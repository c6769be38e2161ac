// Removes a directory and all that is in it, also where its owner has no leave
// to: in trees, and in what overlayfs leaves, directories may be closed.
#pragma once

#include <string>
#include <system_error>

namespace cache {

// Follows no symlink. No error if there is nothing at that path.
std::error_code remove_directory(const std::string& path);

}  // namespace cache
