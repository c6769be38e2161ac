// The libraries a program starts with, in the order ld.so puts them into its
// scope, and what ld.so looked at to find them.
//
// ld.so itself is asked (LD_TRACE_LOADED_OBJECTS), for only it knows RUNPATH,
// $ORIGIN, hwcaps and its cache exactly. No code of the program or its
// libraries runs. The caller must have found the program to be
// Kind::dynamic_glibc. Takes a few milliseconds, at most `closure_ms_max`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cache/base/result.h"

namespace broker::images {

inline constexpr int closure_ms_max = 5000;

struct Closure {
  // Absolute paths in link-map order; libc is among them, the vdso, ld.so and
  // the program itself are not.
  std::vector<std::string> libraries;
  // What ld.so tried before it found a library, or found none: files that did
  // not exist, and directories that did not exist (then not every candidate
  // inside is listed).
  std::vector<std::string> absent;
  // /etc/ld.so.cache was consulted.
  bool used_cache = false;
  // Names no file was found for. The program would not start.
  std::vector<std::string> missing;
};

// `library_path` is the value of LD_LIBRARY_PATH, empty if unset.
cache::Result<Closure> library_closure(const std::string& program, const std::string& library_path);

// What ld.so printed, taken apart: its list on stdout, LD_DEBUG=libs on stderr.
Closure parse_loader_output(std::string_view list, std::string_view trace);

}  // namespace broker::images
