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
  wanted.numbers.set(__NR_mprotect);
  wanted.numbers.set(__NR_pkey_mprotect);
  return wanted;
}

}  // namespace broker
