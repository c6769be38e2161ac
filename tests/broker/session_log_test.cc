#include "broker/session_log.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/broker/images/scratch.h"

namespace {

using namespace broker;

SessionFacts ran(const std::string& command, std::uint64_t work_ns = 0) {
  SessionFacts one;
  one.command = command;
  one.directory = "/src";
  one.misses = 1;
  one.work_ns = work_ns;
  one.status = 0;
  return one;
}

}  // namespace

TEST_CASE("what is known of a session can be read again") {
  const scratch::Directory directory;
  SessionFacts one{1, "make \xff", "/src", 2, 3, 4, 5, 6, 7, 8, 9 << 8, false};
  SessionLog(directory.path()).add(one);
  one.status.reset();
  SessionLog(directory.path()).add(one);
  std::ofstream(directory.path() + "/sessions", std::ios::app) << "{\"command\": 7}\nnonsense\n";
  const auto found = SessionLog::read(directory.path());
  REQUIRE(found.size() == 2);
  CHECK(found[0].command == "make \xef\xbf\xbd");
  CHECK(found[0].directory == "/src");
  CHECK(found[0].began_ns == 2);
  CHECK(found[0].ended_ns == 3);
  CHECK(found[0].hits == 4);
  CHECK(found[0].misses == 5);
  CHECK(found[0].not_cacheable == 6);
  CHECK(found[0].saved_ns == 7);
  CHECK(found[0].work_ns == 8);
  CHECK(found[0].status == 9 << 8);
  CHECK_FALSE(found[1].status);
}

TEST_CASE("of sessions the last hundred are known, and no more than twice as many kept") {
  const scratch::Directory directory;
  {
    SessionLog log(directory.path());
    for (int i = 0; i < 350; ++i) log.add(ran("command " + std::to_string(i)));
  }
  const auto found = SessionLog::read(directory.path());
  REQUIRE(found.size() == 100);
  CHECK(found.front().command == "command 250");
  CHECK(found.back().command == "command 349");
  std::size_t lines = 0;
  LineLog::read(directory.path() + "/sessions", [&](const auto&) { ++lines; });
  CHECK(lines <= 200);
}

TEST_CASE("the work of a command is that of its last run that ended well, in the same directory") {
  const scratch::Directory directory;
  SessionLog log(directory.path());
  CHECK(log.work_of("make", "/src") == 0);
  log.add(ran("make", 5));
  log.add(ran("make", 6));
  log.add(ran("make -j", 7));
  SessionFacts other = ran("make", 8);
  other.status = 2 << 8;
  log.add(other);
  other = ran("make", 9);
  other.directory = "/elsewhere";
  log.add(other);
  // One hit: nothing ran of what is inside it.
  other = ran("make", 10);
  other.misses = 0;
  other.hits = 1;
  log.add(other);
  CHECK(log.work_of("make", "/src") == 6);
}
