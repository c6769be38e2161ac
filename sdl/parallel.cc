// Calls side by side: `_par_map`. Spec: 7.
//
// What comes out is as if one were made after the other: results and what is
// printed are in the order of the elements, and of several that fail the first is told.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "sdl/deep_stack.h"
#include "sdl/evaluator.h"

namespace sdl {
namespace {

struct Made {
  Value value;
  std::string printed;
  std::vector<Diagnostic> diagnostics;
  std::uint32_t deepest = 0;
  std::uint64_t cost = 0;
};

// As many as there are, of those that may be started besides.
class Helpers {
 public:
  Helpers(std::atomic<unsigned>* idle, std::size_t wanted) : idle_(idle) {
    while (idle_ && count_ < wanted) {
      unsigned there = idle_->load();
      if (there == 0) break;
      if (idle_->compare_exchange_weak(there, there - 1)) ++count_;
    }
  }
  ~Helpers() {
    if (idle_) *idle_ += count_;
  }
  Helpers(const Helpers&) = delete;
  unsigned count() const { return count_; }

 private:
  std::atomic<unsigned>* const idle_;
  unsigned count_ = 0;
};

}  // namespace

bool Evaluation::call_each(const Value& function, std::size_t count,
                           const std::function<std::vector<Value>(std::size_t)>& arguments,
                           std::vector<Value>& results, const Value& dot, const Frame& frame,
                           std::uint32_t at) {
  std::vector<Made> made(count);
  std::atomic<std::size_t> next = 0, failed = count;
  const auto work = [&] {
    for (std::size_t i = next++; i < failed; i = next++) {
      Evaluation own(host_);
      own.depth_ = depth_;
      own.steps_left_ = steps_left_;
      own.printed_ = &made[i].printed;
      own.deepest_ = depth_;
      own.recording_ = recording_;
      own.recorded_ = recorded_;
      own.recorded_models_ = recorded_models_;
      own.running_ = running_;
      std::vector<Value> each = arguments(i);
      made[i].value = own.call(function, each, dot, frame, at);
      made[i].diagnostics = std::move(own.diagnostics_);
      made[i].deepest = own.deepest_;
      made[i].cost = steps_left_ - own.steps_left_ + own.extra_cost_ - own.settled_cost_;
      if (!made[i].value.is_stopped()) continue;
      std::size_t first = failed;
      while (i < first && !failed.compare_exchange_weak(first, i)) {
      }
    }
  };
  {
    const Helpers helpers(host_.idle_threads, count - 1);
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < helpers.count(); ++i)
      threads.emplace_back([&] {
        on_deep_stack([&] {
          const ThreadClock clock(host_.timings);
          work();
        });
      });
    work();
    const Timed waiting(Activity::wait);
    for (std::thread& thread : threads) thread.join();
  }
  for (std::size_t i = 0; i < count && i <= failed; ++i) {
    print(made[i].printed);
    deepest_ = std::max(deepest_, made[i].deepest);
    extra_cost_ += made[i].cost;
    for (Diagnostic& diagnostic : made[i].diagnostics) diagnostics_.push_back(std::move(diagnostic));
    results.push_back(std::move(made[i].value));
  }
  return failed == count;
}

}  // namespace sdl
