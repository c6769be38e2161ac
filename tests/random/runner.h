// Runs a scenario in a place, plain or with a tool in front of each build, and tells whether both did the same.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/random/scenario.h"
#include "tests/random/tree.h"

namespace random_builds {

// A directory `top`/t for the tree; what is run finds nothing but PATH, HOME, LC_ALL and `variables`.
struct Place {
  std::string top;
  std::vector<std::string> variables;  // "NAME=value"
};

struct Outcome {
  int status = 0;  // as wait(2) reports it; -1 if it had to be ended
  std::string output, error;
  Tree tree;
};

// What is done to a build: called before it, with its tree and the text that runs it; see nemesis.h.
using BeforeBuild = std::function<void(const std::string& tree, const std::string& text)>;

// One outcome for each build.
std::vector<Outcome> played(const Scenario& scenario, const Place& place, const std::string& tool, const BeforeBuild& before_build = {});

// What is different in the first build that differs; empty if none does. Lines of the tool's own, "vestal: ...", do not
// count if `ignore_words`.
std::string difference(const std::vector<Outcome>& plain, const std::vector<Outcome>& tool, bool ignore_words);

// Runs a shell text in `directory` and waits for it, at most 60 s. With `outcome`, keeps what it writes.
int run_shell(const std::string& text, const std::string& directory, const Place& place, Streams streams, Outcome* outcome);

}  // namespace random_builds
