#include "broker/tree/tree_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <list>
#include <map>

#include <fmt/format.h>

#include "cache/base/owned_fd.h"
#include "cache/remove_directory.h"

namespace broker::tree {
namespace {

using cache::Digest;
using cache::fail;
using cache::Fault;
using cache::Result;

constexpr int symlinks_max = 40;  // as the kernel has it (path_resolution(7))

std::string joined(const std::string& path, const std::string& name) { return path.empty() ? name : path + "/" + name; }

tl::unexpected<cache::Error> cannot(const std::string& path, const char* what) {
  return fail(Fault::io, fmt::format("{}: {}: {}", path, what, std::strerror(errno)));
}

// The parts of a path, last one first.
void push_parts(std::list<std::string>& parts, std::string_view path) {
  auto at = parts.begin();
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (!part.empty() && part != ".") parts.insert(at, std::string(part));
    path.remove_prefix(slash == path.npos ? path.size() : slash + 1);
  }
}

using Entry = std::variant<const File*, const Subdirectory*, const Symlink*>;

std::map<std::string_view, Entry> entries_of(const Directory& directory) {
  std::map<std::string_view, Entry> entries;
  for (const File& each : directory.files) entries.emplace(each.name, &each);
  for (const Subdirectory& each : directory.directories) entries.emplace(each.name, &each);
  for (const Symlink& each : directory.symlinks) entries.emplace(each.name, &each);
  return entries;
}

}  // namespace

Result<Directory> Reader::directory(const Digest& digest) const {
  // The one of an empty directory need not be stored.
  if (digest == cache::digest_of({})) return Directory{};
  auto bytes = blobs_.read(digest);
  if (!bytes) {
    if (bytes.error().fault == Fault::not_found) return fail(Fault::not_found, digest.hex() + ": there is no tree of that digest");
    return tl::unexpected(std::move(bytes.error()));
  }
  auto read = decode(*bytes);
  if (!read) return fail(read.error().fault, digest.hex() + ": " + read.error().message);
  return read;
}

Result<Reader::Found> Reader::find(const Digest& root, std::string_view path) const {
  std::list<std::string> parts;
  push_parts(parts, path);
  std::vector<FoundDirectory> way;
  way.push_back({root, TRY(directory(root))});
  int followed = 0;
  while (!parts.empty()) {
    const std::string part = std::move(parts.front());
    parts.pop_front();
    if (part == "..") {
      if (way.size() == 1) return fail(Fault::invalid, fmt::format("{}: leads out of the tree", path));
      way.pop_back();
      continue;
    }
    const auto entries = entries_of(way.back().contents);
    const auto found = entries.find(part);
    if (found == entries.end()) return fail(Fault::not_found, fmt::format("{}: not in the tree", path));
    if (const auto* symlink = std::get_if<const Symlink*>(&found->second)) {
      if (++followed > symlinks_max) return fail(Fault::invalid, fmt::format("{}: too many symbolic links", path));
      const std::string target = (*symlink)->target;
      push_parts(parts, target);
      if (target.starts_with('/')) way.resize(1);
    } else if (const auto* inner = std::get_if<const Subdirectory*>(&found->second)) {
      const Digest digest = (*inner)->digest;
      way.push_back({digest, TRY(directory(digest))});
    } else if (const File file = *std::get<const File*>(found->second); parts.empty()) {
      if (path.ends_with('/')) return fail(Fault::not_found, fmt::format("{}: not a directory", path));
      return file;
    } else {
      return fail(Fault::not_found, fmt::format("{}: not in the tree, for {} is no directory", path, part));
    }
  }
  return std::move(way.back());
}

Result<bool> Reader::walk(const Digest& digest, const std::string& path, const Visitor& visitor) const {
  const Directory here = TRY(directory(digest));
  if (visitor.directory) visitor.directory(path, here);
  for (const auto& [name, entry] : entries_of(here)) {
    const std::string inner = joined(path, std::string(name));
    if (const auto* file = std::get_if<const File*>(&entry)) { if (visitor.file) visitor.file(inner, **file); }
    else if (const auto* symlink = std::get_if<const Symlink*>(&entry)) { if (visitor.symlink) visitor.symlink(inner, **symlink); }
    else TRY(walk(std::get<const Subdirectory*>(entry)->digest, inner, visitor));
  }
  return true;
}

Result<bool> Reader::walk(const Digest& root, const Visitor& visitor) const { return walk(root, {}, visitor); }

Result<Totals> Reader::totals(const Digest& root) const {
  Totals totals;
  TRY(walk(root, {[&](const std::string&, const Directory&) { ++totals.directories; },
                  [&](const std::string&, const File& file) { ++totals.files, totals.bytes += file.bytes; },
                  [&](const std::string&, const Symlink&) { ++totals.symlinks; }}));
  return totals;
}

