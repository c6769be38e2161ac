// The steps of a session as bars: when each ran, in which lane, inside which
// other one. Made of the session's report (JSON, with its notes), for the trace
// and the page.
//
// A lane holds bars that follow each other or stand inside each other; what ran
// at the same time as they did is in another lane. A step lies in the lane of the
// step around it if nothing else runs there.
//
// Times are nanoseconds since the session began. A bar lies within that of the
// step around it, also if a clock says otherwise.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace broker::report {

inline constexpr std::size_t no_bar = ~std::size_t{0};

struct Bar {
  std::uint64_t step = 0;
  std::size_t outer = no_bar;  // place of the step around it
  std::int64_t began_ns = 0, ended_ns = 0;
  std::size_t lane = 0, depth = 0;  // depth: how many bars it stands inside, in its lane
  std::string outcome, command, directory, policy;
  std::vector<std::string> reasons;  // what explains most first
  std::string reason;                // the first one, with the command inside that it comes from
  std::uint64_t saved_ns = 0;
  std::int32_t process = 0, status = -1;  // status: as wait(2) has it; -1: not seen
  std::int64_t took_ns() const { return ended_ns - began_ns; }
};

struct Timeline {
  std::vector<Bar> bars;  // in the order in which they began, outer ones first
  std::size_t lanes = 0;
  std::string command, directory;
  std::int64_t began_ns = 0, took_ns = 0;  // began_ns: CLOCK_REALTIME
  std::int32_t status = -1;
  std::uint64_t hits = 0, misses = 0, not_cacheable = 0, saved_ns = 0;

  // Nothing in it if `report` is none.
  static Timeline of(std::string_view report);
};

// Gives every bar its place; what has to be set is outer, began_ns and ended_ns. An outer bar stands before its inner ones.
// Returns how many lanes there are.
std::size_t assign_lanes(std::vector<Bar>& bars);

// What the session had to wait for, from its beginning to its end: going back from the end, the step inside that ended last,
// then the one that ended last before that began, and so on; inside each of these the same. What is left of the time is the
// own time of the step around.
struct OnPath {
  std::size_t bar;
  std::int64_t own_ns;
};
std::vector<OnPath> critical_path(const std::vector<Bar>& bars);  // in order of time, each bar once

}  // namespace broker::report
