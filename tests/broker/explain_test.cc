#include "broker/explain.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "broker/session.h"
#include "tests/broker/images/scratch.h"

namespace {

using namespace broker;

Explanation step(const std::string& command, Outcome outcome = Outcome::miss) {
  Explanation one;
  one.command = command;
  one.directory = "/src";
  one.when_ns = 5;
  one.outcome = outcome;
  one.reasons = {"/src/a.h has changed"};
  one.outputs = {"/src/" + command + ".o"};
  return one;
}

std::vector<std::string> commands(const std::vector<Explanation>& found) {
  std::vector<std::string> all;
  for (const Explanation& one : found) all.push_back(one.command);
  return all;
}

using Commands = std::vector<std::string>;

}  // namespace

TEST_CASE("the makers of a file are the innermost steps that left it, in the session in which it was made last") {
  const scratch::Directory directory;
  ExplanationLog log(directory.path());
  auto add = [&](std::int64_t session, std::uint64_t number, std::uint64_t outer, const std::string& command) {
    Explanation one = step(command);
    one.session = session;
    one.step = number;
    one.outer = outer;
    one.outputs = {"/src/lib.a"};
    log.add(one);
  };
  const auto first = log.begin_session();
  add(first, 2, 1, "gcc");
  const auto second = log.begin_session();
  CHECK(second > first);
  add(second, 3, 2, "ar");
  add(second, 4, 2, "ranlib");
  add(second, 2, 1, "sh");
  add(second, 1, 0, "make");
  log.flush();
  const auto all = Explanations::read(directory.path());
  CHECK(all.last_session == second);
  CHECK(commands(all.makers_of("/src/lib.a")) == Commands{"ar", "ranlib"});
  CHECK(all.makers_of("/src/lib").empty());
  CHECK(commands(innermost(all.of_session(second), all.of_session(second))) == Commands{"ar", "ranlib"});
  // The step between them need not be among those asked for.
  std::vector<Explanation> ends = {all.of_session(second)[0], all.of_session(second)[3]};
  CHECK(commands(innermost(ends, all.of_session(second))) == Commands{"ar"});
}

TEST_CASE("a word finds the last run of each command, newest first, with all that is known of it") {
  const scratch::Directory directory;
  ExplanationLog log(directory.path());
  log.add(step("gcc one"));
  log.add(step("gcc two"));
  Explanation again = step("gcc one", Outcome::not_cacheable);
  again.culprit = "date";
  log.add(again);
  log.flush();
  const auto found = Explanations::read(directory.path()).with_text("gcc");
  CHECK(commands(found) == Commands{"gcc one", "gcc two"});
  REQUIRE(found.size() == 2);
  CHECK(found[0].directory == "/src");
  CHECK(found[0].when_ns == 5);
  CHECK(found[0].outcome == Outcome::not_cacheable);
  CHECK(found[0].reasons == Commands{"/src/a.h has changed"});
  CHECK(found[0].culprit == "date");
}

TEST_CASE("a session without a step is the last one all the same") {
  const scratch::Directory directory;
  ExplanationLog log(directory.path());
  log.begin_session();
  log.add(step("earlier"));
  const auto last = log.begin_session();
  log.flush();
  const auto all = Explanations::read(directory.path());
  CHECK(all.last_session == last);
  CHECK(all.of_session(last).empty());
}

TEST_CASE("explanations outlive their broker, and what cannot be read of them is passed over") {
  const scratch::Directory directory;
  { ExplanationLog(directory.path()).add(step("kept")); }
  std::ofstream(directory.path() + "/explanations", std::ios::app) << "{\"command\": 7}\nnonsense\n{\"command\": \"half";
  CHECK(commands(Explanations::read(directory.path()).steps) == Commands{"kept"});
}

TEST_CASE("the log stays bounded and keeps the newest") {
  const scratch::Directory directory;
  ExplanationLog log(directory.path());
  const std::size_t count = 3 * ExplanationLog::explanations_max + 10;
  for (std::size_t i = 0; i < count; ++i) log.add(step("step " + std::to_string(i)));
  log.flush();
  const auto found = Explanations::read(directory.path()).steps;
  CHECK(found.size() >= ExplanationLog::explanations_max);
  CHECK(found.size() <= 2 * ExplanationLog::explanations_max);
  CHECK(found.back().command == "step " + std::to_string(count - 1));
}

TEST_CASE("when a step ran, for how long, and how it ended can be read again; of older lines it is not known") {
  const scratch::Directory directory;
  Explanation one = step("gcc", Outcome::hit);
  one.began_ns = 7;
  one.took_ns = 8;
  one.saved_ns = 9;
  one.process = 10;
  one.status = 11 << 8;
  { ExplanationLog(directory.path()).add(one); }
  auto text = [&] { return Explanations::read(directory.path()).steps; };
  REQUIRE(text().size() == 1);
  CHECK(text()[0].began_ns == 7);
  CHECK(text()[0].took_ns == 8);
  CHECK(text()[0].saved_ns == 9);
  CHECK(text()[0].process == 10);
  CHECK(text()[0].status == 11 << 8);
  std::ofstream(directory.path() + "/explanations")
      << R"({"session":1,"step":1,"outer":0,"command":"old","directory":"/","when_ns":5,"outcome":0,"reasons":[],"culprit":"","policy":"","outputs":[]})" << "\n";
  REQUIRE(text().size() == 1);
  CHECK(text()[0].command == "old");
  CHECK(text()[0].began_ns == 0);
  CHECK(text()[0].status == -1);
}

TEST_CASE("names that are no UTF-8 and commands without end do no harm") {
  const scratch::Directory directory;
  ExplanationLog log(directory.path());
  Explanation odd = step("odd \xff\xfe");
  odd.outputs.assign(100'000, std::string(5000, 'x'));
  odd.command += std::string(100'000, 'y');
  log.add(odd);
  log.flush();
  const auto found = Explanations::read(directory.path()).with_text("odd");
  REQUIRE(found.size() == 1);
  CHECK(found[0].command.size() < 3000);
}

TEST_CASE("a log that cannot be written is just forgotten") {
  ExplanationLog log("/nowhere/at/all");
  log.add(step("lost"));
  log.flush();
  CHECK(Explanations::read("/nowhere/at/all").steps.empty());
}
