// vestal gc
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/collector.h"
#include "broker/configuration.h"
#include "broker/control.h"
#include "broker/effective_settings.h"
#include "broker/settings.h"
#include "broker/wording.h"

namespace broker::cli {
namespace {

using nlohmann::json;

// 90s, 15m, 12h, 30d.
std::optional<std::uint64_t> seconds_in(std::string_view text) {
  constexpr std::string_view letters = "smhd";
  constexpr std::uint64_t seconds[] = {1, 60, 3600, 86'400};
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::size_t left = static_cast<std::size_t>(text.data() + text.size() - end);
  if (error != std::errc() || left > 1) return std::nullopt;
  const std::size_t unit = left == 0 ? 0 : letters.find(*end);
  if (unit == letters.npos) return std::nullopt;
  return number * seconds[unit];
}

int gc(const CommandOptions&, char* const* arguments) {
  std::string size, unused;
  bool only_tells = false;
  Options accepted("vestal gc [--size SIZE] [--unused TIME] [--dry-run]",
                   "Keeps the cache within a size: removes what nobody has used for the longest time. The broker does the same by itself, in pauses.");
  accepted.word("--size", "SIZE", size, fmt::format("As 500M or 20G; without it that of VESTAL_MAX_SIZE, or {}", size_text(cache_bytes_default)));
  accepted.word("--unused", "TIME", unused, "As 30m, 12h or 7d: what was used since stays in any case; 1d without it");
  accepted.flag("--dry-run", only_tells, "Says what would be removed");
  if (const int status = accepted.parse(words_of(arguments)); status >= 0) return status;
  CollectRequest wanted;
  wanted.only_tells = only_tells;
  std::optional<std::uint64_t> bytes_max = size_in(size);
  if (!size.empty() && !bytes_max) return wrong_usage(fmt::format("gc: --size={}: not a size like 500M or 20G", size));
  if (!bytes_max) {
    const auto settings = find_configuration(&complain).and_then([](const auto& files) { return read_configuration(files); }).and_then([](const Configuration& configured) {
      return Settings::find(configured.settings, {}, [](const std::string&) {});
    });
    if (!settings) {
      complain(settings.error().message);
      return status_own_failure;
    }
    const Setting& limit = (*settings)["max_size"];
    if (limit.value == unlimited) {
      fmt::print("{} says that the cache may grow without limit; --size sets one\n", limit.where);
      return 0;
    }
    bytes_max = size_in(limit.value);
  }
  const auto unused_s = unused.empty() ? static_cast<std::uint64_t>(CollectorLimits{}.unused_min.count()) : seconds_in(unused);
  if (!unused_s) return wrong_usage(fmt::format("gc: --unused={}: not a time like 30m, 12h or 7d", unused));
  wanted.bytes_max = *bytes_max;
  wanted.unused_s = *unused_s;
  const auto answer = ask_broker(RequestKind::collect, std::string(reinterpret_cast<const char*>(&wanted), sizeof wanted));
  if (!answer) {
    complain(answer.error().message);
    return status_own_failure;
  }
  const json told = json::parse(*answer, nullptr, false);
  try {
    fmt::print("{} {} of {}: {}, {}\n", only_tells ? "Would remove" : "Removed", size_text(told.at("bytes")), size_text(told.at("bytes_before")),
               count_text(told.at("blobs"), "stored file", "stored files"), count_text(told.at("trees"), "tree", "trees"));
    if (!only_tells) fmt::print("{} forgotten\n", count_text(told.at("results"), "result", "results"));
  } catch (const json::exception&) {
    complain("the broker's answer cannot be read");
    return status_own_failure;
  }
  return 0;
}

const Subcommand gc_subcommand("gc", "[--size SIZE]", "Keep the cache within a size: remove what was used longest ago", gc);

}  // namespace
}  // namespace broker::cli
