#include "cache/step_cache.h"

#include <leveldb/db.h>
#include <leveldb/write_batch.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "cache/sealed_bytes.h"
#include "tests/broker/images/scratch.h"
#include "tests/cache/child.h"

using namespace cache;
namespace fs = std::filesystem;

namespace {

const Digest step = digest_of("gcc -c main.c");

std::unique_ptr<StepCache> open_in(const std::string& directory, std::string* message = nullptr) {
  auto cache = StepCache::open(directory, message);
  if (!cache) FAIL(cache.error().message);
  return *std::move(cache);
}

NeedSet names_of(const std::vector<std::string>& paths) {
  NeedSet names;
  for (const std::string& path : paths) names.push_back({NeedKind::path, aspect_bytes, path});
  return names;
}

StepResult result_saying(const std::string& text) {
  StepResult result;
  result.streams = {{1, text}};
  return result;
}

LastRun run_saying(const std::string& program) {
  LastRun run;
  run.program = program;
  return run;
}

void store(StepCache& cache, const Digest& step_key, const NeedSet& names, const NeedValues& values,
           const std::string& text) {
  const auto stored = cache.store(step_key, 5, names, values, result_saying(text), run_saying(text));
  if (!stored) FAIL(stored.error().message);
}

// What the cache answers for a world with these values, as a judge asks.
std::string replayed(StepCache& cache, const Digest& step_key,
                     const std::map<std::string, std::string>& world) {
  for (const Digest& set : cache.need_sets(step_key)) {
    const auto names = cache.need_set(set);
    if (!names) continue;
    NeedValues values;
    for (const NeedName& name : *names)
      values.push_back(world.count(name.text) ? world.at(name.text) : "absent");
    if (const auto result = cache.result(step_key, set, digest_of(values)))
      return result->streams.at(0).bytes;
  }
  return "miss";
}

// Changes rows of a closed cache behind its back.
void change_rows(const std::string& directory, const std::function<void(leveldb::DB&)>& change) {
  leveldb::DB* opened = nullptr;
  const auto status = leveldb::DB::Open({}, directory, &opened);
  if (!status.ok()) FAIL(status.ToString());
  const std::unique_ptr<leveldb::DB> rows(opened);
  change(*rows);
}

std::vector<std::string> files_with(const std::string& directory, const std::string& part) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().filename().string().find(part) != std::string::npos) files.push_back(entry.path());
  }
  return files;
}

}  // namespace

TEST_CASE("a path knows the recipes that made or changed it, in order, from the last one that made it anew") {
  scratch::Directory directory;
  auto cache = open_in(directory.at("index"));
  const auto ran = [&](const char* name, const char* path, bool anew, const char* target = "") {
    RecipeRun run;
    run.target = target;
    run.directory = name;
    run.changes.resize(1);
    run.changes[0].path = path;
    run.changes[0].fresh = anew;
    REQUIRE(cache->store_recipe(digest_of(std::string(name)), run));
  };
  const auto made_by = [&](std::initializer_list<const char*> names) {
    std::vector<Digest> digests;
    for (const char* name : names) digests.push_back(digest_of(std::string(name)));
    return cache->recipes_of("/f") == digests;
  };
  ran("cc", "/f", true);
  ran("strip", "/f", false);
  CHECK(made_by({"cc", "strip"}));
  ran("strip", "/f", false);
  CHECK(made_by({"cc", "strip"}));
  // What followed has to follow again.
  ran("cc", "/f", false);
  CHECK(made_by({"cc"}));
  CHECK_FALSE(cache->recipe(digest_of(std::string("strip"))));
  ran("ld", "/f", true);
  CHECK(made_by({"ld"}));
  CHECK_FALSE(cache->recipe(digest_of(std::string("cc"))));
  CHECK(cache->recipe(digest_of(std::string("ld")))->directory == "ld");
  std::vector<std::string> paths;
  cache->each_path_of_recipes([&](std::string_view path) { paths.emplace_back(path); });
  CHECK(paths == std::vector<std::string>{"/f"});
}

