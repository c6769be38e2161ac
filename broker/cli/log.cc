// vestal log [-n N] [--json]
#include <sys/wait.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/cli/existing_cache.h"
#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/sandbox/sandbox.h"
#include "broker/session_log.h"

namespace broker::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t shown_otherwise = 20;

double seconds(std::int64_t ns) { return static_cast<double>(ns) / 1e9; }

// The newest first, those in trees among them.
std::vector<SessionFacts> last_sessions(const std::string& place, std::size_t count_max) {
  std::vector<SessionFacts> all = SessionLog::read(place);
  for (const std::string& cache : sandbox::caches(place))
    for (SessionFacts& one : SessionLog::read(cache)) {
      one.in_tree = true;
      all.push_back(std::move(one));
    }
  std::stable_sort(all.begin(), all.end(), [](const SessionFacts& a, const SessionFacts& b) { return a.began_ns > b.began_ns; });
  if (all.size() > count_max) all.resize(count_max);
  return all;
}

ordered_json object_of(const SessionFacts& one) {
  ordered_json object;
  object["began"] = when_text(one.began_ns);
  object["began_ns"] = one.began_ns;
  object["ended_ns"] = one.ended_ns;
  object["seconds"] = seconds(one.ended_ns - one.began_ns);
  object["directory"] = one.directory;
  object["in_tree"] = one.in_tree;
  object["command"] = one.command;
  object["hits"] = one.hits;
  object["misses"] = one.misses;
  object["not_cacheable"] = one.not_cacheable;
  object["saved_seconds"] = seconds(static_cast<std::int64_t>(one.saved_ns));
  // As the shell tells it.
  object["status"] = !one.status ? ordered_json() : ordered_json(WIFSIGNALED(*one.status) ? 128 + WTERMSIG(*one.status) : WEXITSTATUS(*one.status));
  return object;
}

void print(const std::vector<SessionFacts>& sessions) {
  fmt::print("{:<19}  {:>12}  {:>6} {:>6} {:>13}  {:>12}  {:<10}  {}\n", "when", "took", "hits", "misses", "not cacheable", "saved", "ended with", "command");
  for (const SessionFacts& one : sessions) {
    fmt::print("{:<19}  {:>12}  {:>6} {:>6} {:>13}  {:>12}  {:<10}  {}\n", when_text(one.began_ns), duration_text(seconds(one.ended_ns - one.began_ns)),
               one.hits, one.misses, one.not_cacheable, duration_text(seconds(static_cast<std::int64_t>(one.saved_ns))),
               status_text(one.status.value_or(-1)), on_one_line(one.command, 100));
    fmt::print("{:>87}in {}{}\n", "", on_one_line(one.directory, 1000), one.in_tree ? " of a tree" : "");
  }
}

int log(const CommandOptions&, char* const* arguments) {
  bool as_json = false;
  std::string number;
  Options accepted("vestal log [-n N] [--json]", "Shows the last commands, the newest first: when, where, what came of their steps, how long they took.");
  accepted.word("-n", "N", number, fmt::format("How many; otherwise {}. The last {} are known", shown_otherwise, SessionLog::sessions_max));
  accepted.flag("--json", as_json, "As a JSON list");
  if (const int status = accepted.parse(words_of(arguments)); status >= 0) return status;
  std::size_t count_max = shown_otherwise;
  if (!number.empty()) {
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), count_max);
    if (error != std::errc() || end != number.data() + number.size() || count_max == 0) return wrong_usage("log: -n " + number + ": not a number from 1");
  }
  const auto place = existing_cache();
  if (!place) return place.error();
  // If a broker runs, it may have more to write.
  [[maybe_unused]] const auto written = ask_running_broker(RequestKind::why, {});
  const std::vector<SessionFacts> sessions = last_sessions(*place, count_max);
  if (as_json) {
    ordered_json list = ordered_json::array();
    for (const SessionFacts& one : sessions) list.push_back(object_of(one));
    fmt::print("{}\n", list.dump(2, ' ', false, ordered_json::error_handler_t::replace));
  } else if (sessions.empty()) {
    fmt::print("No command is known.\n");
  } else {
    print(sessions);
  }
  return 0;
}

const Subcommand log_subcommand("log", "[-n N] [--json]", "The last commands: when, where, what came of their steps, how long they took", log);

}  // namespace
}  // namespace broker::cli
