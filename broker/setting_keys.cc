#include "broker/setting_keys.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "broker/session_policies.h"
#include "broker/settings.h"
#include "broker/wording.h"

namespace broker {
namespace {

constexpr std::string_view words_for_true[] = {"true", "1", "yes", "on"}, words_for_false[] = {"false", "0", "no", "off"};

std::string wrong_flag(const std::string& value) {
  const bool is_flag = std::ranges::count(words_for_true, value) + std::ranges::count(words_for_false, value) > 0;
  return is_flag ? "" : "neither true nor false";
}

std::string wrong_idle(const std::string& value) {
  return idle_in(value) ? "" : fmt::format("not a number of seconds from 1 to {}", idle_s_max);
}

std::string wrong_size(const std::string& value) {
  return value == unlimited || size_in(value) ? "" : fmt::format("not a size like 500M or 20G, nor `{}`", unlimited);
}

std::string wrong_events(const std::string& value) {
  if (!value.starts_with('/')) return "not an absolute path";
  const std::string folder = value.substr(0, value.rfind('/') + 1);
  const bool can_be_written = ::access(value.c_str(), W_OK) == 0 || (errno == ENOENT && ::access(folder.c_str(), W_OK) == 0);
  return can_be_written ? "" : std::strerror(errno);
}

std::string wrong_directory(const std::string& value) { return value.empty() ? "empty" : ""; }
std::string nothing_wrong(const std::string&) { return {}; }

template <cache::Result<bool> (*choose)(SessionPolicies&, std::string_view)>
std::string wrong_policy(const std::string& value) {
  SessionPolicies unused{};
  const auto chosen = choose(unused, value);
  return chosen ? "" : chosen.error().message;
}

using enum SettingKey::Kind;
using enum SettingKey::Place;

constexpr SettingKey keys[] = {
    {"dir", "VESTAL_DIR", "", "", text, not_of_project, false, wrong_directory, "the cache directory"},
    {"max_size", "VESTAL_MAX_SIZE", "", "20G", text, not_of_project, false, wrong_size, "how large the cache may grow"},
    {"idle", "VESTAL_IDLE", "", "300", number, not_of_project, false, wrong_idle, "seconds after which an idle broker leaves"},
    {"precise", "VESTAL_PRECISE", "--precise", "false", flag, any_file, false, wrong_flag, "make is told what is out of date by what recipes read"},
    {"summary", "VESTAL_SUMMARY", "--summary", "false", flag, any_file, false, wrong_flag, "one line at the end"},
    {"verbose", "VESTAL_VERBOSE", "--verbose", "false", flag, any_file, false, wrong_flag, "what happened to each step"},
    {"fresh", "VESTAL_FRESH", "--fresh", "false", flag, any_file, false, wrong_flag, "run everything, replay nothing"},
    {"clock", "VESTAL_CLOCK", "--clock", "real", text, any_file, true, wrong_policy<choose_clock>, "what the clock tells"},
    {"random", "VESTAL_RANDOM", "--random", "real", text, any_file, true, wrong_policy<choose_random>, "where random numbers come from"},
    {"hostname", "VESTAL_HOSTNAME", "--hostname", "", text, any_file, true, wrong_policy<choose_host_name>, "what the host is called; empty: what it is"},
    {"network", "VESTAL_NETWORK", "--network", "allow", text, any_file, true, wrong_policy<choose_network>, "whom the command may reach"},
    {"events", "VESTAL_EVENTS", "", "", text, no_file, false, wrong_events, "a file that events are written to"},
    {"shim", "VESTAL_SHIM", "", "", text, no_file, false, nothing_wrong, "the library that is loaded into processes"},
};

}  // namespace

std::span<const SettingKey> setting_keys() { return keys; }

const SettingKey* find_setting_key(std::string_view name) {
  const auto found = std::ranges::find(keys, name, [](const SettingKey& key) { return std::string_view(key.name); });
  return found == std::end(keys) ? nullptr : found;
}

bool flag_in(std::string_view value) { return std::ranges::count(words_for_true, value) > 0; }

}  // namespace broker
