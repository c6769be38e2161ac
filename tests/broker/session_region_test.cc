#include "broker/session_region.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>

#include "tests/broker/images/scratch.h"
#include "tests/broker/shim_play.h"

namespace {

using namespace broker;
using namespace shim_play;
using Clock = std::chrono::steady_clock;

std::unique_ptr<SessionRegion> new_region() {
  SessionRegion::Setup setup;
  setup.shim_path = "/lib/shim.so";
  setup.top_pid = ::getpid();
  auto region = SessionRegion::create(setup);
  REQUIRE(region);
  return std::move(*region);
}

// An event as it is remembered after the reader has gone on.
struct Seen {
  Event event;
  std::string payload, text, text2;
};

std::vector<Seen> pass(SessionRegion& region) {
  std::vector<Seen> all;
  region.begin_pass();
  Event event;
  while (region.next_event(event)) {
    all.push_back({event, std::string(event.payload), std::string(event.text), std::string(event.text2)});
  }
  region.end_pass();
  return all;
}

Record look(const std::string& path, std::int32_t pid = 1) { return {.kind = kind_look, .pid = pid, .text = path}; }

std::string exec_text(const std::vector<std::string>& strings, const std::vector<std::string>& variables) {
  std::string text;
  for (const std::string& string : strings) text += string + '\0';
  for (const std::string& name : variables) text += bytes_of(std::uint64_t{7}) + name + '\0';
  return text;
}

Record exec(ExecPayload payload, const std::string& text) {
  return {.kind = kind_exec, .result = 0, .payload = bytes_of(payload), .text = text};
}

ExecPayload counting(std::uint32_t arguments, std::uint32_t variables, std::uint32_t flags = 0) {
  ExecPayload payload{};
  payload.argument_count = arguments;
  payload.variable_count = variables;
  payload.flags = flags;
  return payload;
}

Plan plan(std::uint64_t key, std::uint64_t inode = 0, std::uint32_t flags = 0) {
  Plan plan{};
  plan.key = key;
  plan.inode = inode;
  plan.flags = flags;
  return plan;
}

double seconds_of(const std::function<void()>& act) {
  const auto start = Clock::now();
  act();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

TEST_CASE("a new region belongs to its owner alone, says who made it, and is gone with its maker") {
  std::string path;
  {
    const auto region = new_region();
    path = "/dev/shm/" + region->name();
    struct stat status;
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0600);
    CHECK(status.st_size == static_cast<off_t>(region_bytes));
    CHECK(status.st_blocks * 512 < 1 << 20);
    Shim shim(region->name());
    CHECK(shim.header().magic == region_magic);
    CHECK(shim.header().version == protocol_version);
    CHECK(shim.header().broker_pid == ::getpid());
    CHECK(shim.header().state == region_live);
    CHECK(std::string(shim.text(shim.header().shim_path)) == "/lib/shim.so");
    CHECK(std::string(shim.text(shim.header().libc_image_path)).empty());
    CHECK(std::string(shim.text(shim.header().region_name)) == region->name());
    CHECK(new_region()->name() != region->name());
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("who still has a region mapped sees that it is gone") {
  auto region = new_region();
  Shim shim(region->name());
  region.reset();
  CHECK(shim.header().state == region_gone);
}

TEST_CASE("a region whose broker was killed is removed by the next one, a living one is not") {
  const auto region = new_region();
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  Process killed([&] {
    const auto lost = new_region();
    [[maybe_unused]] const auto written = ::write(ends[1], lost->name().c_str(), lost->name().size());
    ::raise(SIGKILL);
  });
  killed.wait();
  char name[256] = {};
  REQUIRE(::read(ends[0], name, sizeof name - 1) > 0);
  ::close(ends[0]);
  ::close(ends[1]);
  REQUIRE(std::filesystem::exists(std::string("/dev/shm/") + name));
  remove_stale_regions();
  CHECK_FALSE(std::filesystem::exists(std::string("/dev/shm/") + name));
  CHECK(std::filesystem::exists("/dev/shm/" + region->name()));
}

TEST_CASE("records come in the order of their positions with all that was logged") {
  const auto region = new_region();
  Shim shim(region->name());
  CHECK(pass(*region).empty());
  StatPayload stat{};
  stat.size = 42;
  const auto first = shim.log({.kind = kind_look, .pid = 7, .result = 0, .payload = bytes_of(stat), .text = "/a"});
  const auto second = shim.log({.kind = kind_rename, .pid = 8, .result = 0, .arg = 3, .text = "/from", .text2 = "/to"});
  const auto seen = pass(*region);
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].event.position == first);
  CHECK(seen[0].event.kind == kind_look);
  CHECK(seen[0].event.pid == 7);
  CHECK(seen[0].event.slot == -1);
  CHECK_FALSE(seen[0].event.malformed);
  CHECK(seen[0].payload == bytes_of(stat));
  CHECK(seen[0].text == "/a");
  CHECK(seen[1].event.position == second);
  CHECK(seen[1].event.arg == 3);
  CHECK(seen[1].text == "/from");
  CHECK(seen[1].text2 == "/to");
  CHECK(shim.header().tail == shim.header().head);
}

TEST_CASE("a pass ends with what was logged before it began, and publishes the epoch before its own") {
  const auto region = new_region();
  Shim shim(region->name());
  const std::uint32_t noted = shim.header().epoch;
  CHECK(noted > shim.header().hashed_epoch);
  shim.log(look("/a"));
  region->begin_pass();
  const auto late = shim.log(look("/b"));
  CHECK(region->pass_position() <= late);
  Event event;
  CHECK(region->next_event(event));
  CHECK_FALSE(region->next_event(event));
  CHECK(shim.header().hashed_epoch < noted);
  const std::uint32_t noted_late = shim.header().epoch;
  region->end_pass();
  CHECK(shim.header().hashed_epoch >= noted);
  CHECK(shim.header().hashed_epoch < noted_late);
  REQUIRE(pass(*region).size() == 1);
  CHECK(shim.header().hashed_epoch >= noted_late);
}

TEST_CASE("records that go over the end of the ring are read whole, round after round") {
  const auto region = new_region();
  Shim shim(region->name());
  std::uint64_t number = 0;
  while (shim.header().head < 5ull * ring_units) {
    const std::string text = "/" + std::to_string(number) + std::string(number * 7919 % 5000, 'x');
    const auto position = shim.log({.kind = kind_look, .pid = 5, .text = text, .text2 = std::string(number % 40, 'y')});
    ++number;
    const auto seen = pass(*region);
    if (seen.size() != 1 || seen[0].event.position != position || seen[0].text != text || seen[0].event.malformed) {
      FAIL("record " << number << " at " << position);
    }
  }
}

TEST_CASE("what a record leaves in the ring is never taken for a record of the next round") {
  const auto region = new_region();
  Shim shim(region->name());
  // Each word of this text is a stamp of the round to come, at just the place where it would count.
  const std::uint32_t units = 100;
  const std::uint64_t position = shim.reserve(units);
  RecordHead head = Shim::head_of({.kind = kind_stream, .payload = bytes_of(FdPayload{})});
  head.units = units;
  head.text_bytes = units * unit_bytes - sizeof head - sizeof(FdPayload);
  std::string text(head.text_bytes, 'x');
  for (std::uint64_t unit = 3; unit < units; ++unit) {
    const std::uint64_t stamp = stamp_of(position + unit + ring_units);
    std::memcpy(text.data() + unit * unit_bytes - sizeof head - sizeof(FdPayload), &stamp, sizeof stamp);
  }
  shim.fill(position, head, bytes_of(FdPayload{}) + text);
  shim.stamp(position);
  REQUIRE(pass(*region).size() == 1);
  while (shim.header().head < ring_units) {
    shim.log(look("/" + std::string(2000, 'z')));
    pass(*region);
  }
  const auto hole = shim.reserve(200);
  const auto seen = pass(*region);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].event.lost);
  CHECK(shim.header().tail == hole + 200);
}

