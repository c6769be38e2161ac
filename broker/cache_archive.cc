#include "broker/cache_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdlib.h>
#include <filesystem>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/client.h"
#include "broker/control.h"
#include "broker/row_file.h"
#include "broker/wording.h"
#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"
#include "cache/blob_store.h"
#include "cache/private_directory.h"
#include "cache/record.h"

namespace broker {
namespace {

using cache::BlobStore;
using cache::Digest;
using cache::Fault;
using cache::OwnedFd;
using cache::Result;
using cache::fail;
using nlohmann::ordered_json;

constexpr int format = 1;
constexpr char manifest_name[] = "vestal-cache.json", rows_name[] = "rows", blobs_name[] = "blobs/";
constexpr std::uint64_t manifest_bytes_max = 64 << 10;
constexpr std::size_t piece_bytes = 256 << 10;
constexpr std::uint64_t room_left_min = 16 << 20;  // on the file system of a cache, after an import

// A file in the cache directory as long as it is needed.
class OwnFile {
 public:
  static Result<OwnFile> make(const std::string& directory) {
    std::string path = directory + "/carry-XXXXXX";
    const int file = ::mkostemp(path.data(), O_CLOEXEC);
    if (file < 0) return fail(Fault::io, fmt::format("{}: cannot make a file there: {}", directory, std::strerror(errno)));
    return OwnFile(std::move(path), file);
  }
  OwnFile(OwnFile&& other) noexcept : path_(std::exchange(other.path_, {})), file_(std::move(other.file_)) {}
  ~OwnFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  int file() const { return file_.get(); }
  std::string name() const { return path_.substr(path_.rfind('/') + 1); }

 private:
  OwnFile(std::string path, int file) : path_(std::move(path)), file_(file) {}
  std::string path_;
  OwnedFd file_;
};

// What rows say in sum.
struct Contents {
  std::uint64_t results = 0;
  std::unordered_map<Digest, std::uint64_t> blobs;  // and how many bytes they have
};

Result<Contents> contents_of(std::string_view rows) {
  Contents contents;
  bool agrees = true;
  TRY(each_row(rows, [&](const cache::StepCache::Row&, const cache::StepResult* result) {
    if (!result) return;
    ++contents.results;
    for (const cache::Change& change : result->changes) {
      if (change.what != cache::Change::What::file) continue;
      const auto known = contents.blobs.emplace(change.content, change.bytes).first;
      agrees = agrees && known->second == change.bytes;
    }
  }));
  if (!agrees) return fail(Fault::corrupt, "its results contradict each other");
  return contents;
}

// ---- export -----------------------------------------------------------------------------------------------------------

using Writer = std::unique_ptr<archive, int (*)(archive*)>;
using Entry = std::unique_ptr<archive_entry, void (*)(archive_entry*)>;

Result<bool> written(archive* tar, la_ssize_t result, const std::string& file) {
  if (result >= ARCHIVE_OK) return true;
  const char* const why = archive_error_string(tar);
  return fail(Fault::io, fmt::format("{}: cannot be written: {}", file, why ? why : "for no known reason"));
}

Result<bool> begin_entry(archive* tar, const std::string& name, std::uint64_t bytes, const std::string& file) {
  const Entry entry(archive_entry_new(), archive_entry_free);
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0600);
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes));
  return written(tar, archive_write_header(tar, entry.get()), file);
}

Result<bool> write_entry(archive* tar, const std::string& name, std::string_view bytes, const std::string& file) {
  TRY(begin_entry(tar, name, bytes.size(), file));
  return written(tar, archive_write_data(tar, bytes.data(), bytes.size()), file);
}

Result<std::string> text_of_file(int file) {
  struct stat status;
  if (::fstat(file, &status) != 0 || static_cast<std::uint64_t>(status.st_size) > row_file_bytes_max) return fail(Fault::invalid, "the index is too large for an archive");
  if (::lseek(file, 0, SEEK_SET) != 0) return fail(Fault::io, std::strerror(errno));
  return cache::read_all(file);
}

