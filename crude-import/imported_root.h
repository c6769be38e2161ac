// A root of what a command has needed, and its manifest beside it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cache/base/result.h"
#include "crude-import/command_report.h"

namespace crude_import {

struct RootContents {
  std::vector<CommandReport> reports;
  std::set<std::string> besides;    // paths that are to be there as well
  std::set<std::string> values_of;  // variables of which the manifest has the value
  std::string session;              // its name; a root that an earlier run of this session has made is replaced
};

struct RootTotals {
  std::uint64_t files = 0, links = 0, bytes = 0;
  struct Share { std::uint64_t files = 0, bytes = 0; };
  std::map<std::string, Share> packages;  // by name; "" for what is of none
  // Of each path in the root the package that its file or link is of; empty for what is of none, and for directories.
  std::map<std::string, std::string> entries;
};

// Whether `root` can be made: it is not there, or empty, or of that session.
cache::Result<bool> check_root(const std::string& root, const std::string& session);

// Makes `root`, and root.json. Tells on standard error what is not in it, if `tells`.
cache::Result<RootTotals> write_root(const std::string& root, const RootContents& contents, bool tells);

// How much is of which Debian package, the largest first: lines for a human.
std::vector<std::string> package_table(const RootTotals& totals);

// What write_root has made: all of it.
cache::Result<bool> remove_root(const std::string& root);

}  // namespace crude_import