Result<bool> Reader::tell_all(const Subdirectory& of, const std::string& path, char kind, const Difference& tell) const {
  return walk(of.digest, {[&](const std::string& inner, const Directory&) { tell(kind, joined(path, inner.empty() ? inner : inner + "/")); },
                          [&](const std::string& inner, const File&) { tell(kind, joined(path, inner)); },
                          [&](const std::string& inner, const Symlink&) { tell(kind, joined(path, inner)); }});
}

Result<bool> Reader::difference(const Directory& from, const Directory& to, const std::string& path, const Difference& tell) const {
  if (from.mode != to.mode) tell('M', path + "/");
  const auto old_entries = entries_of(from), new_entries = entries_of(to);
  std::vector<std::string_view> names;
  for (const auto& [name, entry] : old_entries) names.push_back(name);
  for (const auto& [name, entry] : new_entries) names.push_back(name);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  const auto tell_one = [&](const Entry& entry, const std::string& inner, char kind) -> Result<bool> {
    if (const auto* directory = std::get_if<const Subdirectory*>(&entry)) return tell_all(**directory, inner, kind, tell);
    tell(kind, inner);
    return true;
  };
  for (const std::string_view name : names) {
    const std::string inner = joined(path, std::string(name));
    const auto before = old_entries.find(name), after = new_entries.find(name);
    if (before == old_entries.end()) {
      TRY(tell_one(after->second, inner, 'A'));
    } else if (after == new_entries.end()) {
      TRY(tell_one(before->second, inner, 'D'));
    } else if (before->second.index() != after->second.index()) {
      tell('T', inner);
    } else if (const auto* file = std::get_if<const File*>(&before->second)) {
      if (!(**file == *std::get<const File*>(after->second))) tell('M', inner);
    } else if (const auto* symlink = std::get_if<const Symlink*>(&before->second)) {
      if (!(**symlink == *std::get<const Symlink*>(after->second))) tell('M', inner);
    } else {
      const auto& one = *std::get<const Subdirectory*>(before->second);
      const auto& other = *std::get<const Subdirectory*>(after->second);
      if (one.digest != other.digest) TRY(difference(TRY(directory(one.digest)), TRY(directory(other.digest)), inner, tell));
    }
  }
  return true;
}

Result<bool> Reader::difference(const Digest& from, const Digest& to, const Difference& tell) const {
  return difference(TRY(directory(from)), TRY(directory(to)), {}, tell);
}

Result<bool> Reader::fill(const Digest& digest, const std::string& path, std::optional<long> time) const {
  const Directory here = TRY(directory(digest));
  const auto set_time = [&](const std::string& inner) -> Result<bool> {
    const timespec times[] = {{time.value_or(0), 0}, {time.value_or(0), 0}};
    if (time && ::utimensat(AT_FDCWD, inner.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return cannot(inner, "its time cannot be set");
    return true;
  };
  for (const File& each : here.files) {
    const std::string inner = joined(path, each.name);
    const cache::OwnedFd file(::open(inner.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return cannot(inner, "cannot be made");
    if (auto copied = blobs_.copy_to(each.digest, file.get()); !copied) return fail(copied.error().fault, inner + ": " + copied.error().message);
    if (::fchmod(file.get(), each.mode) != 0) return cannot(inner, "its mode cannot be set");
    TRY(set_time(inner));
  }
  for (const Symlink& each : here.symlinks) {
    const std::string inner = joined(path, each.name);
    if (::symlink(each.target.c_str(), inner.c_str()) != 0) return cannot(inner, "cannot be made");
    TRY(set_time(inner));
  }
  for (const Subdirectory& each : here.directories) {
    const std::string inner = joined(path, each.name);
    if (::mkdir(inner.c_str(), 0700) != 0) return cannot(inner, "cannot be made");
    TRY(fill(each.digest, inner, time));
  }
  // Last, for nothing can be made in some.
  if (::chmod(path.c_str(), here.mode) != 0) return cannot(path, "its mode cannot be set");
  return set_time(path);
}

Result<bool> Reader::check_out(const Digest& root, const std::string& directory, std::optional<long> time) const {
  std::error_code error;
  const bool is_there = std::filesystem::symlink_status(directory, error).type() != std::filesystem::file_type::not_found;
  if (is_there && !std::filesystem::is_directory(directory, error)) return fail(Fault::invalid, directory + ": is there, and no directory");
  if (is_there && !std::filesystem::is_empty(directory, error)) return fail(Fault::invalid, directory + ": is not empty, so nothing is put there");
  std::string target = directory;
  while (target.size() > 1 && target.ends_with('/')) target.pop_back();
  // One that is there may be a symlink to the place.
  if (is_there) target = std::filesystem::canonical(target, error).string();
  std::string place = target + ".XXXXXX";
  if (!::mkdtemp(place.data())) return cannot(target, "nothing can be made beside it");
  auto filled = fill(root, place, time);
  if (filled && ::rename(place.c_str(), target.c_str()) != 0) filled = cannot(target, "cannot be put there");
  if (!filled) cache::remove_directory(place);
  return filled;
}

}  // namespace broker::tree
