// Directories that only the user can change: what is in the cache decides what
// builds produce, so nobody else may have a hand in it.
#pragma once

#include <string>

#include "cache/base/owned_fd.h"
#include "cache/base/result.h"

namespace cache {

// Opens a directory for reading, making it and what is missing above it with
// mode 0700. Fault::io if it is a symlink, belongs to another user, or its group
// or others may write to it; symlinks above it are the user's business.
Result<OwnedFd> open_private_directory(const std::string& path);

}  // namespace cache
