// The store of files and directories as the language's tools use it: messages of
// directories are read once, and files are texts that are read when somebody asks.
// Any thread.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>

#include "broker/tree/directory.h"
#include "broker/tree/tree_reader.h"
#include "cache/base/result.h"
#include "cache/blob_store.h"
#include "cache/digest.h"
#include "sdl/text.h"
#include "sdl/value_code.h"

namespace sdl {

class Directories {
 public:
  explicit Directories(cache::BlobStore blobs)
      : blobs_(std::make_shared<cache::BlobStore>(std::move(blobs))) {}

  using Directory = broker::tree::Directory;
  cache::Result<std::shared_ptr<const Directory>> directory(const cache::Digest& digest);
  // Sorts it.
  cache::Result<broker::tree::Subdirectory> put(std::string name, Directory directory);
  cache::Result<cache::StoredBlob> put(std::string_view bytes) { return blobs_->put(bytes); }

  // What stands under a name: the pointers live as long as the directory.
  using Entry = std::variant<std::monostate, const broker::tree::File*, const broker::tree::Subdirectory*,
                             const broker::tree::Symlink*>;
  static Entry entry(const Directory& directory, std::string_view name);
  // The same of a path, NAME/NAME, with nothing followed on it; `in` keeps it alive.
  struct Place {
    std::shared_ptr<const Directory> in;
    Entry entry;
  };
  cache::Result<Place> at(const cache::Digest& tree, std::string_view path);

  // Its value in the language; a symbolic link is a list of its target.
  Value text(const broker::tree::File& file) const;
  std::shared_ptr<const StoredText> stored(const broker::tree::File& file, std::string name) const;
  cache::Result<Value> binding(const cache::Digest& directory);
  static Value list(const broker::tree::Symlink& link);

  cache::BlobStore& blobs() const { return *blobs_; }

 private:
  const std::shared_ptr<cache::BlobStore> blobs_;
  std::mutex mutex_;
  struct Hash {
    std::size_t operator()(const cache::Digest& digest) const;
  };
  std::unordered_map<cache::Digest, std::shared_ptr<const Directory>, Hash> known_;
};

// Their files, for results of calls.
class BlobTexts final : public TextStore {
 public:
  explicit BlobTexts(Directories& directories) : directories_(directories) {}
  Value text(const StoredText::Summary& summary, bool is_executable, const std::string& name) override;

 private:
  Directories& directories_;
};

}  // namespace sdl
