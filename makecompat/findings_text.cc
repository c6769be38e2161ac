#include "makecompat/findings_text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/wording.h"

namespace makecompat {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t targets_shown_max = 3;
constexpr FindingKind kinds[] = {FindingKind::undeclared, FindingKind::order, FindingKind::written_twice, FindingKind::outside, FindingKind::unused};

std::string shown(const std::string& path, const std::string& directory) {
  return path.starts_with(directory + "/") ? path.substr(directory.size() + 1) : path;
}

std::string names_of(const Finding& finding, const std::string& directory) {
  std::string names;
  const std::size_t count = finding.targets.size();
  for (std::size_t i = 0; i < count && i < targets_shown_max; ++i) names += (i == 0 ? "" : ", ") + shown(finding.targets[i], directory);
  return count > targets_shown_max ? names + fmt::format(" and {} more", count - targets_shown_max) : names;
}

std::string sentence_of(const Finding& finding, const std::string& directory) {
  const std::string path = shown(finding.path, directory), other = shown(finding.other, directory);
  const bool is_one = finding.targets.size() == 1;
  const std::string its = is_one ? "its" : "their";
  switch (finding.kind) {
    case FindingKind::undeclared:
      if (finding.note == "order-only") return fmt::format("{} {}, which is only an order-only prerequisite", is_one ? "reads" : "read", path);
      return fmt::format("{} {}, which is not among {} prerequisites", is_one ? "reads" : "read", path, its);
    case FindingKind::order: {
      const std::string maker = other.empty() || other == path ? "another recipe" : "the recipe of " + other;
      return fmt::format("{} {}, which {} makes, and no prerequisite says which comes first", is_one ? "reads" : "read", path, maker);
    }
    case FindingKind::written_twice:
      return fmt::format("{} {}, which the recipe of {} writes as well{}", is_one ? "writes" : "write", path, other,
                         finding.note.empty() ? "" : ", perhaps at once");
    case FindingKind::outside:
      return fmt::format("{} {}, which is {}", is_one ? "leaves" : "leave", path, finding.note.empty() ? "no target of the rule" : "the target of another rule");
    case FindingKind::unused: return fmt::format("{} not look at {} prerequisite {}", is_one ? "does" : "do", its, path);
  }
  return {};
}

// Where there is no makefile: make's own rule, or one that is not known.
std::string place_of(const Finding& finding, const std::string& directory) {
  if (finding.makefile.empty()) return "built-in rule";
  return fmt::format("{}:{}", shown(finding.makefile, directory), finding.line);
}

}  // namespace

std::string text_of(const Findings& findings, const std::string& directory) {
  std::string text;
  for (const Finding& finding : findings.all)
    text += fmt::format("{}: {} {} [{}]\n", place_of(finding, directory), names_of(finding, directory), sentence_of(finding, directory), name_of(finding.kind));
  for (const std::string& problem : findings.problems) text += "vestal: check: " + problem + "\n";
  text += fmt::format("vestal: check: {} in {}\n", broker::count_text(findings.all.size(), "finding", "findings"),
                      broker::count_text(findings.recipes, "recipe", "recipes"));
  return text;
}

std::string json_of(const Findings& findings, const std::string& directory) {
  ordered_json object{{"directory", directory}, {"recipes", findings.recipes}, {"problems", findings.problems}, {"findings", ordered_json::array()}};
  for (const Finding& finding : findings.all) {
    ordered_json targets = ordered_json::array();
    for (const std::string& target : finding.targets) targets.push_back(shown(target, directory));
    object["findings"].push_back({{"kind", name_of(finding.kind)},
                                  {"makefile", shown(finding.makefile, directory)},
                                  {"line", finding.line},
                                  {"targets", targets},
                                  {"path", shown(finding.path, directory)},
                                  {"other", shown(finding.other, directory)},
                                  {"note", finding.note},
                                  {"text", names_of(finding, directory) + " " + sentence_of(finding, directory)}});
  }
  return object.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string sarif_of(const Findings& findings, const std::string& directory) {
  ordered_json rules = ordered_json::array(), results = ordered_json::array();
  for (const FindingKind kind : kinds) rules.push_back({{"id", name_of(kind)}, {"shortDescription", {{"text", description_of(kind)}}}});
  for (const Finding& finding : findings.all) {
    ordered_json result{{"ruleId", name_of(finding.kind)},
                        {"ruleIndex", static_cast<int>(finding.kind)},
                        {"level", finding.kind == FindingKind::unused || finding.kind == FindingKind::outside ? "note" : "warning"},
                        {"message", {{"text", names_of(finding, directory) + " " + sentence_of(finding, directory)}}}};
    if (!finding.makefile.empty())
      result["locations"] = ordered_json::array({{{"physicalLocation",
                                                  {{"artifactLocation", {{"uri", shown(finding.makefile, directory)}}}, {"region", {{"startLine", finding.line}}}}}}});
    results.push_back(std::move(result));
  }
  const ordered_json log{{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
                         {"version", "2.1.0"},
                         {"runs", ordered_json::array({{{"tool", {{"driver", {{"name", "vestal"}, {"rules", rules}}}}}, {"results", results}}})}};
  return log.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace makecompat