TEST_CASE("writers wait while the ring is full and none of their records is lost or repeated") {
  const auto region = new_region();
  constexpr int writers = 4, records = 3000;
  std::vector<std::thread> threads;
  for (int writer = 1; writer <= writers; ++writer) {
    threads.emplace_back([&, writer] {
      Shim shim(region->name());
      for (int number = 0; number < records; ++number) {
        shim.log({.kind = kind_look, .pid = writer, .arg = number, .text = "/" + std::string(number % 2500, 'x')});
      }
    });
  }
  std::map<int, int> next;
  std::uint64_t before = 0;
  bool in_order = true;
  for (int total = 0; total < writers * records;) {
    region->wait(5);
    region->begin_pass();
    Event event;
    while (region->next_event(event)) {
      in_order = in_order && !event.malformed && !event.lost && event.arg == next[event.pid] &&
                 (total == 0 || event.position > before);
      ++next[event.pid];
      before = event.position;
      ++total;
    }
    region->end_pass();
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(in_order);
}

TEST_CASE("writers in other processes are read as well as threads") {
  const auto region = new_region();
  Process one([&] {
    Shim shim(region->name());
    for (int number = 0; number < 20000; ++number) shim.log({.kind = kind_look, .pid = 11, .arg = number, .text = "/one"});
  });
  Process two([&] {
    Shim shim(region->name());
    for (int number = 0; number < 20000; ++number) shim.log({.kind = kind_look, .pid = 12, .arg = number, .text = "/two"});
  });
  std::map<int, int> next;
  bool in_order = true;
  while (next[11] + next[12] < 40000) {
    region->wait(5);
    for (const Seen& seen : pass(*region)) in_order = in_order && !seen.event.lost && seen.event.arg == next[seen.event.pid]++;
  }
  CHECK(in_order);
}

TEST_CASE("a writer killed between reserving and stamping costs one loss and no other record") {
  const auto region = new_region();
  Shim shim(region->name());
  shim.log(look("/before"));
  Process killed([&] {
    Shim victim(region->name());
    victim.reserve(5);
    ::raise(SIGKILL);
  });
  killed.wait();
  shim.log(look("/after"));
  std::vector<Seen> seen;
  const double waited = seconds_of([&] { seen = pass(*region); });
  REQUIRE(seen.size() == 3);
  CHECK(seen[0].text == "/before");
  CHECK(seen[1].event.lost);
  CHECK(seen[2].text == "/after");
  CHECK(waited >= hole_ms_max / 1000.0);
  CHECK(waited < 10 * hole_ms_max / 1000.0);
  shim.log(look("/later"));
  CHECK(pass(*region).size() == 1);
}

TEST_CASE("what stands where a record was given up is not believed, for its late writer may still come") {
  const auto region = new_region();
  Shim shim(region->name());
  const Record late = look("/late"), next = look("/next");
  REQUIRE(Shim::units_of(late) == 2);
  REQUIRE(shim.reserve(2) == 0);
  REQUIRE(pass(*region).at(0).event.lost);
  // On to the same place in the next round.
  for (std::uint64_t position = 2; position < ring_units; position += 2) {
    shim.log(next);
    if (position % 10'000 == 0) CHECK(pass(*region).size() <= 5'000);
  }
  CHECK(pass(*region).back().text == "/next");
  REQUIRE(shim.log(next) == ring_units);
  shim.log(look("/behind"));
  shim.fill(0, Shim::head_of(late), late.text);
  const auto seen = pass(*region);
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].event.lost);
  CHECK(seen[1].text == "/behind");
}

