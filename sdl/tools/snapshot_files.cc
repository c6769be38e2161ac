#include "sdl/tools/snapshot_files.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace sdl {

using broker::tree::File;
using broker::tree::Subdirectory;
using broker::tree::Symlink;
using cache::fail;
using cache::Fault;
using cache::Result;

namespace {

bool is_below(std::string_view path, std::string_view directory) {
  if (directory == "/") directory = {};
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

}  // namespace

Result<SnapshotFiles::Place> SnapshotFiles::find(const std::string& path) {
  Place place;
  const Snapshot* snapshot = nullptr;
  for (const Snapshot& each : snapshots_) {
    if (is_below(path, each.directory) && (!snapshot || each.directory.size() > snapshot->directory.size()))
      snapshot = &each;
    place.is_above_a_snapshot = place.is_above_a_snapshot || is_below(each.directory, path);
  }
  if (!snapshot) return place;
  place.tree = TRY(snapshot->tree);
  place.below = TRY(directories_.directory(place.tree));
  std::string_view rest = path;
  rest.remove_prefix(snapshot->directory == "/" ? 0 : snapshot->directory.size());
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::string_view name = rest.substr(0, rest.find('/'));
    rest.remove_prefix(name.size());
    if (!place.below) return Place{};
    place.above = std::move(place.below);
    place.below = nullptr;
    place.entry = Directories::entry(*place.above, name);
    if (const auto* const below = std::get_if<const Subdirectory*>(&place.entry))
      place.below = TRY(directories_.directory((*below)->digest));
  }
  return place;
}

bool SnapshotFiles::may_lead_to(const std::string& path) const {
  return std::ranges::any_of(snapshots_, [&](const Snapshot& each) {
    const bool is_inside = is_below(path, each.directory) && path.size() > each.directory.size();
    return is_inside || (each.reach == Reach::absolute && is_below(each.directory, path));
  });
}

Result<ModelFiles::Type> SnapshotFiles::type(const std::string& path) {
  if (!may_lead_to(path)) {
    std::string places;
    for (const Snapshot& each : snapshots_)
      if (each.reach == Reach::absolute) places += (places.empty() ? "" : " or in ") + each.directory;
    return fail(Fault::invalid, fmt::format("{} is not in {}, where absolute paths may lead", path, places));
  }
  const Place place = TRY(find(path));
  if (place.below) return Type::directory;
  if (std::holds_alternative<const File*>(place.entry)) return Type::file;
  if (std::holds_alternative<const Symlink*>(place.entry)) return Type::link;
  return place.is_above_a_snapshot ? Type::directory : Type::missing;
}

Result<std::shared_ptr<const StoredText>> SnapshotFiles::file(const std::string& path) {
  const Place place = TRY(find(path));
  const auto* const file = std::get_if<const File*>(&place.entry);
  if (!file) return fail(Fault::invalid, path + ": no regular file");
  return directories_.stored(**file, path);
}

Result<std::vector<std::string>> SnapshotFiles::names(const std::string& directory) {
  const Place place = TRY(find(directory));
  if (!place.below) return fail(Fault::invalid, directory + ": no directory that may be looked into");
  std::vector<std::string> names;
  for (const auto& each : place.below->files) names.push_back(each.name);
  for (const auto& each : place.below->directories) names.push_back(each.name);
  for (const auto& each : place.below->symlinks) names.push_back(each.name);
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string> SnapshotFiles::target(const std::string& link) {
  const Place place = TRY(find(link));
  const auto* const found = std::get_if<const Symlink*>(&place.entry);
  if (!found) return fail(Fault::invalid, link + ": no symbolic link");
  return (*found)->target;
}

std::optional<cache::Digest> SnapshotFiles::tree(const std::string& directory) {
  const auto place = find(directory);
  if (!place || !place->below) return std::nullopt;
  // What a snapshot is of has no entry.
  if (const auto* const below = std::get_if<const Subdirectory*>(&place->entry)) return (*below)->digest;
  return place->tree;
}

std::optional<cache::Digest> SnapshotFiles::absolute_trees() {
  cache::Hasher hasher;
  for (const Snapshot& each : snapshots_) {
    if (each.reach != Reach::absolute) continue;
    hasher.add_piece(each.directory);
    hasher.add_piece(each.tree ? each.tree->view() : std::string_view());
  }
  return hasher.finish();
}

}  // namespace sdl
