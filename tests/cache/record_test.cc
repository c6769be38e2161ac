#include "cache/record.h"

#include <algorithm>
#include <optional>
#include <random>

#include <catch2/catch.hpp>

#include "cache/sealed_bytes.h"

using namespace cache;

namespace {

NeedSet some_names() {
  NeedSet names;
  for (int number = 10; number < 40; ++number) {
    names.push_back(
        {NeedKind::path, aspect_type | aspect_bytes, "/src/include/part" + std::to_string(number) + ".h"});
  }
  names.push_back({NeedKind::environment, 0, "PATH"});
  names.push_back({NeedKind::environment_names, 0, ""});
  names.push_back({NeedKind::program, 0, std::string("/usr/bin/gcc\0/lib", 17)});
  names.push_back({NeedKind::descriptor, 3, "1"});
  names.push_back({NeedKind::inherited_file, 0, "0"});
  return names;
}

StepResult some_result() {
  StepResult result;
  using What = Change::What;
  result.changes.push_back({What::file, "/b/main.o", "", digest_of("object"), 6, 0644, true, true, true, -5, {}});
  result.changes.push_back({What::directory, "/b/d", "", {}, 0, 02755, false, true, false, 0, "/b/from"});
  result.changes.push_back({What::symlink, "/b/l", "main.o", {}, 0, 0, true, false, false, 0, {}});
  result.changes.push_back({What::hard_link, "/b/h", "/b/main.o", {}, 0, 0, true, false, false, 0, {}});
  result.changes.push_back({What::removed, "/b/old", "", {}, 0, 0, false, false, false, 0, {}});
  result.changes.push_back(
      {What::attributes, "/b/s", "", {}, 0, 0600, false, false, true, 1'700'000'000'000'000'001, {}});
  result.streams = {{2, "warning: unused\n"}, {1, std::string("\0\xff", 2)}, {2, ""}};
  result.positions = {{3, -1}, {4, std::int64_t{1} << 40}};
  result.status = 256;
  result.wall_ns = ~std::uint64_t{0};
  return result;
}

LastRun some_run() {
  return {.program = "/usr/bin/gcc",
          .arguments = {"gcc", "-c", "", "main.c"},
          .directory = "/src",
          .need_set = digest_of("set"),
          .values = {"1", "", std::string(33, '\xee')},
          .not_stored = "it read the clock",
          .when_ns = 1'700'000'000'000'000'000};
}

RecipeRun some_recipe() {
  RecipeRun run;
  run.target = "/b/main.o";
  run.directory = "/b";
  run.level = 2;
  run.command = digest_of("cc -c main.c");
  run.variables = digest_of("PATH");
  run.contexts = {digest_of("Makefile"), digest_of("Makefile FLAGS=-g")};
  run.listings = {{"/b", digest_of("main.c")}, {"/b/sub", Digest()}};
  run.names = some_names();
  run.values.resize(run.names.size(), "value");
  run.changes = some_result().changes;
  run.problem = "was not seen";
  run.when_ns = 1'700'000'000'000'000'000;
  return run;
}

// What decoding says of these bytes; nothing if it accepts them.
template <class Thing>
std::optional<Fault> refusal(Result<Thing> (*decode)(std::string_view), std::string_view bytes) {
  // Memory of its own, so that reading past the end does not go unnoticed by tools.
  const std::vector<char> copy(bytes.begin(), bytes.end());
  const auto thing = decode({copy.data(), copy.size()});
  if (thing) return std::nullopt;
  return thing.error().fault;
}

template <class Thing>
void check_every_damage(const std::string& good, Result<Thing> (*decode)(std::string_view)) {
  REQUIRE_FALSE(refusal(decode, good));
  std::size_t accepted = 0;
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
    const auto fault = refusal(decode, bytes);
    if (!fault) ++accepted;
    if (bit / 8 == 1)
      CHECK(fault == Fault::unsupported);  // the version
    else if (fault != Fault::corrupt)
      ++accepted;
  }
  CHECK(accepted == 0);
  for (std::size_t length = 0; length < good.size(); ++length) {
    if (refusal(decode, std::string_view(good).substr(0, length)) != Fault::corrupt) ++accepted;
  }
  for (const char* more : {"x", "\n", "12345678"}) {
    if (refusal(decode, good + more) != Fault::corrupt) ++accepted;
  }
  if (refusal(decode, good + good) != Fault::corrupt) ++accepted;
  CHECK(accepted == 0);
}

// The same bytes between head and seal, properly sealed.
std::string forged(char tag, std::string_view fields) {
  std::string bytes{tag, static_cast<char>(record_version)};
  bytes += fields;
  return bytes.append(digest_of(bytes).view().substr(0, 8));
}