TEST_CASE("what was stored of a step is found again, also by the next process") {
  scratch::Directory directory;
  const NeedSet names = names_of({"/src/a.h", "/src/main.c"});
  const Digest set = digest_of(names);
  StepResult result = result_saying("out");
  result.changes.resize(3);
  result.changes[0].path = "/src/main.o";
  result.changes[1].path = "/src/gone";
  result.changes[1].what = Change::What::removed;
  result.changes[2].path = "/src/link";
  result.changes[2].what = Change::What::symlink;
  auto cache = open_in(directory.at("index"));
  CHECK(cache->need_sets(step).empty());
  REQUIRE(cache->store(step, 77, names, {"1", "2"}, result, run_saying("gcc")));
  for (int reopened = 0; reopened < 2; ++reopened) {
    CHECK(cache->need_sets(step) == std::vector{set});
    CHECK(cache->need_set(set) == names);
    CHECK(cache->need_set(set) == names);
    CHECK(cache->result(step, set, digest_of(NeedValues{"1", "2"})) == result);
    CHECK_FALSE(cache->result(step, set, digest_of(NeedValues{"1", "3"})));
    CHECK_FALSE(cache->result(digest_of("other"), set, digest_of(NeedValues{"1", "2"})));
    CHECK(cache->makers_of("/src/main.o") == std::vector{step});
    CHECK(cache->makers_of("/src/link") == std::vector{step});
    CHECK(cache->makers_of("/src/gone").empty());
    const auto run = cache->last_run(step);
    REQUIRE(run);
    CHECK(run->program == "gcc");
    CHECK(run->need_set == set);
    CHECK(run->values == NeedValues{"1", "2"});
    std::set<std::uint64_t> short_keys;
    cache->each_short_key([&](std::uint64_t short_key) { short_keys.insert(short_key); });
    CHECK(short_keys == std::set<std::uint64_t>{77});
    int runs = 0;
    cache->each_last_run([&](const Digest& step_key, const LastRun& found) {
      CHECK(step_key == step);
      CHECK(found == *run);
      ++runs;
    });
    CHECK(runs == 1);
    cache.reset();
    cache = open_in(directory.at("index"));
  }
}

TEST_CASE("thirty versions of one input are all found, whatever the order") {
  scratch::Directory directory;
  auto cache = open_in(directory.at("index"));
  for (int version = 0; version < 30; ++version) {
    store(*cache, step, names_of({"/src/main.c"}), {std::to_string(version)},
          "made of " + std::to_string(version));
  }
  cache.reset();
  cache = open_in(directory.at("index"));
  for (int version = 29; version >= 0; --version) {
    CHECK(replayed(*cache, step, {{"/src/main.c", std::to_string(version)}}) ==
          "made of " + std::to_string(version));
  }
  CHECK(replayed(*cache, step, {{"/src/main.c", "30"}}) == "miss");
  CHECK(cache->need_sets(step).size() == 1);
}

TEST_CASE("a step keeps its newest need sets, each once, the last stored in front") {
  scratch::Directory directory;
  const auto cache = open_in(directory.at("index"));
  const auto set_of = [](std::size_t number) { return names_of({"/src/" + std::to_string(number)}); };
  const std::size_t more = StepCache::need_sets_max + 3;
  for (std::size_t number = 0; number < more; ++number) store(*cache, step, set_of(number), {"1"}, "x");
  std::vector<Digest> expected;
  for (std::size_t number = more; number-- > 3;) expected.push_back(digest_of(set_of(number)));
  CHECK(cache->need_sets(step) == expected);

  store(*cache, step, set_of(5), {"2"}, "x");
  const auto found = std::find(expected.begin(), expected.end(), digest_of(set_of(5)));
  std::rotate(expected.begin(), found, found + 1);
  CHECK(cache->need_sets(step) == expected);
  store(*cache, step, set_of(0), {"3"}, "again");
  CHECK(cache->need_sets(step).size() == StepCache::need_sets_max);
  CHECK(cache->need_sets(step).front() == digest_of(set_of(0)));
  CHECK(replayed(*cache, step, {{"/src/0", "3"}}) == "again");
}