TEST_CASE("a hole at the end of a pass does not swallow the records of the next pass") {
  const auto region = new_region();
  Shim shim(region->name());
  shim.reserve(3);
  CHECK(pass(*region).at(0).event.lost);
  shim.log(look("/next"));
  const auto seen = pass(*region);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].text == "/next");
}

TEST_CASE("a writer that is only slow is waited for") {
  const auto region = new_region();
  Shim shim(region->name());
  const Record record = look("/slow");
  const auto position = shim.reserve(Shim::units_of(record));
  std::thread slow([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(hole_ms_max / 4));
    Shim(region->name()).fill(position, Shim::head_of(record), record.text);
    Shim(region->name()).stamp(position);
  });
  const auto seen = pass(*region);
  slow.join();
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].text == "/slow");
}

TEST_CASE("writers behind a hole in a full ring get their room once it is given up") {
  const auto region = new_region();
  Shim shim(region->name());
  shim.reserve(4);
  while (shim.header().head + 80 < ring_units) shim.log(look(std::string(2000, 'x')));
  // The first of them gets the very place of the hole, and is not believed.
  std::thread waiting([&] {
    Shim writer(region->name());
    writer.log(look("/in its place " + std::string(8000, 'x')));
    writer.log(look("/at last"));
  });
  bool found = false;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(10 * hole_ms_max);
  while (!found && std::chrono::steady_clock::now() < deadline) {
    region->wait(20);
    for (const Seen& seen : pass(*region)) found = found || seen.text.starts_with("/at last");
  }
  waiting.join();
  CHECK(found);
}

