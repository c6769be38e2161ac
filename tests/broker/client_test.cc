// The small parts of the client that can be tested without a process of their own.
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>

#include "broker/cache_place.h"
#include "broker/program_search.h"
#include "broker/wording.h"
#include "tests/broker/images/scratch.h"

namespace {

using namespace broker;

class Variable {
 public:
  Variable(const char* name, std::optional<std::string> value) : name_(name) {
    if (const char* old = ::getenv(name)) old_ = old;
    set(value);
  }
  ~Variable() { set(old_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void set(const std::optional<std::string>& value) {
    if (value) ::setenv(name_, value->c_str(), 1);
    else ::unsetenv(name_);
  }
  const char* name_;
  std::optional<std::string> old_;
};

std::string executable(const std::string& path, mode_t mode = 0755) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << "#!/bin/sh\n";
  ::chmod(path.c_str(), mode);
  return path;
}

}  // namespace

TEST_CASE("the cache is where the first variable that is set says") {
  const Variable own("VESTAL_DIR", std::nullopt), caches("XDG_CACHE_HOME", std::nullopt), home("HOME", "/home/me");
  CHECK(cache_place().value() == "/home/me/.cache/vestal");
  const Variable caches_set("XDG_CACHE_HOME", "/caches");
  CHECK(cache_place().value() == "/caches/vestal");
  const Variable own_set("VESTAL_DIR", "/own");
  CHECK(cache_place().value() == "/own");
  const Variable own_empty("VESTAL_DIR", "");
  CHECK(cache_place().value() == "/caches/vestal");
  const Variable caches_relative("XDG_CACHE_HOME", "caches");
  CHECK(cache_place().value() == "/home/me/.cache/vestal");
  const Variable own_relative("VESTAL_DIR", "here");
  CHECK(cache_place().value() == std::filesystem::current_path().string() + "/here");
}

TEST_CASE("a program is found as execvp finds it") {
  const scratch::Directory place;
  const std::string& top = place.path();
  const std::string second = executable(top + "/second/tool");
  executable(top + "/first/tool", 0644);
  std::filesystem::create_directory(top + "/first/folder");
  executable(top + "/second/folder");
  {
    const Variable path("PATH", top + "/first:" + top + "/second");
    CHECK(find_program("tool").path == second);
    CHECK(find_program("folder").path == top + "/second/folder");
    CHECK(find_program("none").error == ENOENT);
    CHECK(find_program("none").message == "none: command not found");
    CHECK(find_program("").error == ENOENT);
    CHECK(find_program(top + "/first/folder").error == EISDIR);
    CHECK(find_program(top + "/nothing").error == ENOENT);
    CHECK(find_program(top + "/second/tool/below").error == ENOTDIR);
  }
  if (::geteuid() != 0 || ::access((top + "/first/tool").c_str(), X_OK) != 0) {
    const Variable path("PATH", top + "/first");
    CHECK(find_program("tool").error == EACCES);
    CHECK(find_program("tool").message == "tool: Permission denied");
  }
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(top + "/second");
  {
    const Variable path("PATH", "/nowhere:");
    CHECK(find_program("tool").path == "./tool");
    CHECK(find_program("./tool").path == "./tool");
  }
  {
    const Variable path("PATH", std::nullopt);
    CHECK(find_program("sh").path == "/bin/sh");
  }
  std::filesystem::current_path(before);
}

TEST_CASE("numbers are told in units a person would choose") {
  CHECK(duration_text(0) == "0.00 s");
  CHECK(duration_text(12.34) == "12.3 s");
  CHECK(duration_text(245) == "4 min 05 s");
  CHECK(duration_text(7800) == "2 h 10 min");
  CHECK(size_text(1) == "1 byte");
  CHECK(size_text(1023) == "1023 bytes");
  CHECK(size_text(1536) == "1.5 KiB");
  CHECK(size_text(5ull << 40) == "5.0 TiB");
  for (const auto& [text, bytes] : {std::pair("0", 0ull), {"4096", 4096ull}, {"1K", 1024ull}, {"1.5GiB", 3ull << 29}, {"20 G", 20ull << 30}, {"2MB", 2'000'000ull}, {"7B", 7ull}, {"1t", 1ull << 40}}) {
    INFO(text);
    CHECK(size_in(text) == bytes);
  }
  for (const char* text : {"", "G", "-1", "1.5.2G", "5x", "1Gx", "1e9", "99999999999T", "nan", "inf", " 1", "1 "}) {
    INFO(text);
    CHECK_FALSE(size_in(text));
  }
}

TEST_CASE("a report is one line, or one for each step and that one, and never breaks a line") {
  const std::string report =
      R"({"hits": 1, "misses": 2, "not_cacheable": 3, "saved_seconds": 1.5, "notes": [
          {"outcome": "hit", "command": "gcc -c a.c", "reason": ""},
          {"outcome": "miss", "command": "sh -c \n\u001b[31mx", "reason": "a.h has changed"}]})";
  CHECK(report_lines(report, false) == "vestal: 1 hit, 2 misses, 3 not cacheable; 1.5 s saved\n");
  CHECK(report_lines(report, true) ==
        "vestal: hit            gcc -c a.c\n"
        "vestal: miss           sh -c   [31mx: a.h has changed\n"
        "vestal: 1 hit, 2 misses, 3 not cacheable; 1.5 s saved\n");
  CHECK(report_lines("{}", true).empty());
  CHECK(report_lines("nonsense", true).empty());
}
