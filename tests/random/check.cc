#include "tests/random/check.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tests/random/shrinker.h"

namespace random_builds {
namespace {

class Check {
 public:
  Check(std::uint64_t seed, const CheckOptions& options) : seed_(seed), options_(options) {}

  CheckResult run() {
    const Scenario scenario = made_up(seed_, {options_.nemesis == Nemesis::clock_jump});
    const std::string difference = found_in(scenario);
    if (difference.empty()) return {Finding::same, builds_, {}};
    std::string report = "seed " + std::to_string(seed_);
    if (const std::string plain = between_plain_runs(scenario); !plain.empty())
      return {Finding::unsteady, builds_, report + ": two plain runs differ\n" + plain};
    report += ": " + difference + "  again: " + options_.repeat + " --seeds " + std::to_string(seed_) + ".." + std::to_string(seed_) + "\n";
    if (options_.shrink) report += small(scenario);
    return {Finding::different, builds_, report};
  }

 private:
  // A place of its own for each attempt: for vestal another path is another world, so that no attempt knows of another.
  Place new_place() {
    const std::string name = std::to_string(seed_) + (attempts_ ? "-" + std::to_string(attempts_) : "");
    ++attempts_;
    return {options_.directory + "/" + name, {"VESTAL_DIR=" + options_.cache, "VESTAL_IDLE=20"}};
  }

  std::string found_in(const Scenario& scenario) {
    const Place place = new_place();
    if (options_.nemesis != Nemesis::two_builds) return found_in(scenario, place);
    // The other one does not tell what it found, only that it did.
    Place second = place;
    second.top += "-second";
    const pid_t other = fork();
    if (other == 0) _exit(found_in(scenario, second).empty() ? 0 : 1);
    std::string difference = found_in(scenario, place);
    int status = 0;
    if (waitpid(other, &status, 0) == other && status != 0 && difference.empty()) difference = "in the second of two places at once\n";
    return difference;
  }

  std::string found_in(const Scenario& scenario, const Place& place) {
    const bool is_disturbed = options_.nemesis != Nemesis::none;
    const std::vector<Outcome> plain = played(scenario, place, "");
    Disturber disturber(options_.nemesis, seed_, place, options_.cache);
    const auto before_build = [&](const std::string& tree, const std::string& text) { disturber.before_build(tree, text); };
    std::string difference;
    for (int turn = 0; turn < (scenario.again ? 2 : 1) && difference.empty(); ++turn) {
      const std::vector<Outcome> outcomes = played(scenario, place, options_.tool, is_disturbed ? BeforeBuild(before_build) : BeforeBuild());
      builds_ += outcomes.size();
      difference = random_builds::difference(plain, outcomes, is_disturbed);
      if (!difference.empty() && turn == 1) difference = "second turn, " + difference;
    }
    remove_tree(place.top);
    return difference;
  }

  std::string between_plain_runs(const Scenario& scenario) {
    const Place place = new_place();
    const std::vector<Outcome> first = played(scenario, place, "");
    std::string difference;
    for (int i = 0; i < 3 && difference.empty(); ++i) difference = random_builds::difference(first, played(scenario, place, ""), false);
    remove_tree(place.top);
    return difference;
  }

  std::string small(const Scenario& scenario) {
    const auto differs = [this](const Scenario& one) {
      for (int i = 0; i < 2; ++i)
        if (!found_in(one).empty()) return between_plain_runs(one).empty();
      return false;
    };
    if (!differs(scenario)) return "  not seen again in two attempts; the whole is printed with --show\n";
    const Scenario smaller = shrunk(scenario, differs);
    const std::string difference = found_in(smaller);
    return "  shrunk, for an empty directory, V='" + options_.tool + "'" + (smaller.again ? ", twice" : "") + ":\n" + script_text(smaller) +
           (difference.empty() ? "" : "  " + difference);
  }

  const std::uint64_t seed_;
  const CheckOptions& options_;
  int attempts_ = 0;
  std::size_t builds_ = 0;
};

}  // namespace

CheckResult checked(std::uint64_t seed, const CheckOptions& options) { return Check(seed, options).run(); }

}  // namespace random_builds