TEST_CASE("a file remembers the last eight steps that made it") {
  scratch::Directory directory;
  const auto cache = open_in(directory.at("index"));
  StepResult result;
  result.changes.resize(1);
  result.changes[0].path = "/out";
  std::vector<Digest> expected;
  for (const char* name : {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "5"}) {
    REQUIRE(cache->store(digest_of(name), 1, {}, {}, result, {}));
  }
  for (const char* name : {"5", "9", "8", "7", "6", "4", "3", "2"}) expected.push_back(digest_of(name));
  CHECK(cache->makers_of("/out") == expected);
}

TEST_CASE("a run that was not stored is noted, with its names, and is no result") {
  scratch::Directory directory;
  auto cache = open_in(directory.at("index"));
  LastRun run = run_saying("date");
  run.values = {"1"};
  run.not_stored = "it read the clock";
  cache->note_run(step, names_of({"/etc/localtime"}), run);
  cache.reset();
  cache = open_in(directory.at("index"));
  const auto noted = cache->last_run(step);
  REQUIRE(noted);
  CHECK(noted->not_stored == "it read the clock");
  CHECK(noted->values == NeedValues{"1"});
  CHECK(cache->need_set(noted->need_set) == names_of({"/etc/localtime"}));
  CHECK(cache->need_sets(step).empty());
  CHECK(replayed(*cache, step, {{"/etc/localtime", "1"}}) == "miss");
}

TEST_CASE("a forgotten result is a miss, and the others stay") {
  scratch::Directory directory;
  const auto cache = open_in(directory.at("index"));
  const NeedSet names = names_of({"/a"});
  store(*cache, step, names, {"1"}, "one");
  store(*cache, step, names, {"2"}, "two");
  cache->forget_result(step, digest_of(names), digest_of(NeedValues{"1"}));
  CHECK(replayed(*cache, step, {{"/a", "1"}}) == "miss");
  CHECK(replayed(*cache, step, {{"/a", "2"}}) == "two");
}

TEST_CASE("of a step whose results are dropped nothing is left, and other steps keep theirs") {
  scratch::Directory directory;
  const Digest other = digest_of("ld main.o"), third = digest_of("ar");
  {
    const auto cache = open_in(directory.at("index"));
    store(*cache, step, names_of({"/a", "/b"}), {"1", "2"}, "old");
    store(*cache, step, names_of({"/a", "/b"}), {"3", "2"}, "older");
    store(*cache, other, names_of({"/a", "/c"}), {"1", "2"}, "old");
    store(*cache, other, names_of({"/a"}), {"1"}, "new");
    store(*cache, third, names_of({"/d"}), {"1"}, "new");
    const auto is_old = [](const StepResult& result) { return result.streams.at(0).bytes.starts_with("old"); };
    CHECK(cache->drop_results(is_old) == 3);
    CHECK(replayed(*cache, step, {{"/a", "1"}, {"/b", "2"}}) == "miss");
    CHECK_FALSE(cache->last_run(step));
    CHECK(cache->need_sets(step).empty());
    CHECK_FALSE(cache->need_set(digest_of(names_of({"/a", "/b"}))));
    CHECK(replayed(*cache, other, {{"/a", "1"}, {"/c", "2"}}) == "new");
    CHECK(cache->last_run(other));
    CHECK(cache->drop_results(is_old) == 0);
    // A need set that was dropped is stored again with the next result.
    store(*cache, step, names_of({"/a", "/b"}), {"1", "2"}, "again");
  }
  const auto cache = open_in(directory.at("index"));
  CHECK(replayed(*cache, step, {{"/a", "1"}, {"/b", "2"}}) == "again");
  CHECK(replayed(*cache, other, {{"/a", "1"}}) == "new");
  CHECK(replayed(*cache, third, {{"/d", "1"}}) == "new");
}

