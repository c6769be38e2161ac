#include "cache/blob_store.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/broker/images/scratch.h"
#include "tests/cache/child.h"

using namespace cache;
namespace fs = std::filesystem;

namespace {

BlobStore store_in(const std::string& directory) {
  auto store = BlobStore::open(directory);
  if (!store) FAIL(store.error().message);
  return *std::move(store);
}

std::vector<BlobStore::Kept> all_in(const BlobStore& store) {
  std::vector<BlobStore::Kept> all;
  store.each([&](const BlobStore::Kept& blob) { all.push_back(blob); });
  return all;
}
std::size_t blobs_in(const BlobStore& store) { return all_in(store).size(); }
std::uint64_t bytes_in(const BlobStore& store) {
  std::uint64_t bytes = 0;
  for (const auto& blob : all_in(store)) bytes += blob.bytes;
  return bytes;
}

std::string path_of(const std::string& directory, const Digest& digest) {
  return directory + "/" + digest.hex().insert(2, "/");
}

std::size_t files_below(const std::string& directory) {
  std::size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) files += entry.is_regular_file();
  return files;
}

mode_t mode_of(const std::string& path) {
  struct stat status {};
  ::lstat(path.c_str(), &status);
  return status.st_mode & 07777;
}

// Writes to a blob behind the store's back.
void overwrite(const std::string& path, const std::string& bytes) {
  fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string bytes_of_size(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t at = 0; at < size; ++at) bytes[at] = static_cast<char>(at * 2654435761u >> 24);
  return bytes;
}

}  // namespace

