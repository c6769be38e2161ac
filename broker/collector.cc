#include "broker/collector.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <limits>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "broker/tree/directory.h"
#include "broker/tree/tree_reader.h"
#include "cache/private_directory.h"
#include "cache/remove_directory.h"
#include "cache/use_lock.h"

namespace broker {

using cache::BlobStore;
using cache::Digest;
using cache::OwnedFd;
using cache::Result;
namespace fs = std::filesystem;

namespace {

// Of a use an hour and less after the one before nobody takes a note.
constexpr std::int64_t in_use_s_min = 2 * cache::use_ns_step / 1'000'000'000;

constexpr char put_aside[] = "tmp-";

struct Tree {
  std::string name;  // in `trees`
  Digest digest;
  std::uint64_t bytes = 0;
  std::int64_t used_ns = 0;
};

// As files below `trees`; the latest used first.
std::vector<Tree> trees_in(const OwnedFd& directory, const std::string& path) {
  std::vector<Tree> trees;
  std::error_code error;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    const auto digest = Digest::from_hex(name);
    struct stat status;
    if (!digest || ::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(status.st_mode)) continue;
    trees.push_back({name, *digest, 0, cache::used_ns(status)});
  }
  std::ranges::sort(trees, std::greater(), &Tree::used_ns);
  return trees;
}

using Kept = std::unordered_map<Digest, BlobStore::Kept>;

// Lets the blobs of a tree be used when it was; returns the bytes of its files. `seen` has directories that have been walked
// through for one that was used later.
std::uint64_t keep_tree(const Digest& digest, std::int64_t used_ns, const tree::Reader& reader, Kept& kept, std::unordered_map<Digest, std::uint64_t>& seen) {
  const auto use = [&](const Digest& each) {
    if (const auto found = kept.find(each); found != kept.end()) found->second.used_ns = std::max(found->second.used_ns, used_ns);
  };
  if (const auto known = seen.find(digest); known != seen.end()) return known->second;
  std::uint64_t bytes = 0;
  if (const auto directory = reader.directory(digest)) {
    use(digest);
    for (const tree::File& file : directory->files) {
      use(file.digest);
      bytes += file.bytes;
    }
    for (const tree::Subdirectory& inner : directory->directories) bytes += keep_tree(inner.digest, used_ns, reader, kept, seen);
  }
  seen.emplace(digest, bytes);
  return bytes;
}

struct Entry {
  std::string path;
  std::uint64_t bytes = 0;
  std::int64_t used_ns = 0;
};

// Of the cache of tools' results, a file each (sdl/tools/tool_cache.h).
std::vector<Entry> tool_entries(const std::string& path) {
  std::vector<Entry> entries;
  std::error_code error;
  for (fs::recursive_directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    struct stat status;
    if (::lstat(at->path().c_str(), &status) == 0 && S_ISREG(status.st_mode)) entries.push_back({at->path().string(), static_cast<std::uint64_t>(status.st_size), cache::used_ns(status)});
  }
  return entries;
}

bool remove_tree(const OwnedFd& directory, const std::string& path, const Tree& tree) {
  const std::string aside = put_aside + tree.name;
  if (::renameat2(directory.get(), tree.name.c_str(), directory.get(), aside.c_str(), RENAME_NOREPLACE) != 0) return false;
  struct stat status;
  if (::fstatat(directory.get(), aside.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && cache::used_ns(status) > tree.used_ns) {
    // If it has been made again already, this one is of no use.
    if (::renameat2(directory.get(), aside.c_str(), directory.get(), tree.name.c_str(), RENAME_NOREPLACE) == 0) return false;
  }
  cache::remove_directory(path + "/" + aside);
  return true;
}

// What a collector that was killed has left.
void remove_what_is_aside(const std::string& path) {
  std::error_code error;
  std::vector<fs::path> left;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error))
    if (const std::string name = at->path().filename().string(); name.starts_with(put_aside) && Digest::from_hex(name.substr(sizeof put_aside - 1))) left.push_back(at->path());
  for (const fs::path& each : left) cache::remove_directory(each.string());
}

}  // namespace

