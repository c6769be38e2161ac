#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/client.h"
#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"
#include "makecompat/compile_commands.h"
#include "makecompat/findings.h"
#include "makecompat/findings_text.h"

namespace makecompat {
namespace {

using broker::complain;

struct Wishes {
  bool checks = false;
  std::string findings;  // file to write them to; .json or .sarif
  std::string compile_commands;  // file to write them to
};

bool write_file(const std::string& path, std::string_view text) {
  const cache::OwnedFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file && cache::write_all(file.get(), text)) return true;
  complain(path + ": cannot be written: " + std::strerror(errno));
  return false;
}

// The status to leave with instead of make's.
std::optional<int> check(const Wishes& wishes, const std::string& report, int status) {
  Observation observation{report, std::filesystem::current_path().string(), {}};
  for (char** variable = environ; *variable; ++variable) observation.environment.emplace_back(*variable);
  const auto findings = find(observation);
  const bool has_failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  const std::optional<int> own_failure = has_failed ? std::nullopt : std::optional(broker::status_own_failure);
  if (!findings) {
    complain("check: nothing was checked: " + findings.error().message);
    return own_failure;
  }
  ::dprintf(2, "%s", text_of(*findings, observation.directory).c_str());
  bool is_written = true;
  if (!wishes.findings.empty())
    is_written = write_file(wishes.findings, wishes.findings.ends_with(".sarif") ? sarif_of(*findings, observation.directory) : json_of(*findings, observation.directory));
  if (has_failed || !is_written) return own_failure;
  if (findings->all.empty() && !findings->problems.empty()) return own_failure;
  return findings->all.empty() ? std::nullopt : std::optional(1);
}

// Make has done what it was to do, so that its status stays.
void write_compile_commands(const Wishes& wishes, const std::string& report) {
  const auto text = compile_commands_text(wishes.compile_commands, report);
  if (!text) complain(text.error().message);
  else write_file(wishes.compile_commands, *text);
}

// The word of an option, in itself or the next one.
bool takes(std::string_view option, char* const*& arguments, std::string& word) {
  const std::string_view given = *arguments;
  if (given == option && arguments[1]) word = *++arguments;
  else if (given.starts_with(option) && given.substr(option.size()).starts_with('=')) word = given.substr(option.size() + 1);
  else return false;
  return true;
}

// Words behind `make` belong to make, --help and --version included, but for those that make does not know.
int make(const broker::CommandOptions& given, char* const* arguments) {
  broker::CommandOptions options = given;
  Wishes wishes;
  std::string name = "make";
  std::vector<char*> words{name.data()};
  for (; *arguments; ++arguments) {
    const std::string_view word = *arguments;
    if (word == "--precise") {
      options.precise = true;
      options.said.push_back({"precise", "true"});
    } else if (word == "--check") {
      wishes.checks = true;
    } else if (takes("--findings", arguments, wishes.findings) || takes("--compile-commands", arguments, wishes.compile_commands)) {
      continue;
    } else {
      words.push_back(*arguments);
    }
  }
  const auto needs_file = [&words](const char* option) {
    const bool is_last = words.size() > 1 && std::string_view(words.back()) == option;
    if (is_last) complain(std::string(option) + ": needs a FILE behind it");
    return is_last;
  };
  if (needs_file("--findings") || needs_file("--compile-commands")) return broker::status_wrong_usage;
  words.push_back(nullptr);
  if (!wishes.findings.empty()) {
    wishes.checks = true;
    if (!wishes.findings.ends_with(".json") && !wishes.findings.ends_with(".sarif")) {
      complain("--findings " + wishes.findings + ": the name has to end in .json or .sarif");
      return broker::status_wrong_usage;
    }
    if (!cache::OwnedFd(::open(wishes.findings.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666))) {
      complain(wishes.findings + ": cannot be written: " + std::strerror(errno));
      return broker::status_own_failure;
    }
  }
  if (!wishes.compile_commands.empty()) {
    const auto may_be_written = may_become_compile_commands(wishes.compile_commands);
    if (!may_be_written) {
      complain(may_be_written.error().message);
      return broker::status_own_failure;
    }
  }
  if (wishes.checks || !wishes.compile_commands.empty()) {
    options.wants_recipes = true;
    options.on_report = [&wishes](const std::string& report, int status) {
      if (!wishes.compile_commands.empty()) write_compile_commands(wishes, report);
      return wishes.checks ? check(wishes, report, status) : std::nullopt;
    };
  }
  return broker::run_command(words.data(), options);
}

bool common(char* const*) { return true; }

int describe() {
  bool flag = false;
  std::string word;
  broker::cli::Options options("vestal [OPTIONS] make [ARGUMENTS...]", "The make you know, with all its arguments.");
  options.flag("--precise", flag, "Tell make what still holds: by what recipes have really read, not by the prerequisites alone");
  options.flag("--check", flag, "Tell where recipes read or write something else than the makefiles say; the status is then 1");
  options.word("--findings", "FILE", word, "Write that to FILE as well, which ends in .json or .sarif");
  options.word("--compile-commands", "FILE", word, "Write how the sources of the build are compiled, also what is replayed, for tools that read sources");
  options.print_help();
  return 0;
}

const broker::cli::Subcommand make_subcommand("make", "[ARGUMENTS...]", "The make you know, with all its arguments; --precise tells it what still holds", make,
                                              common, describe);

}  // namespace
}  // namespace makecompat