TEST_CASE("a record that contradicts itself is malformed, and the next one is read") {
  const auto region = new_region();
  Shim shim(region->name());
  const std::string with_nul("/a\0b", 4);
  struct Case {
    const char* what;
    Record record;
    std::function<void(RecordHead&)> spoil;
  };
  const ExecPayload one_argument = counting(1, 1);
  ExecPayload many_fds = counting(0, 0);
  many_fds.fd_count = inherited_fd_max + 1;
  const Case cases[] = {
      {"unknown kind", look("/a"), [](RecordHead& head) { head.kind = kind_flush + 1; }},
      {"no process", look("/a"), [](RecordHead& head) { head.pid = 0; }},
      {"slot out of range", look("/a"), [](RecordHead& head) { head.slot = slot_count + 1; }},
      {"text longer than the record", look("/a"), [](RecordHead& head) { head.text_bytes = 1000; }},
      {"text as long as a number can say", look("/a"), [](RecordHead& head) { head.text_bytes = ~0u; }},
      {"both texts together too long", look("/a"), [](RecordHead& head) { head.text_bytes = head.text2_bytes = 1u << 31; }},
      {"payload longer than the record", look("/a"), [](RecordHead& head) { head.payload_bytes = 4096; }},
      {"payload not in words", look("/a"), [](RecordHead& head) { head.payload_bytes = 1; }},
      {"look without the payload it promises", {.kind = kind_look, .result = 0, .text = "/a"}, {}},
      {"stream without a payload", {.kind = kind_stream, .text = "abc"}, {}},
      {"NUL in a name", look(with_nul), {}},
      {"NUL in the second name", {.kind = kind_rename, .text = "/a", .text2 = with_nul}, {}},
      {"exec without a payload", {.kind = kind_exec, .text = exec_text({"/p", "/", "p"}, {})}, {}},
      {"exec with too few strings", exec(one_argument, exec_text({"/p", "/"}, {})), {}},
      {"exec with too many strings", exec(one_argument, exec_text({"/p", "/", "p", "q"}, {"V"})), {}},
      {"exec whose last string has no end", exec(one_argument, exec_text({"/p", "/", "p"}, {}) + "xxxxxxxxV"), {}},
      {"exec with more descriptors than there is room for", exec(many_fds, exec_text({"/p", "/"}, {})), {}},
      {"one unit, which is less than its head", look("/a"), [](RecordHead& head) { head.units = 1; }},
  };
  for (const Case& one : cases) {
    INFO(one.what);
    const auto position = shim.log(one.record, one.spoil);
    shim.log(look("/next", 9));
    const auto seen = pass(*region);
    REQUIRE(seen.size() >= 2);
    CHECK(seen.front().event.malformed);
    CHECK(seen.front().event.position == position);
    CHECK_FALSE(seen.back().event.malformed);
    CHECK(seen.back().text == "/next");
    CHECK(seen.back().event.pid == 9);
  }
}

