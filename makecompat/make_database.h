// What make knows of its files: `make -p`, read.
//
// https://www.gnu.org/software/make/manual/make.html, "Summary of Options", of
// GNU make 4. Only what is about files is read: rules that make has made of
// patterns stand there as rules of the files they were used for.
//
// Paths are absolute, with the symbolic links in front of their ends followed,
// as in the records of steps.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/result.h"

namespace makecompat {

struct Rule {
  std::string target;                      // as make spells it
  std::vector<std::string> prerequisites;  // paths; of all rules for this target
  std::vector<std::string> order_only;     // paths
  std::vector<std::string> also_makes;     // paths
  bool is_phony = false;
  bool is_several = false;                 // with two colons: prerequisites and recipes of all of them are taken for one
  bool has_recipe = false;
  std::vector<std::string> recipe;  // its lines, as makefiles have them; what goes on behind a backslash is one line
  std::string makefile;  // a path, of the recipe; empty: a rule built into make, or no recipe
  unsigned line = 0;     // in it, from 1
};

struct MakeDatabase {
  std::map<std::string, Rule> rules;  // by path of the target
  bool runs_jobs = false;             // its makefiles ask for -j

  const Rule* rule(const std::string& path) const;
  // All that `path` is made of by rules, without itself: make is about to make it again when one of them is newer.
  std::set<std::string> made_of(const std::string& path) const;
  // The same, with what comes first without that: order-only prerequisites.
  std::set<std::string> comes_after(const std::string& path) const;
};

// `text` is what make has printed, in this directory; before its last data base there may be anything.
// Fault::invalid: there is no data base in it.
cache::Result<MakeDatabase> read_make_database(std::string_view text, const std::string& directory);

// Whether the line of the recipe of `target` may have become this command: whatever its variables stand for, but for `$@`, the
// rest of its text is there, in its order. How many characters that were; 0: no.
std::size_t matches(std::string_view recipe_line, std::string_view command, std::string_view target);

struct MakeToAsk {
  std::string program, directory;  // where it is executed
  std::vector<std::string> arguments, environment;
};
// Runs that make once more so that it prints its data base and makes nothing, and returns what it has printed. It evaluates
// its makefiles, and $(shell) in them, as `make -n` does. The makes of recursive lines do nothing. What else make runs even
// then (`+`, makefiles made anew) cannot make, write or remove files but in /dev, where the kernel has Landlock (landlock(7)).
cache::Result<std::string> print_make_database(const MakeToAsk& make);

// Removes the links in front of the end of `spelled`, which is relative to `directory`, as far as there is something.
std::string path_of(const std::string& directory, std::string_view spelled);

}  // namespace makecompat
