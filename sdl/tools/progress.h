// One line on a terminal that says what a build is doing: for how long, tools
// that run and have run, results that were found, and the tool begun last.
//
// It is drawn a few times a second by a thread of its own, from a moment after
// the beginning on, as wide as the terminal, and is gone when this goes away.
// Whoever writes to the terminal meanwhile does so in `write`. Any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "sdl/tools/tree_tools.h"

namespace sdl {

class Progress {
 public:
  // Whether standard error is a terminal on which a line can be drawn over: TERM is set and not "dumb".
  static bool is_possible();

  // `calls_found`: how many results of calls were found until now.
  explicit Progress(std::function<std::uint64_t()> calls_found);
  ~Progress();
  Progress(const Progress&) = delete;

  void note(ToolEvent event, const std::string& command_line);
  // Does it where no line is, and with nobody drawing.
  void write(const std::function<void()>& act);

  struct State {
    std::chrono::seconds passed{};
    std::size_t running = 0;
    std::uint64_t run = 0, found = 0;
    std::string command;  // empty: none runs
  };
  // As it is drawn, of at most `columns` characters; bytes that are no printable text are '?'.
  static std::string line(const State& state, std::size_t columns);

 private:
  void draw();   // mutex_ is held
  void erase();  // the same

  const std::function<std::uint64_t()> calls_found_;
  const bool has_colour_;  // NO_COLOR says no
  const std::chrono::steady_clock::time_point began_;
  std::mutex mutex_;
  std::condition_variable is_over_changed_;
  bool is_over_ = false, is_drawn_ = false;
  std::list<std::string> running_;  // command lines, the latest last
  std::uint64_t run_ = 0, found_ = 0;
  std::thread drawer_;
};

}  // namespace sdl
