// Clocks. That one has been read is logged once per way of reading it, for what
// it said will never be the same again. A wall clock that the session's policy
// has chosen says the same again, and is not logged.
#include <linux/sysinfo.h>

#include "preload/handlers.h"
#include "preload/log_ring.h"
#include "preload/policies.h"
#include "preload/vdso.h"

namespace preload {
namespace {

constexpr int64_t second_ns = 1000000000;
constexpr int realtime = 0, monotonic = 1;  // CLOCK_...

struct Instant {
  int64_t seconds, parts;  // nanoseconds or microseconds
};

void note_clock(uint32_t source) {
  if (!load(state.attached)) return;
  if (source == clock_by_usage && (load(state.clocks_seen) & source)) source = clock_by_usage_again;
  if (state.plan_flags & plan_every_look) {
    if (load(state.clock_looks) >= clock_looks_max) return;
    const uint32_t number = __atomic_add_fetch(&state.clock_looks, 1u, __ATOMIC_RELAXED);
    if (number > clock_looks_max) return;
    if (number == clock_looks_max) source |= clock_unseen;
  } else if (load(state.clocks_seen) & source) {
    return;
  }
  if (!in_vfork_child()) __atomic_fetch_or(&state.clocks_seen, source, __ATOMIC_RELAXED);
  LogRecord record;
  record.kind = kind_clock;
  record.arg = static_cast<int>(source);
  append(record);
}

bool clock_is_chosen() { return __builtin_expect(state.policies & policy_clock, 0); }
bool is_chosen(int clock) { return clock_is_chosen() && (is_wall_clock(clock) || is_measuring_clock(clock)); }

uint32_t source_of(int clock) { return is_measuring_clock(clock) ? clock_by_monotonic : clock_by_gettime; }

int64_t chosen_time(int clock, uint32_t source) {
  bool repeatable;
  const int64_t now = look_at_clock(clock, repeatable);
  if (!repeatable) note_clock(source);
  return now;
}

void tell_nanoseconds(int clock, void* place) {
  const int64_t now = chosen_time(clock, source_of(clock));
  *static_cast<Instant*>(place) = {now / second_ns, now % second_ns};
}

void tell_microseconds(void* place) {
  const int64_t now = chosen_time(realtime, clock_by_timeofday);
  *static_cast<Instant*>(place) = {now / second_ns, now % second_ns / 1000};
}

long tell_seconds(long* place) {
  const long now = chosen_time(realtime, clock_by_time) / second_ns;
  if (place) *place = now;
  return now;
}

// Uptime, load and free memory go with the clock; how much memory there is stays and is a part of the session's key.
long tell_state_of_machine(const Call& call) {
  const long result = native(call);
  if (result < 0) return result;
  struct sysinfo& told = *call.pointer<struct sysinfo>(0);
  told.uptime = chosen_time(monotonic, clock_by_machine) / second_ns;
  told.loads[0] = told.loads[1] = told.loads[2] = 0;
  told.freeram = told.totalram;
  told.freeswap = told.totalswap;
  told.freehigh = told.totalhigh;
  told.sharedram = told.bufferram = 0;
  told.procs = 1;
  return result;
}

// A system call for a clock whose policy is chosen. The kernel goes first: it knows bad pointers.
long tell_by_call(const Call& call) {
  const long result = native(call);
  if (result < 0) return result;
  if (call.number == __NR_time) return tell_seconds(call.pointer<long>(0));
  if (call.number == __NR_clock_gettime)
    tell_nanoseconds(call.integer(0), call.pointer<void>(1));
  else if (call.arguments[0])
    tell_microseconds(call.pointer<void>(0));
  return result;
}

}  // namespace

void note_usage() { note_clock(clock_by_usage); }

long handle_clock(const Call& call) {
  switch (call.number) {
    case __NR_gettimeofday:
      if (clock_is_chosen()) return tell_by_call(call);
      note_clock(clock_by_timeofday);
      break;
    case __NR_time:
      if (clock_is_chosen()) return tell_by_call(call);
      note_clock(clock_by_time);
      break;
    case __NR_clock_gettime:
      if (is_chosen(call.integer(0))) return tell_by_call(call);
      note_clock(source_of(call.integer(0)));
      break;
    case __NR_sysinfo:
      if (clock_is_chosen()) return tell_state_of_machine(call);
      note_clock(clock_by_machine);
      break;
    default:
      note_clock(clock_by_usage);
      break;
  }
  return native(call);
}

int vestal_hook_clock_gettime(int clock, void* time) {
  if (is_chosen(clock)) {
    tell_nanoseconds(clock, time);
    return 0;
  }
  note_clock(source_of(clock));
  return reinterpret_cast<int (*)(int, void*)>(state.originals[slot_clock_gettime])(clock, time);
}

int vestal_gettimeofday(void* time, void* zone) {
  // libc gives no zone either.
  if (zone) *static_cast<uint64_t*>(zone) = 0;
  if (clock_is_chosen()) {
    if (time) tell_microseconds(time);
    return 0;
  }
  note_clock(clock_by_timeofday);
  find_vdso_calls();
  if (state.vdso_timeofday) return state.vdso_timeofday(time, nullptr);
  return static_cast<int>(kernel(__NR_gettimeofday, time, nullptr));
}

long vestal_time(long* seconds) {
  if (clock_is_chosen()) return tell_seconds(seconds);
  note_clock(clock_by_time);
  find_vdso_calls();
  if (state.vdso_time) return state.vdso_time(seconds);
  return kernel(__NR_time, seconds);
}

// Who comes this way may well make system calls of its own, and would wait by the real clock for a deadline that he has
// made of another. So only what tells the date is as chosen.
int vestal_vdso_clock_gettime(int clock, void* time) {
  if (clock_is_chosen() && is_wall_clock(clock)) {
    tell_nanoseconds(clock, time);
    return 0;
  }
  note_clock(clock_is_chosen() ? uint32_t{clock_by_gettime} : source_of(clock));
  return static_cast<int>(kernel(__NR_clock_gettime, clock, time));
}

int vestal_vdso_gettimeofday(void* time, void* zone) {
  if (clock_is_chosen()) return vestal_gettimeofday(time, zone);
  note_clock(clock_by_timeofday);
  return static_cast<int>(kernel(__NR_gettimeofday, time, zone));
}

long vestal_vdso_time(long* seconds) {
  if (clock_is_chosen()) return tell_seconds(seconds);
  note_clock(clock_by_time);
  return kernel(__NR_time, seconds);
}

}  // namespace preload