bool sandboxes_in_use(const std::string& cache_directory) {
  std::error_code error;
  for (fs::directory_iterator at(cache_directory + "/sandboxes", error), end; !error && at != end; at.increment(error)) {
    const OwnedFd lock(::open((at->path() / "lock").c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return true;
  }
  return false;
}

Result<Collected> collect(const std::string& cache_directory, cache::StepCache& steps, const CollectorLimits& limits) {
  // To look through what there is is no use of it.
  const BlobStore blobs = TRY(BlobStore::open(cache_directory + "/blobs", BlobStore::Notes::none));
  const std::string tree_path = cache_directory + "/trees";
  const OwnedFd tree_directory(::open(tree_path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  const std::optional<OwnedFd> alone = cache::hold_cache_alone(cache_directory);
  const bool may_remove_trees = tree_directory && alone && !sandboxes_in_use(cache_directory);
  const std::int64_t unused_s_min = std::max<std::int64_t>(limits.unused_min.count(), alone ? 0 : in_use_s_min);
  if (may_remove_trees && !limits.only_tells) remove_what_is_aside(tree_path);
  if (!limits.only_tells) blobs.remove_unfinished();

  Kept kept;
  Collected collected;
  blobs.each([&](const BlobStore::Kept& blob) {
    collected.bytes_before += blob.bytes;
    kept.emplace(blob.digest, blob);
  });
  std::vector<Tree> trees = tree_directory ? trees_in(tree_directory, tree_path) : std::vector<Tree>();
  std::unordered_map<Digest, std::uint64_t> seen;
  for (Tree& each : trees) {
    if (!may_remove_trees) each.used_ns = std::numeric_limits<std::int64_t>::max();  // by whom is not known
    each.bytes = keep_tree(each.digest, each.used_ns, tree::Reader(blobs), kept, seen);
    collected.bytes_before += each.bytes;
  }
  const std::vector<Entry> entries = tool_entries(cache_directory + "/tools");
  for (const Entry& each : entries) collected.bytes_before += each.bytes;

  struct Candidate {
    std::int64_t used_ns;
    std::uint64_t bytes;
    const BlobStore::Kept* blob;  // or
    const Tree* tree;
    const Entry* entry;
  };
  std::vector<Candidate> candidates;
  for (const auto& [digest, blob] : kept) candidates.push_back({blob.used_ns, blob.bytes, &blob, nullptr, nullptr});
  if (may_remove_trees)
    for (const Tree& each : trees) candidates.push_back({each.used_ns, each.bytes, nullptr, &each, nullptr});
  for (const Entry& each : entries) candidates.push_back({each.used_ns, each.bytes, nullptr, nullptr, &each});
  // A tree goes before the blobs from which it can be made again.
  std::ranges::sort(candidates, [](const Candidate& a, const Candidate& b) { return std::pair(a.used_ns, a.tree == nullptr) < std::pair(b.used_ns, b.tree == nullptr); });
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t newest_ns = (static_cast<std::int64_t>(now.tv_sec) - unused_s_min) * 1'000'000'000 + now.tv_nsec;
  std::unordered_set<Digest> gone;
  for (const Candidate& each : candidates) {
    if (collected.bytes_before - collected.bytes <= limits.bytes_max || each.used_ns > newest_ns) break;
    const auto remove = [&] {
      if (each.tree) return remove_tree(tree_directory, tree_path, *each.tree);
      return each.blob ? blobs.remove_unused(*each.blob) : ::unlink(each.entry->path.c_str()) == 0;
    };
    if (!limits.only_tells && !remove()) continue;
    collected.bytes += each.bytes;
    ++(each.tree ? collected.trees : each.blob ? collected.blobs : collected.results);
    if (each.blob) gone.insert(each.blob->digest);
  }
  if (!gone.empty() && !limits.only_tells)
    collected.results += steps.drop_results([&](const cache::StepResult& result) {
      return std::ranges::any_of(result.changes, [&](const cache::Change& change) {
        return change.what == cache::Change::What::file && (gone.contains(change.content) || !kept.contains(change.content)) && !blobs.has(change.content);
      });
    });
  return collected;
}

}  // namespace broker
