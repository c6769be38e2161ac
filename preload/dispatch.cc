// From a call's number to its handler, as calls.def says.
#include "preload/handlers.h"
#include "preload/log_ring.h"
#include "preload/policies.h"
#include "preload/state.h"

namespace preload {

namespace {

// There is nobody left to tell, but what the process has been told it goes on to be told.
long serve_alone(const Call& call) {
  switch (call.number) {
    case __NR_clock_gettime:
    case __NR_gettimeofday:
    case __NR_time:
      return handle_clock(call);
    case __NR_futex:
      return handle_futex(call);
    case __NR_clock_nanosleep:
      return handle_sleep(call);
    case __NR_poll:
    case __NR_ppoll:
    case __NR_select:
    case __NR_pselect6:
    case __NR_epoll_wait:
    case __NR_epoll_pwait:
    case __NR_epoll_pwait2:
    case __NR_rt_sigtimedwait:
      return handle_wait_for_events(call);
    case __NR_getrandom:
      return handle_random(call);
    case __NR_uname:
      return handle_host(call);
    case __NR_connect:
      return handle_connect(call);
    case __NR_bind:
      return handle_bind(call);
    case __NR_listen:
      return handle_listen(call);
    case __NR_sendto:
      return handle_write(call);
    case __NR_sendmsg:
    case __NR_sendmmsg:
      return handle_send_message(call);
    default:
      return native(call);
  }
}

}  // namespace

namespace {

// What there was no room for, or what the device failed to do, may be done next time.
bool is_for_want_of_room(long number, long result) {
  switch (result) {
    case -ENOSPC:
    case -EDQUOT:
    case -EIO:
    case -ENFILE:
      return true;
    case -ENOMEM:
      return number == __NR_mmap || number == __NR_clone || number == __NR_fork || number == __NR_vfork;
    case -EAGAIN:
      return number == __NR_clone || number == __NR_fork || number == __NR_vfork;
    default:
      return false;
  }
}

// What is in use, or on a file system that may be mounted otherwise next time.
bool is_for_now(long result) { return result == -EBUSY || result == -ETXTBSY || result == -EROFS; }

void spoil_for_want_of_room() {
  if (load(state.attached) && !seen(mix(kind_spoil, ENOSPC))) spoil("was refused room, memory or another process");
}

long handle(const Call& call) {
  if (!load(state.attached)) return state.policies ? serve_alone(call) : native(call);
  constexpr int AT_CWD = AT_FDCWD, NONE = -1;
  switch (call.number) {
#define BY_HAND(effect, name, handler) \
  case __NR_##name:                    \
    return handler(call);
#define ONE_PATH(effect, name, kind, directory, path, value) \
  case __NR_##name:                                          \
    return change_path(call, kind, directory, path, value);
#define DESCRIPTOR(effect, name, kind, value) \
  case __NR_##name:                           \
    return change_descriptor(call, kind, value);
#define SPOILS(effect, name, words) \
  case __NR_##name:                 \
    return spoiling(call, words);
#define SPOILS_WHAT_FOLLOWS(effect, name, words) \
  case __NR_##name:                              \
    return spoiling_what_follows(call, words);
#define SPOILS_BY_DESCRIPTOR(effect, name, words) \
  case __NR_##name:                               \
    return spoiling_descriptor(call, words);
#define LEFT_ALONE(name, reason) \
  case __NR_##name:              \
    return native(call);
#include "preload/calls.def"
  }
  return unknown_call(call);
}

}  // namespace

extern "C" long vestal_dispatch(const Call* call) {
  const long result = handle(*call);
  if (__builtin_expect(result < 0, 0)) {
    if (is_for_want_of_room(call->number, result)) spoil_for_want_of_room();
    if (is_for_now(result) && load(state.attached) && !seen(mix(kind_spoil, EBUSY))) spoil("was refused something that is in use or mounted read-only");
  }
  return result;
}

// vfork made no process.
extern "C" __attribute__((visibility("hidden"))) void vestal_vfork_failed() { spoil_for_want_of_room(); }

}  // namespace preload
