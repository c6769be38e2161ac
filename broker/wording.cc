#include "broker/wording.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace broker {
namespace {

using nlohmann::json;

// What a program was called with may hold anything, a terminal should not get to see it.
std::string on_one_line(std::string text) {
  for (char& byte : text) {
    if (static_cast<unsigned char>(byte) < ' ' || byte == '\x7f') byte = ' ';
  }
  return text;
}

}  // namespace

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

std::string count_text(std::uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string report_lines(const std::string& text, bool notes) {
  const json report = json::parse(text, nullptr, false);
  try {
    std::string lines;
    for (const json& note : report.at("notes")) {
      if (!notes) break;
      const std::string reason = note.at("reason");
      lines += fmt::format("vestal: {:<14} {}{}{}\n", note.at("outcome").get<std::string>(),
                           on_one_line(note.at("command")), reason.empty() ? "" : ": ", on_one_line(reason));
    }
    lines += fmt::format("vestal: {}, {}, {} not cacheable; {} saved\n",
                         count_text(report.at("hits"), "hit", "hits"), count_text(report.at("misses"), "miss", "misses"),
                         report.at("not_cacheable").get<std::uint64_t>(), duration_text(report.at("saved_seconds")));
    return lines;
  } catch (const json::exception&) {
    return {};
  }
}

}  // namespace broker
