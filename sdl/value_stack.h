// The slots of all frames of a thread, so that a call allocates nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "sdl/value.h"

namespace sdl {

class ValueStack {
 public:
  // Unbound at first; given back, last ones first, by the destructor.
  class Slots {
   public:
    Slots(ValueStack& stack, std::size_t count) : stack_(stack), values_(stack.take(count)), count_(count) {}
    ~Slots() { stack_.give_back(values_, count_); }
    Slots(const Slots&) = delete;
    Value* data() const { return values_; }
    Value& operator[](std::size_t index) const { return values_[index]; }
    std::size_t size() const { return count_; }

   private:
    ValueStack& stack_;
    Value* const values_;
    const std::size_t count_;
  };

 private:
  static constexpr std::size_t chunk_values = 16'384;

  struct Chunk {
    std::unique_ptr<Value[]> values;
    std::size_t capacity;
    std::size_t used;
  };

  Value* take(std::size_t count) {
    while (chunks_.empty() || chunks_[current_].capacity - chunks_[current_].used < count) {
      if (!chunks_.empty() && current_ + 1 < chunks_.size()) {
        ++current_;
        // The one that follows is empty, but may be too small.
        if (chunks_[current_].capacity >= count) continue;
        chunks_.resize(current_);
      }
      const std::size_t capacity = std::max(chunk_values, count);
      chunks_.push_back({std::make_unique<Value[]>(capacity), capacity, 0});
      current_ = chunks_.size() - 1;
    }
    Chunk& chunk = chunks_[current_];
    Value* const values = chunk.values.get() + chunk.used;
    chunk.used += count;
    return values;
  }

  void give_back(Value* values, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      if (values[i].is_shared())
        values[i] = Value();
      else
        std::construct_at(values + i);
    // Frames of no slots leave no trace; empty chunks stay for the next call.
    if (count == 0) return;
    while (current_ > 0 && chunks_[current_].used == 0) --current_;
    chunks_[current_].used -= count;
  }

  std::vector<Chunk> chunks_;
  std::size_t current_ = 0;
};

}  // namespace sdl