TEST_CASE("a record that does not say how long it is loses itself and nothing that is complete") {
  const auto region = new_region();
  Shim shim(region->name());
  for (const std::uint32_t units : {0u, record_units_max + 1, ~0u, 1000u}) {
    INFO(units);
    shim.log(look("/bad", 3), [&](RecordHead& head) { head.units = units; });
    shim.log(look("/next", 9));
    const auto seen = pass(*region);
    REQUIRE(seen.size() == 3);
    CHECK(seen[0].event.malformed);
    CHECK(seen[0].event.pid == 3);
    CHECK(seen[1].event.lost);
    CHECK(seen[2].text == "/next");
  }
}

TEST_CASE("a record that claims the places of the next ones does not hide them") {
  const auto region = new_region();
  Shim shim(region->name());
  shim.log(look("/bad", 3), [](RecordHead& head) { head.units += 2; });
  shim.log(look("/next", 9));
  const auto seen = pass(*region);
  REQUIRE(seen.size() == 3);
  CHECK(seen[0].event.malformed);
  CHECK(seen[1].event.lost);
  CHECK(seen[2].text == "/next");
}

TEST_CASE("a record whose text ends with a letter at the start of a unit is no less a record") {
  for (const char letter : {'1', 'A', '_'}) {
    const auto region = new_region();
    // As a number the letter is twice the unit's position and one.
    const std::size_t unit = static_cast<std::size_t>(letter) / 2;
    const std::string text = std::string(unit * unit_bytes - sizeof(RecordHead), 'x') + letter;
    Shim(region->name()).log(look(text));
    const auto seen = pass(*region);
    REQUIRE(seen.size() == 1);
    CHECK_FALSE(seen[0].event.malformed);
    CHECK(seen[0].text == text);
  }
}

TEST_CASE("what is allowed is not malformed: streams of any bytes, failed looks without a payload, big and empty execs") {
  const auto region = new_region();
  Shim shim(region->name());
  shim.log({.kind = kind_stream, .result = 0, .payload = bytes_of(FdPayload{}), .text = std::string("a\0b\n", 4)});
  shim.log(look("/absent"));
  shim.log({.kind = kind_look, .result = 0, .arg = look_no_stat, .text = "/link"});
  shim.log(exec(counting(1, 2), exec_text({"/p", "/", ""}, {"A", ""})));
  shim.log(exec(counting(1, 0, exec_has_library_path), exec_text({"/p", "/", "", "/lib"}, {})));
  shim.log(exec(counting(0, 0, exec_too_big), exec_text({"/p", "/"}, {})));
  shim.log({.kind = kind_filler});
  shim.log(look("/" + std::string(record_units_max * unit_bytes - sizeof(RecordHead) - 1, 'x')));
  const auto seen = pass(*region);
  REQUIRE(seen.size() == 7);
  for (const Seen& one : seen) {
    CHECK_FALSE(one.event.malformed);
    CHECK_FALSE(one.event.lost);
  }
  CHECK(seen[2].payload == std::string(sizeof(StatPayload), '\0'));
}

TEST_CASE("a head that cannot be true ends the session's log instead of its broker") {
  for (const std::uint64_t head : {~std::uint64_t{0}, std::uint64_t{1} << 40, std::uint64_t{1}}) {
    const auto region = new_region();
    Shim shim(region->name());
    shim.log(look("/a"));
    pass(*region);
    shared(shim.header().head).store(head);
    for (int round = 0; round < 2; ++round) {
      std::vector<Seen> seen;
      CHECK(seconds_of([&] { seen = pass(*region); }) < 1);
      REQUIRE(seen.size() == 1);
      CHECK(seen[0].event.lost);
    }
    CHECK(shim.header().state == region_gone);
  }
}

