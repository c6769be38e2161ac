// Where the time of an evaluation went, by what its threads were doing.
//
// A thread that is timed has a ThreadClock. It evaluates, but where a Timed says
// otherwise; of two, one inside the other, the inner one counts. So the times of
// a thread add up to its life. A thread without a clock is not timed, and Timed
// costs it a look. Any thread may add; times are in nanoseconds of the clock on
// the wall.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace sdl {

enum class Activity : std::uint8_t {
  evaluate,          // the rest
  store_trees,       // the directories that models stand in
  parse,             // reading, parsing and resolving models
  bring_in,          // values of `files` and `import` clauses
  look_up_calls,     // with their keys
  keep_calls,        //
  prepare_tools,     // arguments, `./root` as a tree, primary keys
  look_up_tools,     // with the comparison of trees
  run_tools,         // with the sandbox, and what they needed
  keep_tools,        //
  wait,              // for another thread
  use_result         // printing and shipping
};
inline constexpr std::size_t activity_count = 12;

struct Timings {
  std::array<std::atomic<std::uint64_t>, activity_count> time{}, times{};

  // A line for each activity that there was: seconds, and how many times. Then the sum, and `passed`, from the
  // beginning to the end.
  std::string table(std::chrono::nanoseconds passed) const;
};

class ThreadClock {
 public:
  explicit ThreadClock(Timings* timings);  // null: the thread is not timed
  ~ThreadClock();
  ThreadClock(const ThreadClock&) = delete;

 private:
  friend class Timed;
  Activity switch_to(Activity next);  // returns what it was doing

  Timings* const timings_;
  ThreadClock* const before_;
  Activity doing_ = Activity::evaluate;
  std::chrono::steady_clock::time_point since_;
};

class Timed {
 public:
  explicit Timed(Activity activity);
  ~Timed();
  Timed(const Timed&) = delete;

 private:
  ThreadClock* const clock_;
  Activity before_ = Activity::evaluate;
};

}  // namespace sdl
