#include "broker/observed_recipes.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <unordered_map>

#include <nlohmann/json.hpp>

namespace broker {

using nlohmann::ordered_json;

std::vector<std::string> environment_of(std::int32_t pid) {
  std::vector<std::string> all;
  std::ifstream file("/proc/" + std::to_string(pid) + "/environ");
  for (std::string variable; std::getline(file, variable, '\0');)
    if (!variable.starts_with("VESTAL_") && !variable.starts_with("LD_PRELOAD=")) all.push_back(std::move(variable));
  return all;
}

bool is_compiler_driver(std::string_view program) {
  program.remove_prefix(program.rfind('/') + 1);
  if (const std::size_t version = program.find_last_not_of("0123456789."); version != program.npos && program[version] == '-') program = program.substr(0, version);
  const std::size_t end = program.rfind('-');
  const std::string_view name = end == program.npos ? program : program.substr(end + 1);
  constexpr std::string_view names[] = {"cc", "gcc", "g++", "c++", "clang", "clang++", "c89", "c99"};
  return std::ranges::find(names, name) != std::end(names);
}

std::string ObservedRecipes::to_json() const {
  // Most headers are read by most lines.
  std::unordered_map<std::string, std::size_t> number_of;
  ordered_json paths = ordered_json::array();
  const auto numbers = [&](const std::vector<std::string>& texts) {
    ordered_json all = ordered_json::array();
    for (const std::string& text : texts) {
      const auto [known, is_new] = number_of.try_emplace(text, number_of.size());
      if (is_new) paths.push_back(text);
      all.push_back(known->second);
    }
    return all;
  };
  ordered_json object{{"makes", ordered_json::array()}, {"lines", ordered_json::array()}, {"compilations", ordered_json::array()}};
  for (const Make& make : makes)
    object["makes"].push_back({{"number", make.number}, {"line", make.line}, {"program", make.program}, {"directory", make.directory},
                               {"arguments", make.arguments}, {"environment", make.environment}});
  for (const Line& line : lines)
    object["lines"].push_back({{"number", line.number}, {"make", line.make}, {"recipe", line.recipe}, {"command", line.command},
                               {"looked_at", line.looked_at}, {"directory", line.directory}, {"began", line.began}, {"ended", line.ended},
                               {"status", line.status}, {"read", numbers(line.read)}, {"asked", numbers(line.asked)},
                               {"written", numbers(line.written)}, {"removed", numbers(line.removed)}});
  for (const Compilation& each : compilations)
    object["compilations"].push_back({{"program", each.program}, {"directory", each.directory}, {"arguments", each.arguments}});
  object["paths"] = std::move(paths);
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace broker
