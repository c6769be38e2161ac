// Directories as they were when the evaluation began: what changes in them later
// changes nothing. Spec: 5.3, "immutable".
//
// Here it is decided where absolute paths may lead: into directories that were added
// for that. A relative path begins below a directory that was added and goes down only, so
// a question about what stands above one, or nowhere near, is part of an absolute path. Should a
// directory that was added for them lie inside that of the model, absolute paths to something else in the
// model's are not told from relative ones.
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

  // Which paths may lead into a directory: relative ones of models in it, or any.
  enum class Reach { relative, absolute };
  // Absolute, as ModelFiles has paths. Of two that hold a path the longer one counts, of the same the first.
  // An error is told to whoever asks for something in it.
  void add(std::string directory, cache::Result<cache::Digest> tree, Reach reach) {
    snapshots_.push_back({std::move(directory), std::move(tree), reach});
  }

  // Fault::invalid: an absolute path may not lead there.
  cache::Result<Type> type(const std::string& path) override;
  cache::Result<std::shared_ptr<const StoredText>> file(const std::string& path) override;
  cache::Result<std::vector<std::string>> names(const std::string& directory) override;
  cache::Result<std::string> target(const std::string& link) override;
  std::optional<cache::Digest> tree(const std::string& directory) override;
  std::optional<cache::Digest> absolute_trees() override;

 private:
  struct Snapshot {
    std::string directory;
    cache::Result<cache::Digest> tree;
    Reach reach;
  };
  struct Place {
    std::shared_ptr<const broker::tree::Directory> above, below;  // `below`: of a directory
    Directories::Entry entry;
    bool is_above_a_snapshot = false;
    cache::Digest tree;  // of the snapshot
  };
  bool may_lead_to(const std::string& path) const;
  cache::Result<Place> find(const std::string& path);

  Directories& directories_;
  std::vector<Snapshot> snapshots_;
};

}  // namespace sdl
