// vestal why [-v] [FILE|WORD]
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/cli/existing_cache.h"
#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/explain.h"
#include "broker/sandbox/sandbox.h"
#include "broker/session.h"

namespace broker::cli {
namespace {

using nlohmann::json;

constexpr std::size_t steps_shown_max = 5, commands_shown_max = 3, command_bytes_max = 100;

// A word is a file if there is one of that name, or if it can hardly be anything else. Symlinks in front of the last
// component are followed, as in the records of steps; the last one is what was made.
std::string path_of(const std::string& word) {
  struct stat status;
  if (word.find('/') == word.npos && ::lstat(word.c_str(), &status) != 0) return {};
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(word, error);
  const std::filesystem::path folder = std::filesystem::weakly_canonical(path.parent_path(), error);
  return error ? std::string() : (folder / path.filename()).string();
}

// Paths below the working directory as the user would write them.
std::string shown_from_here(std::string reason) {
  static const std::string here = [] {
    std::error_code error;
    std::string path = std::filesystem::current_path(error).string();
    return error || path == "/" ? std::string() : path + "/";
  }();
  if (!here.empty() && reason.starts_with(here)) reason.erase(0, here.size());
  return on_one_line(std::move(reason), 500);
}

std::string cause_of(const Explanation& step) {
  return step.reasons.empty() ? std::string() : reason_text(shown_from_here(step.reasons[0]), on_one_line(step.culprit, command_bytes_max));
}

// `name: miss, because ...`, and below it what belongs to that.
void print_step(const std::string& name, const Explanation& step, bool verbose) {
  const std::string cause = cause_of(step);
  fmt::print("{}: {}{}\n", name, name_of(step.outcome), cause.empty() ? "" : ", because " + cause);
  if (const std::string command = on_one_line(step.command, verbose ? 2000 : command_bytes_max); command != name) fmt::print("    {}\n", command);
  fmt::print("    in {}{}, {}\n", step.directory, step.in_tree ? " of a tree" : "", when_text(step.when_ns));
  bool more = false;
  for (std::size_t i = 1; i < step.reasons.size(); ++i) {
    const std::string& reason = step.reasons[i];
    if (reason.starts_with(in_session)) fmt::print("    {}\n", reason);
    else if (verbose) fmt::print("    also: {}\n", shown_from_here(reason));
    else more = true;
  }
  if (verbose && step.began_ns != 0) {
    const std::string time = duration_text(static_cast<double>(step.took_ns) / 1e9);
    fmt::print("    began {}, {}, process {}, {}\n", when_text(step.began_ns),
               step.outcome == Outcome::hit ? fmt::format("replayed in {} what took {}", time, duration_text(static_cast<double>(step.saved_ns) / 1e9)) : "took " + time,
               step.process, status_text(step.status));
  }
  if (verbose && !step.policy.empty()) fmt::print("    {}\n", step.policy);
  if (more && step.outcome == Outcome::miss) fmt::print("    -v tells what else differs\n");
}

void print_all(const std::vector<Explanation>& steps, const std::string& name, bool verbose) {
  std::size_t shown = 0;
  for (const Explanation& step : steps) {
    if (shown == steps_shown_max && !verbose) {
      fmt::print("and {} more; -v tells all\n", count_text(steps.size() - shown, "command", "commands"));
      return;
    }
    print_step(name.empty() ? on_one_line(step.command, command_bytes_max) : name, step, verbose);
    ++shown;
  }
}

// The last session: which causes there were, and for how many commands.
void print_session(const Explanations& all, bool verbose) {
  const std::vector<Explanation> session = all.of_session(all.last_session);
  std::vector<Explanation> others;
  std::copy_if(session.begin(), session.end(), std::back_inserter(others), [](const Explanation& one) { return one.outcome != Outcome::hit; });
  if (others.empty()) {
    fmt::print("Every step of the last session was a hit.\n");
    return;
  }
  if (verbose) return print_all(others, {}, true);
  // Who ran only because of a step inside it has nothing to add.
  const std::vector<Explanation> inner = innermost(others, session);
  std::vector<std::pair<std::string, std::vector<const Explanation*>>> causes;
  for (const Explanation& step : inner) {
    const std::string cause = fmt::format("{}, because {}", name_of(step.outcome), cause_of(step));
    auto known = std::find_if(causes.begin(), causes.end(), [&](const auto& each) { return each.first == cause; });
    if (known == causes.end()) known = causes.insert(causes.end(), {cause, {}});
    known->second.push_back(&step);
  }
  std::stable_sort(causes.begin(), causes.end(), [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
  std::size_t shown = 0;
  for (const auto& [cause, steps] : causes) {
    if (shown++ == 2 * steps_shown_max) {
      fmt::print("and {}; -v tells all\n", count_text(causes.size() - 2 * steps_shown_max, "more reason", "more reasons"));
      break;
    }
    fmt::print("{}: {}\n", count_text(steps.size(), "command", "commands"), cause);
    for (std::size_t i = 0; i < steps.size() && i < commands_shown_max; ++i) fmt::print("    {}\n", on_one_line(steps[i]->command, command_bytes_max));
    if (steps.size() > commands_shown_max) fmt::print("    and {} more\n", steps.size() - commands_shown_max);
  }
  if (others.size() > inner.size())
    fmt::print("{} around {} ran as well; -v tells all\n", count_text(others.size() - inner.size(), "step", "steps"), inner.size() == 1 ? "it" : "these");
}

// The explanations have nothing of this file any more; the cache itself may still know who made it.
bool print_makers(const std::string& name, const std::string& path) {
  const auto answer = ask_broker(RequestKind::why, path);
  const json makers = answer ? json::parse(*answer, nullptr, false) : json();
  if (!makers.is_array() || makers.empty()) return false;
  fmt::print("{}: nothing is known of its last runs; it was made by\n", name);
  std::size_t shown = 0;
  for (const json& maker : makers) {
    if (shown++ == commands_shown_max) break;
    fmt::print("    {}\n        in {}, {}\n", on_one_line(maker.value("command", ""), command_bytes_max), maker.value("directory", ""),
               when_text(maker.value("when_ns", std::int64_t{0})));
  }
  return true;
}

int why(const CommandOptions& given, char* const* arguments) {
  std::string word;
  bool verbose = given.verbose;
  Options accepted("vestal why [-v] [FILE|WORD]",
                   "Says whether steps were hits when they ran last, and if not, why: the one that makes FILE, those with WORD in "
                   "their command, or, without either, those of the last session.");
  accepted.flag("-v,--verbose", verbose, "All that differs, the steps around, the policy rows");
  accepted.word("FILE|WORD", "", word, "A file that a step makes, or part of a command");
  if (const int status = accepted.parse(words_of(arguments)); status >= 0) return status;
  const auto place = existing_cache();
  if (!place) return place.error();
  const std::string path = word.empty() ? word : path_of(word);
  // If a broker runs, it may have more to write. Without one everything is there.
  [[maybe_unused]] const auto written = ask_running_broker(RequestKind::why, path);
  Explanations all = Explanations::read(*place);
  for (const std::string& cache : sandbox::caches(*place)) all.take_from_tree(Explanations::read(cache));
  if (word.empty()) {
    if (all.last_session == 0) {
      complain("no session is known in the cache at " + *place);
      return 1;
    }
    print_session(all, verbose);
    return 0;
  }
  std::vector<Explanation> found;
  if (!path.empty()) found = all.makers_of(path);
  if (!found.empty()) {
    print_all(found, word, verbose);
    return 0;
  }
  if (!path.empty() && print_makers(word, path)) return 0;
  // A path may also be a word, of which the command knows another spelling.
  for (const std::string& text : {path, word}) {
    if (text.empty()) continue;
    found = all.with_text(text);
    if (found.empty()) continue;
    print_all(found, {}, verbose);
    return 0;
  }
  complain("nothing is known of '" + word + "'");
  return 1;
}

const Subcommand why_subcommand("why", "[FILE|WORD]", "Whether the step that makes a file was a hit last time, and why not", why);

}  // namespace
}  // namespace broker::cli
