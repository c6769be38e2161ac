#include "broker/view.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <thread>

#include <catch2/catch.hpp>

#include "preload/protocol.h"
#include "tests/broker/images/scratch.h"

using namespace broker;
using namespace cache;

namespace {

constexpr std::uint32_t all_aspects = aspect_type | aspect_mode | aspect_size | aspect_links | aspect_times |
                                      aspect_bytes | aspect_target | aspect_listing;

// A view of the real file system, with a memo that lives only in memory.
struct Eyes {
  scratch::Directory directory;
  FileMemo memo{nullptr};
  BlobStore blobs = *BlobStore::open(directory.at("blobs"));
  View view{memo, blobs};

  std::string value(std::uint32_t aspects, const std::string& path) const {
    return view.value_today({NeedKind::path, aspects, path});
  }
};

PathFacts some_file() {
  PathFacts facts = PathFacts::from_mode(S_IFREG | 0644);
  facts.bytes = 120;
  facts.links = 1;
  facts.uid = 1000;
  facts.gid = 100;
  facts.mtime_ns = 1'714'557'600'000'000'005;
  return facts;
}

PathContents some_contents() { return {.bytes = digest_of("a"), .target = "there", .listing = 7, .attributes = 0}; }

void wait_until_settled() { std::this_thread::sleep_for(std::chrono::nanoseconds(2 * settle_ns)); }

// Other contents of the same size, put back to the same mtime.
void rewrite_unnoticed(const std::string& path, const std::string& text) {
  struct stat status;
  REQUIRE(::stat(path.c_str(), &status) == 0);
  std::ofstream(path, std::ios::binary) << text;
  const timespec times[2] = {status.st_atim, status.st_mtim};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
}

}  // namespace

TEST_CASE("equal facts have equal values, and each aspect asked for counts") {
  const PathFacts facts = some_file();
  const PathContents contents = some_contents();
  CHECK(value_of(all_aspects, facts, contents) == value_of(all_aspects, some_file(), some_contents()));

  auto differs = [&](std::uint32_t aspect, auto change) {
    PathFacts other = facts;
    PathContents other_contents = contents;
    change(other, other_contents);
    CHECK(value_of(aspect, facts, contents) != value_of(aspect, other, other_contents));
    CHECK(value_of(all_aspects & ~aspect, facts, contents) ==
          value_of(all_aspects & ~aspect, other, other_contents));
  };
  differs(aspect_mode, [](PathFacts& f, PathContents&) { f.mode = 0755; });
  differs(aspect_mode, [](PathFacts& f, PathContents&) { f.uid = 0; });
  differs(aspect_mode, [](PathFacts& f, PathContents&) { f.gid = 0; });
  differs(aspect_size, [](PathFacts& f, PathContents&) { f.bytes = 121; });
  differs(aspect_links, [](PathFacts& f, PathContents&) { f.links = 2; });
  differs(aspect_times, [](PathFacts& f, PathContents&) { ++f.mtime_ns; });
  differs(aspect_bytes, [](PathFacts&, PathContents& c) { c.bytes = digest_of("b"); });
}

TEST_CASE("what the type makes meaningless is not in the value") {
  PathFacts absent;
  CHECK(value_of(all_aspects, absent, {}) == std::string(1, '\0'));
  // Whoever asks is told the difference.
  const auto below_a_file = value_of(all_aspects, PathFacts::from_error(ENOTDIR), {});
  CHECK(below_a_file.size() == 5);
  CHECK(describe(all_aspects, below_a_file) == "absent: Not a directory");

  PathFacts directory = PathFacts::from_mode(S_IFDIR | 0755), grown = directory;
  grown.bytes = 4096;
  CHECK(value_of(all_aspects & ~std::uint32_t{aspect_times}, directory, some_contents()) == value_of(all_aspects & ~std::uint32_t{aspect_times}, grown, some_contents()));
  CHECK(value_of(all_aspects, directory, some_contents()) != value_of(all_aspects, grown, some_contents()));
  grown.bytes = 0;
  grown.mtime_ns = 1;
  CHECK(value_of(all_aspects, directory, some_contents()) != value_of(all_aspects, grown, some_contents()));

  const auto denied = value_of(all_aspects, PathFacts::from_error(EACCES), {});
  CHECK(denied != value_of(all_aspects, PathFacts::from_error(ELOOP), {}));
  CHECK(denied != value_of(all_aspects, absent, {}));
}

TEST_CASE("a symlink's size counts unless its target does") {
  PathFacts link = PathFacts::from_mode(S_IFLNK | 0777), other = link;
  link.bytes = 5;
  other.bytes = 6;
  CHECK(value_of(aspect_size, link, {}) != value_of(aspect_size, other, {}));
  const PathContents target{.bytes = {}, .target = "there", .listing = {}, .attributes = {}};
  CHECK(value_of(aspect_size | aspect_target, link, target) ==
        value_of(aspect_size | aspect_target, other, target));
  const PathContents elsewhere{.bytes = {}, .target = "where", .listing = {}, .attributes = {}};
  CHECK(value_of(aspect_target, link, target) != value_of(aspect_target, link, elsewhere));
}

