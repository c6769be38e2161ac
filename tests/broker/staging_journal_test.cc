#include "broker/staging_journal.h"

#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "tests/broker/images/scratch.h"

using broker::StagingJournal;
namespace fs = std::filesystem;

namespace {

void make(const std::string& path) { std::ofstream(path) << "x"; }

}  // namespace

TEST_CASE("private files that a killed broker left are removed by the next one, and nothing else is") {
  scratch::Directory cache, place;
  StagingJournal killed(cache.path());
  const std::string own = fmt::format(".vestal-{:08x}", killed.id());
  killed.begin();
  killed.note(place.path());
  killed.note(place.at("not there"));
  for (const std::string& name : {own + "00000001", own + "abcdef01", own + "01", std::string(".vestal-notours!00000001"), std::string("other")}) make(place.at(name));
  // It never comes to end().
  const StagingJournal next(cache.path());
  CHECK(next.id() != killed.id());
  CHECK_FALSE(fs::exists(place.at(own + "00000001")));
  CHECK_FALSE(fs::exists(place.at(own + "abcdef01")));
  CHECK(fs::exists(place.at(own + "01")));
  CHECK(fs::exists(place.at(".vestal-notours!00000001")));
  CHECK(fs::exists(place.at("other")));
  CHECK(fs::file_size(cache.at("staging")) == 0);
}

TEST_CASE("the journal is empty when no replay is under way") {
  scratch::Directory cache, place;
  StagingJournal journal(cache.path());
  journal.begin();
  journal.begin();
  journal.note(place.path());
  journal.end();
  CHECK(fs::file_size(cache.at("staging")) > 0);
  journal.end();
  CHECK(fs::file_size(cache.at("staging")) == 0);
}

TEST_CASE("a journal that is damaged or cannot be opened costs nothing but the cleaning") {
  scratch::Directory cache, place;
  make(place.at("kept"));
  std::ofstream(cache.at("staging")) << "zz" << '\0' << "01234567" << '\0' << "01234567 relative" << '\0' << "no end /";
  StagingJournal(cache.path()).note(place.path());
  StagingJournal nowhere(place.at("none"));
  nowhere.begin();
  nowhere.note(place.path());
  nowhere.end();
  CHECK(fs::exists(place.at("kept")));
}
