#include "broker/progress_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "cache/base/whole_io.h"

namespace broker {
namespace {

constexpr auto first_wait = std::chrono::milliseconds(300), wait_between = std::chrono::milliseconds(200);
constexpr std::size_t columns_otherwise = 80;
constexpr std::string_view name = "vestal:";

std::size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : columns_otherwise;
}

// Who writes in the background may be stopped for it, and the command with him.
bool is_in_background() {
  const pid_t group = ::tcgetpgrp(STDERR_FILENO);
  return group > 0 && group != ::getpgrp();
}

bool is_set(const char* variable) {
  const char* const value = std::getenv(variable);
  return value && *value;
}

void put(std::string_view bytes) { cache::write_all(STDERR_FILENO, bytes); }

}  // namespace

std::string passed_text(std::chrono::seconds passed) {
  const auto minutes = passed.count() / 60;
  if (minutes < 60) return fmt::format("{}:{:02}", minutes, passed.count() % 60);
  return fmt::format("{}:{:02}:{:02}", minutes / 60, minutes % 60, passed.count() % 60);
}

bool ProgressLine::is_possible() {
  return ::isatty(STDERR_FILENO) == 1 && is_set("TERM") && std::string_view(std::getenv("TERM")) != "dumb";
}

std::string ProgressLine::line(std::chrono::seconds passed, std::string_view state, std::size_t columns) {
  std::string text = fmt::format("{} {}  {}", name, passed_text(passed), state);
  // Other bytes could move the cursor, or be wider than they look.
  std::ranges::replace_if(text, [](char byte) { return byte < ' ' || byte > '~'; }, '?');
  if (text.size() > columns) {
    text.resize(columns);
    if (columns > 3) text.replace(columns - 3, 3, "...");
  }
  return text;
}

ProgressLine::ProgressLine(std::function<std::string()> text)
    : text_(std::move(text)), has_colour_(!is_set("NO_COLOR")), began_(std::chrono::steady_clock::now()) {
  drawer_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    for (auto wait = first_wait; !is_over_changed_.wait_for(lock, wait, [&] { return is_over_; }); wait = wait_between) draw();
  });
}

ProgressLine::~ProgressLine() {
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
    erase();
  }
  is_over_changed_.notify_all();
  drawer_.join();
}

void ProgressLine::write(const std::function<void()>& act) {
  const std::lock_guard lock(mutex_);
  erase();
  act();
}

void ProgressLine::draw() {
  if (is_in_background()) return;
  const std::string state = text_();
  if (state.empty()) return;
  const auto passed = std::chrono::floor<std::chrono::seconds>(std::chrono::steady_clock::now() - began_);
  // One column less, for some terminals go on to the next line when the last one is full.
  std::string text = line(passed, state, terminal_columns() - 1);
  if (has_colour_ && text.starts_with(name)) text = fmt::format("\x1b[1m{}\x1b[0m{}", name, text.substr(name.size()));
  put("\r\x1b[K" + text + "\r");
  is_drawn_ = true;
}

void ProgressLine::erase() {
  if (is_drawn_ && !is_in_background()) put("\r\x1b[K");
  is_drawn_ = false;
}

}  // namespace broker
