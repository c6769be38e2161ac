// Calls that are being evaluated, by their keys, so that who is about to evaluate the same can wait for the
// result. Spec: 9.8, `/**waitdup**/`.
//
// Of one key there is at most one call here. Nobody waits for a call that could not end before the wait does:
// one that the waiting thread is evaluating itself, or that waits, over however many others, for one of those.
// Any thread.
#pragma once

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "cache/digest.h"

namespace sdl {

class RunningCalls {
 public:
  // A call that is here until this goes away, if `enter` has said so. It stands on the stack of its thread, in those around it.
  class Place {
   public:
    Place() = default;
    ~Place();
    Place(const Place&) = delete;
    // Its result can be found by those who wait for it.
    void note_kept() { is_kept_ = true; }

   private:
    friend class RunningCalls;
    RunningCalls* calls_ = nullptr;
    cache::Digest key_;
    const Place* around_ = nullptr;
    bool is_kept_ = false;
  };

  enum class Turn {
    entered,         // it is to be evaluated here
    other_was_kept,  // one with this key has ended, and its result is to be looked up
    no_use           // one has ended without a result for others, or cannot be waited for
  };
  // `around`: the innermost call here that the thread, or one that has started it, is evaluating. Null: none.
  Turn enter(const cache::Digest& key, const Place* around, Place& place);

 private:
  struct Running {
    const Place* place;
    bool has_ended = false, was_kept = false;
  };
  struct Wait {
    const Place* around;
    const Place* awaited;
  };
  void leave(const Place& place);
  bool is_held_up_by(const Place* awaited, const Place* around) const;

  std::mutex mutex_;
  std::condition_variable some_have_ended_;
  std::unordered_map<cache::Digest, std::shared_ptr<Running>> running_;
  std::list<Wait> waits_;
};

}  // namespace sdl
