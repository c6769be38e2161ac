#include "crude-import/root_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "cache/digest.h"

namespace crude_import {
namespace {

using cache::fail;
using cache::Fault;
using cache::Result;

constexpr std::size_t piece_bytes = 256 << 10;
constexpr int links_max = 40;  // path_resolution(7)

tl::unexpected<cache::Error> cannot(const std::string& path, const char* what) {
  return fail(Fault::io, fmt::format("{}: {}: {}", path, what, std::strerror(errno)));
}

bool is_below(const std::string& path, const std::string& directory) {
  return path == directory || (path.starts_with(directory) && path[directory.size()] == '/');
}

// Its digest is that of what has been copied.
Result<RootEntry> copy_file(const std::string& from, const std::string& to, const struct stat& status) {
  const cache::OwnedFd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!in) return cannot(from, "cannot be read");
  const cache::OwnedFd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!out) return cannot(to, "cannot be made");
  RootEntry entry;
  cache::Hasher hasher;
  const auto piece = std::make_unique_for_overwrite<char[]>(piece_bytes);
  for (;;) {
    const ssize_t bytes = ::read(in.get(), piece.get(), piece_bytes);
    if (bytes < 0) return cannot(from, "cannot be read");
    if (bytes == 0) break;
    if (::write(out.get(), piece.get(), static_cast<std::size_t>(bytes)) != bytes) return cannot(to, "cannot be written");
    hasher.add({piece.get(), static_cast<std::size_t>(bytes)});
    entry.bytes += static_cast<std::uint64_t>(bytes);
  }
  entry.digest = hasher.finish().hex();
  const timespec times[] = {status.st_mtim, status.st_mtim};
  if (::fchmod(out.get(), status.st_mode & 0777) != 0 || ::futimens(out.get(), times) != 0) return cannot(to, "its mode and time cannot be set");
  return entry;
}

}  // namespace

bool is_special(const std::string& path) {
  for (const char* special : {"/proc", "/sys", "/dev"})
    if (is_below(path, special)) return true;
  return false;
}

Result<bool> RootWriter::check(const std::string& root) {
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(root, error)) &&
      !(std::filesystem::is_directory(root, error) && std::filesystem::is_empty(root, error)))
    return fail(Fault::invalid, root + ": is there, and no empty directory");
  const std::string above = std::filesystem::path(root).parent_path().string();
  if (::faccessat(AT_FDCWD, above.c_str(), W_OK, AT_EACCESS) != 0) return cannot(above, "nothing can be made there");
  return true;
}

Result<RootWriter> RootWriter::open(const std::string& root) {
  TRY(check(root));
  std::error_code error;
  if (::mkdir(root.c_str(), 0755) != 0 && errno != EEXIST) return cannot(root, "cannot be made");
  const std::filesystem::path real = std::filesystem::canonical(root, error);
  if (error) return fail(Fault::io, root + ": " + error.message());
  return RootWriter(real.string());
}

Result<bool> RootWriter::add(const std::string& path) { return add(path, links_max); }

Result<bool> RootWriter::add(const std::string& path, int links_left) {
  if (links_left == 0) return false;
  if (is_special(path) || is_below(path, root_)) return true;
  std::string done;  // that far the path has no symlinks
  for (std::size_t at = 1; at <= path.size();) {
    const std::size_t slash = std::min(path.find('/', at), path.size());
    const std::string name = path.substr(at, slash - at);
    const std::string rest = slash < path.size() ? path.substr(slash) : std::string();
    at = slash + 1;
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      done.resize(done.empty() ? 0 : done.rfind('/'));
      continue;
    }
    done += '/' + name;
    struct stat status {};
    if (::lstat(done.c_str(), &status) != 0) return false;
    if (S_ISLNK(status.st_mode)) {
      char target[PATH_MAX];
      const ssize_t bytes = ::readlink(done.c_str(), target, sizeof target);
      if (bytes < 0) return cannot(done, "cannot be read");
      const std::string to(target, static_cast<std::size_t>(bytes));
      if (entries_.emplace(done, RootEntry{'l', 0, {}, user_}).second && ::symlink(to.c_str(), below(done).c_str()) != 0) return cannot(below(done), "cannot be made");
      return add((to.starts_with('/') ? to : done.substr(0, done.rfind('/')) + '/' + to) + rest, links_left - 1);
    }
    if (S_ISDIR(status.st_mode)) {
      modes_.emplace(done, status.st_mode & 01777);
      if (entries_.emplace(done, RootEntry{'d', 0, {}, user_}).second && ::mkdir(below(done).c_str(), 0700) != 0) return cannot(below(done), "cannot be made");
      continue;
    }
    if (!S_ISREG(status.st_mode) || entries_.contains(done)) return true;
    entries_[done] = TRY(copy_file(done, below(done), status));
    entries_[done].user = user_;
    return true;
  }
  return true;
}

Result<bool> RootWriter::finish() {
  // What is inside comes behind its directory.
  for (auto each = modes_.rbegin(); each != modes_.rend(); ++each)
    if (::chmod(below(each->first).c_str(), each->second) != 0) return cannot(below(each->first), "its mode cannot be set");
  return true;
}

}  // namespace crude_import
