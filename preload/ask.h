// Questions to the broker: a slot is claimed, named in a record, and waited for.
//
// Waiting is bounded: if the broker is gone or silent for answer_ms_max, the
// session is given up and everything runs as without vestal.
#pragma once

#include "preload/log_ring.h"

#pragma GCC visibility push(hidden)

namespace preload {

// Gives a slot back, state and owner in one go: between the two the broker could do the same, and another shim claim it.
void set_free(Slot& slot);

// Whether the table of known steps has it, so that a question is worthwhile.
inline bool is_known(uint64_t key) {
  const uint64_t bit = key % known_bits;
  return state.region[known_at + bit / 8] >> bit % 8 & 1;
}

class Question {
 public:
  // Finds a free slot. False: the session is gone.
  bool claim();
  // For RecordHead::slot.
  uint16_t number() const { return static_cast<uint16_t>(index_ + 1); }
  // After the record has been committed. False: there will be no answer.
  bool wait();
  const Slot& answer() const { return slot(); }
  // Gives the slot back; what it held is no longer ours.
  void release() { set_free(slot()); }

 private:
  Slot& slot() const { return reinterpret_cast<Slot*>(state.region + slots_at)[index_]; }

  uint32_t index_ = 0;
};

// A question of which only that it has been answered matters.
void ask(LogRecord record);

}  // namespace preload

#pragma GCC visibility pop
