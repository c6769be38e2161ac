#include "crude-import/component_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"

namespace crude_import {
namespace {

using cache::fail;
using cache::Fault;
using cache::OwnedFd;
using cache::Result;

constexpr int links_max = 40;  // path_resolution(7)
constexpr std::size_t piece_bytes = 256 << 10;

tl::unexpected<cache::Error> cannot(const std::string& path, const char* what) {
  return fail(Fault::io, fmt::format("{}: {}: {}", path, what, std::strerror(errno)));
}

std::string target_of(const std::string& link) {
  char target[PATH_MAX];
  const ssize_t bytes = ::readlink(link.c_str(), target, sizeof target);
  return bytes < 0 ? std::string() : std::string(target, static_cast<std::size_t>(bytes));
}

std::string above(const std::string& path) { return path.substr(0, path.rfind('/')); }

Result<bool> copy_contents(int in, int out, const std::string& from, const std::string& to) {
  if (::ioctl(out, FICLONE, in) == 0) return true;
  const auto piece = std::make_unique_for_overwrite<char[]>(piece_bytes);
  for (;;) {
    const ssize_t bytes = ::read(in, piece.get(), piece_bytes);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return cannot(from, "cannot be read");
    if (bytes == 0) return true;
    if (!cache::write_all(out, {piece.get(), static_cast<std::size_t>(bytes)})) return cannot(to, "cannot be written");
  }
}

// Whole or not at all: its time tells the next run that it need not be copied.
Result<bool> copy_file(const std::string& from, const std::string& to, mode_t mode) {
  const OwnedFd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat status {};
  if (!in || ::fstat(in.get(), &status) != 0) return cannot(from, "cannot be read");
  std::string beside = to + ".XXXXXX";
  const OwnedFd out(::mkostemp(beside.data(), O_CLOEXEC));
  if (!out) return cannot(to, "cannot be made");
  auto done = copy_contents(in.get(), out.get(), from, to);
  const timespec times[] = {status.st_mtim, status.st_mtim};
  if (done && (::fchmod(out.get(), mode) != 0 || ::futimens(out.get(), times) != 0 ||
               ::rename(beside.c_str(), to.c_str()) != 0))
    done = cannot(to, "cannot be made");
  if (!done) ::unlink(beside.c_str());
  return done;
}

}  // namespace

bool ComponentFiles::real_directory(const std::string& path, std::string& real, std::map<std::string, Entry>* entries,
                                    int links_left) const {
  if (links_left == 0) return false;
  real.clear();
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t slash = std::min(path.find('/', at), path.size());
    const std::string name = path.substr(at, slash - at);
    at = slash + 1;
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      real = above(real);
      continue;
    }
    real += '/' + name;
    struct stat status {};
    if (::lstat(real.c_str(), &status) != 0) return false;
    if (S_ISLNK(status.st_mode)) {
      const std::string target = target_of(real);
      if (entries) entries->try_emplace(real, Entry{.kind = 'l', .target = target});
      const std::string rest = at <= path.size() ? "/" + path.substr(at) : std::string();
      return real_directory((target.starts_with('/') ? target : above(real) + "/" + target) + rest, real, entries,
                            links_left - 1);
    }
    if (!S_ISDIR(status.st_mode)) return false;
    if (entries) entries->try_emplace(real, Entry{});
  }
  return true;
}

