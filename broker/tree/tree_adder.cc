#include "broker/tree/tree_adder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "broker/program_evidence.h"

namespace broker::tree {
namespace {

using cache::Digest;
using cache::fail;
using cache::Fault;
using cache::Result;

constexpr std::uint32_t permission_bits = 0777;

Result<std::vector<std::string>> names_in(const std::string& path) {
  struct Close { void operator()(DIR* directory) const { ::closedir(directory); } };
  const std::unique_ptr<DIR, Close> directory(::opendir(path.c_str()));
  if (!directory) return fail(Fault::io, fmt::format("{}: {}", path, std::strerror(errno)));
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(directory.get());
    if (!entry && errno != 0) return fail(Fault::io, fmt::format("{}: {}", path, std::strerror(errno)));
    if (!entry) return names;
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) names.emplace_back(entry->d_name);
  }
}

class Adder {
 public:
  // With a `base` `root` is a layer of overlayfs over that directory.
  Adder(std::string root, const View& view, cache::BlobStore& blobs, std::optional<Digest> base = {}, const std::string& left_alone = {})
      : root_(std::move(root)), view_(view), blobs_(blobs), base_(base) {
    if (!left_alone.empty()) left_alone_ = view_.look(left_alone);
  }

  Result<Added> run() {
    const cache::StoredBlob stored = TRY(add_directory({}, base_));
    added_.digest = stored.digest;
    added_.bytes = stored.bytes;
    return std::move(added_);
  }

 private:
  std::string path_of(const std::string& inner) const { return inner.empty() ? root_ : (root_ == "/" ? "" : root_) + "/" + inner; }

  std::uint32_t mode_of(const std::string& inner, const PathFacts& facts) {
    for (const auto& [bit, what] : {std::pair(S_ISUID, "its set-user-ID bit"), std::pair(S_ISGID, "its set-group-ID bit"), std::pair(S_ISVTX, "its sticky bit")})
      if (facts.mode & static_cast<std::uint32_t>(bit)) added_.left_out.push_back({inner, what});
    return facts.mode & permission_bits;
  }

  // What is in the directory of that digest and has not been changed; with the name of each goes what it was.
  Result<Directory> unchanged(const std::string& path, const Digest& base, const std::vector<std::string>& changed, std::map<std::string, Digest>& below) const {
    Directory directory = TRY(Reader(blobs_).directory(base));
    for (const Subdirectory& each : directory.directories) below.emplace(each.name, each.digest);
    char opaque = 'n';
    if (::getxattr(path.c_str(), "user.overlay.opaque", &opaque, 1) == 1 && opaque == 'y') {
      below.clear();
      return Directory{};
    }
    const std::set<std::string_view> names(changed.begin(), changed.end());
    const auto is_changed = [&](const auto& entry) { return names.contains(entry.name); };
    std::erase_if(directory.files, is_changed);
    std::erase_if(directory.directories, is_changed);
    std::erase_if(directory.symlinks, is_changed);
    return directory;
  }

  // A layer is nobody else's, and may have what its owner cannot read.
  void make_readable(const std::string& path, const PathFacts& facts) const {
    const std::uint32_t wanted = facts.type == FileType::directory ? S_IRUSR | S_IXUSR : S_IRUSR;
    if (base_ && (facts.mode & wanted) != wanted) ::chmod(path.c_str(), facts.mode | wanted);  // if it fails, reading tells
  }

  void make_as_found(const std::string& path, const PathFacts& facts) const {
    if (base_ && view_.look(path).mode != facts.mode) ::chmod(path.c_str(), facts.mode);
  }

