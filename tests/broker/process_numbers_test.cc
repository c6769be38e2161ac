#include "broker/process_numbers.h"

#include <catch2/catch.hpp>

#include "tests/broker/images/scratch.h"

using namespace broker;
using cache::Change;

TEST_CASE("a number is mentioned if it stands between anything but digits") {
  const ProcessNumbers numbers{4711, 12};
  for (const char* text : {"4711", "x4711", "4711\n", "a.4711.b", "0004711", "7 12", "-12", "47114 4711"}) {
    INFO(text);
    CHECK(mentions_number(text, numbers));
  }
  for (const char* text : {"", "471", "47110", "14711", "4 711", "1.2", "99999999999999999999994711", "one"}) {
    INFO(text);
    CHECK_FALSE(mentions_number(text, numbers));
  }
  CHECK_FALSE(mentions_number("0", {}));
}

TEST_CASE("a result shows a number by what was written and by the names of what was made") {
  const scratch::Directory scratch;
  auto store = cache::BlobStore::open(scratch.at("blobs"));
  REQUIRE(store);
  const auto shows = [&](Change change, std::vector<cache::StreamPiece> streams = {}) {
    cache::StepResult result;
    result.changes.push_back(std::move(change));
    result.streams = std::move(streams);
    return shows_number(result, {4711}, *store);
  };
  const auto change_of = [](Change::What what, std::string path, std::string text = {}) {
    Change change;
    change.what = what;
    change.path = std::move(path);
    change.text = std::move(text);
    return change;
  };
  const auto file = [&](std::string path, std::string_view bytes) {
    Change change = change_of(Change::What::file, std::move(path));
    const auto stored = store->put(bytes);
    REQUIRE(stored);
    change.content = stored->digest;
    return change;
  };
  CHECK(shows(file("/d/f", "it is 4711")));
  CHECK_FALSE(shows(file("/d/f", "it is 4712")));
  CHECK(shows(file("/d/f.4711", "")));
  CHECK(shows(change_of(Change::What::directory, "/d4711")));
  CHECK(shows(change_of(Change::What::symlink, "/d/l", "to 4711")));
  CHECK(shows(change_of(Change::What::removed, "/d/f"), {{1, "4711\n"}}));
  CHECK(shows(change_of(Change::What::removed, "/d/f"), {{1, "47"}, {2, "."}, {1, "11"}}));
  CHECK_FALSE(shows(change_of(Change::What::removed, "/d/f"), {{1, "47"}, {2, "11"}, {1, "\n"}}));
  // Of directories that were there before, and of what is gone, it tells nothing.
  CHECK_FALSE(shows(file("/4711/f", "")));
  CHECK_FALSE(shows(change_of(Change::What::removed, "/d/f.4711")));
  // Contents that are not there.
  CHECK(shows(change_of(Change::What::file, "/d/f")));
}
