#include "sdl/tools/tool_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"
#include "cache/private_directory.h"
#include "cache/sealed_bytes.h"

namespace sdl {
namespace {

using cache::Digest;
using cache::fail;
using cache::Fault;
using cache::OwnedFd;
using cache::Result;
using cache::SealedReader;
using cache::SealedWriter;

constexpr char results_tag = 'R';
constexpr std::size_t key_directory_letters = 2;

void put(SealedWriter& writer, const cache::StoredBlob& blob) {
  writer.digest(blob.digest);
  writer.number(blob.bytes);
}

cache::StoredBlob take_blob(SealedReader& reader) {
  cache::StoredBlob blob;
  blob.digest = reader.digest();
  blob.bytes = reader.number<std::uint64_t>();
  return blob;
}

void put(SealedWriter& writer, const ToolResult& result) {
  writer.number(result.status);
  put(writer, result.output);
  put(writer, result.errors);
  writer.digest(result.tree);
  writer.digest(result.after);
  writer.count(result.needs.files.size());
  for (const ToolNeed& need : result.needs.files) {
    writer.number(static_cast<std::uint8_t>(need.kind));
    writer.text(need.path);
  }
  writer.count(result.needs.variables.size());
  for (const std::string& name : result.needs.variables) writer.text(name);
  writer.number(static_cast<std::uint8_t>(result.needs.whole_environment));
  writer.count(result.variables.size());
  for (const auto& [name, digest] : result.variables) {
    writer.text(name);
    writer.digest(digest);
  }
}

ToolResult take_result(SealedReader& reader) {
  ToolResult result;
  result.status = reader.number<std::int32_t>();
  result.output = take_blob(reader);
  result.errors = take_blob(reader);
  result.tree = reader.digest();
  result.after = reader.digest();
  for (std::size_t left = reader.count(5); left > 0; --left) {
    const NeedKind kind{static_cast<NeedKind>(reader.number<std::uint8_t>())};
    reader.expect(kind == NeedKind::value || kind == NeedKind::existence || kind == NeedKind::names ||
                  kind == NeedKind::type);
    result.needs.files.push_back({std::string(reader.text()), kind});
  }
  for (std::size_t left = reader.count(4); left > 0; --left)
    result.needs.variables.emplace_back(reader.text());
  result.needs.whole_environment = reader.number<std::uint8_t>() != 0;
  for (std::size_t left = reader.count(36); left > 0; --left) {
    std::string name(reader.text());
    result.variables.emplace_back(std::move(name), reader.digest());
  }
  return result;
}

}  // namespace

std::string ToolCache::path_of(const Digest& key) const {
  const std::string hex = key.hex();
  return fmt::format("{}/{}/{}", directory_, hex.substr(0, key_directory_letters),
                     hex.substr(key_directory_letters));
}

std::vector<ToolResult> ToolCache::look_up(const Digest& key) const {
  const OwnedFd file(::open(path_of(key).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return {};
  if (struct stat status; ::fstat(file.get(), &status) == 0) cache::note_use(AT_FDCWD, path_of(key).c_str(), status);
  const std::string bytes = cache::read_all(file.get());
  auto reader = SealedReader::open(bytes, results_tag, "results of a tool");
  if (!reader) return {};
  reader->expect(reader->digest() == key);
  std::vector<ToolResult> results;
  for (std::size_t left = reader->count(1); left > 0; --left) results.push_back(take_result(*reader));
  return reader->finished() ? results : std::vector<ToolResult>();
}

Result<bool> ToolCache::add(const Digest& key, const ToolResult& result) const {
  std::vector<ToolResult> results = look_up(key);
  std::erase_if(results, [&](const ToolResult& old) {
    return old.tree == result.tree && old.needs.files == result.needs.files &&
           old.variables == result.variables;
  });
  results.insert(results.begin(), result);
  if (results.size() > results_max) results.resize(results_max);
  SealedWriter writer(results_tag);
  writer.digest(key);
  writer.count(results.size());
  for (const ToolResult& one : results) put(writer, one);
  const std::string bytes = std::move(writer).seal(), path = path_of(key);
  TRY(cache::open_private_directory(directory_));
  TRY(cache::open_private_directory(path.substr(0, path.rfind('/'))));
  std::string beside = path + ".XXXXXX";
  const OwnedFd file(::mkostemp(beside.data(), O_CLOEXEC));
  if (!file) return fail(Fault::io, fmt::format("{}: {}", beside, std::strerror(errno)));
  if (!cache::write_all(file.get(), bytes) || ::rename(beside.c_str(), path.c_str()) != 0) {
    const int why = errno;
    ::unlink(beside.c_str());
    return fail(Fault::io, fmt::format("{}: {}", path, std::strerror(why)));
  }
  return true;
}

}  // namespace sdl
