// Clocks. That one has been read is logged once per way of reading it, for what
// it said will never be the same again. A wall clock that the session's policy
// has chosen says the same again, and is not logged.
#include "preload/handlers.h"
#include "preload/log_ring.h"
#include "preload/policies.h"
#include "preload/vdso.h"

namespace preload {
namespace {

constexpr int64_t second_ns = 1000000000;

struct Instant {
  int64_t seconds, parts;  // nanoseconds or microseconds
};

void note_clock(uint32_t source) {
  if (!load(state.attached) || load(state.clocks_seen) & source) return;
  if (!in_vfork_child()) __atomic_fetch_or(&state.clocks_seen, source, __ATOMIC_RELAXED);
  LogRecord record;
  record.kind = kind_clock;
  record.arg = static_cast<int>(source);
  append(record);
}

bool wall_clock_is_chosen() { return __builtin_expect(state.policies & policy_clock, 0); }

int64_t chosen_time(uint32_t source) {
  bool repeatable;
  const int64_t now = look_at_wall_clock(repeatable);
  if (!repeatable) note_clock(source);
  return now;
}

void tell_nanoseconds(void* place) {
  const int64_t now = chosen_time(clock_by_gettime);
  *static_cast<Instant*>(place) = {now / second_ns, now % second_ns};
}

void tell_microseconds(void* place) {
  const int64_t now = chosen_time(clock_by_timeofday);
  *static_cast<Instant*>(place) = {now / second_ns, now % second_ns / 1000};
}

long tell_seconds(long* place) {
  const long now = chosen_time(clock_by_time) / second_ns;
  if (place) *place = now;
  return now;
}

// A system call for the wall clock, whose policy is chosen. The kernel goes first: it knows bad pointers.
long tell_by_call(const Call& call) {
  const long result = native(call);
  if (result < 0) return result;
  if (call.number == __NR_time) return tell_seconds(call.pointer<long>(0));
  void* place = call.pointer<void>(call.number == __NR_clock_gettime ? 1 : 0);
  if (call.number == __NR_clock_gettime)
    tell_nanoseconds(place);
  else if (place)
    tell_microseconds(place);
  return result;
}

// A moment of the chosen wall clock as a deadline for the kernel, which knows only the real one: as far away from now.
class Deadline {
 public:
  explicit Deadline(const void* chosen) : given_(static_cast<const Instant*>(chosen)) {
    if (!given_) return;
    // What makes no sense, or lies too far away to be computed with, is left to the kernel.
    constexpr int64_t seconds_max = 9000000000;
    if (given_->seconds < 0 || given_->seconds > seconds_max || given_->parts < 0 || given_->parts >= second_ns) return;
    chosen_ns_ = given_->seconds * second_ns + given_->parts;
    Instant now{};
    kernel(__NR_clock_gettime, 0 /* CLOCK_REALTIME */, &now);
    // A moment that is over may lie before 1970 on the real clock, which the kernel would not take.
    const int64_t left_ns = chosen_ns_ - wall_clock_ns();
    const int64_t real_ns = left_ns > 0 ? now.seconds * second_ns + now.parts + left_ns : 0;
    real_ = {real_ns / second_ns, real_ns % second_ns};
  }
  const void* real() const { return chosen_ns_ < 0 ? static_cast<const void*>(given_) : &real_; }
  void reached() const {
    if (chosen_ns_ >= 0) wall_clock_has_reached(chosen_ns_);
  }

