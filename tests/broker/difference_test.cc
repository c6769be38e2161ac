#include "broker/difference.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "broker/view.h"
#include "broker/wording.h"
#include "preload/protocol.h"

namespace {

using namespace broker;
using namespace cache;

std::uint64_t hash(const std::string& name) { return preload::entry_hash(name.data(), name.size(), 8); }

HashedNames hashed(const std::vector<std::string>& names) {
  HashedNames all;
  for (const std::string& name : names) all.emplace_back(name, hash(name));
  return all;
}

std::uint64_t sum(const std::vector<std::string>& names) {
  std::uint64_t all = 0;
  for (const std::string& name : names) all += hash(name);
  return all;
}

PathFacts file(std::uint64_t bytes, std::int64_t mtime_ns) {
  PathFacts facts = PathFacts::from_mode(S_IFREG | 0644);
  facts.bytes = bytes;
  facts.mtime_ns = mtime_ns;
  return facts;
}

std::string told(std::uint32_t aspects, const PathFacts& before, const PathFacts& now, const PathContents& contents_before = {}, const PathContents& contents_now = {}) {
  return difference_text({NeedKind::path, aspects, "/a"}, value_of(aspects, before, contents_before), value_of(aspects, now, contents_now));
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a difference is told by what explains it, not by all that differs") {
  const PathContents one{.bytes = digest_of("1"), .target = {}, .listing = {}, .attributes = {}};
  const PathContents two{.bytes = digest_of("2"), .target = {}, .listing = {}, .attributes = {}};
  const std::uint32_t all = aspect_type | aspect_size | aspect_times | aspect_bytes;
  CHECK(told(all, file(1, 1), file(2, 2), one, two) == "/a has other contents");
  CHECK(told(aspect_size | aspect_times, file(1, 1), file(2, 2)) == "/a has 2 bytes now, and had 1");
  CHECK(told(aspect_size | aspect_times, file(1, 1), file(1, 2)).starts_with("/a was changed at "));
  CHECK(told(aspect_type, {}, file(1, 1)) == "/a is there now, and was not");
  CHECK(told(all, file(1, 1), {}, one, {}) == "/a is gone");
  CHECK(told(aspect_type, file(1, 1), PathFacts::from_mode(S_IFDIR)) == "/a is a directory now, and was a regular file");
  CHECK(told(aspect_type, file(1, 1), PathFacts::from_error(EACCES)) == "/a cannot be looked at: Permission denied");
}

TEST_CASE("needs that are no paths are told by their names") {
  CHECK(difference_text({NeedKind::environment, 0, "CFLAGS"}, "x", "y") == "the variable CFLAGS has another value");
  CHECK(difference_text({NeedKind::environment, 0, "CFLAGS"}, "", "y") == "the variable CFLAGS is set now, and was not");
  CHECK(difference_text({NeedKind::environment, 0, "CFLAGS"}, "x", "") == "the variable CFLAGS is not set now, and was");
  CHECK(difference_text({NeedKind::descriptor, 0, "1"}, "null", "file or pipe") == "standard output is file or pipe now, and was null");
  CHECK(difference_text({NeedKind::descriptor, 0, "7"}, "closed", "open") == "descriptor 7 is open now, and was closed");
}

TEST_CASE("which names of a directory are new or gone follows from the sums") {
  const Names before = {"a", "b", "c", "d"};
  auto changes = [&](const Names& now, const Names& missing, const Names& recent) {
    return entry_changes(sum(before), sum(now), hashed(now), hashed(missing), hashed(recent));
  };
  CHECK(changes({"a", "b", "c", "d", "e"}, {}, {}).added == Names{"e"});
  CHECK(changes({"a", "b", "c", "d", "e", "f"}, {}, {}).added == Names{"e", "f"});
  CHECK(changes({"a", "b", "c"}, {"d"}, {}).removed == Names{"d"});
  const EntryChanges renamed = changes({"a", "b", "c", "e"}, {"d"}, {});
  CHECK(renamed.added == Names{"e"});
  CHECK(renamed.removed == Names{"d"});
  CHECK(changes({"a", "b", "c", "d", "e", "f", "g"}, {}, {"e", "f", "g"}).added == Names{"e", "f", "g"});
  CHECK(changes({"e", "f", "g"}, {"a", "b", "c", "d"}, {"e", "f", "g"}).removed == before);
  // What cannot be known is not made up.
  const EntryChanges unknown = changes({"a", "b"}, {}, {"b"});
  CHECK(unknown.added.empty());
  CHECK(unknown.removed.empty());
}

TEST_CASE("of many names a few are told") {
  CHECK(some_of({"a"}) == "a");
  CHECK(some_of({"a", "b", "c"}) == "a, b, c");
  CHECK(some_of({"a", "b", "c", "d", "e"}) == "a, b, c and 2 more");
  const NeedName need{NeedKind::path, aspect_listing, std::string("/d\0x/", 5)};
  const PathFacts directory = PathFacts::from_mode(S_IFDIR);
  const auto value = [&](std::uint64_t listing) { return value_of(aspect_listing, directory, {.bytes = {}, .target = {}, .listing = listing, .attributes = {}}); };
  CHECK(difference_text(need, value(1), value(2), {{"a", "b", "c", "d"}, {"z"}}) == "/d lists new: a, b, c and 1 more; lists no more: z");
  CHECK(difference_text(need, value(1), value(2)) == "/d lists other names than before");
}

TEST_CASE("another program and other contents explain more than another time") {
  const NeedName program{NeedKind::program, 0, "/p"}, times{NeedKind::path, aspect_times, "/a"}, bytes{NeedKind::path, aspect_bytes, "/a"};
  const int by_program = rank_of(program, "x", "y");
  const int by_times = rank_of(times, value_of(aspect_times, file(1, 1), {}), value_of(aspect_times, file(1, 2), {}));
  const auto contents = [](const char* text) { return value_of(aspect_bytes, file(1, 1), {.bytes = digest_of(text), .target = {}, .listing = {}, .attributes = {}}); };
  const int by_bytes = rank_of(bytes, contents("1"), contents("2"));
  CHECK(by_program < by_bytes);
  CHECK(by_bytes < by_times);
}

TEST_CASE("reasons are counted without the names of files in them") {
  CHECK(reason_class("reads the clock") == "reads the clock");
  CHECK(reason_class("/src/a.h: changed while in use") == "FILE: changed while in use");
  CHECK(reason_class("changes the owner of /src/a") == "changes the owner of FILE");
  CHECK(reason_class("reads /proc/12/stat") == "reads /proc/PID/stat");
  CHECK(reason_class("reads /proc/self/fd/1") == "reads /proc/self/fd/1");
  CHECK(reason_class("uses the device /dev/tty") == "uses the device /dev/tty");
}