TEST_CASE("noise in the whole ring is survived") {
  const auto region = new_region();
  Shim shim(region->name());
  std::uint64_t state = 42;
  std::string noise(std::size_t{ring_units} * unit_bytes, '\0');
  for (std::size_t at = 0; at < noise.size(); at += 8) {
    state = mix(state, at);
    std::memcpy(noise.data() + at, &state, 8);
  }
  // Every other unit bears a true stamp.
  for (std::uint64_t unit = 0; unit < ring_units; unit += 1 + noise[unit * unit_bytes + 9] % 3) {
    const std::uint64_t stamp = stamp_of(unit);
    std::memcpy(noise.data() + unit * unit_bytes, &stamp, 8);
    const std::uint32_t units = static_cast<unsigned char>(noise[unit * unit_bytes + 10]) % 6;
    std::memcpy(noise.data() + unit * unit_bytes + offsetof(RecordHead, units), &units, 4);
    if (noise[unit * unit_bytes + 11] % 2) {
      const std::uint16_t kind = static_cast<std::uint16_t>(noise[unit * unit_bytes + 12] & 31);
      std::memcpy(noise.data() + unit * unit_bytes + offsetof(RecordHead, kind), &kind, 2);
    }
  }
  shim.write(0, 0, noise.data(), noise.size());
  shared(shim.header().head).store(ring_units);
  std::size_t bytes = 0;
  region->begin_pass();
  Event event;
  while (region->next_event(event)) bytes += event.text.size() + event.text2.size() + event.payload.size();
  region->end_pass();
  CHECK(shim.header().tail == ring_units);
}

TEST_CASE("a question is answered once, and only if the asker is still waiting") {
  const auto region = new_region();
  Shim shim(region->name());
  const int slot = shim.claim(21);
  shim.log({.kind = kind_preserve, .pid = 21, .slot = slot, .text = "/a"});
  shim.ring_bell();
  const auto seen = pass(*region);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].event.slot == slot);

  SECTION("run") {
    REQUIRE(region->begin_answer(slot));
    CHECK_FALSE(shim.give_up(slot));
    region->answer_run(slot, 17);
    CHECK(shim.wait_for_answer(slot));
    CHECK(shim.slot(slot).verdict == verdict_run);
    CHECK(shim.slot(slot).plan == 17);
    CHECK_FALSE(region->begin_answer(slot));
  }
  SECTION("leave") {
    REQUIRE(region->begin_answer(slot));
    auto leave = *region->prepare_leave(0x300, "pieces", {{1, 100}, {2, 7}}, "/nowhere");
    region->write_leave(slot, leave);
    CHECK(shim.slot(slot).state == slot_answering);
    region->answer_leave(slot, std::move(leave));
    REQUIRE(shim.wait_for_answer(slot));
    const Slot& answer = shim.slot(slot);
    CHECK(answer.verdict == verdict_leave);
    CHECK(answer.status == 0x300);
    CHECK(answer.in_file == 0);
    CHECK(std::string(answer.text, answer.text_bytes) == "pieces");
    REQUIRE(answer.position_count == 2);
    CHECK(answer.positions[1].fd == 2);
    CHECK(answer.positions[1].offset == 7);
  }
  SECTION("leave with more than fits") {
    const scratch::Directory place;
    const std::string& directory = place.path();
    const std::string pieces(slot_text_bytes + 1, 'p');
    REQUIRE(region->begin_answer(slot));
    { CHECK(region->prepare_leave(0, pieces, {}, directory)); }
    CHECK(std::filesystem::is_empty(directory));  // nobody was told of it
    auto leave = *region->prepare_leave(0, pieces, {}, directory);
    region->write_leave(slot, leave);
    region->answer_leave(slot, std::move(leave));
    REQUIRE(shim.wait_for_answer(slot));
    const Slot& answer = shim.slot(slot);
    REQUIRE(answer.in_file == 1);
    std::ifstream file(std::string(answer.text, answer.text_bytes));
    CHECK(std::string(std::istreambuf_iterator<char>(file), {}) == pieces);
  }
  SECTION("leave with more than fits and nowhere to put it, or with too many positions") {
    CHECK_FALSE(region->prepare_leave(0, std::string(slot_text_bytes + 1, 'p'), {}, "/nowhere/at/all"));
    CHECK_FALSE(region->prepare_leave(0, "", {{3, 0}, {4, 0}, {5, 0}, {6, 0}, {7, 0}}, "/nowhere"));
  }
  SECTION("abandoned") {
    REQUIRE(shim.give_up(slot));
    CHECK_FALSE(region->begin_answer(slot));
    CHECK(shim.slot(slot).state == slot_free);
  }
  SECTION("no such slot") {
    CHECK_FALSE(region->begin_answer(-1));
    CHECK_FALSE(region->begin_answer(slot_count));
  }
}