// False: it is not there, or no part of a component, which is noted.
bool ComponentFiles::look_at(const std::string& path, Entry& entry) {
  const std::string place = origin_ + path;
  struct stat status {};
  if (::lstat(place.c_str(), &status) != 0) return false;
  if (S_ISLNK(status.st_mode)) {
    entry.kind = 'l';
    entry.target = target_of(place);
  } else if (S_ISREG(status.st_mode)) {
    if (::access(place.c_str(), R_OK) != 0) {
      left_out_.push_back({path, "may not be read"});
      return false;
    }
    if (status.st_mode & (S_ISUID | S_ISGID)) left_out_.push_back({path, "that it runs as its owner or group"});
    entry.kind = 'f';
    entry.bytes = static_cast<std::uint64_t>(status.st_size);
    entry.seconds = status.st_mtim.tv_sec;
    entry.nanoseconds = status.st_mtim.tv_nsec;
    entry.is_executable = (status.st_mode & 0111) != 0;
  } else if (!S_ISDIR(status.st_mode)) {
    left_out_.push_back({path, "is neither file nor directory nor symbolic link"});
    return false;
  }
  return true;
}

void ComponentFiles::add(const std::string& path) {
  std::string real;
  const std::string name = path.substr(path.rfind('/') + 1);
  Entry entry;
  if (name.empty() || name == "." || !real_directory(above(path), real, nullptr, links_max) ||
      !look_at(real + '/' + name, entry))
    return;
  real_directory(above(path), real, &entries_, links_max);
  entries_.try_emplace(real + '/' + name, std::move(entry));
}

void ComponentFiles::add_real(const std::string& path) {
  Entry entry;
  if (!look_at(path, entry)) return;
  for (std::size_t slash = path.find('/', 1); slash != path.npos; slash = path.find('/', slash + 1))
    entries_.try_emplace(path.substr(0, slash), Entry{});
  entries_.try_emplace(path, std::move(entry));
}

bool ComponentFiles::has(const std::string& path) const {
  std::string real;
  return real_directory(above(path), real, nullptr, links_max) &&
         entries_.contains(real + path.substr(path.rfind('/')));
}

Result<bool> ComponentFiles::make(const Entry& entry, const std::string& source, const std::string& path,
                                  bool& changed) {
  struct stat status {};
  const bool is_there = ::lstat(path.c_str(), &status) == 0;
  const mode_t mode = entry.kind != 'f' || entry.is_executable ? 0755 : 0644;
  changed = false;
  if (is_there && S_ISDIR(status.st_mode) && entry.kind == 'd') return true;
  if (is_there && S_ISLNK(status.st_mode) && entry.kind == 'l' && target_of(path) == entry.target) return true;
  if (is_there && S_ISREG(status.st_mode) && entry.kind == 'f' &&
      static_cast<std::uint64_t>(status.st_size) == entry.bytes && status.st_mtim.tv_sec == entry.seconds &&
      status.st_mtim.tv_nsec == entry.nanoseconds && (status.st_mode & 07777) == mode)
    return true;
  changed = true;
  if (is_there) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return fail(Fault::io, path + ": cannot be removed: " + error.message());
  }
  if (entry.kind == 'f') return copy_file(source, path, mode);
  const int made = entry.kind == 'l' ? ::symlink(entry.target.c_str(), path.c_str()) : ::mkdir(path.c_str(), mode);
  if (made != 0) return cannot(path, "cannot be made");
  return true;
}

Result<ComponentFiles::Totals> ComponentFiles::write(const std::string& directory) const {
  Totals totals;
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) return cannot(directory, "cannot be made");
  namespace files = std::filesystem;
  std::vector<files::path> others;
  std::error_code error;
  for (files::recursive_directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (entries_.contains(at->path().string().substr(directory.size()))) continue;
    others.push_back(at->path());
    at.disable_recursion_pending();
  }
  if (error) return fail(Fault::io, directory + ": " + error.message());
  for (const files::path& other : others) {
    files::remove_all(other, error);
    if (error) return fail(Fault::io, other.string() + ": cannot be removed: " + error.message());
    ++totals.changed;
  }
  for (const auto& [path, entry] : entries_) {
    bool changed = false;
    TRY(make(entry, origin_ + path, directory + path, changed));
    totals.changed += changed;
    totals.files += entry.kind == 'f';
    totals.links += entry.kind == 'l';
    totals.bytes += entry.bytes;
  }
  return totals;
}

}  // namespace crude_import