Result<std::array<std::uint64_t, 2>> key_in(std::string_view hex) {
  std::array<std::uint64_t, 2> key{};
  if (hex.size() != 32 || hex.find_first_not_of("0123456789abcdef") != hex.npos) return fail(Fault::corrupt, "its key is none");
  for (std::size_t at = 0; at < hex.size(); ++at) {
    const char c = hex[at];
    key[at / 16] = key[at / 16] << 4 | static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return key;
}

}  // namespace

Result<Carried> export_cache(const std::string& cache_directory, const std::string& given, bool compressed) {
  const bool to_output = given == "-";
  // What a symbolic link leads to is written, there or not, and not the link.
  constexpr int links_max = 40;
  std::string file = given;
  std::error_code error;
  for (int links = 0; !to_output && links < links_max && std::filesystem::is_symlink(file, error); ++links)
    file = (std::filesystem::path(file).parent_path() / std::filesystem::read_symlink(file, error)).string();
  if (::access(cache_directory.c_str(), F_OK) != 0) return fail(Fault::not_found, "there is no cache at " + cache_directory + " yet");
  TRY(cache::open_private_directory(cache_directory));
  const OwnFile row_file = TRY(OwnFile::make(cache_directory));
  const std::string key = TRY(ask_broker(RequestKind::hand_out, row_file.name()));
  const std::string rows = TRY(text_of_file(row_file.file()));
  const Contents contents = TRY(contents_of(rows));
  const BlobStore blobs = TRY(BlobStore::open(cache_directory + "/blobs"));
  Carried carried{.results = contents.results, .blobs = contents.blobs.size()};
  for (const auto& [digest, bytes] : contents.blobs) carried.bytes += bytes;

  // A pipe or a device stays what it is.
  struct stat status;
  const bool in_place = !to_output && ::stat(file.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
  std::string part = in_place ? file : file + ".XXXXXX";
  const OwnedFd output(to_output ? ::dup(1) : in_place ? ::open(part.c_str(), O_WRONLY | O_CLOEXEC) : ::mkostemp(part.data(), O_CLOEXEC));
  if (!output) return fail(Fault::io, fmt::format("{}: {}", to_output ? "standard output" : part, std::strerror(errno)));
  const auto write = [&]() -> Result<bool> {
    const Writer tar(archive_write_new(), archive_write_free);
    archive_write_set_format_pax_restricted(tar.get());
    if (compressed) TRY(written(tar.get(), archive_write_add_filter_zstd(tar.get()), file));
    TRY(written(tar.get(), archive_write_open_fd(tar.get(), output.get()), file));
    const ordered_json manifest{{"format", format}, {"record_version", cache::record_version}, {"fingerprint_key", key}, {"results", carried.results},
                                {"blobs", carried.blobs}, {"bytes", carried.bytes}, {"rows", cache::digest_of(rows).hex()}};
    TRY(write_entry(tar.get(), manifest_name, manifest.dump(2) + "\n", file));
    TRY(write_entry(tar.get(), rows_name, rows, file));
    std::vector<std::pair<Digest, std::uint64_t>> all(contents.blobs.begin(), contents.blobs.end());
    std::ranges::sort(all);
    for (const auto& [digest, bytes] : all) {
      TRY(begin_entry(tar.get(), blobs_name + digest.hex().insert(2, "/"), bytes, file));
      Result<bool> state = true;
      const auto looked = blobs.look_through(digest, [&](std::string_view piece) {
        state = written(tar.get(), archive_write_data(tar.get(), piece.data(), piece.size()), file);
        return state.has_value();
      });
      TRY(std::move(state));
      if (!looked) return fail(Fault::io, looked.error().message + "; `vestal cache verify` removes what is damaged, then export again");
      if (*looked != bytes) return fail(Fault::corrupt, digest.hex() + ": has another size than its results say");
    }
    return written(tar.get(), archive_write_close(tar.get()), file);
  };
  Result<bool> done = write();
  if (!to_output && !in_place) {
    if (done && ::rename(part.c_str(), file.c_str()) != 0) done = fail(Fault::io, fmt::format("{}: {}", file, std::strerror(errno)));
    if (!done) ::unlink(part.c_str());
  }
  if (!done) return tl::unexpected(done.error());
  return carried;
}

// ---- import -----------------------------------------------------------------------------------------------------------

namespace {

class Reader {
 public:
  static Result<Reader> open(const std::string& file) {
    Reader reader(file);
    archive_read_support_format_tar(reader.tar_.get());
    archive_read_support_filter_zstd(reader.tar_.get());
    const bool from_input = file == "-";
    reader.input_ = OwnedFd(from_input ? ::dup(0) : ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!reader.input_) return fail(Fault::io, fmt::format("{}: {}", reader.file_, std::strerror(errno)));
    if (archive_read_open_fd(reader.tar_.get(), reader.input_.get(), piece_bytes) != ARCHIVE_OK) return reader.broken();
    return reader;
  }

  // Its name; empty at the end. Whatever is no plain file is refused.
  Result<std::string> next() {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(tar_.get(), &entry);
    if (result == ARCHIVE_EOF) return std::string();
    if (result != ARCHIVE_OK) return broken();
    const char* const name = archive_entry_pathname(entry);
    if (!name || !*name) return wrong("has a file without a name");
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) || archive_entry_symlink(entry) || archive_entry_sparse_count(entry) > 0)
      return wrong(fmt::format("'{}' is no plain file, and none such belongs there", name));
    bytes_ = static_cast<std::uint64_t>(archive_entry_size(entry));
    return std::string(name);
  }
  std::uint64_t bytes() const { return bytes_; }  // of the one that next() has come to

  Result<bool> read(const std::function<Result<bool>(std::string_view)>& take) {
    const auto piece = std::make_unique_for_overwrite<char[]>(piece_bytes);
    for (std::uint64_t left = bytes_;;) {
      const la_ssize_t count = archive_read_data(tar_.get(), piece.get(), piece_bytes);
      if (count < 0) return broken();
      if (count == 0 && left == 0) return true;
      if (count == 0 || static_cast<std::uint64_t>(count) > left) return wrong("is cut off");
      left -= static_cast<std::uint64_t>(count);
      TRY(take({piece.get(), static_cast<std::size_t>(count)}));
    }
  }
  Result<std::string> text(std::uint64_t bytes_max) {
    if (bytes_ > bytes_max) return wrong("has a part that is too long");
    std::string text;
    TRY(read([&](std::string_view piece) -> Result<bool> { return text += piece, true; }));
    return text;
  }
  tl::unexpected<cache::Error> wrong(const std::string& what) const { return fail(Fault::invalid, file_ + ": " + what + "; nothing has been imported"); }

 private:
  explicit Reader(const std::string& file) : file_(file == "-" ? "standard input" : file), tar_(archive_read_new(), archive_read_free) {}
  tl::unexpected<cache::Error> broken() const {
    const char* const why = archive_error_string(tar_.get());
    return wrong(fmt::format("is cut off, or no archive of a cache ({})", why ? why : "for no known reason"));
  }

  std::string file_;
  OwnedFd input_;
  Writer tar_;
  std::uint64_t bytes_ = 0;
};

