#include "cache/base/suggestion.h"

#include <algorithm>
#include <utility>

namespace cache {
namespace {

// How many letters have to be put in, taken out or changed, or two that are neighbours swapped (optimal string alignment).
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before, above, row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before = std::exchange(above, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string suggestion(const std::string& word, const std::vector<std::string>& choices) {
  const auto nearest = std::min_element(choices.begin(), choices.end(), [&](const auto& a, const auto& b) {
    return distance(word, a) < distance(word, b);
  });
  constexpr std::size_t changed_max = 2;
  if (nearest == choices.end() || distance(word, *nearest) > std::min(changed_max, std::max<std::size_t>(1, word.size() / 4))) return {};
  return "; did you mean '" + *nearest + "'?";
}

}  // namespace cache