template <class Thing>
void check_forgeries(const std::string& good, Result<Thing> (*decode)(std::string_view)) {
  const std::string_view fields = std::string_view(good).substr(2, good.size() - 10);
  REQUIRE(forged(good[0], fields) == good);
  std::size_t accepted = 0;
  for (std::size_t length = 0; length < fields.size(); ++length) {
    if (!refusal(decode, forged(good[0], fields.substr(0, length)))) ++accepted;
  }
  if (!refusal(decode, forged(good[0], std::string(fields) + '\0'))) ++accepted;
  CHECK(accepted == 0);
  // Whatever is accepted of other bytes is written again as it was.
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::string changed(fields);
    for (int flips = 1 + round % 3; flips > 0; --flips)
      changed[random() % changed.size()] = static_cast<char>(random());
    const std::string bytes = forged(good[0], changed);
    const auto thing = decode(bytes);
    if (thing && encode(*thing) != bytes) ++accepted;
  }
  CHECK(accepted == 0);
}

}  // namespace

TEST_CASE("need sets, results and runs come back as they were written") {
  CHECK(decode_need_set(encode(some_names())) == some_names());
  CHECK(decode_step_result(encode(some_result())) == some_result());
  CHECK(decode_last_run(encode(some_run())) == some_run());
  CHECK(decode_need_set(encode(NeedSet())) == NeedSet());
  CHECK(decode_step_result(encode(StepResult())) == StepResult());
  CHECK(decode_last_run(encode(LastRun())) == LastRun());
  CHECK(decode_recipe_run(encode(some_recipe())) == some_recipe());
  CHECK(decode_recipe_run(encode(RecipeRun())) == RecipeRun());
}

TEST_CASE("every flipped bit, every missing end and everything added is noticed") {
  check_every_damage(encode(some_names()), decode_need_set);
  check_every_damage(encode(some_result()), decode_step_result);
  check_every_damage(encode(some_run()), decode_last_run);
  check_every_damage(encode(some_recipe()), decode_recipe_run);
}

TEST_CASE("bytes with a true seal and impossible contents are refused without harm") {
  check_forgeries(encode(some_names()), decode_need_set);
  check_forgeries(encode(some_result()), decode_step_result);
  check_forgeries(encode(some_run()), decode_last_run);
  check_forgeries(encode(some_recipe()), decode_recipe_run);
}

TEST_CASE("one kind of encoding is not taken for another") {
  CHECK(refusal(decode_need_set, encode(StepResult())) == Fault::corrupt);
  CHECK(refusal(decode_step_result, encode(LastRun())) == Fault::corrupt);
  CHECK(refusal(decode_last_run, encode(NeedSet())) == Fault::corrupt);
  CHECK(refusal(decode_recipe_run, encode(LastRun())) == Fault::corrupt);
  const std::string no_names(4, '\0');
  CHECK_FALSE(refusal(decode_need_set, forged('n', no_names)));
  CHECK(refusal(decode_need_set, forged('r', no_names)) == Fault::corrupt);
}

TEST_CASE("a need set that is not sorted, repeats a name or shortens one in another way is refused") {
  struct Name {
    std::uint8_t shared;
    std::string_view rest;
  };
  const auto encoded = [](const std::vector<Name>& names) {
    SealedWriter writer('n');
    writer.count(names.size());
    for (const Name& name : names) {
      writer.number(std::uint8_t{1});
      writer.number(std::uint32_t{aspect_type});
      writer.number(name.shared);
      writer.text(name.rest);
    }
    return std::move(writer).seal();
  };
  CHECK_FALSE(refusal(decode_need_set, encoded({{0, "/a"}, {1, "b"}})));
  for (const std::vector<Name>& names :
       std::vector<std::vector<Name>>{{{0, "/b"}, {1, "a"}},  // not sorted
                                      {{0, "/a"}, {2, ""}},   // twice the same
                                      {{0, "/a"}, {0, "/b"}},
                                      {{0, "/a"}, {3, ""}},
                                      {{1, "a"}}}) {
    CHECK(refusal(decode_need_set, encoded(names)) == Fault::corrupt);
  }
}

TEST_CASE("names of any length, alike or not, come back") {
  NeedSet names;
  for (const std::size_t length : {0, 1, 254, 255, 256, 257, 4000}) {
    names.push_back({NeedKind::path, aspect_type, std::string(length, 'a')});
    names.push_back({NeedKind::path, aspect_type, std::string(length, 'a') + "b/c"});
  }
  std::sort(names.begin(), names.end());
  CHECK(decode_need_set(encode(names)) == names);
}

TEST_CASE("a count larger than the bytes could hold asks for no memory") {
  // 0xffffffff names would be 200 GB.
  CHECK(refusal(decode_need_set, forged('n', std::string(4, '\xff'))) == Fault::corrupt);
  CHECK(refusal(decode_step_result, forged('r', std::string(12, '\0') + std::string(4, '\xff'))) ==
        Fault::corrupt);
}

TEST_CASE("equal names and values have equal digests, others not") {
  CHECK(digest_of(some_names()) == digest_of(some_names()));
  NeedSet other = some_names();
  other.back().detail = 1;
  CHECK(digest_of(other) != digest_of(some_names()));
  CHECK(digest_of(NeedValues{"a", "b"}) == digest_of(NeedValues{"a", "b"}));
  CHECK(digest_of(NeedValues{"a", "b"}) != digest_of(NeedValues{"ab", ""}));
  CHECK(digest_of(NeedValues{"a"}) != digest_of(NeedValues{"a", ""}));
}
