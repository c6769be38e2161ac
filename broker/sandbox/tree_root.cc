#include "broker/sandbox/tree_root.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include <fmt/format.h>

#include "cache/private_directory.h"

namespace broker::sandbox {

using cache::fail;
using cache::Fault;
using cache::Result;

namespace {

Result<std::string> part_root(const std::string& cache_directory, cache::BlobStore& blobs, const tree::Directory& part) {
  const cache::Digest tree = TRY(blobs.put(tree::encode(part))).digest;
  const std::string name = "trees/" + tree.hex();
  const std::string path = cache_directory + "/" + name;
  // It appears complete or not at all.
  if (struct stat status; ::stat(path.c_str(), &status) == 0) {
    cache::note_use(AT_FDCWD, path.c_str(), status);
    if (::access(path.c_str(), F_OK) == 0) return name;  // it may have been removed until then
  }
  auto made = tree::Reader(blobs).check_out(tree, path, tree_time);
  if (!made && ::access(path.c_str(), F_OK) != 0) return tl::unexpected(std::move(made.error()));
  return name;
}

}  // namespace

Result<std::vector<std::string>> tree_parts(const std::string& cache_directory, cache::BlobStore& blobs, const cache::Digest& tree) {
  TRY(cache::open_private_directory(cache_directory + "/trees"));
  const tree::Directory root = TRY(tree::Reader(blobs).directory(tree));
  tree::Directory rest;
  rest.files = root.files;
  rest.symlinks = root.symlinks;
  std::vector<std::string> names;
  for (const tree::Subdirectory& directory : root.directories) {
    if (names.size() + 1 == parts_max) {
      rest.directories.push_back(directory);
      continue;
    }
    tree::Directory part;
    part.directories.push_back(directory);
    names.push_back(TRY(part_root(cache_directory, blobs, part)));
  }
  if (names.empty() || rest != tree::Directory{}) names.push_back(TRY(part_root(cache_directory, blobs, rest)));
  return names;
}

Result<std::string> base_root(const std::string& cache_directory) {
  TRY(cache::open_private_directory(cache_directory + "/trees"));
  const std::string name = "trees/base", path = cache_directory + "/" + name;
  const timespec times[] = {{tree_time, 0}, {tree_time, 0}};
  for (const auto& [inner, mode] : {std::pair("/tmp", 01777u), std::pair("/proc", 0755u), std::pair("/dev", 0755u), std::pair("", 0755u)}) {
    const std::string each = path + inner;
    if (inner[0] != '\0' && ::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return fail(Fault::io, fmt::format("{}: {}", path, std::strerror(errno)));
    if (inner[0] != '\0' && ::mkdir(each.c_str(), mode) != 0 && errno != EEXIST) return fail(Fault::io, fmt::format("{}: {}", each, std::strerror(errno)));
    if (::chmod(each.c_str(), mode) != 0 || ::utimensat(AT_FDCWD, each.c_str(), times, 0) != 0)
      return fail(Fault::io, fmt::format("{}: {}", each, std::strerror(errno)));
  }
  return name;
}

}  // namespace broker::sandbox
