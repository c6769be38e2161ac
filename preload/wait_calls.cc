// Waits with a time limit. They are left to the kernel and the real time,
// except that under a clock policy deadlines are given as moments of clocks the
// kernel knows nothing of, and that the process's own time has to hear of each
// wait; see policies.h.
#include "preload/handlers.h"
#include "preload/log_ring.h"
#include "preload/paths.h"
#include "preload/policies.h"
#include "preload/trap.h"

namespace preload {
namespace {

constexpr int64_t second_ns = 1000000000;
constexpr int realtime = 0, monotonic = 1;  // CLOCK_...

struct Instant {
  int64_t seconds, parts;
};

bool clock_is_chosen() { return __builtin_expect(state.policies & policy_clock, 0); }
bool is_chosen(int clock) { return clock_is_chosen() && (is_wall_clock(clock) || is_measuring_clock(clock)); }

// -1 for what is none, or lies too far away to be computed with: that is left to the kernel.
int64_t nanoseconds(const Instant& given, int64_t part_ns = 1) {
  constexpr int64_t seconds_max = 8000000000;
  const int64_t parts_max = second_ns / part_ns;
  if (given.seconds < 0 || given.seconds > seconds_max || given.parts < 0 || given.parts >= parts_max) return -1;
  return given.seconds * second_ns + given.parts * part_ns;
}

int64_t nanoseconds_at(const Call& call, int at, int64_t part_ns = 1) {
  if (call.arguments[at] == 0 || !readable(call.path(at))) return -1;
  return nanoseconds(*call.pointer<const Instant>(at), part_ns);
}

// A deadline by a chosen clock, and the same for the kernel.
class Deadline {
 public:
  Deadline(int clock, const void* given) : clock_(clock), given_(given) {
    if (!given) return;
    moment_ns_ = nanoseconds(*static_cast<const Instant*>(given));
    if (moment_ns_ < 0) return;
    const int64_t real_ns = real_moment_ns(clock, moment_ns_);
    real_ = {real_ns / second_ns, real_ns % second_ns};
  }
  const void* real() const { return moment_ns_ < 0 ? given_ : &real_; }
  void reached(const Wait& wait) const {
    if (moment_ns_ >= 0) wait.ended_at(clock_, moment_ns_);
  }

 private:
  int clock_;
  const void* given_;
  Instant real_{};
  int64_t moment_ns_ = -1;
};

// How long a call for events may wait; -1: for ever.
int64_t limit_of(const Call& call) {
  constexpr int64_t millisecond_ns = 1000000, microsecond_ns = 1000;
  switch (call.number) {
    case __NR_poll:
      return call.integer(2) < 0 ? -1 : call.integer(2) * millisecond_ns;
    case __NR_epoll_wait:
    case __NR_epoll_pwait:
      return call.integer(3) < 0 ? -1 : call.integer(3) * millisecond_ns;
    case __NR_epoll_pwait2:
      return nanoseconds_at(call, 3);
    case __NR_select:
      return nanoseconds_at(call, 4, microsecond_ns);
    case __NR_pselect6:
      return nanoseconds_at(call, 4);
    default:  // ppoll, rt_sigtimedwait
      return nanoseconds_at(call, 2);
  }
}

}  // namespace

long handle_wait_for_events(const Call& made) {
  Call call = made;
  const OpenMask mask(call);
  const int64_t limit = clock_is_chosen() ? limit_of(call) : -1;
  const bool polls = call.number == __NR_poll || call.number == __NR_ppoll;
  if (limit < 0) {
    const long ready = native(call);
    if (polls && ready >= 0) note_polled(call);
    return ready;
  }
  const Wait wait;
  const long result = native(call);
  if (polls && result >= 0) note_polled(call);
  if (result == -EINTR) wait.was_cut_short();
  const bool timed_out = call.number == __NR_rt_sigtimedwait ? result == -EAGAIN : result == 0;
  if (timed_out) wait.lasted(limit);
  return result;
}

// clock_nanosleep
long handle_sleep(const Call& call) {
  const int clock = call.integer(0);
  if (!is_chosen(clock)) return native(call);
  const int64_t given = nanoseconds_at(call, 2);
  if (given < 0) return native(call);
  constexpr int until_moment = 1;  // TIMER_ABSTIME
  const Wait wait;
  long result;
  if (call.integer(1) & until_moment) {
    const Deadline deadline(clock, call.pointer<void>(2));
    Call own = call;
    own.arguments[2] = word(deadline.real());
    result = native(own);
    if (result == 0) deadline.reached(wait);
  } else {
    result = native(call);
    if (result == 0) wait.lasted(given);
  }
  if (result == -EINTR) wait.was_cut_short();
  return result;
}

// Under all that waits for another thread: conditions, mutexes, semaphores.
long handle_futex(const Call& call) {
  constexpr int wait_for_a_while = 0, wait_until_moment = 9, command_mask = 127, by_wall_clock = 256;
  const int command = call.integer(1) & command_mask;
  const bool waits = command == wait_for_a_while || command == wait_until_moment;
  const int64_t given = clock_is_chosen() && waits ? nanoseconds_at(call, 3) : -1;
  if (given < 0) return native(call);
  const Wait wait;
  if (command == wait_for_a_while) {
    const long result = native(call);
    if (result == -ETIMEDOUT) wait.lasted(given);
    return result;
  }
  const Deadline deadline(call.integer(1) & by_wall_clock ? realtime : monotonic, call.pointer<void>(3));
  Call own = call;
  own.arguments[3] = word(deadline.real());
  const long result = native(own);
  if (result == -ETIMEDOUT) deadline.reached(wait);
  return result;
}

}  // namespace preload
