#include "broker/wanted_calls_table.h"

#include <asm/unistd.h>

#include "preload/protocol.h"

namespace broker {

images::WantedCalls libc_wanted_calls() {
  images::WantedCalls wanted;
#define ONE_PATH(effect, call, kind, directory, path, value) wanted.numbers.set(__NR_##call);
#define DESCRIPTOR(effect, call, kind, value) wanted.numbers.set(__NR_##call);
#define BY_HAND(effect, call, handler) wanted.numbers.set(__NR_##call);
#define SPOILS(effect, call, words) wanted.numbers.set(__NR_##call);
#define SPOILS_WHAT_FOLLOWS(effect, call, words) wanted.numbers.set(__NR_##call);
#define SPOILS_BY_DESCRIPTOR(effect, call, words) wanted.numbers.set(__NR_##call);
#define ONLY_WITHIN(call, function) wanted.only_within[__NR_##call].push_back(#function);
#define FUNCTION(effect, function, slot)           \
  static_assert(slot == preload::slot_##function); \
  wanted.functions.push_back(#function);
#include "preload/calls.def"
  // Their numbers are known only when they are called.
  wanted.unknown_within = {"syscall", "_exit"};
  return wanted;
}

images::WantedCalls loader_wanted_calls() {
  images::WantedCalls wanted;
#define IN_LOADER(call) wanted.numbers.set(__NR_##call);
#include "preload/calls.def"
  return wanted;
}

images::WantedCalls static_wanted_calls() {
  images::WantedCalls wanted;
  wanted.numbers = libc_wanted_calls().numbers;
  // Without arguments of a name or a file, and hooked for the sake of a chosen clock alone.
  for (const int waits : {__NR_futex, __NR_poll, __NR_ppoll, __NR_select, __NR_pselect6, __NR_epoll_wait, __NR_epoll_pwait, 441 /* epoll_pwait2 */,
                          __NR_clock_nanosleep, __NR_rt_sigtimedwait})
    wanted.not_on_small_stacks.set(static_cast<std::size_t>(waits));
  // The last thread may end the process by it.
  wanted.numbers.set(__NR_exit);
  wanted.numbers.set(__NR_mprotect);
  wanted.numbers.set(__NR_pkey_mprotect);
  return wanted;
}

}  // namespace broker
