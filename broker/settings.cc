#include "broker/settings.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "broker/wording.h"

namespace broker {
namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

constexpr std::string_view unlimited = "unlimited";

std::optional<int> idle_in(const std::string& text) {
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 1 || seconds > idle_s_max) return std::nullopt;
  return seconds;
}

}  // namespace

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

std::vector<std::string> wrong_settings() {
  std::vector<std::string> wrong;
  if (const std::string idle = variable("VESTAL_IDLE"); !idle.empty() && !idle_in(idle))
    wrong.push_back(fmt::format("VESTAL_IDLE={}: not a number of seconds from 1 to {}; {} is used", idle, idle_s_max, idle_s_default));
  if (const std::string size = variable("VESTAL_MAX_SIZE"); !size.empty() && size != unlimited && !size_in(size))
    wrong.push_back(fmt::format("VESTAL_MAX_SIZE={}: not a size like 500M or 20G, nor `{}`; {} is used", size, unlimited, size_text(cache_bytes_default)));
  if (const std::string events = variable("VESTAL_EVENTS"); !events.empty()) {
    const std::string path = events_path();
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    if (path.empty()) wrong.push_back(fmt::format("VESTAL_EVENTS={}: not an absolute path; no events are written", events));
    else if (::access(path.c_str(), W_OK) != 0 && (errno != ENOENT || ::access(folder.c_str(), W_OK) != 0))
      wrong.push_back(fmt::format("VESTAL_EVENTS={}: {}; no events are written", events, std::strerror(errno)));
  }
  return wrong;
}

}  // namespace broker