 private:
  const Instant* given_;
  Instant real_{};
  int64_t chosen_ns_ = -1;
};

}  // namespace

// clock_nanosleep. Only who sleeps until a moment, not who sleeps for a while, is concerned.
long handle_sleep(const Call& call) {
  constexpr int until_moment = 1;  // TIMER_ABSTIME
  const bool concerned = wall_clock_is_chosen() && is_wall_clock(call.integer(0)) && call.integer(1) & until_moment;
  if (!concerned || !readable(call.path(2))) return native(call);
  const Deadline deadline(call.pointer<void>(2));
  Call own = call;
  own.arguments[2] = word(deadline.real());
  const long result = native(own);
  if (result == 0) deadline.reached();
  return result;
}

namespace {

// What of libc takes its deadline as the last argument. sem_timedwait returns -1 for any failure, so that after it a
// ticking clock does not know that the moment has come; the next look moves it on all the same.
template <class... Arguments>
int wait_until(HookSlot slot, const void* until, Arguments... arguments) {
  const Deadline deadline(until);
  const int result = reinterpret_cast<int (*)(Arguments..., const void*)>(state.originals[slot])(arguments..., deadline.real());
  if (result == ETIMEDOUT) deadline.reached();
  return result;
}

// A bit of the condition says that it goes by a clock that is never set (glibc, nptl/pthread_cond_wait.c).
bool goes_by_wall_clock(const void* condition) {
  constexpr int waiters_word = 9;
  constexpr uint32_t monotonic = 2;
  return !(load(static_cast<const uint32_t*>(condition)[waiters_word]) & monotonic);
}

}  // namespace

int vestal_hook_pthread_cond_timedwait(void* condition, void* mutex, const void* until) {
  if (goes_by_wall_clock(condition)) return wait_until(slot_pthread_cond_timedwait, until, condition, mutex);
  return reinterpret_cast<int (*)(void*, void*, const void*)>(state.originals[slot_pthread_cond_timedwait])(
      condition, mutex, until);
}

int vestal_hook_pthread_mutex_timedlock(void* mutex, const void* until) {
  return wait_until(slot_pthread_mutex_timedlock, until, mutex);
}

int vestal_hook_sem_timedwait(void* semaphore, const void* until) {
  return wait_until(slot_sem_timedwait, until, semaphore);
}

long handle_clock(const Call& call) {
  switch (call.number) {
    case __NR_gettimeofday:
      if (wall_clock_is_chosen()) return tell_by_call(call);
      note_clock(clock_by_timeofday);
      break;
    case __NR_time:
      if (wall_clock_is_chosen()) return tell_by_call(call);
      note_clock(clock_by_time);
      break;
    case __NR_clock_gettime:
      if (wall_clock_is_chosen() && is_wall_clock(call.integer(0))) return tell_by_call(call);
      note_clock(clock_by_gettime);
      break;
    default:
      note_clock(clock_by_usage);
      break;
  }
  return native(call);
}

int vestal_hook_clock_gettime(int clock, void* time) {
  if (wall_clock_is_chosen() && is_wall_clock(clock)) {
    tell_nanoseconds(time);
    return 0;
  }
  note_clock(clock_by_gettime);
  return reinterpret_cast<int (*)(int, void*)>(state.originals[slot_clock_gettime])(clock, time);
}

int vestal_gettimeofday(void* time, void* zone) {
  // libc gives no zone either.
  if (zone) *static_cast<uint64_t*>(zone) = 0;
  if (wall_clock_is_chosen()) {
    if (time) tell_microseconds(time);
    return 0;
  }
  note_clock(clock_by_timeofday);
  find_vdso_calls();
  if (state.vdso_timeofday) return state.vdso_timeofday(time, nullptr);
  return static_cast<int>(kernel(__NR_gettimeofday, time, nullptr));
}

long vestal_time(long* seconds) {
  if (wall_clock_is_chosen()) return tell_seconds(seconds);
  note_clock(clock_by_time);
  find_vdso_calls();
  if (state.vdso_time) return state.vdso_time(seconds);
  return kernel(__NR_time, seconds);
}

int vestal_vdso_clock_gettime(int clock, void* time) {
  if (is_wall_clock(clock)) {
    tell_nanoseconds(time);
    return 0;
  }
  note_clock(clock_by_gettime);
  return static_cast<int>(kernel(__NR_clock_gettime, clock, time));
}

int vestal_vdso_gettimeofday(void* time, void* zone) { return vestal_gettimeofday(time, zone); }

long vestal_vdso_time(long* seconds) { return tell_seconds(seconds); }

}  // namespace preload
