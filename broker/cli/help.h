// `vestal --help` and the other words that only print.
#pragma once

#include <string>

#include "broker/cli/options.h"

namespace broker::cli {

inline constexpr char version[] = "0.1";

std::string version_text();

// What stands behind "Usage: " in the help of `vestal` itself: with the list of its sub-commands.
std::string usage();
// What may stand in front of the command.
struct OwnOptions {
  CommandOptions command;
  bool version_wanted = false, stats_wanted = false, clear_wanted = false;
};
void add_own_options(Options& options, OwnOptions& own);
inline constexpr char purpose[] = "Caches every process of a build: put `vestal` in front of `make`.";

}  // namespace broker::cli
