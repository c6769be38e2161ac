// A cache of its own for a test, with everything sessions share.
#pragma once

#include <filesystem>
#include <string>

#include "broker/explain.h"
#include "broker/session.h"

namespace world {

struct Cache {
  broker::Parts parts;

  explicit Cache(const std::string& directory) {
    std::filesystem::create_directories(directory);
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all);
    parts.cache_directory = directory;
    std::string message;
    parts.cache = *cache::StepCache::open(directory + "/index", &message);
    parts.blobs = std::make_unique<cache::BlobStore>(*cache::BlobStore::open(directory + "/blobs"));
    parts.memo = std::make_unique<cache::FileMemo>(parts.cache.get());
    parts.view = std::make_unique<broker::View>(*parts.memo, *parts.blobs);
    parts.programs = std::make_unique<broker::ProgramTable>(*parts.cache, *parts.view, directory + "/images", "/proc/nonexistent/shim.so");
  }
};

}  // namespace world