struct Manifest {
  std::array<std::uint64_t, 2> key{};
  std::string rows;
};

Result<Manifest> read_manifest(Reader& reader) {
  if (TRY(reader.next()) != manifest_name) return reader.wrong("is no archive of a cache, as `vestal cache export` writes it");
  const auto json = ordered_json::parse(TRY(reader.text(manifest_bytes_max)), nullptr, false);
  try {
    if (json.at("format").get<int>() != format || json.at("record_version").get<int>() != cache::record_version)
      return reader.wrong("was written by another version of vestal");
    auto key = key_in(json.at("fingerprint_key").get<std::string>());
    if (!key) return reader.wrong(key.error().message);
    return Manifest{*key, json.at("rows").get<std::string>()};
  } catch (const ordered_json::exception&) {
    return reader.wrong(std::string(manifest_name) + " in it makes no sense");
  }
}

// Removes what has been stored, unless it is kept.
class NewBlobs {
 public:
  explicit NewBlobs(BlobStore& blobs) : blobs_(blobs) {}
  NewBlobs(const NewBlobs&) = delete;
  ~NewBlobs() {
    for (const Digest& each : digests_) blobs_.remove(each);
  }
  void add(const Digest& digest) { digests_.push_back(digest); }
  std::uint64_t keep() { return std::exchange(digests_, {}).size(); }