TEST_CASE("a value whose contents are not known equals no other, not even itself") {
  const auto value = value_of(aspect_bytes, some_file(), {});
  CHECK(value != value_of(aspect_bytes, some_file(), {}));
  CHECK(describe(aspect_bytes, value) == "cannot be read");
}

TEST_CASE("replaceable alone tells an absent path and a regular file from all else") {
  const auto regular = value_of(aspect_replaceable, some_file(), {});
  CHECK(regular == value_of(aspect_replaceable, PathFacts{}, {}));
  for (const std::uint32_t type : {S_IFDIR, S_IFLNK, S_IFIFO, S_IFCHR})
    CHECK(regular != value_of(aspect_replaceable, PathFacts::from_mode(type), {}));
}

TEST_CASE("a value describes itself") {
  CHECK(describe(all_aspects, value_of(all_aspects, PathFacts{}, {})) == "absent");
  CHECK(describe(aspect_mode | aspect_size, value_of(aspect_mode | aspect_size, some_file(), {})) ==
        "regular file, mode 0644, owner 1000:100, 120 bytes");
  CHECK(describe(aspect_times, value_of(aspect_times, some_file(), {})) ==
        "regular file, modified 2024-05-01 10:00:00.000000005 UTC");
  PathFacts oldest = some_file();
  oldest.mtime_ns = std::numeric_limits<std::int64_t>::min();
  CHECK(describe(aspect_times, value_of(aspect_times, oldest, {})) == "regular file, modified 1677-09-21 00:12:43.145224192 UTC");
  CHECK(describe(aspect_bytes, value_of(aspect_bytes, some_file(), some_contents())) ==
        "regular file, sha256 ca978112ca1bbdca...");
  const PathFacts link = PathFacts::from_mode(S_IFLNK);
  CHECK(describe(aspect_target, value_of(aspect_target, link, some_contents())) == "symlink to there");
  CHECK(describe(aspect_type, value_of(aspect_type, PathFacts::from_error(EACCES), {})) ==
        "cannot be looked at: Permission denied");
}

TEST_CASE("a damaged value describes itself as unknown") {
  const auto value = value_of(all_aspects, some_file(), some_contents());
  for (std::size_t bytes = 0; bytes < value.size(); ++bytes)
    CHECK(describe(all_aspects, value.substr(0, bytes)) == "unknown");
  CHECK(describe(all_aspects, value + "x") == "unknown");
}

TEST_CASE("the value today of a file follows its contents, even if size and mtime stay the same") {
  Eyes eyes;
  const std::string path = eyes.directory.write("file", "before");
  const auto before = eyes.value(aspect_bytes | aspect_size | aspect_times, path);
  rewrite_unnoticed(path, "behind");
  CHECK(eyes.value(aspect_bytes | aspect_size | aspect_times, path) != before);
  CHECK(eyes.value(aspect_size | aspect_times, path).size() == 1 + 8 + 8);
  rewrite_unnoticed(path, "before");
  CHECK(eyes.value(aspect_bytes | aspect_size | aspect_times, path) == before);
}

TEST_CASE("the same goes for a file that the memo knows") {
  Eyes eyes;
  const std::string path = eyes.directory.write("file", "before");
  wait_until_settled();
  const auto before = eyes.value(aspect_bytes, path);
  REQUIRE(eyes.memo.look_up(eyes.view.look(path).identity()) == digest_of("before"));
  rewrite_unnoticed(path, "behind");
  CHECK(eyes.value(aspect_bytes, path) != before);
}

TEST_CASE("a file in the memo is not read again") {
  Eyes eyes;
  const std::string path = eyes.directory.write("file", "text");
  wait_until_settled();
  const auto facts = eyes.view.look(path);
  eyes.memo.remember(facts.identity(), digest_of("what the memo says"), facts.ctime_ns + 10 * settle_ns);
  CHECK(*eyes.view.bytes(path) == digest_of("what the memo says"));
}

TEST_CASE("what cannot be hashed says why") {
  Eyes eyes;
  CHECK(eyes.view.bytes(eyes.directory.at("gone")).error().fault == Fault::not_found);
  CHECK(eyes.view.bytes(eyes.directory.path()).error().fault == Fault::unsupported);
  REQUIRE(::mkfifo(eyes.directory.at("fifo").c_str(), 0600) == 0);
  CHECK(eyes.view.bytes(eyes.directory.at("fifo")).error().fault == Fault::unsupported);
  eyes.directory.write("file", "text");
  std::filesystem::create_symlink("file", eyes.directory.at("link"));
  CHECK(eyes.view.bytes(eyes.directory.at("link")).error().fault == Fault::unsupported);
}

