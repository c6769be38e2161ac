// What the user has chosen for the session in place of the real clock, random
// numbers, host name and network (SessionPolicies in protocol.h), as this
// process is served it.
//
// Values depend on nothing but the policies, the step and what the process has
// asked before, so that running it again gives the same. Where that cannot be,
// because two threads ask and nobody knows in which order, the functions say so
// and the look is logged as if it had been the real thing.
#pragma once

#include "preload/state.h"

#pragma GCC visibility push(hidden)

namespace preload {

enum Policies : uint32_t { policy_clock = 1, policy_random = 2, policy_host = 4, policy_network = 8 };

// Reads the header into `state.policies`. `random_start` as the exec record had it.
void load_policies(uint64_t random_start);

// ---- the clock
//
// A program has a time of its own, which begins when it is executed. It goes on by clock_tick_ns with each look at a
// clock and by what a wait that was not cut short was to take, so that deadlines come and loops end, and is the same
// in each run. Once two threads have looked, or a signal has cut a wait short, nothing can be the same any more: from
// then on it goes on as the real time does.

// CLOCK_REALTIME and those that differ from it in nothing but precision.
bool is_wall_clock(int clock);
// CLOCK_MONOTONIC and its kind. Not those of used processor time, which are real under any policy.
bool is_measuring_clock(int clock);

// What the clock, one of the above, tells; that was a look. `repeatable` becomes false if the next run may be told
// something else.
int64_t look_at_clock(int clock, bool& repeatable);

// A wait of the calling thread. Make one before it begins, and say how it ended.
class Wait {
 public:
  Wait();
  void lasted(int64_t ns) const;                   // as long as it was to
  void ended_at(int clock, int64_t moment_ns) const;  // when the clock came to tell this
  void was_cut_short() const;

 private:
  int64_t began_ns_;
};

// A moment that the clock will tell, as a deadline for the kernel, which knows only the real clock: as far away from
// now. A moment that is over becomes the earliest there is.
int64_t real_moment_ns(int clock, int64_t moment_ns);

// ---- random numbers

// The next `count` bytes of this process's own. False: the next run may get others.
bool draw(void* to, size_t count);
// In a child made by fork, whose parent had made `index` before.
void draw_as_child(uint32_t index);
// Where the random numbers of a program begin that is about to be executed; counts it. Not zero.
uint64_t random_start_of(uint64_t short_key);

}  // namespace preload

#pragma GCC visibility pop