 private:
  BlobStore& blobs_;
  std::vector<Digest> digests_;
};

std::string request_of(const Manifest& manifest, const std::string& name) {
  TakeRequest wanted{};
  std::ranges::copy(manifest.key, wanted.fingerprint_key);
  return std::string(reinterpret_cast<const char*>(&wanted), sizeof wanted) + name;
}

Result<bool> check_room(const std::string& directory, std::uint64_t bytes, const Reader& reader) {
  struct statvfs room {};
  if (::statvfs(directory.c_str(), &room) != 0) return true;
  const std::uint64_t free = room.f_bavail * room.f_frsize;
  if (bytes + room_left_min <= free) return true;
  return reader.wrong(fmt::format("needs {}, and {} has {} left", size_text(bytes), directory, size_text(free)));
}

}  // namespace

Result<Carried> import_cache(const std::string& cache_directory, const std::string& file) {
  Reader reader = TRY(Reader::open(file));
  const Manifest manifest = TRY(read_manifest(reader));
  if (TRY(reader.next()) != rows_name) return reader.wrong("has no rows");
  const std::string rows = TRY(reader.text(row_file_bytes_max));
  if (cache::digest_of(rows).hex() != manifest.rows) return reader.wrong("its rows are damaged");
  auto contents = contents_of(rows);
  if (!contents) return reader.wrong(contents.error().message);

  TRY(cache::open_private_directory(cache_directory));
  TRY(ask_broker(RequestKind::take_in, request_of(manifest, {})));
  BlobStore blobs = TRY(BlobStore::open(cache_directory + "/blobs"));
  Carried carried{.results = contents->results, .blobs = contents->blobs.size()};
  std::uint64_t wanted_bytes = rows.size();
  for (const auto& [digest, bytes] : contents->blobs) {
    carried.bytes += bytes;
    if (!blobs.has(digest)) wanted_bytes += bytes;
  }
  TRY(check_room(cache_directory, wanted_bytes, reader));
  NewBlobs added(blobs);
  std::unordered_set<Digest> seen;
  for (;;) {
    const std::string name = TRY(reader.next());
    if (name.empty()) break;
    // As it is written there and in no other way.
    const auto digest = name.size() == 71 && name.starts_with(blobs_name) && name[8] == '/' ? Digest::from_hex(name.substr(6, 2) + name.substr(9)) : std::nullopt;
    const auto wanted = digest ? contents->blobs.find(*digest) : contents->blobs.end();
    if (wanted == contents->blobs.end()) return reader.wrong(fmt::format("'{}' does not belong there", name));
    if (reader.bytes() != wanted->second || !seen.insert(*digest).second) return reader.wrong(fmt::format("'{}' is not what the rows say", name));
    const bool is_new = !blobs.has(*digest);
    const OwnFile copy = TRY(OwnFile::make(cache_directory));
    cache::Hasher hasher;
    TRY(reader.read([&](std::string_view piece) -> Result<bool> {
      hasher.add(piece);
      if (is_new && !cache::write_all(copy.file(), piece)) return fail(Fault::io, fmt::format("{}: {}", cache_directory, std::strerror(errno)));
      return true;
    }));
    if (hasher.finish() != *digest) return reader.wrong(fmt::format("'{}' is damaged", name));
    if (!is_new) continue;
    added.add(*digest);
    TRY(blobs.put_file(copy.file()));
  }
  if (seen.size() != contents->blobs.size()) return reader.wrong(fmt::format("is cut off: it has {} of {} stored files", seen.size(), contents->blobs.size()));

  const OwnFile row_file = TRY(OwnFile::make(cache_directory));
  if (!cache::write_all(row_file.file(), rows)) return fail(Fault::io, fmt::format("{}: {}", cache_directory, std::strerror(errno)));
  const auto answer = ordered_json::parse(TRY(ask_broker(RequestKind::take_in, request_of(manifest, row_file.name()))), nullptr, false);
  carried.new_blobs = added.keep();
  carried.new_results = answer.is_object() ? answer.value("results", std::uint64_t{0}) : 0;
  return carried;
}

}  // namespace broker
