// Whether a program looks at variables otherwise than by getenv: at the array
// that `environ` and main's third argument lead to.
//
// The texts that the array leads to are copied to a mapping of their own, which
// nobody has touched when the program starts; the array, which is where the
// kernel has put it, is changed to lead there. Whoever reads or changes one of
// the copies has the kernel make a page of it present, and whether there is one
// stands in /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst). No
// signal is needed for it, and so none of the program's is in the way. getenv
// and exec, which are hooked, take the texts from where they were.
//
// Pages are locked once they are there (MLOCK_ONFAULT), so that none is given
// back and taken for one that never was.
//
// What it does not show: how many variables there are, to who counts them and
// looks at none.
#pragma once

#include "preload/state.h"

#pragma GCC visibility push(hidden)

namespace preload {

// To be called once, before the program has seen the array. Does nothing if the texts do not lie in a row, as they do
// unless the user has an LD_PRELOAD, or if anything is refused: then nobody says that the array was left alone.
void guard_environment(char** environment);
// Logs that it was left alone by this process until now, if that is certain. To be called before each exec and exit.
void note_environment();
// In a child made by fork.
void guard_as_child();

// Where a text was before it was copied; else what it was given.
inline char* unguarded(char* text) {
  const uintptr_t place = reinterpret_cast<uintptr_t>(text) - state.guard_from;
  return place < state.guard_bytes ? text + state.guard_shift : text;
}

}  // namespace preload

#pragma GCC visibility pop
