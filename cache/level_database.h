// LevelDB, made small and private, as all that the cache room keeps in it uses it.
//
// Only for the sources of this room that say what their rows are.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/env.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cache/base/failpoint.h"
#include "cache/base/owned_fd.h"

namespace cache {

// A file of this name in the directory says that LevelDB found damage it cannot work around.
inline constexpr char damage_marker[] = "DAMAGED";

class UnmappedFile : public leveldb::RandomAccessFile {
 public:
  explicit UnmappedFile(int file) : file_(file) {}
  leveldb::Status Read(std::uint64_t offset, std::size_t bytes_max, leveldb::Slice* result,
                       char* scratch) const override {
    std::size_t done = 0;
    while (done < bytes_max) {
      const ssize_t count =
          ::pread(file_.get(), scratch + done, bytes_max - done, static_cast<off_t>(offset + done));
      if (count == 0) break;
      if (count > 0)
        done += static_cast<std::size_t>(count);
      else if (errno != EINTR)
        return leveldb::Status::IOError("pread", std::strerror(errno));
    }
    *result = leveldb::Slice(scratch, done);
    return leveldb::Status::OK();
  }

 private:
  OwnedFd file_;
};

// LevelDB maps its tables into memory, all that is open of them, and makes files that others may read. The
// broker's memory is bounded and the cache is private.
class SmallPrivateEnv : public leveldb::EnvWrapper {
 public:
  SmallPrivateEnv() : EnvWrapper(leveldb::Env::Default()) {}

  leveldb::Status NewRandomAccessFile(const std::string& name, leveldb::RandomAccessFile** result) override {
    *result = nullptr;
    const int file = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno == ENOENT) return leveldb::Status::NotFound(name, std::strerror(errno));
    if (file < 0) return leveldb::Status::IOError(name, std::strerror(errno));
    *result = new UnmappedFile(file);
    return leveldb::Status::OK();
  }
  leveldb::Status NewWritableFile(const std::string& name, leveldb::WritableFile** result) override {
    return made_private(name, EnvWrapper::NewWritableFile(name, result));
  }
  leveldb::Status NewAppendableFile(const std::string& name, leveldb::WritableFile** result) override {
    return made_private(name, EnvWrapper::NewAppendableFile(name, result));
  }
  leveldb::Status LockFile(const std::string& name, leveldb::FileLock** lock) override {
    return made_private(name, EnvWrapper::LockFile(name, lock));
  }

 private:
  static leveldb::Status made_private(const std::string& name, leveldb::Status status) {
    if (status.ok()) ::chmod(name.c_str(), 0600);
    return status;
  }
};

class NoLog : public leveldb::Logger {
 public:
  void Logv(const char*, std::va_list) override {}
};

// A LevelDB with all that has to outlive it, in this order.
struct Database {
  SmallPrivateEnv env;
  NoLog no_log;
  std::unique_ptr<leveldb::Cache> blocks{leveldb::NewLRUCache(1 << 20)};
  std::unique_ptr<const leveldb::FilterPolicy> filter{leveldb::NewBloomFilterPolicy(10)};
  std::unique_ptr<leveldb::DB> rows;
  std::string directory;

  leveldb::Status open(const std::string& at) {
    directory = at;
    leveldb::Options options;
    options.create_if_missing = true;
    options.env = &env;
    // LevelDB aborts on index blocks that make no sense, so their checksums are looked at too.
    options.paranoid_checks = true;
    options.info_log = &no_log;
    options.write_buffer_size = 1 << 20;
    options.block_cache = blocks.get();
    options.filter_policy = filter.get();
    options.max_open_files = 64;
    // Otherwise every opening rewrites log and manifest and waits three times for the disk, a user for it.
    options.reuse_logs = true;
    leveldb::DB* opened = nullptr;
    const leveldb::Status status = leveldb::DB::Open(options, at, &opened);
    rows.reset(opened);
    return status;
  }

  leveldb::Status get(const std::string& key, std::string* value) {
    if (FAILPOINT("index_get")) return leveldb::Status::IOError("index", std::strerror(errno));
    leveldb::ReadOptions options;
    options.verify_checksums = true;
    return rows->Get(options, key, value);
  }
  // Nothing, too, if the row cannot be read; it is removed if that is because it is damaged.
  std::optional<std::string> read(const std::string& key) {
    std::string value;
    const leveldb::Status status = get(key, &value);
    if (status.IsCorruption()) remove(key);
    if (!status.ok()) return std::nullopt;
    return value;
  }
  leveldb::Status write(leveldb::WriteBatch& batch) {
    if (FAILPOINT("index_put")) return leveldb::Status::IOError("index", std::strerror(errno));
    const leveldb::Status status = rows->Write(leveldb::WriteOptions(), &batch);
    // From now on LevelDB refuses every write, and will after each opening: better to begin anew.
    if (status.IsCorruption()) OwnedFd(::open(marker().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    return status;
  }
  void remove(const std::string& key) {
    leveldb::WriteBatch batch;
    batch.Delete(key);
    write(batch);
  }
  template <class Visit>  // visit(key without its first letter, value)
  void each(char letter, const Visit& visit) {
    leveldb::ReadOptions options;
    options.verify_checksums = true;
    options.fill_cache = false;
    const std::unique_ptr<leveldb::Iterator> row(rows->NewIterator(options));
    for (row->Seek({&letter, 1}); row->Valid() && row->key().starts_with({&letter, 1}); row->Next()) {
      visit(std::string_view(row->key().data() + 1, row->key().size() - 1),
            std::string_view(row->value().data(), row->value().size()));
    }
  }
  bool empty() {
    const std::unique_ptr<leveldb::Iterator> row(rows->NewIterator({}));
    row->SeekToFirst();
    return !row->Valid() && row->status().ok();
  }
  std::string marker() const { return directory + "/" + damage_marker; }
};

}  // namespace cache
