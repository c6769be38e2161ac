#include "sdl/tools/progress.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace sdl {

std::string Progress::text_of(const State& state) {
  std::string text = fmt::format("{} running, {} run, {} found", state.running, state.run, state.found);
  if (!state.command.empty()) text += "  " + state.command;
  return text;
}

std::string Progress::line(const State& state, std::size_t columns) { return broker::ProgressLine::line(state.passed, text_of(state), columns); }

Progress::Progress(std::function<std::uint64_t()> calls_found) : calls_found_(std::move(calls_found)), line_([this] { return text(); }) {}

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

std::string Progress::text() {
  const std::lock_guard lock(mutex_);
  return text_of({{}, running_.size(), run_, found_ + calls_found_(), running_.empty() ? "" : running_.back()});
}

}  // namespace sdl