TEST_CASE("a question in a slot that belongs to someone else by now is none") {
  const auto region = new_region();
  Shim shim(region->name());
  const int slot = shim.claim(22);
  shim.log({.kind = kind_preserve, .pid = 21, .slot = slot, .text = "/a"});
  const auto seen = pass(*region);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].event.slot == -1);
}

TEST_CASE("who asks with a malformed record is not left waiting") {
  const auto region = new_region();
  Shim shim(region->name());
  const int slot = shim.claim(21);
  shim.log({.kind = kind_stream, .pid = 21, .slot = slot});
  CHECK(pass(*region).at(0).event.malformed);
  REQUIRE(shim.wait_for_answer(slot));
  CHECK(shim.slot(slot).verdict == verdict_run);
  CHECK(shim.slot(slot).plan == plan_count);
}

TEST_CASE("slots of the dead are freed, those of the living are not") {
  const auto region = new_region();
  Shim shim(region->name());
  Process dying([&] {
    Shim victim(region->name());
    const int slot = victim.claim(::getpid());
    victim.log({.kind = kind_preserve, .pid = ::getpid(), .slot = slot, .text = "/a"});
    victim.claim(::getpid());
    victim.give_up(1);
  });
  // Not waited for yet: a zombie.
  siginfo_t info;
  ::waitid(P_PID, static_cast<id_t>(dying.pid()), &info, WEXITED | WNOWAIT);
  const int living = shim.claim(::getpid());
  pass(*region);
  REQUIRE(shim.slot(0).state == slot_claimed);
  REQUIRE(shim.slot(1).state == slot_abandoned);
  for (int round = 0; round < 30 && shim.slot(0).state != slot_free; ++round) {
    region->reclaim_slots();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  CHECK(shim.slot(0).state == slot_free);
  CHECK(shim.slot(1).state == slot_free);
  CHECK(shim.slot(living).state != slot_free);
}

TEST_CASE("a question whose record was lost is answered all the same") {
  const auto region = new_region();
  Shim shim(region->name());
  const int slot = shim.claim(::getpid());
  shim.reserve(4);
  CHECK(pass(*region).at(0).event.lost);
  region->reclaim_slots();
  CHECK(shim.slot(slot).state == slot_claimed);
  for (int round = 0; round < 40 && shim.slot(slot).state == slot_claimed; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    region->reclaim_slots();
  }
  CHECK(shim.wait_for_answer(slot, 100));
}

TEST_CASE("a question that has been heard waits as long as its answer takes") {
  const auto region = new_region();
  Shim shim(region->name());
  const int slot = shim.claim(::getpid());
  shim.log({.kind = kind_preserve, .pid = ::getpid(), .slot = slot, .text = "/a"});
  pass(*region);
  for (int round = 0; round < 5; ++round) {
    region->reclaim_slots();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
  CHECK(shim.slot(slot).state == slot_claimed);
  CHECK(region->begin_answer(slot));
}

TEST_CASE("the end of the session answers whoever has asked") {
  auto region = new_region();
  Shim shim(region->name());
  const int slot = shim.claim(21);
  shim.log({.kind = kind_preserve, .pid = 21, .slot = slot, .text = "/a"});
  pass(*region);
  region.reset();
  CHECK(shim.wait_for_answer(slot, 100));
  CHECK(shim.slot(slot).verdict == verdict_run);
}

TEST_CASE("no ring of the doorbell is lost in a hundred thousand rounds") {
  const auto region = new_region();
  constexpr int rounds = 100'000;
  std::thread asking([&] {
    Shim shim(region->name());
    for (int round = 0; round < rounds; ++round) {
      const int slot = shim.claim(21);
      shim.log({.kind = kind_preserve, .pid = 21, .slot = slot});
      shim.ring_bell();
      if (!shim.wait_for_answer(slot)) break;
      shim.release(slot);
    }
  });
  int answered = 0, slept_through = 0;
  while (answered < rounds && slept_through < 3) {
    const auto start = Clock::now();
    region->wait(1000);
    // A ring that is missed is noticed only when the time is over.
    if (Clock::now() - start > std::chrono::milliseconds(900)) ++slept_through;
    region->begin_pass();
    Event event;
    while (region->next_event(event)) {
      if (event.slot >= 0 && region->begin_answer(event.slot)) {
        region->answer_done(event.slot);
        ++answered;
      }
    }
    region->end_pass();
  }
  asking.join();
  CHECK(answered == rounds);
  CHECK(slept_through == 0);
}

TEST_CASE("waiting ends at once if the doorbell has rung before, and in time if it does not ring") {
  const auto region = new_region();
  Shim shim(region->name());
  region->wait(0);
  shim.ring_bell();
  CHECK(seconds_of([&] { region->wait(2000); }) < 1);
  CHECK(seconds_of([&] { region->wait(50); }) >= 0.045);
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    region->ring_doorbell();
  });
  CHECK(seconds_of([&] { region->wait(5000); }) < 4);
  other.join();
}