TEST_CASE("what is stored comes back, from memory and from files of every size") {
  scratch::Directory directory;
  const BlobStore store = store_in(directory.at("blobs"));
  for (const std::size_t size : {0, 1, 4096, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 3'000'000}) {
    INFO(size);
    const std::string bytes = bytes_of_size(size);
    const OwnedFd file(::open(directory.write("file", bytes).c_str(), O_RDONLY));
    ::lseek(file.get(), 0, SEEK_END);
    const auto stored = BlobStore(store_in(directory.at("blobs"))).put_file(file.get());
    REQUIRE(stored);
    CHECK(stored->digest == digest_of(bytes));
    CHECK(stored->bytes == size);
    CHECK(store.has(stored->digest));
    CHECK((store.read(stored->digest) == bytes));
    const OwnedFd copy(::open(directory.at("copy").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    CHECK(store.copy_to(stored->digest, copy.get()) == size);
    CHECK((scratch::read(directory.at("copy")) == bytes));
    CHECK(store_in(directory.at("other")).put(bytes)->digest == stored->digest);
  }
  CHECK(blobs_in(store) == 7);
  CHECK(files_below(directory.at("blobs")) == 7);
}

TEST_CASE("a file of unknown size is stored to its end") {
  scratch::Directory directory;
  BlobStore store = store_in(directory.path());
  const OwnedFd file(::open("/proc/self/maps", O_RDONLY));  // claims to be empty
  const auto stored = store.put_file(file.get());
  REQUIRE(stored);
  CHECK(stored->bytes > 0);
  CHECK(store.read(stored->digest)->size() == stored->bytes);
}

TEST_CASE("equal contents are stored once") {
  scratch::Directory directory, outside;
  BlobStore store = store_in(directory.path());
  for (const std::size_t size : {10, 1'000'000}) {
    const std::string bytes = bytes_of_size(size);
    const Digest digest = store.put(bytes)->digest;
    const auto inode = [&] {
      struct stat status {};
      ::stat(path_of(directory.path(), digest).c_str(), &status);
      return status.st_ino;
    };
    const ino_t before = inode();
    const OwnedFd file(::open(outside.write("file", bytes).c_str(), O_RDONLY));
    CHECK(store.put(bytes)->digest == digest);
    CHECK(store.put_file(file.get())->digest == digest);
    CHECK(inode() == before);
  }
  CHECK(files_below(directory.path()) == 2);
  CHECK(blobs_in(store) == 2);
  CHECK(bytes_in(store) == 1'000'010);
}

TEST_CASE("a blob that has long been unused says when it was used again, and keeps its other times") {
  scratch::Directory directory;
  BlobStore store = store_in(directory.path());
  const Digest digest = store.put("contents")->digest;
  const std::string path = path_of(directory.path(), digest);
  constexpr std::int64_t long_ago_ns = 1'000'000'000'000'000'000;
  const auto age = [&] {
    const timespec times[] = {{1'000'000'000, 0}, {1'000'000'001, 0}};
    ::utimensat(AT_FDCWD, path.c_str(), times, 0);
    REQUIRE(all_in(store).at(0).used_ns == long_ago_ns);
  };
  const auto is_fresh = [&] {
    struct stat status {};
    ::stat(path.c_str(), &status);
    CHECK(status.st_mtim.tv_sec == 1'000'000'001);
    return all_in(store).at(0).used_ns > long_ago_ns;
  };
  age();
  CHECK(store.has(digest));
  CHECK(is_fresh());
  age();
  CHECK(store.read(digest));
  CHECK(is_fresh());
  age();
  CHECK(store.put("contents"));
  CHECK(is_fresh());
  // Who only looks through what there is uses nothing.
  age();
  auto watching = BlobStore::open(directory.path(), BlobStore::Notes::none);
  REQUIRE(watching);
  CHECK(watching->has(digest));
  CHECK(watching->read(digest));
  CHECK(watching->put("contents"));
  CHECK_FALSE(is_fresh());
  // What is looked up between the look at all and the removal is in use too.
  age();
  const BlobStore::Kept old = all_in(store).at(0);
  CHECK(store.has(digest));
  CHECK_FALSE(store.remove_unused(old));
  CHECK(store.read(digest) == "contents");
  age();
  CHECK(store.remove_unused(old));
  CHECK_FALSE(store.has(digest));
  CHECK(files_below(directory.path()) == 0);
}

TEST_CASE("blobs are private and read-only") {
  scratch::Directory directory;
  const std::string root = directory.at("a/b/blobs");
  BlobStore store = store_in(root);
  const auto stored = store.put("contents");
  REQUIRE(stored);
  CHECK(mode_of(directory.at("a")) == 0700);
  CHECK(mode_of(root) == 0700);
  CHECK(mode_of(root + "/" + stored->digest.hex().substr(0, 2)) == 0700);
  CHECK(mode_of(path_of(root, stored->digest)) == 0400);
}

TEST_CASE("a flipped byte in a blob is noticed, and the blob removed") {
  scratch::Directory directory;
  BlobStore store = store_in(directory.at("blobs"));
  for (const std::size_t size : {10, 2'000'000}) {
    const std::string bytes = bytes_of_size(size);
    std::string flipped = bytes;
    flipped[size - 2] = static_cast<char>(flipped[size - 2] ^ 1);
    const Digest digest = store.put(bytes)->digest;
    const std::string path = path_of(directory.at("blobs"), digest);

    overwrite(path, flipped);
    const OwnedFd copy(::open(directory.at("copy").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    const auto copied = store.copy_to(digest, copy.get());
    REQUIRE_FALSE(copied);
    CHECK(copied.error().fault == Fault::corrupt);
    CHECK(copied.error().message.find(path) != std::string::npos);
    CHECK_FALSE(store.has(digest));

    REQUIRE(store.put(bytes));
    overwrite(path, flipped);
    const auto read = store.read(digest);
    REQUIRE_FALSE(read);
    CHECK(read.error().fault == Fault::corrupt);
    CHECK_FALSE(fs::exists(path));
  }
}

TEST_CASE("a blob cut short is noticed, and storing its contents again mends it") {
  scratch::Directory directory;
  BlobStore store = store_in(directory.path());
  const std::string bytes = bytes_of_size(300'000);
  const Digest digest = store.put(bytes)->digest;
  const std::string path = path_of(directory.path(), digest);
  for (const std::size_t left : {0, 1, 299'999}) {
    overwrite(path, bytes.substr(0, left));
    const OwnedFd nowhere(::open("/dev/null", O_WRONLY));
    CHECK(store.copy_to(digest, nowhere.get()).error().fault == Fault::corrupt);
    CHECK_FALSE(fs::exists(path));
    REQUIRE(store.put(bytes));
    overwrite(path, bytes.substr(0, left));
    REQUIRE(store.put(bytes));
    CHECK((store.read(digest) == bytes));
  }
}

TEST_CASE("a blob that is not there is not found") {
  scratch::Directory directory;
  const BlobStore store = store_in(directory.path());
  const Digest digest = digest_of("never stored");
  CHECK_FALSE(store.has(digest));
  CHECK(store.read(digest).error().fault == Fault::not_found);
  const OwnedFd nowhere(::open("/dev/null", O_WRONLY));
  CHECK(store.copy_to(digest, nowhere.get()).error().fault == Fault::not_found);
  store.remove(digest);
}

TEST_CASE("a blob larger than asked for is not read into memory") {
  scratch::Directory directory;
  BlobStore store = store_in(directory.path());
  const Digest digest = store.put("12345")->digest;
  CHECK(store.read(digest, 5) == "12345");
  CHECK(store.read(digest, 4).error().fault == Fault::invalid);
  CHECK(store.has(digest));
}

TEST_CASE("a full disk is an error and leaves nothing in the store") {
  scratch::Directory directory;
  const std::string large = directory.write("large", bytes_of_size(1'000'000));
  for (const bool from_file : {false, true}) {
    CHECK(child::holds([&] {
      BlobStore store = store_in(directory.at("blobs"));
      const OwnedFd file(::open(large.c_str(), O_RDONLY));
      const rlimit limit{300'000, 300'000};
      ::signal(SIGXFSZ, SIG_IGN);
      ::setrlimit(RLIMIT_FSIZE, &limit);
      const auto stored = from_file ? store.put_file(file.get()) : store.put(bytes_of_size(400'000));
      return !stored && stored.error().fault == Fault::io &&
             stored.error().message.find(directory.at("blobs")) != std::string::npos;
    }));
    CHECK(files_below(directory.at("blobs")) == 0);
  }
}

TEST_CASE("a full disk under the copy is an error and leaves the blob") {
  scratch::Directory directory;
  BlobStore store = store_in(directory.path());
  const Digest digest = store.put("contents")->digest;
  const OwnedFd full(::open("/dev/full", O_WRONLY));
  const auto copied = store.copy_to(digest, full.get());
  REQUIRE_FALSE(copied);
  CHECK(copied.error().fault == Fault::io);
  CHECK(copied.error().message.find("/dev/full") != std::string::npos);
  CHECK(store.read(digest) == "contents");
}

TEST_CASE("a directory that cannot be written is an error that names it") {
  scratch::Directory directory;
  const std::string root = directory.at("blobs");
  fs::create_directory(root);
  child::give_to_ordinary_user(directory.path().c_str());
  child::give_to_ordinary_user(root.c_str());
  ::chmod(root.c_str(), 0500);
  CHECK(child::holds_for_ordinary_user([&] {
    auto store = BlobStore::open(root);
    if (!store) return false;
    const auto stored = store->put("contents");
    const auto below = BlobStore::open(root + "/more");
    return !stored && stored.error().fault == Fault::io && stored.error().message.find(root) == 0 && !below &&
           below.error().fault == Fault::io && below.error().message.find(root + "/more") == 0;
  }));
  ::chmod(root.c_str(), 0700);
}

TEST_CASE("a directory that others could change is refused") {
  scratch::Directory directory;
  const auto refusal = [](const std::string& path) {
    const auto store = BlobStore::open(path);
    REQUIRE_FALSE(store);
    CHECK(store.error().fault == Fault::io);
    CHECK(store.error().message.find(path) == 0);
    return store.error().message;
  };
  fs::create_directory(directory.at("real"));
  fs::create_directory_symlink("real", directory.at("link"));
  CHECK(refusal(directory.at("link")).find("symlink") != std::string::npos);
  CHECK_FALSE(BlobStore::open(directory.at("link/")));
  CHECK(BlobStore::open(directory.at("link/below")));

  for (const mode_t mode : {0770, 0707, 0702, 01777}) {
    ::chmod(directory.at("real").c_str(), mode);
    CHECK(refusal(directory.at("real")).find("chmod go-w") != std::string::npos);
  }
  ::chmod(directory.at("real").c_str(), 0755);
  CHECK(BlobStore::open(directory.at("real")));

  // Root gives its directory away; anybody else finds one of root's.
  child::give_to_ordinary_user(directory.at("real").c_str());
  CHECK(refusal(::geteuid() == 0 ? directory.at("real") : "/usr").find("another user") != std::string::npos);

  directory.write("file", "");
  refusal(directory.at("file"));
  refusal(directory.at("file/below"));
}

TEST_CASE("many threads may store and read the same contents at once") {
  scratch::Directory directory;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&] {
      auto store = BlobStore::open(directory.path());
      for (int round = 0; store && round < 50; ++round) {
        const std::string bytes = "contents " + std::to_string(round);
        const auto stored = store->put(bytes);
        if (!stored || store->read(stored->digest) != bytes) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(files_below(directory.path()) == 50);
}
