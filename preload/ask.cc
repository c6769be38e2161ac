#include "preload/ask.h"

#include "preload/redo.h"

namespace preload {

using StateAndOwner [[gnu::may_alias]] = uint64_t;
static_assert(offsetof(Slot, state) == 0 && offsetof(Slot, owner) == 4 && alignof(Slot) == 8);

bool Question::claim() {
  const int pid = current_pid();
  Patience patience;
  while (load(header().state) == region_live) {
    for (uint32_t i = 0; i < slot_count; ++i) {
      index_ = (static_cast<uint32_t>(pid) * 7 + i) % slot_count;
      // State and owner in one go: a slot must never be claimed by nobody knows whom.
      StateAndOwner& both = reinterpret_cast<StateAndOwner&>(slot());
      const StateAndOwner before = load(both);
      const StateAndOwner claimed = slot_claimed | StateAndOwner{static_cast<uint32_t>(pid)} << 32;
      if (static_cast<uint32_t>(before) == slot_free && exchange_if(both, before, claimed)) return true;
    }
    // As many questions as slots at once: rare enough to look again and again.
    if (patience.is_over()) {
      give_up_session();
      break;
    }
    const __kernel_timespec nap{0, 1000000};
    kernel(__NR_nanosleep, &nap, nullptr);
  }
  detach();
  return false;
}

bool Question::wait() {
  ring_doorbell();
  Patience patience;
  for (;;) {
    const uint32_t now = load(slot().state);
    if (now == slot_answered) return true;
    // Once the broker has begun to act on its answer, it must be waited for as long as there is a broker.
    if (now == slot_answering || load(header().state) == region_live) {
      futex_wait(&slot().state, now, Patience::step_ms);
      if (!patience.is_over()) continue;
    }
    if (exchange_if<uint32_t>(slot().state, slot_claimed, slot_abandoned)) break;
    if (patience.answer_is_late() || !broker_lives()) break;
  }
  if (load(slot().state) == slot_answered) return true;
  // It may have been killed over a replay.
  RedoLog& log = *reinterpret_cast<RedoLog*>(state.region + redo_at);
  bool made = false;
  if (load(log.slot) == index_ + 1 && !broker_lives()) {
    if (load(log.committed) == 0)
      undo(log);
    else
      made = load(slot().state) == slot_answering && redo_rest(log);
  }
  give_up_session();
  return made;
}

void set_free(Slot& slot) { store(reinterpret_cast<StateAndOwner&>(slot), StateAndOwner{slot_free}); }

void ask(LogRecord record) {
  Question question;
  if (!question.claim()) return;
  record.slot = question.number();
  append(record);
  if (question.wait()) question.release();
}

}  // namespace preload
