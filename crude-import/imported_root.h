// A root of what a command has needed, and its manifest beside it.
#pragma once

#include <set>
#include <string>

#include "cache/base/result.h"
#include "crude-import/command_report.h"

namespace crude_import {

struct RootTotals {
  std::uint64_t files = 0, links = 0, bytes = 0;
};

// Makes `root`, which must not be there or be empty, of what stands in the report, and of the paths in `besides`; writes
// root.json. Tells on standard error what is not in it, if `tells`. `values_of`: variables of which the manifest has the value.
cache::Result<RootTotals> write_root(const std::string& root, const CommandReport& report, const std::set<std::string>& besides,
                                     const std::set<std::string>& values_of, bool tells);

// What write_root has made: all of it.
cache::Result<bool> remove_root(const std::string& root);

}  // namespace crude_import
