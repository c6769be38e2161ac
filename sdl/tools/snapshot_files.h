// Directories as they were when the evaluation began: what changes in them later
// changes nothing. Spec: 5.3, "immutable".
//
// Any thread, once all snapshots are there.
#pragma once

#include <string>
#include <vector>

#include "cache/digest.h"
#include "sdl/model_files.h"
#include "sdl/tools/directories.h"

namespace sdl {

class SnapshotFiles final : public ModelFiles {
 public:
  explicit SnapshotFiles(Directories& directories) : directories_(directories) {}

  // Absolute, as ModelFiles has paths. Of two that hold a path the longer one counts.
  void add(std::string directory, const cache::Digest& tree) {
    snapshots_.push_back({std::move(directory), tree});
  }

  cache::Result<Type> type(const std::string& path) override;
  cache::Result<std::shared_ptr<const StoredText>> file(const std::string& path) override;
  cache::Result<std::vector<std::string>> names(const std::string& directory) override;
  cache::Result<std::string> target(const std::string& link) override;
  std::optional<cache::Digest> tree(const std::string& directory) override;

 private:
  struct Snapshot {
    std::string directory;
    cache::Digest tree;
  };
  struct Place {
    std::shared_ptr<const broker::tree::Directory> above, below;  // `below`: of a directory
    Directories::Entry entry;
    bool is_above_a_snapshot = false;
    cache::Digest tree;  // of the snapshot
  };
  cache::Result<Place> find(const std::string& path);

  Directories& directories_;
  std::vector<Snapshot> snapshots_;
};

}  // namespace sdl
