// An imported root in one piece: a tar archive, or an image layout of the Open
// Container Initiative (github.com/opencontainers/image-spec, image-layout.md,
// version 1.0.0) with that archive as its only layer.
//
// The same root gives the same bytes: names are sorted, and all belongs to user 0 and is of 2000-01-01.
// GNU tar writes the archive.
#pragma once

#include <string>
#include <vector>

#include "cache/base/result.h"

namespace crude_import {

// Replaces `file`.
cache::Result<bool> write_tar(const std::string& root, const std::string& file);

struct ImageConfiguration {
  std::vector<std::string> arguments, environment;  // environment: NAME=VALUE
  std::string directory;
};
// Fault::invalid if something is there that is no empty directory.
cache::Result<bool> check_image(const std::string& directory);
cache::Result<bool> write_image(const std::string& root, const std::string& directory, const ImageConfiguration& configuration);

}  // namespace crude_import
