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

// CLOCK_REALTIME and those that differ from it in nothing but precision. All others are real under any policy:
// deadlines and measurements are made of them.
bool is_wall_clock(int clock);

// What the wall clock tells, in nanoseconds; a ticking one then goes on. `repeatable` becomes false if the next run
// may be told something else.
int64_t look_at_wall_clock(bool& repeatable);
// The same time without having looked.
int64_t wall_clock_ns();
// Somebody has waited until then: a ticking clock says so from now on.
void wall_clock_has_reached(int64_t ns);

// ---- random numbers

// The next `count` bytes of this process's own. False: the next run may get others.
bool draw(void* to, size_t count);
// In a child made by fork, whose parent had made `index` before.
void draw_as_child(uint32_t index);
// Where the random numbers of a program begin that is about to be executed; counts it. Not zero.
uint64_t random_start_of(uint64_t short_key);

}  // namespace preload

#pragma GCC visibility pop
