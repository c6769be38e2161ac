#include "sdl/timings.h"

#include <fmt/format.h>

namespace sdl {
namespace {

constexpr std::array<const char*, activity_count> words = {
    "evaluate",        "store directories",   "parse models", "read files and imports",
    "look up calls",   "keep calls",          "prepare tools", "look up tools",
    "run tools",       "keep results of tools", "wait for another thread", "print and ship"};

thread_local ThreadClock* current = nullptr;

std::string line(std::string_view what, double nanoseconds, const std::string& times) {
  return fmt::format("  {:<24}{:>10.3f}{:>9}\n", what, nanoseconds / 1e9, times);
}

}  // namespace

std::string Timings::table(std::chrono::nanoseconds passed) const {
  std::string text = fmt::format("  {:<24}{:>10}{:>9}\n", "", "seconds", "times");
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < activity_count; ++i) {
    const std::uint64_t spent = time[i], count = times[i];
    sum += spent;
    if (spent != 0) text += line(words[i], static_cast<double>(spent), count == 0 ? "" : std::to_string(count));
  }
  text += line("all threads", static_cast<double>(sum), "");
  text += line("beginning to end", static_cast<double>(passed.count()), "");
  return text;
}

ThreadClock::ThreadClock(Timings* timings)
    : timings_(timings), before_(current), since_(std::chrono::steady_clock::now()) {
  current = timings ? this : nullptr;
}

ThreadClock::~ThreadClock() {
  if (timings_) switch_to(doing_);
  current = before_;
}

Activity ThreadClock::switch_to(Activity next) {
  const auto now = std::chrono::steady_clock::now();
  timings_->time[static_cast<std::size_t>(doing_)] +=
      static_cast<std::uint64_t>(std::chrono::nanoseconds(now - since_).count());
  since_ = now;
  return std::exchange(doing_, next);
}

Timed::Timed(Activity activity) : clock_(current) {
  if (!clock_) return;
  before_ = clock_->switch_to(activity);
  ++clock_->timings_->times[static_cast<std::size_t>(activity)];
}

Timed::~Timed() {
  if (clock_) clock_->switch_to(before_);
}

}  // namespace sdl
