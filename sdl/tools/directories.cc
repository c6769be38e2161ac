#include "sdl/tools/directories.h"

#include <algorithm>
#include <cstring>

#include "sdl/binding.h"
#include "sdl/list.h"

namespace sdl {
namespace {

using cache::Digest;
using cache::Result;

constexpr std::uint32_t execute_bit = 0100;

class BlobText final : public StoredText {
 public:
  BlobText(std::shared_ptr<const cache::BlobStore> blobs, const broker::tree::File& file, std::string name)
      : blobs_(std::move(blobs)), file_(file), name_(std::move(name)) {}

  Result<std::string_view> bytes() const override {
    const std::lock_guard lock(mutex_);
    if (!contents_) contents_ = TRY(blobs_->read(file_.digest, file_.bytes));
    return std::string_view(*contents_);
  }
  bool is_executable() const override { return (file_.mode & execute_bit) != 0; }
  std::string name() const override { return name_; }
  std::optional<Summary> summary() const override { return Summary{file_.digest, file_.bytes}; }

 private:
  const std::shared_ptr<const cache::BlobStore> blobs_;
  const broker::tree::File file_;
  const std::string name_;
  mutable std::mutex mutex_;
  mutable std::optional<std::string> contents_;
};

template <class List>
auto find(const List& list, std::string_view name) {
  const auto at =
      std::lower_bound(list.begin(), list.end(), name,
                       [](const auto& one, std::string_view wanted) { return one.name < wanted; });
  return at != list.end() && at->name == name ? &*at : nullptr;
}

}  // namespace

std::size_t Directories::Hash::operator()(const Digest& digest) const {
  std::size_t hash;
  std::memcpy(&hash, digest.bytes.data(), sizeof hash);
  return hash;
}

Result<std::shared_ptr<const Directories::Directory>> Directories::directory(const Digest& digest) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = known_.find(digest); known != known_.end()) return known->second;
  }
  auto read = std::make_shared<const Directory>(TRY(broker::tree::Reader(*blobs_).directory(digest)));
  const std::lock_guard lock(mutex_);
  return known_.try_emplace(digest, std::move(read)).first->second;
}

Result<broker::tree::Subdirectory> Directories::put(std::string name, Directory directory) {
  directory.sort();
  const cache::StoredBlob stored = TRY(blobs_->put(broker::tree::encode(directory)));
  const std::lock_guard lock(mutex_);
  known_.try_emplace(stored.digest, std::make_shared<const Directory>(std::move(directory)));
  return broker::tree::Subdirectory{std::move(name), stored.digest, stored.bytes};
}

Result<Directories::Place> Directories::at(const Digest& tree, std::string_view path) {
  Place place{TRY(directory(tree)), {}};
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    place.entry = entry(*place.in, path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (path.empty()) break;
    const auto* const below = std::get_if<const broker::tree::Subdirectory*>(&place.entry);
    if (!below) return Place{std::move(place.in), {}};
    place.in = TRY(directory((*below)->digest));
  }
  return place;
}

Directories::Entry Directories::entry(const Directory& directory, std::string_view name) {
  if (const auto* file = find(directory.files, name)) return file;
  if (const auto* below = find(directory.directories, name)) return below;
  if (const auto* link = find(directory.symlinks, name)) return link;
  return {};
}

std::shared_ptr<const StoredText> Directories::stored(const broker::tree::File& file,
                                                      std::string name) const {
  return std::make_shared<BlobText>(blobs_, file, std::move(name));
}

Value Directories::text(const broker::tree::File& file) const {
  return make_stored_text(stored(file, file.name));
}

Value Directories::list(const broker::tree::Symlink& link) {
  Value target = make_text(link.target);
  return make_list({&target, 1});
}

Result<Value> Directories::binding(const Digest& digest) {
  const std::shared_ptr<const Directory> directory = TRY(this->directory(digest));
  std::vector<std::pair<std::string_view, Value>> entries;
  for (const auto& file : directory->files) entries.emplace_back(file.name, text(file));
  for (const auto& link : directory->symlinks) entries.emplace_back(link.name, list(link));
  for (const auto& below : directory->directories)
    entries.emplace_back(below.name, TRY(binding(below.digest)));
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  BindingBuilder made(entries.size());
  for (auto& [name, value] : entries) made.add(make_text(name), std::move(value));
  return made.finish();
}

Value BlobTexts::text(const StoredText::Summary& summary, bool is_executable, const std::string& name) {
  if (!directories_.blobs().has(summary.digest)) return Value();
  broker::tree::File file;
  file.name = name;
  file.digest = summary.digest;
  file.bytes = summary.length;
  file.mode = is_executable ? 0755 : 0644;
  return make_stored_text(directories_.stored(file, name));
}

}  // namespace sdl
