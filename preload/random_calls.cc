// Random numbers. That some have been drawn is logged, unless the session's
// seed is where they come from.
#include "preload/handlers.h"
#include "preload/log_ring.h"
#include "preload/policies.h"

namespace preload {
namespace {

void note_random(long bytes) {
  if (!(state.plan_flags & plan_every_look) && seen(mix(kind_random, static_cast<uint64_t>(bytes)))) return;
  LogRecord record;
  record.kind = kind_random;
  record.arg = static_cast<int>(bytes);
  append(record);
}

}  // namespace

long handle_random(const Call& call) {
  const long result = native(call);
  // malloc has a random mark for what it has freed, kept among libc's own data; no program sees it.
  const uintptr_t place = static_cast<uintptr_t>(call.arguments[0]);
  const bool for_libc = place >= state.libc_start && place < state.libc_end;
  if (result < 0 || for_libc) return result;
  const bool repeatable =
      state.policies & policy_random && draw(call.pointer<void>(0), static_cast<size_t>(result));
  if (!repeatable) note_random(result);
  return result;
}

// Of read, pread64, readv, preadv and preadv2. What the device gives is overwritten.
long read_seeded(const Call& call) {
  const long result = native(call);
  if (result <= 0) return result;
  size_t left = static_cast<size_t>(result);
  bool repeatable = true;
  if (call.number == __NR_read || call.number == __NR_pread64) {
    repeatable = draw(call.pointer<void>(1), left);
  } else {
    const iovec* pieces = call.pointer<const iovec>(1);
    for (size_t i = 0; left > 0 && i < static_cast<size_t>(call.arguments[2]); ++i) {
      const size_t bytes = pieces[i].iov_len < left ? pieces[i].iov_len : left;
      repeatable = draw(pieces[i].iov_base, bytes) && repeatable;
      left -= bytes;
    }
  }
  if (!repeatable) note_random(result);
  return result;
}

// Who calls it asks the kernel instead, and that call is seen.
long vestal_vdso_getrandom(void*, size_t, unsigned, void*, size_t) { return -ENOSYS; }

}  // namespace preload
