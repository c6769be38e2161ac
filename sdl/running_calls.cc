#include "sdl/running_calls.h"

namespace sdl {

// Whether `awaited` can end only after a thread that is in `around` goes on. There is no circle of waits, so this ends.
bool RunningCalls::is_held_up_by(const Place* awaited, const Place* around) const {
  const auto is_in = [](const Place* wanted, const Place* inner) {
    while (inner && inner != wanted) inner = inner->around_;
    return inner != nullptr;
  };
  if (is_in(awaited, around)) return true;
  for (const Wait& wait : waits_)
    if (is_in(awaited, wait.around) && is_held_up_by(wait.awaited, around)) return true;
  return false;
}

RunningCalls::Turn RunningCalls::enter(const cache::Digest& key, const Place* around, Place& place) {
  std::unique_lock lock(mutex_);
  const auto [known, is_new] = running_.try_emplace(key);
  if (is_new) {
    place.calls_ = this;
    place.key_ = key;
    place.around_ = around;
    known->second = std::make_shared<Running>(Running{&place});
    return Turn::entered;
  }
  const std::shared_ptr<const Running> other = known->second;
  if (is_held_up_by(other->place, around)) return Turn::no_use;
  const auto own = waits_.insert(waits_.end(), {around, other->place});
  some_have_ended_.wait(lock, [&] { return other->has_ended; });
  waits_.erase(own);
  return other->was_kept ? Turn::other_was_kept : Turn::no_use;
}

void RunningCalls::leave(const Place& place) {
  const std::lock_guard lock(mutex_);
  const auto own = running_.find(place.key_);
  own->second->has_ended = true;
  own->second->was_kept = place.is_kept_;
  running_.erase(own);
  some_have_ended_.notify_all();
}

RunningCalls::Place::~Place() {
  if (calls_) calls_->leave(*this);
}

}  // namespace sdl
