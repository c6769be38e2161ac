#include "broker/wording.h"

#include <sys/wait.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <ctime>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/progress_line.h"
#include "cache/base/suggestion.h"

namespace broker {
using nlohmann::json;

std::string on_one_line(std::string text, std::size_t bytes_max) {
  for (char& byte : text)
    if (static_cast<unsigned char>(byte) < ' ' || byte == '\x7f') byte = ' ';
  if (text.size() > bytes_max) text.replace(bytes_max, text.npos, "...");
  return text;
}

std::string when_text(std::int64_t when_ns) {
  const std::time_t when = when_ns / 1'000'000'000;
  std::tm parts{};
  ::localtime_r(&when, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%F %T", &parts);
  return text;
}

std::string duration_text(double seconds) {
  if (seconds < 1) return fmt::format("{:.2f} s", seconds);
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::uint64_t>(seconds);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::string size_text(std::uint64_t bytes) {
  if (bytes < 1024) return count_text(bytes, "byte", "bytes");
  double size = static_cast<double>(bytes);
  const char* const units[] = {"KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (size /= 1024; size >= 1024 && unit + 1 < std::size(units); size /= 1024) ++unit;
  return fmt::format("{:.1f} {}", size, units[unit]);
}

std::optional<std::uint64_t> size_in(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (unit.size() > 1 && unit[0] == ' ') unit.remove_prefix(1);
  if (error != std::errc() || text[0] < '0' || text[0] > '9') return std::nullopt;
  if (!unit.empty() && unit != "B") {
    constexpr std::string_view letters = "KMGT";
    const std::size_t power = letters.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit[0]))));
    const std::string_view rest = unit.substr(1);
    if (power == letters.npos || (!rest.empty() && rest != "B" && rest != "iB")) return std::nullopt;
    number *= std::pow(rest == "B" ? 1000.0 : 1024.0, static_cast<double>(power + 1));
  }
  if (number >= 0x1p63) return std::nullopt;
  return static_cast<std::uint64_t>(number);
}

std::string status_text(int status) {
  if (status == -1) return "not seen";
  return WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status)) : fmt::format("status {}", WEXITSTATUS(status));
}

std::string count_text(std::uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string reason_class(const std::string& reason) {
  std::string text;
  for (std::size_t at = 0; at < reason.size();) {
    const std::size_t end = std::min(reason.find(' ', at), reason.size());
    std::string word = reason.substr(at, end - at);
    const std::string tail = word.ends_with(':') ? ":" : "";
    if (word.starts_with("/proc/") && word.size() > 6 && word[6] >= '0' && word[6] <= '9') {
      const std::size_t rest = word.find('/', 6);
      word = "/proc/PID" + (rest == word.npos ? tail : word.substr(rest));
    } else if (word.starts_with('/') && !word.starts_with("/proc/") && !word.starts_with("/dev/") && !word.starts_with("/sys/")) {
      word = "FILE" + tail;
    }
    text += (text.empty() ? "" : " ") + word;
    at = end + 1;
  }
  return text;
}

std::string reason_text(const std::string& reason, const std::string& culprit) {
  return culprit.empty() ? reason : fmt::format("inside it `{}`: {}", culprit, reason);
}

std::string suggestion(const std::string& word, const std::vector<std::string>& choices) { return cache::suggestion(word, choices); }

std::string report_lines(const std::string& text, bool notes) {
  const json report = json::parse(text, nullptr, false);
  try {
    std::string lines;
    for (const json& note : report.at("notes")) {
      if (!notes) break;
      std::string why = note.at("reason");
      const std::string policy = note.value("policy", "");
      if (!policy.empty()) why += (why.empty() ? "" : "; ") + policy;
      lines += fmt::format("vestal: {:<14} {}{}{}\n", note.at("outcome").get<std::string>(),
                           on_one_line(note.at("command")), why.empty() ? "" : ": ", on_one_line(why));
    }
    lines += fmt::format("vestal: {}, {}, {} not cacheable; {} saved\n",
                         count_text(report.at("hits"), "hit", "hits"), count_text(report.at("misses"), "miss", "misses"),
                         report.at("not_cacheable").get<std::uint64_t>(), duration_text(report.at("saved_seconds")));
    return lines;
  } catch (const json::exception&) {
    return {};
  }
}

std::string progress_text(const std::string& text) {
  const json progress = json::parse(text, nullptr, false);
  try {
    std::string line = fmt::format("{} done, {}, {} running", progress.at("done").get<std::uint64_t>(), count_text(progress.at("hits"), "hit", "hits"),
                                   progress.at("running").get<std::uint64_t>());
    if (progress.contains("left_s")) line += fmt::format(", about {} left", passed_text(std::chrono::seconds(progress.at("left_s").get<std::int64_t>())));
    if (const std::string command = progress.at("command"); !command.empty()) line += "  " + command;
    return line;
  } catch (const json::exception&) {
    return {};
  }
}

}  // namespace broker
