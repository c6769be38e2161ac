#include "broker/tree/tree_adder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "broker/program_evidence.h"

namespace broker::tree {
namespace {

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
  Adder(std::string root, const View& view, cache::BlobStore& blobs) : root_(std::move(root)), view_(view), blobs_(blobs) {}

  Result<Added> run() {
    const cache::StoredBlob stored = TRY(add_directory({}));
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

  Result<cache::StoredBlob> add_directory(const std::string& inner) {
    const std::string path = path_of(inner);
    const PathFacts before = view_.look(path);
    if (before.type != FileType::directory) return fail(Fault::changed, path + ": is no directory any more");
    Directory directory;
    directory.mode = mode_of(inner, before);
    for (const std::string& name : TRY(names_in(path))) TRY(add_entry(directory, inner.empty() ? name : inner + "/" + name, name));
    if (view_.look(path).identity() != before.identity()) return fail(Fault::changed, path + ": changed while it was being added");
    ++added_.totals.directories;
    directory.sort();
    const auto stored = blobs_.put(encode(directory));
    if (!stored) return fail(stored.error().fault, path + ": " + stored.error().message);
    return *stored;
  }

  Result<bool> add_entry(Directory& directory, const std::string& inner, const std::string& name) {
    const std::string path = path_of(inner);
    PathFacts facts = view_.look(path);
    switch (facts.type) {
      case FileType::regular: {
        const auto digest = view_.keep_bytes(path, &facts);
        if (!digest && digest.error().fault == Fault::changed) return fail(Fault::changed, path + ": changed while it was being added");
        if (!digest) return fail(digest.error().fault, digest.error().message);
        directory.files.push_back({name, *digest, facts.bytes, mode_of(inner, facts)});
        ++added_.totals.files;
        added_.totals.bytes += facts.bytes;
        return true;
      }
      case FileType::directory: {
        const cache::StoredBlob stored = TRY(add_directory(inner));
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
  Added added_;
};

}  // namespace

Result<Added> add(const std::string& directory, const View& view, cache::BlobStore& blobs) {
  const std::string root = TRY(real_path_of(directory));
  if (view.look(root).type != FileType::directory) return fail(Fault::invalid, directory + ": not a directory");
  return Adder(root, view, blobs).run();
}

}  // namespace broker::tree
