#include "broker/settings.h"

#include <charconv>
#include <cstdlib>

#include "broker/wording.h"

namespace broker {
namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

std::optional<int> idle_in(const std::string& text) {
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 1 || seconds > idle_s_max) return std::nullopt;
  return seconds;
}

int idle_seconds() { return idle_in(variable("VESTAL_IDLE")).value_or(idle_s_default); }

std::optional<std::uint64_t> cache_bytes_max() {
  const std::string text = variable("VESTAL_MAX_SIZE");
  if (text == unlimited) return std::nullopt;
  return size_in(text).value_or(cache_bytes_default);
}

std::string events_path() {
  std::string path = variable("VESTAL_EVENTS");
  return path.starts_with('/') ? path : std::string();
}

}  // namespace broker
