// vestal why [FILE|WORD]
#include <sys/stat.h>

#include <cstdio>
#include <ctime>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"

namespace broker::cli {
namespace {

using nlohmann::json;

// A word is a file if there is one of that name, or if it can hardly be anything else. Symlinks in front of the last
// component are followed, as in the records of steps; the last one is what was made.
std::string filter_of(const std::string& word) {
  struct stat status;
  if (word.find('/') == word.npos && ::lstat(word.c_str(), &status) != 0) return word;
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(word, error);
  const std::filesystem::path folder = std::filesystem::weakly_canonical(path.parent_path(), error);
  return error ? word : (folder / path.filename()).string();
}

std::string when_text(std::int64_t when_ns) {
  const std::time_t when = when_ns / 1'000'000'000;
  std::tm parts{};
  ::localtime_r(&when, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%F %T", &parts);
  return text;
}

void print(const json& explanation) {
  fmt::print("{}\n    in {}, {}: {}\n", explanation.at("command").get<std::string>(),
             explanation.at("directory").get<std::string>(), when_text(explanation.at("when_ns")),
             explanation.at("outcome").get<std::string>());
  for (const auto& reason : explanation.at("reasons")) fmt::print("    {}\n", reason.get<std::string>());
  if (const std::string policy = explanation.value("policy", ""); !policy.empty()) fmt::print("    {}\n", policy);
}

int why(const CommandOptions&, char* const* arguments) {
  std::string word;
  Options accepted("vestal why [FILE|WORD]",
                   "Says why steps were not hits when they ran last: the one that makes FILE, those with WORD in their "
                   "command, or, without either, those of the last session.");
  accepted.word("FILE|WORD", word, "A file that a step makes, or part of a command");
  if (const int status = accepted.parse(words_of(arguments)); status >= 0) return status;
  const std::string filter = word.empty() ? word : filter_of(word);
  auto answer = ask_broker(RequestKind::why, filter);
  // A path may also be a word, of which the command knows another spelling.
  if (answer && *answer == "[]" && filter != word) answer = ask_broker(RequestKind::why, word);
  if (!answer) {
    complain(answer.error().message);
    return answer.error().fault == cache::Fault::not_found ? 1 : status_own_failure;
  }
  try {
    const json explanations = json::parse(*answer);
    for (const json& one : explanations) print(one);
    if (!explanations.empty()) return 0;
  } catch (const json::exception&) {
    complain("the broker's answer makes no sense");
    return status_own_failure;
  }
  if (word.empty()) {
    fmt::print("Every step of the last session was a hit.\n");
    return 0;
  }
  complain("nothing is known of '" + word + "'");
  return 1;
}

const Subcommand why_subcommand("why", "[FILE|WORD]", "Why the step that makes a file was not a hit last time", why);

}  // namespace
}  // namespace broker::cli
