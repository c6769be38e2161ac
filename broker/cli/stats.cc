#include "broker/cli/stats.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/cache_place.h"
#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/sandbox/sandbox.h"
#include "broker/statistics.h"
#include "broker/wording.h"
#include "cache/base/owned_fd.h"

namespace broker::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t reasons_shown_max = 12;

// What a broker has left, for nobody has to be started, and nothing written, to read it. `state` is said of the directory.
cache::Result<ordered_json> stats_without_broker(const std::string& place, std::string& state) {
  ordered_json stats = ordered_json::parse(Statistics(place).text({}));
  struct stat status;
  if (::stat(place.c_str(), &status) != 0 && errno == ENOENT) {
    state = "not there yet";
  } else if (const cache::OwnedFd directory(::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)); !directory) {
    return cache::fail(cache::Fault::io, place + ": " + std::strerror(errno));
  } else {
    std::ifstream file(place + "/" + Statistics::file_name, std::ios::binary);
    if (auto known = ordered_json::parse(file, nullptr, false); known.is_object()) stats = std::move(known);
    else state = "its counters cannot be read";
    if (::faccessat(AT_FDCWD, place.c_str(), W_OK, AT_EACCESS) != 0) state += (state.empty() ? "" : ", ") + std::string("cannot be written");
  }
  stats["cache_bytes"] = Statistics::cache_bytes(place);
  stats["cache_directory"] = place;
  return stats;
}

// What sandboxes have counted (broker/sandbox/sandbox.h) is part of the whole.
void add_trees(ordered_json& stats, const std::string& place) {
  ordered_json trees = {{"hits", 0}, {"misses", 0}, {"not_cacheable", 0}};
  for (const std::string& cache : sandbox::caches(place)) {
    std::ifstream file(cache + "/" + Statistics::file_name, std::ios::binary);
    const auto one = ordered_json::parse(file, nullptr, false);
    if (!one.is_object()) continue;
    for (auto& [name, count] : trees.items()) {
      const std::uint64_t more = one.at(name);
      count = count.get<std::uint64_t>() + more;
      stats[name] = stats.at(name).get<std::uint64_t>() + more;
    }
    for (const auto& [reason, count] : one.at("reasons").items()) stats["reasons"][reason] = stats["reasons"].value(reason, std::uint64_t{0}) + count.get<std::uint64_t>();
    for (const auto& [reason, command] : one.at("examples").items())
      if (!stats["examples"].contains(reason)) stats["examples"][reason] = command;
    stats["sessions"] = stats.at("sessions").get<std::uint64_t>() + one.at("sessions").get<std::uint64_t>();
    stats["saved_seconds"] = stats.at("saved_seconds").get<double>() + one.at("saved_seconds").get<double>();
  }
  stats["in_trees"] = std::move(trees);
}

void print(const ordered_json& stats, const std::string& state) {
  const std::uint64_t hits = stats.at("hits"), misses = stats.at("misses"), not_cacheable = stats.at("not_cacheable");
  const std::uint64_t steps = hits + misses + not_cacheable;
  auto row = [](std::string_view name, std::string_view value) { fmt::print("{:<18} {}\n", name, value); };
  row("Cache directory", stats.at("cache_directory").get<std::string>() + (state.empty() ? "" : " (" + state + ")"));
  row("Size", size_text(stats.at("cache_bytes")));
  row("Hits", steps == 0 ? "0" : fmt::format("{} of {} ({:.1f} %)", hits, count_text(steps, "step", "steps"),
                                             100.0 * static_cast<double>(hits) / static_cast<double>(steps)));
  row("Misses", std::to_string(misses));
  row("Not cacheable", std::to_string(not_cacheable));
  // What is so only because of a step inside it comes last, for it is no cause.
  std::vector<std::pair<std::uint64_t, std::string>> reasons;
  std::uint64_t around = 0;
  for (const auto& [reason, count] : stats.at("reasons").items()) {
    if (reason == inner_reason) around = count;
    else reasons.emplace_back(count, reason);
  }
  std::stable_sort(reasons.begin(), reasons.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  const ordered_json examples = stats.value("examples", ordered_json::object());
  std::uint64_t others = 0, shown = 0;
  for (const auto& [count, reason] : reasons) {
    if (shown++ >= reasons_shown_max) {
      others += count;
      continue;
    }
    const std::string example = examples.value(reason, "");
    fmt::print("  {:>6}  {}{}\n", count, reason, example.empty() ? "" : "; for example `" + example + "`");
  }
  if (others > 0) fmt::print("  {:>6}  {} (--json lists them)\n", others, count_text(reasons.size() - reasons_shown_max, "other reason", "other reasons"));
  if (around > 0) fmt::print("  {:>6}  {}\n", around, inner_reason);
  const ordered_json& trees = stats.at("in_trees");
  if (const std::uint64_t count = trees.at("hits").get<std::uint64_t>() + trees.at("misses").get<std::uint64_t>() + trees.at("not_cacheable").get<std::uint64_t>(); count > 0)
    row("In trees", count_text(count, "step", "steps") + " of these");
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
  const auto place = cache_place();
  if (!place) {
    complain(place.error().message);
    return status_own_failure;
  }
  std::string state;
  try {
    cache::Result<ordered_json> known = ordered_json();
    if (const auto answer = ask_running_broker(RequestKind::stats, {})) known = ordered_json::parse(*answer);
    else known = stats_without_broker(*place, state);
    if (!known) {
      complain(known.error().message);
      return status_own_failure;
    }
    ordered_json& stats = *known;
    add_trees(stats, *place);
    if (as_json) {
      fmt::print("{}\n", stats.dump(2));
    } else {
      print(stats, state);
    }
  } catch (const ordered_json::exception&) {
    complain("the statistics make no sense");
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
  if (const auto place = cache_place()) {
    if (const auto cleared = sandbox::clear_counters(*place); !cleared) {
      complain("not cleared: " + cleared.error().message);
      return status_own_failure;
    }
  }
  fmt::print("Statistics cleared\n");
  return 0;
}

}  // namespace broker::cli
