#include "sdl/tools/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "cache/base/whole_io.h"

namespace sdl {
namespace {

constexpr auto first_wait = std::chrono::milliseconds(300), wait_between = std::chrono::milliseconds(200);
constexpr std::size_t columns_otherwise = 80;
constexpr std::string_view name = "vestal:";

std::size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : columns_otherwise;
}

bool is_set(const char* variable) {
  const char* const value = std::getenv(variable);
  return value && *value;
}

std::string passed_text(std::chrono::seconds passed) {
  const auto minutes = passed.count() / 60;
  if (minutes < 60) return fmt::format("{}:{:02}", minutes, passed.count() % 60);
  return fmt::format("{}:{:02}:{:02}", minutes / 60, minutes % 60, passed.count() % 60);
}

void put(std::string_view bytes) { cache::write_all(STDERR_FILENO, bytes); }

}  // namespace

bool Progress::is_possible() {
  return ::isatty(STDERR_FILENO) == 1 && is_set("TERM") && std::string_view(std::getenv("TERM")) != "dumb";
}

std::string Progress::line(const State& state, std::size_t columns) {
  std::string text = fmt::format("{} {}  {} running, {} run, {} found", name, passed_text(state.passed), state.running,
                                 state.run, state.found);
  if (!state.command.empty()) text += "  " + state.command;
  // Other bytes could move the cursor, or be wider than they look.
  std::ranges::replace_if(text, [](char byte) { return byte < ' ' || byte > '~'; }, '?');
  if (text.size() > columns) {
    text.resize(columns);
    if (columns > 3) text.replace(columns - 3, 3, "...");
  }
  return text;
}

Progress::Progress(std::function<std::uint64_t()> calls_found)
    : calls_found_(std::move(calls_found)), has_colour_(!is_set("NO_COLOR")), began_(std::chrono::steady_clock::now()) {
  drawer_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    for (auto wait = first_wait; !is_over_changed_.wait_for(lock, wait, [&] { return is_over_; }); wait = wait_between) draw();
  });
}

Progress::~Progress() {
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
    erase();
  }
  is_over_changed_.notify_all();
  drawer_.join();
}

void Progress::note(ToolEvent event, const std::string& command_line) {
  const std::lock_guard lock(mutex_);
  switch (event) {
    case ToolEvent::found:
      ++found_;
      break;
    case ToolEvent::begins:
      running_.push_back(command_line);
      break;
    case ToolEvent::ends:
      if (const auto own = std::ranges::find(running_, command_line); own != running_.end()) running_.erase(own);
      ++run_;
      break;
  }
}

void Progress::write(const std::function<void()>& act) {
  const std::lock_guard lock(mutex_);
  erase();
  act();
}

void Progress::draw() {
  const auto passed = std::chrono::floor<std::chrono::seconds>(std::chrono::steady_clock::now() - began_);
  // One column less, for some terminals go on to the next line when the last one is full.
  std::string text = line({passed, running_.size(), run_, found_ + calls_found_(), running_.empty() ? "" : running_.back()},
                          terminal_columns() - 1);
  if (has_colour_ && text.starts_with(name)) text = fmt::format("\x1b[1m{}\x1b[0m{}", name, text.substr(name.size()));
  // The cursor goes back, so that what anybody else writes begins a line.
  put("\r\x1b[K" + text + "\r");
  is_drawn_ = true;
}

void Progress::erase() {
  if (is_drawn_) put("\r\x1b[K");
  is_drawn_ = false;
}

}  // namespace sdl
