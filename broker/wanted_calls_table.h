// The calls to be hooked in libc and ld.so, as preload/calls.def lists them.
#pragma once

#include "broker/images/wanted_calls.h"

namespace broker {

// WantedCalls::functions are in the order of preload::HookSlot.
images::WantedCalls libc_wanted_calls();
images::WantedCalls loader_wanted_calls();
// Of a static program, only by numbers. More than in libc: there, code that is made or loaded while a program runs calls
// libc; here nobody knows what it does.
images::WantedCalls static_wanted_calls();

}  // namespace broker
