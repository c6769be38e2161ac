#include "broker/program_evidence.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include <fmt/format.h>

namespace broker {
namespace {

using cache::fail;
using cache::Fault;
using cache::Result;

std::int64_t now_ns() {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

bool is_settled(const PathFacts& facts, std::int64_t at_ns) {
  return std::max(facts.mtime_ns, facts.ctime_ns) < at_ns - cache::settle_ns;
}

bool same_permissions(const PathFacts& a, const PathFacts& b) {
  return a.type == b.type && a.mode == b.mode && a.uid == b.uid && a.gid == b.gid;
}

bool is_absent(const std::string& path) {
  struct stat status;
  return ::lstat(path.c_str(), &status) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

bool has_capabilities(const std::string& path) {
  return ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
}

// A view does not follow a symlink at a path's end.
Result<cache::Digest> digest_through(const View& view, const std::string& path, PathFacts* facts) {
  if (view.look(path).type != FileType::symlink) return view.bytes(path, facts);
  return view.bytes(TRY(real_path_of(path)), facts);
}

}  // namespace

PathFacts look_through(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 ? PathFacts::from(status) : PathFacts::from_error(errno);
}

Result<std::string> real_path_of(const std::string& path) {
  char real[PATH_MAX];
  if (::realpath(path.c_str(), real)) return std::string(real);
  const int reason = errno;
  return fail(reason == ENOENT || reason == ENOTDIR ? Fault::not_found : Fault::io,
              fmt::format("{}: {}", path, std::strerror(reason)));
}

ProgramEvidence::ProgramEvidence() : began_ns_(now_ns()) {}

Result<ProgramEvidence::File> ProgramEvidence::add_file(const View& view, const std::string& path) {
  if (const File* known = file(path)) return *known;
  File added{
      .path = path, .facts = {}, .digest = {}, .has_capabilities = has_capabilities(path), .settled = false};
  added.digest = TRY(digest_through(view, path, &added.facts));
  added.settled = is_settled(added.facts, began_ns_);
  files_.push_back(added);
  return added;
}

void ProgramEvidence::add_file_or_absence(const View& view, const std::string& path) {
  if (is_absent(path)) return add_absence(path);
  if (!add_file(view, path)) does_not_last();
}

void ProgramEvidence::add_absence(const std::string& path) { absences_.push_back(path); }

Result<std::string> ProgramEvidence::add_resolution(const std::string& path) {
  std::string real = TRY(real_path_of(path));
  resolutions_.push_back({path, real});
  return real;
}

bool ProgramEvidence::lasts() const {
  return lasts_ && std::all_of(files_.begin(), files_.end(), [](const File& file) { return file.settled; });
}

bool ProgramEvidence::is_untouched() const {
  return std::all_of(
             files_.begin(), files_.end(),
             [](const File& file) { return look_through(file.path).identity() == file.facts.identity(); }) &&
         names_are_the_same();
}

bool ProgramEvidence::names_are_the_same() const {
  return std::all_of(absences_.begin(), absences_.end(), is_absent) &&
         std::all_of(resolutions_.begin(), resolutions_.end(), [](const Resolution& each) {
           const auto real = real_path_of(each.path);
           return real && *real == each.real_path;
         });
}

bool ProgramEvidence::still_holds(const View& view, bool* updated) {
  for (File& file : files_) {
    const PathFacts now = look_through(file.path);
    if (!same_permissions(now, file.facts)) return false;
    if (file.settled && now.identity() == file.facts.identity()) continue;
    const std::int64_t hashing_ns = now_ns();
    PathFacts hashed;
    const auto digest = digest_through(view, file.path, &hashed);
    if (!digest || *digest != file.digest || !same_permissions(hashed, file.facts)) return false;
    if (has_capabilities(file.path) != file.has_capabilities) return false;
    file.facts = hashed;
    file.settled = is_settled(hashed, hashing_ns);
    *updated = true;
  }
  return names_are_the_same();
}

const ProgramEvidence::File* ProgramEvidence::file(const std::string& path) const {
  const auto found =
      std::find_if(files_.begin(), files_.end(), [&](const File& file) { return file.path == path; });
  return found == files_.end() ? nullptr : &*found;
}

std::vector<std::string> ProgramEvidence::watched_paths() const {
  std::unordered_set<std::string> paths;
  auto add = [&](std::string path) {
    // What is known has its directories known.
    while (path.size() > 1 && paths.insert(path).second)
      path.resize(path.rfind('/') == path.npos ? 0 : path.rfind('/'));
  };
  auto add_with_real = [&](const std::string& path) {
    add(path);
    if (auto real = real_path_of(path)) add(std::move(*real));
    // The name itself, where its directory really is.
    const std::size_t slash = path.rfind('/');
    if (slash == path.npos || slash == 0) return;
    if (const auto directory = real_path_of(path.substr(0, slash))) add(*directory + path.substr(slash));
  };
  for (const File& file : files_) add_with_real(file.path);
  for (const std::string& path : absences_) add_with_real(path);
  for (const Resolution& each : resolutions_) {
    add_with_real(each.path);
    add(each.real_path);
  }
  return {paths.begin(), paths.end()};
}

void ProgramEvidence::encode(cache::SealedWriter& writer) const {
  writer.count(files_.size());
  for (const File& file : files_) {
    writer.text(file.path);
    const PathFacts& facts = file.facts;
    writer.number(static_cast<std::uint8_t>(facts.type));
    for (const std::uint32_t number : {facts.mode, facts.uid, facts.gid, facts.links}) writer.number(number);
    for (const std::uint64_t number : {facts.device, facts.inode, facts.bytes}) writer.number(number);
    for (const std::int64_t time : {facts.mtime_ns, facts.ctime_ns}) writer.number(time);
    writer.digest(file.digest);
    writer.number(static_cast<std::uint8_t>(file.has_capabilities));
  }
  writer.count(absences_.size());
  for (const std::string& path : absences_) writer.text(path);
  writer.count(resolutions_.size());
  for (const Resolution& each : resolutions_) {
    writer.text(each.path);
    writer.text(each.real_path);
  }
}

ProgramEvidence ProgramEvidence::decode(cache::SealedReader& reader) {
  ProgramEvidence evidence;
  for (std::size_t left = reader.count(4); left > 0; --left) {
    File file;
    file.path = reader.text();
    PathFacts& facts = file.facts;
    facts.type = FileType{reader.number<std::uint8_t>()};
    for (std::uint32_t* number : {&facts.mode, &facts.uid, &facts.gid, &facts.links})
      *number = reader.number<std::uint32_t>();
    for (std::uint64_t* number : {&facts.device, &facts.inode, &facts.bytes})
      *number = reader.number<std::uint64_t>();
    for (std::int64_t* time : {&facts.mtime_ns, &facts.ctime_ns}) *time = reader.number<std::int64_t>();
    file.digest = reader.digest();
    file.has_capabilities = reader.number<std::uint8_t>() != 0;
    file.settled = true;  // nothing else is kept
    evidence.files_.push_back(std::move(file));
  }
  for (std::size_t left = reader.count(4); left > 0; --left) evidence.absences_.emplace_back(reader.text());
  for (std::size_t left = reader.count(8); left > 0; --left) {
    Resolution each;
    each.path = reader.text();
    each.real_path = reader.text();
    evidence.resolutions_.push_back(std::move(each));
  }
  return evidence;
}

}  // namespace broker
