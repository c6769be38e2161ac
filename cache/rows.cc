#include "cache/rows.h"

#include <cstdlib>
#include <filesystem>

#include "cache/level_database.h"
#include "cache/private_directory.h"

namespace cache {

struct DiskRows::State {
  Database database;
};

namespace {

std::uint64_t bytes_in(const std::string& directory) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code unknown;
    const std::uintmax_t size = entry->file_size(unknown);
    if (!unknown) bytes += size;
  }
  return bytes;
}

}  // namespace

DiskRows::DiskRows(std::unique_ptr<State> state) : state_(std::move(state)) {}
DiskRows::~DiskRows() = default;

Result<std::unique_ptr<DiskRows>> DiskRows::open(const std::string& directory, std::uint64_t bytes_max) {
  TRY(open_private_directory(directory));
  bool begins_anew = bytes_in(directory) > bytes_max;
  for (int attempt = 0;; ++attempt) {
    auto state = std::make_unique<State>();
    leveldb::Status status;
    if (begins_anew) {
      // Takes the lock as an opening does.
      leveldb::Options options;
      options.env = &state->database.env;
      options.info_log = &state->database.no_log;
      status = leveldb::DestroyDB(directory, options);
      if (!status.ok()) return fail(Fault::io, directory + ": " + status.ToString());
      ::unlink((directory + "/" + damage_marker).c_str());
      TRY(open_private_directory(directory));
    }
    status = state->database.open(directory);
    const bool is_damaged =
        status.IsCorruption() || status.IsInvalidArgument() ||
        (status.ok() && ::access(state->database.marker().c_str(), F_OK) == 0);
    if (status.ok() && !is_damaged) return std::unique_ptr<DiskRows>(new DiskRows(std::move(state)));
    if (!is_damaged || attempt > 0) return fail(Fault::io, directory + ": " + status.ToString());
    begins_anew = true;
  }
}

std::optional<std::string> DiskRows::get(std::string_view key) {
  return state_->database.read(std::string(key));
}

void DiskRows::put(std::string_view key, std::string_view row) {
  leveldb::WriteBatch batch;
  batch.Put({key.data(), key.size()}, {row.data(), row.size()});
  state_->database.write(batch);
}

}  // namespace cache
