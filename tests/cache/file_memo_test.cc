#include "cache/file_memo.h"

#include <array>

#include <catch2/catch.hpp>

#include "cache/step_cache.h"
#include "tests/broker/images/scratch.h"

using namespace cache;

namespace {

constexpr std::int64_t now_ns = 1'700'000'000'000'000'000;
constexpr std::int64_t long_ago_ns = now_ns - 3'600'000'000'000;

FileIdentity file_of(std::int64_t mtime_ns, std::int64_t ctime_ns) { return {1, 2, 3, mtime_ns, ctime_ns}; }
const FileIdentity settled = file_of(long_ago_ns, long_ago_ns);
const Digest digest = digest_of("contents");

}  // namespace

TEST_CASE("a file that has not changed keeps its digest") {
  FileMemo memo(nullptr);
  CHECK_FALSE(memo.look_up(settled));
  memo.remember(settled, digest, now_ns);
  CHECK(memo.look_up(settled) == digest);
}

TEST_CASE("a file that differs in anything is another file") {
  FileMemo memo(nullptr);
  memo.remember(settled, digest, now_ns);
  for (int field = 0; field < 5; ++field) {
    FileIdentity other = settled;
    if (field < 3)
      ++*std::array{&other.device, &other.inode, &other.bytes}[field];
    else
      ++*std::array{&other.mtime_ns, &other.ctime_ns}[field - 3];
    CHECK_FALSE(memo.look_up(other));
  }
  FileIdentity rewritten = settled;
  rewritten.ctime_ns += 1;
  memo.remember(rewritten, digest_of("other contents"), now_ns);
  CHECK(memo.look_up(rewritten) == digest_of("other contents"));
  CHECK_FALSE(memo.look_up(settled));
}

TEST_CASE("a file keeps its digest on a device that has another number next time") {
  constexpr std::uint64_t lasting = 7;
  scratch::Directory directory;
  const auto cache = StepCache::open(directory.at("index"), nullptr);
  REQUIRE(cache);
  FileIdentity file = settled;
  file.device = 101;
  FileMemo(cache->get(), 101, lasting).remember(file, digest, now_ns);
  file.device = 102;
  CHECK_FALSE(FileMemo(cache->get()).look_up(file));
  FileMemo later(cache->get(), 102, lasting);
  CHECK(later.look_up(file) == digest);
  later.forget(file.device, file.inode);
  CHECK_FALSE(later.look_up(file));
}

TEST_CASE("a file hashed within a clock tick of its last change is not believed") {
  FileMemo memo(nullptr);
  for (const std::int64_t racy_ns : {now_ns - settle_ns, now_ns - 1, now_ns, now_ns + 3'600'000'000'000}) {
    memo.remember(file_of(racy_ns, long_ago_ns), digest, now_ns);
    CHECK_FALSE(memo.look_up(file_of(racy_ns, long_ago_ns)));
    memo.remember(file_of(long_ago_ns, racy_ns), digest, now_ns);
    CHECK_FALSE(memo.look_up(file_of(long_ago_ns, racy_ns)));
  }
  const std::int64_t just_settled_ns = now_ns - settle_ns - 1;
  memo.remember(file_of(just_settled_ns, just_settled_ns), digest, now_ns);
  CHECK(memo.look_up(file_of(just_settled_ns, just_settled_ns)) == digest);
}

TEST_CASE("memos outlive the process, but racy ones are in no row either") {
  scratch::Directory directory;
  const FileIdentity racy{7, 8, 9, now_ns, now_ns};
  {
    const auto cache = StepCache::open(directory.at("index"), nullptr);
    REQUIRE(cache);
    FileMemo memo(cache->get());
    memo.remember(settled, digest, now_ns);
    memo.remember(racy, digest, now_ns);
  }
  const auto cache = StepCache::open(directory.at("index"), nullptr);
  REQUIRE(cache);
  FileMemo memo(cache->get());
  CHECK(memo.look_up(settled) == digest);
  CHECK(memo.look_up(settled) == digest);
  CHECK_FALSE(memo.look_up(racy));
  FileIdentity other = settled;
  ++other.bytes;
  CHECK_FALSE(FileMemo(cache->get()).look_up(other));
}

TEST_CASE("more files than are kept in memory are still known to the cache") {
  scratch::Directory directory;
  const auto cache = StepCache::open(directory.at("index"), nullptr);
  REQUIRE(cache);
  FileMemo memo(cache->get());
  const auto numbered = [](std::uint64_t inode) {
    return FileIdentity{1, inode, 3, long_ago_ns, long_ago_ns};
  };
  for (std::uint64_t inode = 0; inode < 20'000; ++inode) memo.remember(numbered(inode), digest, now_ns);
  std::size_t known = 0;
  for (std::uint64_t inode = 0; inode < 20'000; ++inode) known += memo.look_up(numbered(inode)) == digest;
  CHECK(known == 20'000);
}

TEST_CASE("the identity of a file is what stat tells, in nanoseconds") {
  struct stat status {};
  status.st_dev = 1;
  status.st_ino = 2;
  status.st_size = 3;
  status.st_mtim = {-1, 999'999'999};
  status.st_ctim = {4, 5};
  CHECK(FileIdentity::of(status) == FileIdentity{1, 2, 3, -1, 4'000'000'005});
}
