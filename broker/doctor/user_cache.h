// What the user has made or chosen: files of configuration, the cache directory, its broker.
#pragma once

#include <optional>
#include <string>

#include "broker/doctor/finding.h"
#include "cache/base/result.h"

namespace broker::doctor {

// Of `max_size`, its value; empty if the configuration cannot be read.
Finding check_configuration(std::string& max_size);
Finding check_cache_directory(const std::string& path);
// The nearest directory above that is there; `path` itself if it is.
std::string place_above(std::string path);
// Of the file system that it is on or will be made on.
Finding check_space(const std::string& path, const std::string& max_size);
// Nobody is started for it.
Finding check_broker(const std::string& path);

}  // namespace broker::doctor
