#include "broker/cli/stats.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/cache_place.h"
#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/wording.h"

namespace broker::cli {
namespace {

using nlohmann::ordered_json;

// Of a cache that is not there yet.
std::string empty_stats() {
  ordered_json stats;
  for (const char* name : {"hits", "misses", "not_cacheable"}) stats[name] = 0;
  stats["reasons"] = ordered_json::object();
  stats["sessions"] = 0;
  stats["saved_seconds"] = 0.0;
  stats["cache_bytes"] = 0;
  stats["cache_directory"] = cache_place().value_or("");
  return stats.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

void print(const ordered_json& stats) {
  const std::uint64_t hits = stats.at("hits"), misses = stats.at("misses"), not_cacheable = stats.at("not_cacheable");
  const std::uint64_t steps = hits + misses + not_cacheable;
  auto row = [](std::string_view name, std::string_view value) { fmt::print("{:<18} {}\n", name, value); };
  row("Cache directory", stats.at("cache_directory").get<std::string>());
  row("Size", size_text(stats.at("cache_bytes")));
  row("Hits", steps == 0 ? "0" : fmt::format("{} of {} ({:.1f} %)", hits, count_text(steps, "step", "steps"),
                                             100.0 * static_cast<double>(hits) / static_cast<double>(steps)));
  row("Misses", std::to_string(misses));
  row("Not cacheable", std::to_string(not_cacheable));
  std::vector<std::pair<std::uint64_t, std::string>> reasons;
  for (const auto& [reason, count] : stats.at("reasons").items()) reasons.emplace_back(count, reason);
  std::stable_sort(reasons.begin(), reasons.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [count, reason] : reasons) fmt::print("  {:>6}  {}\n", count, reason);
  row("Time saved", duration_text(stats.at("saved_seconds")));
}

int stats(const CommandOptions&, char* const* arguments) {
  bool as_json = false;
  Options accepted("vestal stats [--json]",
                   "Shows what the cache has been good for since its counters were cleared.");
  accepted.flag("--json", as_json, "As one JSON object");
  if (const int status = accepted.parse(words_of(arguments)); status >= 0) return status;
  return show_stats(as_json);
}

const Subcommand stats_subcommand("stats", "[--json]", "Hits, misses, what could not be cached and why, size of the cache",
                                  stats);

}  // namespace

int show_stats(bool as_json) {
  auto answer = ask_broker(RequestKind::stats, {});
  if (!answer && answer.error().fault == cache::Fault::not_found) answer = empty_stats();
  if (!answer) {
    complain(answer.error().message);
    return status_own_failure;
  }
  try {
    const auto stats = ordered_json::parse(*answer);
    if (as_json) {
      fmt::print("{}\n", stats.dump(2));
    } else {
      print(stats);
    }
  } catch (const ordered_json::exception&) {
    complain("the broker's answer makes no sense");
    return status_own_failure;
  }
  return 0;
}

int clear_stats() {
  const auto answer = ask_broker(RequestKind::clear, {});
  if (!answer && answer.error().fault != cache::Fault::not_found) {
    complain(answer.error().message);
    return status_own_failure;
  }
  fmt::print("Statistics cleared\n");
  return 0;
}

}  // namespace broker::cli
