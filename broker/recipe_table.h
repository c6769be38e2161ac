// Whether files that recipes of makefiles have made still are what the recipes would make today.
//
// In a precise session the recorder makes a cache::RecipeRun of each recipe. A
// file's standing is that of the recipes that made it or changed it since. A
// recipe holds if make's makefiles, arguments and variables are what they were,
// everything its processes looked at has the value it had, and what it changed is
// as it left it or was changed by another recipe since; and if the recipes of the
// files that it looked at hold as well, for make is about to run those.
//
// Make is told of a recipe that does not hold that its target is out of date,
// however new it is, and of one that holds that it is newer than its
// prerequisites; so it runs just the recipes that would do something else today.
// Their processes are steps as everywhere, so a mistake on the side of caution
// costs a replay.
//
// One thread, the session's.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "broker/judge.h"
#include "broker/session.h"
#include "cache/record.h"

namespace broker {

enum class Standing { unknown /* no recipe is known to have made it */, holds, outdated };

// The make that asks.
struct MakeContext {
  std::string directory;
  std::uint32_t level = 0;
  cache::Digest digest;                // as in RecipeRun
  std::vector<std::string> patterns;   // of names, that its makefiles look for
  std::set<std::string> rules;         // targets that have some in them, as spelled there
};

class RecipeTable {
 public:
  RecipeTable(Parts& parts, const PolicyTable& policies) : parts_(parts), judge_(parts, policies) {}

  // Files that recipes have made. Directories as well.
  void each_path(const std::function<void(std::string_view path)>& visit);

  Standing standing(const std::string& path, const MakeContext& make);
  bool is_made(const std::string& path);  // by a recipe
  struct Made {
    std::int64_t when_ns = 0;      // when it was made or changed last
    bool is_target = false;        // by the recipe of this target in a make like this one
    bool is_of_this_make = false;  // and in makefiles like this one's
  };
  Made of_target(const std::string& path, const MakeContext& make);
  // Files that are as the recipe of this target has left them, if it is one of the same commands.
  std::vector<cache::Change> left_by(const std::string& target, const MakeContext& make, const cache::Digest& command);
  // The digest of the names in a directory that the patterns may find and no recipe has made, and but for those left out.
  cache::Digest names_in(const std::string& directory, const std::vector<std::string>& patterns,
                         const std::function<bool(const std::string& path)>& is_left_out = {});

  void add(cache::RecipeRun run);
  std::function<void(std::string_view path)> on_new_path = [](std::string_view) {};  // a recipe has made or changed it
  std::function<void(const std::string& path, const std::string& reason)> on_outdated = [](const auto&, const auto&) {};
  // Something may have changed in the file system.
  void changed();

 private:
  const std::vector<cache::Digest>& recipes_of(const std::string& path);
  const cache::RecipeRun* recipe(const cache::Digest& name);
  bool tells_of(const cache::Digest& name, const std::string& path);
  bool holds(const cache::Digest& name, const MakeContext& make);
  bool is_as_left(const cache::Digest& name, const cache::RecipeRun& run, const cache::Change& change);

  Parts& parts_;
  Judge judge_;
  bool is_loaded_ = false;
  std::unordered_set<std::string> made_;
  std::unordered_map<std::string, std::vector<cache::Digest>> recipes_of_;
  std::unordered_map<cache::Digest, std::optional<cache::RecipeRun>> runs_;
  enum class Hold { being_found_out, yes, no };
  std::unordered_map<cache::Digest, Hold> hold_;  // since the last change, for the make that asked last
  bool is_circular_ = false;
  int depth_ = 0;
  std::string reason_;  // of the last one that does not hold
  cache::Digest asked_by_;
};

}  // namespace broker
