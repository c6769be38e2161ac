// One line on a terminal that says what goes on: since when, and a text that
// changes.
//
// It is drawn a few times a second by a thread of its own, from a moment after
// the beginning on, as wide as the terminal, and is gone when this goes away.
// Each time the cursor goes back to its beginning, so that what other processes
// write begins there and takes its place. Any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace broker {

class ProgressLine {
 public:
  // Whether standard error is a terminal on which a line can be drawn over: TERM is set and not "dumb".
  static bool is_possible();

  // `text` is asked for each time, in the thread that draws; nothing is drawn where it is empty.
  explicit ProgressLine(std::function<std::string()> text);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;

  // Does it where no line is, and with nobody drawing.
  void write(const std::function<void()>& act);

  // As it is drawn, of at most `columns` characters; bytes that are no printable text are '?'.
  static std::string line(std::chrono::seconds passed, std::string_view text, std::size_t columns);

 private:
  void draw();   // mutex_ is held
  void erase();  // the same

  const std::function<std::string()> text_;
  const bool has_colour_;  // NO_COLOR says no
  const std::chrono::steady_clock::time_point began_;
  std::mutex mutex_;
  std::condition_variable is_over_changed_;
  bool is_over_ = false, is_drawn_ = false;
  std::thread drawer_;
};

std::string passed_text(std::chrono::seconds passed);  // 0:05, 1:02:03

}  // namespace broker
