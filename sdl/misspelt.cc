#include "sdl/misspelt.h"

#include <algorithm>

#include "cache/base/suggestion.h"

namespace sdl {
namespace {

constexpr std::size_t name_bytes_min = 3, name_bytes_max = 100;

}  // namespace

std::string suggestion_among(std::string_view name, std::vector<std::string_view> names) {
  if (name.size() < name_bytes_min || name.size() > name_bytes_max || names.size() > suggestion_names_max) return {};
  // Of two that are as near the first is told, whatever order they come in.
  std::ranges::sort(names);
  std::vector<std::string> choices;
  for (const std::string_view each : names)
    if (each.size() <= 2 * name.size()) choices.emplace_back(each);
  return cache::suggestion(std::string(name), choices);
}

}  // namespace sdl
