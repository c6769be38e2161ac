#include "crude-import/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cache/base/owned_fd.h"
#include "cache/digest.h"

namespace crude_import {
namespace {

using cache::fail;
using cache::Fault;
using cache::Result;
using nlohmann::ordered_json;

constexpr std::size_t piece_bytes = 256 << 10;

struct Descriptor {
  cache::Digest digest;
  std::uintmax_t bytes = 0;
  ordered_json json(const char* type) const { return {{"mediaType", type}, {"digest", "sha256:" + digest.hex()}, {"size", bytes}}; }
};

Result<Descriptor> descriptor_of_file(const std::string& path) {
  const cache::OwnedFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail(Fault::io, fmt::format("{}: {}", path, std::strerror(errno)));
  Descriptor descriptor;
  cache::Hasher hasher;
  const auto piece = std::make_unique_for_overwrite<char[]>(piece_bytes);
  for (;;) {
    const ssize_t bytes = ::read(file.get(), piece.get(), piece_bytes);
    if (bytes < 0) return fail(Fault::io, fmt::format("{}: {}", path, std::strerror(errno)));
    if (bytes == 0) break;
    hasher.add({piece.get(), static_cast<std::size_t>(bytes)});
    descriptor.bytes += static_cast<std::uintmax_t>(bytes);
  }
  descriptor.digest = hasher.finish();
  return descriptor;
}

Result<bool> write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) return fail(Fault::io, path + ": cannot be written");
  return true;
}

Result<Descriptor> write_blob(const std::string& blobs, const ordered_json& object) {
  const std::string text = object.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  const Descriptor descriptor{cache::digest_of(text), text.size()};
  TRY(write_text(blobs + "/" + descriptor.digest.hex(), text));
  return descriptor;
}

}  // namespace

Result<bool> write_tar(const std::string& root, const std::string& file) {
  std::string words[] = {"tar", "--create", "--file=" + file, "--directory=" + root, "--format=posix", "--pax-option=delete=atime,delete=ctime,exthdr.name=%d/PaxHeaders/%f",
                         "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=2000-01-01 00:00:00 UTC", "--no-acls", "--no-xattrs", "."};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = -1;
  if (const int why = ::posix_spawnp(&child, "tar", nullptr, nullptr, arguments.data(), environ); why != 0)
    return fail(Fault::io, fmt::format("tar: {}", std::strerror(why)));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (status != 0) return fail(Fault::io, file + ": tar could not write it");
  return true;
}

Result<bool> check_image(const std::string& directory) {
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(directory, error)) &&
      !(std::filesystem::is_directory(directory, error) && std::filesystem::is_empty(directory, error)))
    return fail(Fault::invalid, directory + ": is there, and no empty directory");
  return true;
}

Result<bool> write_image(const std::string& root, const std::string& directory, const ImageConfiguration& configuration) {
  TRY(check_image(directory));
  const std::string blobs = directory + "/blobs/sha256";
  std::error_code error;
  std::filesystem::create_directories(blobs, error);
  if (error) return fail(Fault::io, blobs + ": cannot be made: " + error.message());
  const std::string unnamed = blobs + "/layer";
  TRY(write_tar(root, unnamed));
  const Descriptor layer = TRY(descriptor_of_file(unnamed));
  std::filesystem::rename(unnamed, blobs + "/" + layer.digest.hex(), error);
  if (error) return fail(Fault::io, blobs + ": " + error.message());
  const Descriptor image = TRY(write_blob(
      blobs, {{"created", "2000-01-01T00:00:00Z"},
              {"architecture", "amd64"},
              {"os", "linux"},
              {"config", {{"Env", configuration.environment}, {"Cmd", configuration.arguments}, {"WorkingDir", configuration.directory}}},
              {"rootfs", {{"type", "layers"}, {"diff_ids", {"sha256:" + layer.digest.hex()}}}},
              {"history", {{{"created", "2000-01-01T00:00:00Z"}, {"created_by", "vestal import"}}}}}));
  const Descriptor manifest = TRY(write_blob(blobs, {{"schemaVersion", 2},
                                                     {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                                                     {"config", image.json("application/vnd.oci.image.config.v1+json")},
                                                     {"layers", {layer.json("application/vnd.oci.image.layer.v1.tar")}}}));
  ordered_json entry = manifest.json("application/vnd.oci.image.manifest.v1+json");
  entry["annotations"] = {{"org.opencontainers.image.ref.name", "latest"}};
  TRY(write_text(directory + "/index.json", ordered_json{{"schemaVersion", 2}, {"manifests", {entry}}}.dump() + "\n"));
  return write_text(directory + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})" "\n");
}

}  // namespace crude_import
