#include "crude-import/command_report.h"

#include <nlohmann/json.hpp>

namespace crude_import {

using nlohmann::json;

std::optional<CommandReport> CommandReport::from(std::string_view text) try {
  const json whole = json::parse(text);
  const json& needs = whole.at("needs");
  CommandReport report;
  for (const json& one : needs.at("programs")) report.programs.push_back({one.at("path"), false, false, one.at("by")});
  for (const json& one : needs.at("paths")) report.paths.push_back({one.at("path"), one.at("listed"), one.at("changed"), one.at("by")});
  needs.at("absent").get_to(report.absent);
  needs.at("made").get_to(report.made);
  needs.at("variables").get_to(report.variables);
  needs.at("whole_environment").get_to(report.whole_environment);
  for (const json& one : needs.at("others")) report.others.push_back({one.at("reason"), one.at("command")});
  return report;
} catch (const json::exception&) {
  return std::nullopt;
}

}  // namespace crude_import