TEST_CASE("known steps are marked and others are not") {
  const auto region = new_region();
  Shim shim(region->name());
  region->set_known(12345);
  CHECK(shim.known(12345));
  CHECK_FALSE(shim.known(12346));
}

TEST_CASE("a plan is found by its key, keeps its place when it is replaced, and shares equal texts") {
  const auto region = new_region();
  Shim shim(region->name());
  auto find = [&](std::uint64_t key) {
    for (std::uint32_t i = 0; i < plan_count; ++i) {
      const std::uint32_t index = (key + i) % plan_count;
      if (shim.plans()[index].key == key) return index;
      if (shim.plans()[index].key == 0) break;
    }
    return plan_count;
  };
  const std::uint32_t first = region->publish_plan(plan(5, 1), "/lib/a");
  // The same place by rights.
  const std::uint32_t second = region->publish_plan(plan(5 + plan_count, 2, plan_untraced), "/lib/a");
  CHECK(find(5) == first);
  CHECK(find(5 + plan_count) == second);
  CHECK(shim.plans()[first].inode == 1);
  CHECK(shim.plans()[second].flags == plan_untraced);
  CHECK(shim.plans()[first].preload == shim.plans()[second].preload);
  CHECK(std::string(shim.text(shim.plans()[first].preload)) == "/lib/a");
  CHECK(region->publish_plan(plan(5, 3), "/lib/b") == first);
  CHECK(shim.plans()[first].inode == 3);
  CHECK(std::string(shim.text(shim.plans()[first].preload)) == "/lib/b");
  CHECK(find(5 + plan_count) == second);
}

TEST_CASE("a full table of plans is refused and still searched in the end") {
  const auto region = new_region();
  std::uint32_t published = 0;
  for (std::uint64_t key = 1; key <= plan_count; ++key) published += region->publish_plan(plan(key), "") < plan_count;
  CHECK(published < plan_count);
  CHECK(published > plan_count / 2);
  CHECK(region->publish_plan(plan(1, 9), "") < plan_count);
  const std::string long_text(texts_bytes, 't');
  CHECK(region->publish_plan(plan(1), long_text) == plan_count);
}
