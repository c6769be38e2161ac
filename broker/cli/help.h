// `vestal --help` and the other words that only print.
#pragma once

#include <string>

namespace broker::cli {

inline constexpr char version[] = "0.1";

std::string version_text();

// What stands behind "Usage: " in the help of `vestal` itself: with the list of its sub-commands.
std::string usage();
inline constexpr char purpose[] = "Caches every process of a build: put `vestal` in front of `make`.";

}  // namespace broker::cli
