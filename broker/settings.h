// Variables of the environment that steer the broker, besides those that say
// where the cache is (broker/cache_place.h).
//
//   VESTAL_IDLE     seconds after which an idle broker leaves
//   VESTAL_EVENTS   a file that the broker appends every event to
//   VESTAL_MAX_SIZE how large the cache may grow (broker/collector.h): a size as size_in() takes it, or `unlimited`
//
// Who starts it has put there what the user's files of configuration say, if the user's own environment does not (broker/effective_settings.h).
// A value that makes no sense counts as none: no build fails for that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace broker {

inline constexpr int idle_s_default = 300, idle_s_max = 1'000'000;
inline constexpr std::string_view unlimited = "unlimited";

inline constexpr std::uint64_t cache_bytes_default = std::uint64_t{20} << 30;

std::optional<int> idle_in(const std::string& text);
int idle_seconds();
std::optional<std::uint64_t> cache_bytes_max();  // nothing: unlimited
// Empty if there is to be none.
std::string events_path();

}  // namespace broker
