// From a call's number to its handler, as calls.def says.
#include "preload/handlers.h"
#include "preload/state.h"

namespace preload {

extern "C" long vestal_dispatch(const Call* made) {
  const Call& call = *made;
  if (!load(state.attached)) return native(call);
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

}  // namespace preload
