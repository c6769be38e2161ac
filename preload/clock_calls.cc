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

}  // namespace

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
