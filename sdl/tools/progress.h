// What `vestal build --progress` shows in one line of a terminal: for how long,
// tools that run and have run, results that were found, and the tool begun last.
// Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>

#include "broker/progress_line.h"
#include "sdl/tools/tree_tools.h"

namespace sdl {

class Progress {
 public:
  static bool is_possible() { return broker::ProgressLine::is_possible(); }

  // `calls_found`: how many results of calls were found until now.
  explicit Progress(std::function<std::uint64_t()> calls_found);

  void note(ToolEvent event, const std::string& command_line);
  // Does it where no line is, and with nobody drawing.
  void write(const std::function<void()>& act) { line_.write(act); }

  struct State {
    std::chrono::seconds passed{};
    std::size_t running = 0;
    std::uint64_t run = 0, found = 0;
    std::string command;  // empty: none runs
  };
  // As it is drawn, of at most `columns` characters; bytes that are no printable text are '?'.
  static std::string line(const State& state, std::size_t columns);

 private:
  static std::string text_of(const State& state);
  std::string text();

  const std::function<std::uint64_t()> calls_found_;
  std::mutex mutex_;
  std::list<std::string> running_;  // command lines, the latest last
  std::uint64_t run_ = 0, found_ = 0;
  broker::ProgressLine line_;  // goes first, for it looks at the others
};

}  // namespace sdl
