// What came of recent sessions, for `vestal log`: a line of JSON for each in
// <cache directory>/sessions, see broker/line_log.h. It is written when the
// session is over; a session whose broker was killed has none.
//
// Of a variable not even the name is in here.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/line_log.h"

namespace broker {

struct SessionFacts {
  std::int64_t session = 0;  // as ExplanationLog::begin_session() said
  std::string command, directory;  // empty: it never came to a program
  std::int64_t began_ns = 0, ended_ns = 0;  // CLOCK_REALTIME
  std::uint64_t hits = 0, misses = 0, not_cacheable = 0;
  std::uint64_t saved_ns = 0;  // what the replayed steps took when they ran
  std::uint64_t work_ns = 0;   // what the session's steps take, each by itself, when they run
  std::optional<std::int32_t> status;  // as wait(2) has it; none if the command's end was not seen
  bool in_tree = false;  // not in the file: of a sandbox's cache
};

// Any thread.
class SessionLog {
 public:
  static constexpr std::size_t sessions_max = 100;

  explicit SessionLog(const std::string& cache_directory);

  void add(const SessionFacts& facts);
  // `work_ns` of this command when it last ran, and well, in this directory; 0: not known.
  std::uint64_t work_of(std::string_view command, std::string_view directory) const;

  // The last sessions_max, the oldest first.
  static std::vector<SessionFacts> read(const std::string& cache_directory);

 private:
  const std::string directory_;
  mutable std::mutex mutex_;
  LineLog lines_;
};

}  // namespace broker