  static bool is_whiteout(const std::string& path) {
    struct stat status{};
    return ::lstat(path.c_str(), &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == 0;
  }

  Result<cache::StoredBlob> add_directory(const std::string& inner, const std::optional<Digest>& base) {
    const std::string path = path_of(inner);
    const PathFacts found = view_.look(path);
    make_readable(path, found);
    const PathFacts before = view_.look(path);
    if (before.type != FileType::directory) return fail(Fault::changed, path + ": is no directory any more");
    const std::vector<std::string> names = TRY(names_in(path));
    std::map<std::string, Digest> below;
    Directory directory = base ? TRY(unchanged(path, *base, names, below)) : Directory{};
    directory.mode = mode_of(inner, found);
    for (const std::string& name : names) {
      const std::string entry = inner.empty() ? name : inner + "/" + name;
      if (base_ && is_whiteout(path_of(entry))) continue;
      const auto was = below.find(name);
      TRY(add_entry(directory, entry, name, was != below.end() ? std::optional(was->second) : base_ ? std::optional(cache::digest_of(std::string_view())) : std::nullopt));
    }
    if (view_.look(path).identity() != before.identity()) return fail(Fault::changed, path + ": changed while it was being added");
    make_as_found(path, found);
    ++added_.totals.directories;
    directory.sort();
    const auto stored = blobs_.put(encode(directory));
    if (!stored) return fail(stored.error().fault, path + ": " + stored.error().message);
    return *stored;
  }

  Result<bool> add_entry(Directory& directory, const std::string& inner, const std::string& name, const std::optional<Digest>& base) {
    const std::string path = path_of(inner);
    PathFacts facts = view_.look(path);
    switch (facts.type) {
      case FileType::regular: {
        const PathFacts found = facts;
        make_readable(path, found);
        const auto digest = view_.keep_bytes(path, &facts);
        if (!digest && digest.error().fault == Fault::changed) return fail(Fault::changed, path + ": changed while it was being added");
        if (!digest) return fail(digest.error().fault, digest.error().message);
        make_as_found(path, found);
        directory.files.push_back({name, *digest, facts.bytes, mode_of(inner, found)});
        ++added_.totals.files;
        added_.totals.bytes += facts.bytes;
        return true;
      }
      case FileType::directory: {
        if (left_alone_ && facts.device == left_alone_->device && facts.inode == left_alone_->inode) {
          added_.left_out.push_back({inner, "the cache itself"});
          return true;
        }
        const cache::StoredBlob stored = TRY(add_directory(inner, base));
        directory.directories.push_back({name, stored.digest, stored.bytes});
        return true;
      }
      case FileType::symlink:
        directory.symlinks.push_back({name, TRY(view_.target(path))});
        ++added_.totals.symlinks;
        return true;
      case FileType::absent:
        return fail(Fault::changed, path + ": changed while it was being added");
      case FileType::error:
        return fail(Fault::io, fmt::format("{}: {}", path, std::strerror(facts.error)));
      default:
        break;
    }
    struct stat status{};
    const bool looked = ::lstat(path.c_str(), &status) == 0;
    added_.left_out.push_back({inner, looked && S_ISSOCK(status.st_mode) ? "a socket" : looked && S_ISFIFO(status.st_mode) ? "a FIFO" : "a device"});
    return true;
  }

  const std::string root_;
  const View& view_;
  cache::BlobStore& blobs_;
  const std::optional<Digest> base_;
  std::optional<PathFacts> left_alone_;
  Added added_;
};

}  // namespace

Result<Added> add(const std::string& directory, const View& view, cache::BlobStore& blobs, const std::string& cache_directory) {
  const std::string root = TRY(real_path_of(directory));
  if (view.look(root).type != FileType::directory) return fail(Fault::invalid, directory + ": not a directory");
  return Adder(root, view, blobs, {}, cache_directory).run();
}

Result<Added> add_changed(const std::string& layer, const Digest& tree, const View& view, cache::BlobStore& blobs) {
  return Adder(layer, view, blobs, tree).run();
}

Result<Added> add_changes(const std::string& layer, const View& view, cache::BlobStore& blobs) {
  return Adder(layer, view, blobs, cache::digest_of(std::string_view())).run();
}

}  // namespace broker::tree
