// What a program that runs as a copy is told of itself, for copies with the shim
// inside (static_start.cc) and those that ld.so loads (shim_start.cc).
#pragma once

#include "preload/kernel.h"

#pragma GCC visibility push(hidden)

namespace preload {

struct AuxiliaryEntry {
  uint64_t type, value;
};

// Takes <bytes>:<path>:<as spelled> apart, keeps the path as state.own_file and returns the last; nullptr if
// it is none.
const char* learn_own_file(char* value);
// The process is named as the kernel would have named it.
void take_name(const char* executed);
// What a program made by Go has asked by being started.
void note_go();

extern "C" {
// Slot 0 of libc's image and of ld.so's, and the hook of calls of its own, where a copy's stacks may be
// small: static_entry.S.
void vestal_hook_copied_call();
void vestal_hook_static_call();
void vestal_choose();
}

}  // namespace preload

#pragma GCC visibility pop