TEST_CASE("files of every size have the digest of their bytes") {
  Eyes eyes;
  for (const std::size_t size : {0, 1, 4096, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 700'000}) {
    const std::string text(size, 'x');
    PathFacts facts;
    CHECK(*eyes.view.bytes(eyes.directory.write("file", text), &facts) == digest_of(text));
    CHECK(facts.bytes == size);
  }
}

TEST_CASE("keeping a file's bytes puts them into the blob store, also when its digest is known already") {
  Eyes eyes;
  const std::string path = eyes.directory.write("file", "text");
  wait_until_settled();
  const auto digest = eyes.view.bytes(path);
  REQUIRE_FALSE(eyes.blobs.has(*digest));
  CHECK(*eyes.view.keep_bytes(path) == *digest);
  CHECK(*eyes.blobs.read(*digest) == "text");
}

TEST_CASE("files of /proc are read anew each time, whatever their size says") {
  Eyes eyes;
  const auto digest = eyes.view.bytes("/proc/self/comm");
  REQUIRE(digest);
  CHECK(*digest == digest_of(scratch::read("/proc/self/comm")));
  CHECK(*eyes.view.keep_bytes("/proc/self/comm") == *digest);
  CHECK(eyes.blobs.has(*digest));
}

TEST_CASE("a listing is the sum of its entries' hashes, but for the names left out") {
  Eyes eyes;
  scratch::Directory listed;
  listed.write("file", "");
  listed.write("file2", "");
  std::filesystem::create_directory(listed.at("inner"));
  std::filesystem::create_symlink("file", listed.at("link"));
  auto hash = [](std::string_view name, unsigned type) {
    return preload::entry_hash(name.data(), name.size(), type);
  };
  const auto everything =
      hash("file", DT_REG) + hash("file2", DT_REG) + hash("inner", DT_DIR) + hash("link", DT_LNK);
  CHECK(*eyes.view.listing(listed.path()) == everything);
  CHECK(*eyes.view.listing(listed.path(), "file/link/") == hash("file2", DT_REG) + hash("inner", DT_DIR));
  CHECK(*eyes.view.listing(listed.path(), "nowhere/") == everything);
}

TEST_CASE("the value today of a listing changes with a new name, unless that is left out") {
  Eyes eyes;
  scratch::Directory listed;
  const std::string all = listed.path() + std::string(1, '\0'), but_new = all + "new/";
  const auto before = eyes.value(aspect_listing, all), before_but_new = eyes.value(aspect_listing, but_new);
  CHECK(before == before_but_new);
  listed.write("new", "");
  CHECK(eyes.value(aspect_listing, all) != before);
  CHECK(eyes.value(aspect_listing, but_new) == before);
}

TEST_CASE("the value today is what the same facts of a log would give") {
  Eyes eyes;
  const std::string path = eyes.directory.write("file", "text");
  std::filesystem::create_symlink("file", eyes.directory.at("link"));
  struct stat status;
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  CHECK(eyes.value(all_aspects & ~aspect_listing, path) ==
        value_of(all_aspects & ~aspect_listing, PathFacts::from(status), {digest_of("text"), {}, {}, {}}));
  CHECK(eyes.value(aspect_target, eyes.directory.at("link")) ==
        value_of(aspect_target, PathFacts::from_mode(S_IFLNK), {{}, "file", {}, {}}));
  CHECK(eyes.value(aspect_bytes, eyes.directory.at("gone")) ==
        value_of(aspect_bytes, PathFacts::from_error(ENOENT), {}));
}

TEST_CASE("a file that the caller wrote itself is not read again, but a rewritten one is") {
  Eyes eyes;
  const std::string path = eyes.directory.write("file", "before");
  auto remembered_as = [&](const std::string& text) {
    // The clock that stamps a touch is fine only after somebody has looked.
    struct stat status;
    REQUIRE(::stat(path.c_str(), &status) == 0);
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0);
    eyes.view.remember(path, digest_of(text), eyes.view.look(path));
  };
  // A digest that cannot come from reading shows whether the file was read.
  bool kept = false;
  for (int attempt = 0; !kept && attempt < 20; ++attempt) {
    remembered_as("as remembered");
    kept = *eyes.view.bytes(path) == digest_of("as remembered");
  }
  if (!kept)
    WARN("this kernel or file system has one time for all changes within a tick: nothing is remembered");
  rewrite_unnoticed(path, "behind");
  CHECK(*eyes.view.bytes(path) == digest_of("behind"));
}

TEST_CASE("a file whose last change may have come from the clock that only ticks is not remembered") {
  Eyes eyes;
  const std::string path = eyes.directory.write("file", "text");
  wait_until_settled();
  eyes.view.remember(path, digest_of("as remembered"), eyes.view.look(path));
  CHECK(*eyes.view.bytes(path) == digest_of("text"));
}

TEST_CASE("what was written under other facts than the file now has is not remembered") {
  Eyes eyes;
  const std::string path = eyes.directory.write("file", "before");
  for (int attempt = 0; attempt < 20; ++attempt) {
    const PathFacts written = eyes.view.look(path);
    eyes.directory.write("file", "behind");
    eyes.view.remember(path, digest_of("before"), written);
    CHECK(*eyes.view.bytes(path) == digest_of("behind"));
    eyes.directory.write("file", "before");
  }
}
