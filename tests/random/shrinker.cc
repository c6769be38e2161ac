#include "tests/random/shrinker.h"

#include <utility>

namespace random_builds {
namespace {

// Leaves out whichever of the items may be left out, the last ones first: nothing before depends on them. Whether any could.
template <class Item>
bool dropped(Scenario& scenario, const std::function<std::vector<Item>&(Scenario&)>& items, const std::function<bool(const Scenario&)>& still_true) {
  bool any = false;
  for (std::size_t i = items(scenario).size(); i-- > 0;) {
    Scenario smaller = scenario;
    items(smaller).erase(items(smaller).begin() + static_cast<std::ptrdiff_t>(i));
    if (!still_true(smaller)) continue;
    scenario = std::move(smaller);
    any = true;
  }
  return any;
}

bool made_simpler(Scenario& scenario, const std::function<bool(Scenario&)>& change, const std::function<bool(const Scenario&)>& still_true) {
  Scenario simpler = scenario;
  if (!change(simpler) || !still_true(simpler)) return false;
  scenario = std::move(simpler);
  return true;
}

}  // namespace

Scenario shrunk(Scenario scenario, const std::function<bool(const Scenario&)>& still_true) {
  made_simpler(scenario, [](Scenario& one) { return std::exchange(one.again, false); }, still_true);
  made_simpler(scenario, [](Scenario& one) { return std::exchange(one.streams, Streams::two_pipes) != Streams::two_pipes; }, still_true);
  for (bool any = true; any;) {
    any = dropped<std::vector<Edit>>(scenario, [](Scenario& one) -> auto& { return one.rounds; }, still_true);
    for (std::size_t i = 0; i < scenario.rounds.size(); ++i)
      any |= dropped<Edit>(scenario, [i](Scenario& one) -> auto& { return one.rounds[i]; }, still_true);
    any |= dropped<Step>(scenario, [](Scenario& one) -> auto& { return one.steps; }, still_true);
    for (std::size_t i = 0; i < scenario.steps.size(); ++i)
      any |= made_simpler(
          scenario, [i](Scenario& one) { return std::exchange(one.steps[i].wrapping, Wrapping::inline_text) != Wrapping::inline_text; }, still_true);
    any |= dropped<std::string>(scenario, [](Scenario& one) -> auto& { return one.fill; }, still_true);
  }
  return scenario;
}

}  // namespace random_builds
