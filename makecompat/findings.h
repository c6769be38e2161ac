// Where makefiles do not say what recipes do: what was observed of each line
// (broker/observed_recipes.h) held against what make knows (make_database.h).
//
// Only recipes that were run, or replayed, are told of. A line that runs another
// make says nothing itself: its make's lines do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cache/base/result.h"
#include "makecompat/make_database.h"

namespace makecompat {

enum class FindingKind {
  undeclared,     // read, and no prerequisite: when it changes, make does not know
  order,          // read, and made by another recipe that nothing puts before or behind this one: with -j either may be first
  written_twice,  // written by the recipes of two targets
  outside,        // written, and no target of its rule
  unused,         // a prerequisite that the recipe has not looked at
};
// As options, JSON and SARIF have it: "undeclared-prerequisite".
std::string_view name_of(FindingKind kind);
// What it is, in a sentence.
std::string_view description_of(FindingKind kind);

struct Finding {
  FindingKind kind{};
  std::string path;                  // of the file that it is about
  std::string makefile;              // a path; empty: a rule built into make, or not known
  unsigned line = 0;                 // where the recipe is; 0: not known
  std::vector<std::string> targets;  // paths, whose recipes these are
  std::string other;                 // order, written_twice: the target of the other recipe
  std::string note;                  // more in words
};

struct Observation {
  std::string report;            // ObservedRecipes as JSON
  std::string directory;         // the command was run in
  std::vector<std::string> environment;  // of the command, for a make whose own is not known
};
struct Findings {
  std::vector<Finding> all;      // by place, kind and file
  std::size_t recipes = 0;       // that were looked at
  std::vector<std::string> problems;  // sentences: what could not be looked at
};
// Runs each make that has run a recipe once more, to print its data base.
cache::Result<Findings> find(const Observation& observation);

}  // namespace makecompat