TEST_CASE("a row with a flipped bit is absent, is removed, and can be stored again") {
  scratch::Directory directory;
  const NeedSet names = names_of({"/a"});
  std::map<char, std::string> damaged;
  {
    const auto cache = open_in(directory.at("index"));
    store(*cache, step, names, {"1"}, "one");
    cache->set_program_row("gcc", "its libraries");
    FileMemo(cache.get()).remember({1, 2, 3, 4, 5}, step, 1'000'000'000);
  }
  change_rows(directory.at("index"), [&](leveldb::DB& rows) {
    const std::unique_ptr<leveldb::Iterator> row(rows.NewIterator({}));
    for (row->SeekToFirst(); row->Valid(); row->Next()) {
      const std::string key = row->key().ToString();
      std::string value = row->value().ToString();
      if (std::string("nrlpm").find(key[0]) == std::string::npos) continue;
      value[value.size() / 2] = static_cast<char>(value[value.size() / 2] ^ 4);
      damaged[key[0]] = key;
      rows.Put({}, key, value);
    }
  });
  REQUIRE(damaged.size() == 5);
  {
    const auto cache = open_in(directory.at("index"));
    CHECK_FALSE(cache->need_set(digest_of(names)));
    CHECK_FALSE(cache->result(step, digest_of(names), digest_of(NeedValues{"1"})));
    CHECK_FALSE(cache->last_run(step));
    CHECK_FALSE(cache->program_row("gcc"));
    CHECK_FALSE(FileMemo(cache.get()).look_up({1, 2, 3, 4, 5}));
  }
  change_rows(directory.at("index"), [&](leveldb::DB& rows) {
    std::string value;
    for (const auto& [letter, key] : damaged) CHECK(rows.Get({}, key, &value).IsNotFound());
  });
  const auto cache = open_in(directory.at("index"));
  store(*cache, step, names, {"1"}, "again");
  CHECK(replayed(*cache, step, {{"/a", "1"}}) == "again");
}

TEST_CASE("a damaged need set is mended by storing the step again, and its other results are found too") {
  scratch::Directory directory;
  const NeedSet names = names_of({"/a"});
  store(*open_in(directory.at("index")), step, names, {"1"}, "one");
  change_rows(directory.at("index"), [&](leveldb::DB& rows) {
    rows.Put({}, "n" + std::string(digest_of(names).view()), "nonsense");
  });
  store(*open_in(directory.at("index")), step, names, {"2"}, "two");
  const auto cache = open_in(directory.at("index"));
  CHECK(replayed(*cache, step, {{"/a", "1"}}) == "one");
  CHECK(replayed(*cache, step, {{"/a", "2"}}) == "two");
}

TEST_CASE("a cache of another version is moved aside, and a new one begun") {
  scratch::Directory directory;
  const std::string index = directory.at("index");
  for (const bool other_record_version : {false, true}) {
    store(*open_in(index), step, names_of({"/a"}), {"1"}, "old");
    change_rows(index, [&](leveldb::DB& rows) {
      SealedWriter writer('v');
      writer.number(std::uint32_t{other_record_version ? 1u : 999u});
      writer.number(std::uint64_t{1});
      writer.number(std::uint64_t{2});
      std::string row = std::move(writer).seal();
      if (other_record_version) ++row[1];
      rows.Put({}, "v", row);
    });
    std::string message;
    const auto cache = open_in(index, &message);
    CHECK(message.find(index) == 0);
    CHECK(message.find("another version") != std::string::npos);
    const std::string aside = index + (other_record_version ? ".aside-2" : ".aside-1");
    CHECK(message.find(aside) != std::string::npos);
    CHECK(fs::exists(aside + "/CURRENT"));
    CHECK(replayed(*cache, step, {{"/a", "1"}}) == "miss");
  }
  std::string message = "left over";
  open_in(index, &message);
  CHECK(message.empty());
}

TEST_CASE("a damaged cache is moved aside, and a new one begun") {
  const auto write = [](const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  };
  const std::vector<std::function<void(const std::string&)>> damages = {
      [&](const std::string& index) { write(index + "/CURRENT", "garbage"); },
      [&](const std::string& index) { write(index + "/CURRENT", "MANIFEST-999999\n"); },
      [&](const std::string& index) { write(index + "/CURRENT", ""); },
      [&](const std::string& index) { write(files_with(index, "MANIFEST").at(0), std::string(500, 'x')); },
      [&](const std::string& index) { write(files_with(index, "MANIFEST").at(0), ""); },
      [&](const std::string& index) { fs::remove(files_with(index, ".ldb").at(0)); },
      [&](const std::string& index) { write(files_with(index, ".ldb").at(0), std::string(5000, 'x')); },
      [&](const std::string& index) { write(files_with(index, ".ldb").at(0), ""); },
      [&](const std::string& index) { change_rows(index, [](leveldb::DB& rows) { rows.Delete({}, "v"); }); },
      [&](const std::string& index) {
        change_rows(index, [](leveldb::DB& rows) { rows.Put({}, "v", "1"); });
      },
      [&](const std::string& index) { write(index + "/DAMAGED", ""); },
  };
  for (std::size_t number = 0; number < damages.size(); ++number) {
    INFO(number);
    scratch::Directory directory;
    const std::string index = directory.at("index");
    store(*open_in(index), step, names_of({"/a"}), {"1"}, "old");
    change_rows(index, [](leveldb::DB&) {});  // moves them from the log into a table
    damages[number](index);
    std::string message;
    {
      const auto cache = open_in(index, &message);
      CHECK(message.find(index + ".aside-1") != std::string::npos);
      CHECK(fs::exists(index + ".aside-1"));
      CHECK(replayed(*cache, step, {{"/a", "1"}}) == "miss");
      store(*cache, step, names_of({"/a"}), {"1"}, "new");
    }
    CHECK(replayed(*open_in(index, &message), step, {{"/a", "1"}}) == "new");
    CHECK(message.empty());
  }
}

namespace {

// Enough to fill several tables.
constexpr int many = 2000;
Digest numbered_step(int number) { return digest_of(std::to_string(number)); }
std::string numbered_text(int number) {
  std::string text = std::to_string(number) + ' ';
  for (int at = 0; at < 2000; ++at) text += static_cast<char>('a' + (at * number >> 5) % 26);
  return text + numbered_step(number).hex();
}

bool store_many(StepCache& cache) {
  for (int number = 0; number < many; ++number) {
    const StepResult result = result_saying(numbered_text(number));
    if (!cache.store(numbered_step(number), 1, names_of({"/a"}), {"1"}, result, {})) return false;
  }
  return true;
}

// How many are found; none must be another than was stored.
int count_right(StepCache& cache) {
  int right = 0, wrong = 0;
  for (int number = 0; number < many; ++number) {
    const std::string text = replayed(cache, numbered_step(number), {{"/a", "1"}});
    if (text == numbered_text(number))
      ++right;
    else if (text != "miss")
      ++wrong;
  }
  CHECK(wrong == 0);
  return right;
}

}  // namespace

TEST_CASE("tables damaged in their middle lose some rows and change none") {
  scratch::Directory directory;
  const std::string index = directory.at("index");
  CHECK(store_many(*open_in(index)));
  CHECK(count_right(*open_in(index)) == many);
  for (const std::string& table : files_with(index, ".ldb")) {
    std::string bytes = scratch::read(table);
    // Not in the index at its end.
    for (std::size_t at = 1000; at + 40'000 < bytes.size(); at += 50'000)
      bytes[at] = static_cast<char>(bytes[at] ^ 1);
    std::ofstream(table, std::ios::binary) << bytes;
  }
  const auto cache = open_in(index);
  const int right = count_right(*cache);
  CHECK(right < many);
  CHECK(right > many / 4);
  CHECK(count_right(*cache) == right);
}

TEST_CASE("tables whose index is damaged lose their rows and nothing else") {
  scratch::Directory directory;
  const std::string index = directory.at("index");
  CHECK(store_many(*open_in(index)));
  for (const std::string& table : files_with(index, ".ldb")) {
    std::string bytes = scratch::read(table);
    for (std::size_t back = 60; back < 10'000 && back < bytes.size(); back += 7)
      bytes[bytes.size() - back] = static_cast<char>(bytes[bytes.size() - back] ^ 0x55);
    std::ofstream(table, std::ios::binary) << bytes;
  }
  CHECK(count_right(*open_in(index)) < many);
}

TEST_CASE("damage that keeps LevelDB from writing is got rid of when the cache is opened next") {
  scratch::Directory directory;
  const std::string index = directory.at("index");
  CHECK(store_many(*open_in(index)));
  // The version is read when a cache is opened; put it where the damage is not.
  change_rows(index, [](leveldb::DB& rows) {
    std::string version;
    rows.Get({}, "v", &version);
    rows.Put({}, "v", version);
  });
  for (const std::string& table : files_with(index, ".ldb")) {
    fs::resize_file(table, fs::file_size(table) - 1);
  }
  std::string message;
  {
    const auto cache = open_in(index, &message);
    CHECK(message.empty());
    for (int round = 0; round < 10 && store_many(*cache); ++round) {
    }
    CHECK_FALSE(cache->store(step, 1, {}, {}, {}, {}));
    count_right(*cache);
  }
  const auto cache = open_in(index, &message);
  CHECK(message.find(index + ".aside-1") != std::string::npos);
  CHECK(store_many(*cache));
  CHECK(count_right(*cache) == many);
}

TEST_CASE("a log that was cut short by a crash loses the last steps only, and new ones can be stored") {
  scratch::Directory directory;
  const std::string index = directory.at("index");
  {
    const auto cache = open_in(index);
    for (int number = 0; number < 20; ++number) {
      store(*cache, numbered_step(number), names_of({"/a"}), {"1"}, numbered_text(number));
    }
  }
  const std::string log = files_with(index, ".log").at(0);
  int before = 20;
  for (std::uintmax_t length = fs::file_size(log); length > 20'000; length -= 1'234) {
    fs::resize_file(log, length);
    std::string message;
    const auto cache = open_in(index, &message);
    CHECK(message.empty());
    int found = 0;
    while (replayed(*cache, numbered_step(found), {{"/a", "1"}}) == numbered_text(found)) ++found;
    CHECK(count_right(*cache) == found);
    CHECK(found <= before);
    before = found;
  }
  CHECK(before < 10);
  CHECK(before > 0);
  store(*open_in(index), step, names_of({"/a"}), {"1"}, "lost, or not");
  const auto cache = open_in(index);
  store(*cache, step, names_of({"/b"}), {"1"}, "new");
  CHECK(replayed(*cache, step, {{"/b", "1"}}) == "new");
  CHECK(count_right(*cache) == before);
}

TEST_CASE("one process at a time has the cache, and another gets an error that names it") {
  scratch::Directory directory;
  const auto cache = open_in(directory.at("index"));
  store(*cache, step, names_of({"/a"}), {"1"}, "one");
  std::string message;
  const auto second = StepCache::open(directory.at("index"), &message);
  REQUIRE_FALSE(second);
  CHECK(second.error().fault == Fault::io);
  CHECK(second.error().message.find(directory.at("index")) == 0);
  CHECK(child::holds([&] {
    const auto third = StepCache::open(directory.at("index"), nullptr);
    return !third && third.error().fault == Fault::io;
  }));
  CHECK(replayed(*cache, step, {{"/a", "1"}}) == "one");
}

TEST_CASE("when many processes find a damaged cache at once, one moves it aside and has the new one") {
  for (int round = 0; round < 10; ++round) {
    scratch::Directory directory;
    const std::string index = directory.at("index");
    open_in(index);
    std::ofstream(index + "/CURRENT") << "garbage";
    int outcomes[2], end[2];
    REQUIRE(::pipe(outcomes) == 0);
    REQUIRE(::pipe(end) == 0);
    constexpr int processes = 6;
    for (int process = 0; process < processes; ++process) {
      if (::fork() != 0) continue;
      ::close(end[1]);
      const auto cache = StepCache::open(index, nullptr);
      char outcome = cache ? 'y' : cache.error().fault == Fault::io ? 'n' : '?';
      if (::write(outcomes[1], &outcome, 1) != 1) ::_exit(1);
      // Who has the cache keeps it until all have tried.
      ::_exit(static_cast<int>(::read(end[0], &outcome, 1)));
    }
    std::string all(processes, ' ');
    for (char& outcome : all) REQUIRE(::read(outcomes[0], &outcome, 1) == 1);
    for (const int file : {outcomes[0], outcomes[1], end[0], end[1]}) ::close(file);
    for (int process = 0; process < processes; ++process) ::wait(nullptr);
    std::sort(all.begin(), all.end());
    CHECK(all == "nnnnny");
    CHECK(files_with(directory.path(), "aside").size() == 1);
  }
}

TEST_CASE("a cache directory that is a symlink or that others may write is refused") {
  scratch::Directory directory;
  fs::create_directory(directory.at("real"));
  fs::create_directory_symlink("real", directory.at("link"));
  for (const char* spelled : {"link", "link/"}) {
    const auto through_link = StepCache::open(directory.at(spelled), nullptr);
    REQUIRE_FALSE(through_link);
    CHECK(through_link.error().fault == Fault::io);
    CHECK(through_link.error().message.find(directory.at("link")) == 0);
  }
  ::chmod(directory.at("real").c_str(), 0777);
  CHECK(StepCache::open(directory.at("real"), nullptr).error().fault == Fault::io);
  CHECK(fs::is_empty(directory.at("real")));
}

TEST_CASE("a cache that cannot be written is an error, not damage") {
  scratch::Directory directory;
  const std::string index = directory.at("index");
  fs::create_directory(index);
  child::give_to_ordinary_user(directory.path().c_str());
  child::give_to_ordinary_user(index.c_str());
  ::chmod(index.c_str(), 0500);
  CHECK(child::holds_for_ordinary_user([&] {
    const auto cache = StepCache::open(index, nullptr);
    const auto below = StepCache::open(index + "/below", nullptr);
    return !cache && cache.error().fault == Fault::io && cache.error().message.find(index) == 0 && !below &&
           below.error().fault == Fault::io;
  }));
  CHECK(files_with(directory.path(), "aside").empty());
  ::chmod(index.c_str(), 0700);
}

TEST_CASE("of a step that the full disk has no room for, nothing is known") {
  scratch::Directory directory;
  CHECK(child::holds([&] {
    auto opened = StepCache::open(directory.at("index"), nullptr);
    if (!opened) return false;
    StepCache& cache = **opened;
    const rlimit limit{200'000, 200'000};
    ::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const NeedSet names = names_of({"/a"});
    const auto stored =
        cache.store(step, 9, names, {"1"}, result_saying(std::string(500'000, 'x')), run_saying("gcc"));
    bool short_key_known = false;
    cache.each_short_key([&](std::uint64_t) { short_key_known = true; });
    return !stored && stored.error().fault == Fault::io && cache.need_sets(step).empty() &&
           !cache.need_set(digest_of(names)) && !cache.last_run(step) && !short_key_known;
  }));
  const auto cache = open_in(directory.at("index"));
  CHECK(cache->need_sets(step).empty());
  store(*cache, step, names_of({"/a"}), {"1"}, "now");
  CHECK(replayed(*cache, step, {{"/a", "1"}}) == "now");
}

TEST_CASE("the fingerprint key stays with the cache, and no two caches share one") {
  scratch::Directory directory;
  const auto key = open_in(directory.at("index"))->fingerprint_key();
  CHECK(open_in(directory.at("index"))->fingerprint_key() == key);
  CHECK(open_in(directory.at("other"))->fingerprint_key() != key);
  CHECK(key[0] != key[1]);
}

TEST_CASE("counters survive reopening until they are cleared") {
  scratch::Directory directory;
  using Counters = std::map<std::string, std::int64_t>;
  {
    const auto cache = open_in(directory.at("index"));
    CHECK(cache->counters().empty());
    cache->add_to_counter("hits", 2);
    cache->add_to_counter("hits", 3);
    cache->add_to_counter("not cacheable: reads the clock", 1);
    cache->add_to_counter("saved ns", -7);
  }
  const Counters expected{{"hits", 5}, {"not cacheable: reads the clock", 1}, {"saved ns", -7}};
  {
    const auto cache = open_in(directory.at("index"));
    CHECK(cache->counters() == expected);
    cache->add_to_counter("hits", 1);
    CHECK(cache->counters().at("hits") == 6);
    cache->clear_counters();
    CHECK(cache->counters().empty());
    cache->add_to_counter("hits", 1);
  }
  CHECK(open_in(directory.at("index"))->counters() == Counters{{"hits", 1}});
}

TEST_CASE("what the broker finds out about programs is kept as it was given") {
  scratch::Directory directory;
  const std::string value("libc.so.6\0libm.so.6", 19);
  {
    const auto cache = open_in(directory.at("index"));
    CHECK_FALSE(cache->program_row("gcc"));
    cache->set_program_row("gcc", "old");
    cache->set_program_row("gcc", value);
    cache->set_program_row(std::string_view("\0", 1), "");
  }
  const auto cache = open_in(directory.at("index"));
  CHECK(cache->program_row("gcc") == value);
  CHECK(cache->program_row(std::string_view("\0", 1)) == "");
  CHECK_FALSE(cache->program_row("gc"));
}

TEST_CASE("nobody else can read the cache") {
  scratch::Directory directory;
  store(*open_in(directory.at("index")), step, names_of({"/a"}), {"1"}, "one");
  open_in(directory.at("index"));
  struct stat status {};
  ::stat(directory.at("index").c_str(), &status);
  CHECK((status.st_mode & 07777) == 0700);
  for (const std::string& file : files_with(directory.at("index"), "")) {
    INFO(file);
    ::stat(file.c_str(), &status);
    CHECK((status.st_mode & 07777) == 0600);
  }
}

TEST_CASE("many threads may use one cache") {
  scratch::Directory directory;
  const auto cache = open_in(directory.at("index"));
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < 100; ++round) {
        const NeedSet names = names_of({"/" + std::to_string(round % 3)});
        const std::string text = std::to_string(1000 * thread + round);
        if (!cache->store(step, 1, names, {text}, result_saying(text), {})) ++wrong;
        const auto result = cache->result(step, digest_of(names), digest_of(NeedValues{text}));
        if (!result || *result != result_saying(text)) ++wrong;
        if (cache->need_set(digest_of(names)) != names) ++wrong;
        cache->add_to_counter("rounds", 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(cache->need_sets(step).size() == 3);
  CHECK(cache->counters().at("rounds") == 800);
}
