// Why recent steps were not hits, for `vestal why`.
//
// Kept as JSON, one object a line, in <cache directory>/explanations; when that
// has explanations_max lines it is renamed to explanations.old, so that between
// one and two times as many are there. Lines are written a few at a time. What is
// lost with a broker that is killed is missing in an explanation and nowhere else.
//
// Of a variable only its name may be in here, never its value. Any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/owned_fd.h"

namespace broker {

enum class Outcome;

struct Explanation {
  std::string command;    // program and arguments
  std::string directory;  // it ran in
  std::int64_t when_ns = 0;  // CLOCK_REALTIME
  Outcome outcome{};
  std::vector<std::string> reasons;  // a sentence each; none for a hit
  std::string policy;                // the row used, see row_text()
  std::vector<std::string> outputs;  // absolute paths
};

class ExplanationLog {
 public:
  static constexpr std::size_t explanations_max = 2000;

  explicit ExplanationLog(std::string cache_directory);
  ~ExplanationLog();  // writes what is left to write

  void begin_session();  // what is added from now on belongs to a later session
  void add(const Explanation& explanation);

  // The explanations that name this path as an output or this word in their command, newest first. Without a filter:
  // the last session's steps that were not hits.
  std::vector<Explanation> find(std::string_view filter, std::size_t count_max);

 private:
  void append(std::string line);
  void write_out();

  const std::string path_;
  std::mutex mutex_;
  cache::OwnedFd file_;
  std::size_t lines_ = 0;  // in the file and in `unwritten_`
  std::string unwritten_;
};

}  // namespace broker
