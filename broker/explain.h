// Why recent steps were not hits, for `vestal why`.
//
// Kept as JSON, one object a line, in <cache directory>/explanations, between one
// and two times explanations_max of them (broker/line_log.h). Lines are written a
// few at a time, and at the end of a session. What is lost with a broker that is
// killed is missing in an explanation and nowhere else. Anybody may read it,
// without a broker too.
//
// Of a variable only its name may be in here, never its value.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "broker/line_log.h"

namespace broker {

enum class Outcome;

// How the last reason begins if the session had policies of its own.
inline constexpr std::string_view in_session = "in a session with ";

struct Explanation {
  std::int64_t session = 0;         // as begin_session() said
  std::uint64_t step = 0, outer = 0;  // within the session; outer: the step around it, 0 if there is none
  std::string command;    // program and arguments
  std::string directory;  // it ran in
  std::int64_t when_ns = 0;  // CLOCK_REALTIME, when it was stored or found
  std::int64_t began_ns = 0;  // CLOCK_REALTIME; 0: not known
  std::uint64_t took_ns = 0;  // until the last of its processes was gone; of a hit, what the replay took
  std::uint64_t saved_ns = 0; // of a hit: what the program took when it ran
  std::int32_t process = 0;   // number of the first one
  std::int32_t status = -1;   // as wait(2) has it; -1: not seen
  Outcome outcome{};
  std::vector<std::string> reasons;  // what explains most first; none for a hit
  std::string culprit;               // not cacheable: the command inside it that the first reason comes from; empty: itself
  std::string policy;                // the row used, see row_text()
  std::vector<std::string> outputs;  // absolute paths; without those that a step inside it is named for
  bool in_tree = false;              // paths are those of a tree; not in the file, see take_from_tree()
};

// Any thread.
class ExplanationLog {
 public:
  static constexpr std::size_t explanations_max = 2000;

  explicit ExplanationLog(std::string cache_directory);

  std::int64_t begin_session();  // a number greater than any before
  void add(const Explanation& explanation);
  void flush();  // all of it can be read then

 private:
  std::mutex mutex_;
  LineLog lines_;
  std::int64_t last_session_ = 0;
};

struct Explanations {
  std::vector<Explanation> steps;  // in the order of their sessions, and of their ends
  std::int64_t last_session = 0;   // the one that began last; 0: none is known

  static Explanations read(const std::string& cache_directory);
  // Those of a sandbox's cache as well.
  void take_from_tree(Explanations others);

  std::vector<Explanation> of_session(std::int64_t session) const;
  // In the last session in which a step left this file: the steps that did, without those around them.
  std::vector<Explanation> makers_of(std::string_view path) const;
  // The last run of each command that has this in its text or is itself of that text, newest first.
  std::vector<Explanation> with_text(std::string_view text) const;
};

// Those that contain no other of them.
std::vector<Explanation> innermost(const std::vector<Explanation>& steps, const std::vector<Explanation>& session);

}  // namespace broker
