#include "preload/policies.h"

#include "preload/memory.h"

namespace preload {
namespace {

// As clock_gettime(2) numbers them.
constexpr int realtime = 0, realtime_coarse = 5, realtime_alarm = 8, international_atomic = 11;
constexpr int monotonic = 1, monotonic_raw = 4, monotonic_coarse = 6, boottime = 7, boottime_alarm = 9;

// Tells threads apart: where its own data begin, if that is to be trusted.
uintptr_t this_thread() {
  if (state.own_file) return static_cast<uintptr_t>(kernel(__NR_gettid));  // a static program, perhaps without such data yet
  uintptr_t start;
  asm volatile("mov %%fs:0, %0" : "=r"(start));  // not before the look above
  return start;
}

// Whether nobody but this thread has asked before.
bool is_only_asker(uintptr_t& asker) {
  const uintptr_t own = this_thread();
  return exchange_if<uintptr_t>(asker, 0, own) || load(asker) == own;
}

// A hash of the words that nobody can guess who does not know the seed, and that is another for each `purpose`.
template <size_t count>
uint64_t seeded(uint64_t purpose, const uint64_t (&words)[count]) {
  const char* seed = header().policies.random_seed;
  const uint64_t own[2] = {purpose, 0};
  const uint64_t key[2] = {purpose, fingerprint(own, seed, length_of(seed))};
  return fingerprint(key, reinterpret_cast<const char*>(words), sizeof words);
}

enum Purpose : uint64_t { of_start = 1, of_first_key = 2, of_second_key = 3 };

void begin_drawing() {
  RandomState& random = state.random;
  const uint64_t words[] = {random.start, random.lineage};
  random.key[0] = seeded(of_first_key, words);
  random.key[1] = seeded(of_second_key, words);
  random.drawn = 0;
  random.asker = 0;
}

// How often this has been executed before, by this process or one whose memory it shares. If too much has been, never.
uint32_t times_executed(uint64_t key) {
  for (uint32_t i = 0; i < executed_count; ++i) {
    Executed& place = state.executed[(key + i) % executed_count];
    if (exchange_if<uint64_t>(place.key, 0, key) || load(place.key) == key)
      return __atomic_fetch_add(&place.times, 1, __ATOMIC_RELAXED);
  }
  return 0;
}

}  // namespace

void load_policies(uint64_t random_start) {
  const SessionPolicies& chosen = header().policies;
  state.policies = (chosen.clock != clock_real ? policy_clock : 0u) |
                   (chosen.random != random_real ? policy_random : 0u) |
                   (chosen.host_name[0] ? policy_host : 0u) |
                   (chosen.network != network_allowed ? policy_network : 0u);
  if (!(state.policies & policy_random)) return;
  state.random.start = random_start;
  begin_drawing();
}

// ---- the clock

namespace {

// What CLOCK_MONOTONIC tells a program first: early, so that a deadline made of it which reaches the kernel by a way
// that is not hooked is over at once and not never.
constexpr int64_t measuring_from_ns = 1000000000;

int64_t real_ns(int clock) {
  struct {
    int64_t seconds, nanoseconds;
  } now{};
  kernel(__NR_clock_gettime, clock, &now);
  return now.seconds * 1000000000 + now.nanoseconds;
}

int64_t age_ns() {
  const int64_t age = load(state.clock.age_ns), since = load(state.clock.since_ns);
  return since == 0 ? age : age + (real_ns(monotonic) - since);
}

void grow_to(int64_t ns) {
  for (int64_t age = load(state.clock.age_ns); age < ns && load(state.clock.since_ns) == 0; age = load(state.clock.age_ns))
    if (exchange_if(state.clock.age_ns, age, ns)) return;
}

void go_on_with_real_time() {
  if (load(state.clock.since_ns) == 0) exchange_if<int64_t>(state.clock.since_ns, 0, real_ns(monotonic));
}

bool stands_still(int clock) { return header().policies.clock == clock_fixed && is_wall_clock(clock); }

int64_t told_at(int clock, int64_t age) {
  if (!is_wall_clock(clock)) return measuring_from_ns + age;
  return header().policies.clock_ns + (stands_still(clock) ? 0 : age);
}

}  // namespace

bool is_wall_clock(int clock) {
  return clock == realtime || clock == realtime_coarse || clock == realtime_alarm || clock == international_atomic;
}

bool is_measuring_clock(int clock) {
  return clock == monotonic || clock == monotonic_raw || clock == monotonic_coarse || clock == boottime || clock == boottime_alarm;
}

int64_t look_at_clock(int clock, bool& repeatable) {
  repeatable = true;
  if (stands_still(clock)) return told_at(clock, 0);
  if (in_vfork_child()) return told_at(clock, age_ns());
  if (!is_only_asker(state.clock.asker)) go_on_with_real_time();
  repeatable = load(state.clock.since_ns) == 0;
  if (!repeatable) return told_at(clock, age_ns());
  return told_at(clock, __atomic_fetch_add(&state.clock.age_ns, clock_tick_ns, __ATOMIC_RELAXED));
}

Wait::Wait() : began_ns_(age_ns()) {}
void Wait::lasted(int64_t ns) const {
  if (!in_vfork_child()) grow_to(began_ns_ + ns);
}
void Wait::ended_at(int clock, int64_t moment_ns) const {
  // On one that stands still the moment was as far away as it will ever be.
  const int64_t until = moment_ns - told_at(clock, 0);
  if (!in_vfork_child()) grow_to(stands_still(clock) ? began_ns_ + until : until);
}
void Wait::was_cut_short() const {
  if (!in_vfork_child()) go_on_with_real_time();
}

int64_t real_moment_ns(int clock, int64_t moment_ns) {
  const int64_t left = moment_ns - told_at(clock, age_ns());
  return left > 0 ? real_ns(clock) + left : 0;
}

// ---- random numbers

bool draw(void* to, size_t count) {
  RandomState& random = state.random;
  const bool repeatable = is_only_asker(random.asker);
  uint64_t at = __atomic_fetch_add(&random.drawn, count, __ATOMIC_RELAXED);
  char* place = static_cast<char*>(to);
  while (count > 0) {
    const uint64_t block = at / 8;
    const uint64_t word = fingerprint(random.key, reinterpret_cast<const char*>(&block), sizeof block);
    const size_t skip = at % 8, bytes = 8 - skip < count ? 8 - skip : count;
    copy(place, reinterpret_cast<const char*>(&word) + skip, bytes);
    place += bytes;
    at += bytes;
    count -= bytes;
  }
  return repeatable;
}

void draw_as_child(uint32_t index) {
  if (!(state.policies & policy_random)) return;
  const uint64_t words[] = {state.random.lineage, uint64_t{index} + 1};
  state.random.lineage = seeded(of_start, words);
  begin_drawing();
}

uint64_t random_start_of(uint64_t short_key) {
  const uint64_t words[] = {short_key, state.random.lineage, times_executed(short_key | 1)};
  return seeded(of_start, words) | 1;
}

}  // namespace preload
