#include "broker/explain.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "broker/session.h"

namespace {

using namespace broker;

class Directory {
 public:
  Directory() { path_ = ::mkdtemp(name_); }
  ~Directory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  char name_[32] = "/tmp/vestal-explain-XXXXXX";
  std::string path_;
};

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

TEST_CASE("an explanation is found by an output's path and by a word of the command, newest first") {
  const Directory directory;
  ExplanationLog log(directory.path());
  log.add(step("gcc one"));
  log.add(step("gcc two"));
  log.add(step("ld three"));
  CHECK(commands(log.find("gcc", 10)) == Commands{"gcc two", "gcc one"});
  CHECK(commands(log.find("gcc", 1)) == Commands{"gcc two"});
  CHECK(commands(log.find("/src/gcc one.o", 10)) == Commands{"gcc one"});
  CHECK(log.find("/src/gcc", 10).empty());
  const auto found = log.find("three", 10);
  REQUIRE(found.size() == 1);
  CHECK(found[0].directory == "/src");
  CHECK(found[0].when_ns == 5);
  CHECK(found[0].outcome == Outcome::miss);
  CHECK(found[0].reasons == Commands{"/src/a.h has changed"});
}

TEST_CASE("without a filter only the last session's steps that were not hits are told") {
  const Directory directory;
  ExplanationLog log(directory.path());
  log.begin_session();
  log.add(step("earlier"));
  log.begin_session();
  log.add(step("a miss"));
  log.add(step("a hit", Outcome::hit));
  log.add(step("a clock", Outcome::not_cacheable));
  CHECK(commands(log.find("", 10)) == Commands{"a clock", "a miss"});
  log.begin_session();
  log.add(step("all hits", Outcome::hit));
  CHECK(log.find("", 10).empty());
}

TEST_CASE("explanations outlive their broker, and what cannot be read of them is passed over") {
  const Directory directory;
  { ExplanationLog(directory.path()).add(step("kept")); }
  std::ofstream(directory.path() + "/explanations", std::ios::app) << "{\"command\": 7}\nnonsense\n{\"command\": \"half";
  CHECK(commands(ExplanationLog(directory.path()).find("", 10)) == Commands{"kept"});
}

TEST_CASE("the log stays bounded and keeps the newest") {
  const Directory directory;
  ExplanationLog log(directory.path());
  const std::size_t count = 3 * ExplanationLog::explanations_max + 10;
  for (std::size_t i = 0; i < count; ++i) log.add(step("step " + std::to_string(i)));
  const auto found = log.find("step", count);
  CHECK(found.size() >= ExplanationLog::explanations_max);
  CHECK(found.size() <= 2 * ExplanationLog::explanations_max);
  CHECK(found[0].command == "step " + std::to_string(count - 1));
}

TEST_CASE("names that are no UTF-8 and commands without end do no harm") {
  const Directory directory;
  ExplanationLog log(directory.path());
  Explanation odd = step("odd \xff\xfe");
  odd.outputs.assign(100'000, std::string(5000, 'x'));
  odd.command += std::string(100'000, 'y');
  log.add(odd);
  REQUIRE(log.find("odd", 10).size() == 1);
  CHECK(log.find("odd", 10)[0].command.size() < 3000);
}

TEST_CASE("a log that cannot be written is just forgotten") {
  ExplanationLog log("/nowhere/at/all");
  log.add(step("lost"));
  CHECK(log.find("lost", 10).empty());
}
