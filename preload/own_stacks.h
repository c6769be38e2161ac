// Stacks of the shim's own, for calls whose own stack may be too small for it:
// those of children that share their parent's memory, of Go's threads, and of
// calls that come as a signal (trap.h).
//
// A claimed stack is free again when its call returns. One on which a child of
// vfork executed something or ended never returns; it is free when no such
// child is left.
//
// May be used by any thread and in signal handlers; nothing is locked.
#pragma once

#pragma GCC visibility push(hidden)

namespace preload {

// They take address space, no memory, and are made when they are first needed. False: there is no room for them.
bool make_stacks();
// The top of one, or nullptr if there is none.
char* claim_stack();

// A child made by vfork leaves for good from the stack that `within` points into, if it is one of these, and its parent
// goes on with this memory; or it stays after all.
void leave_stack(const void* within);
void come_back(const void* within);

extern "C" {
// For assembly. The top of a stack for a system call of a static program, or nullptr to stay where it is.
char* vestal_take_stack();
void vestal_give_stack(const char* top);
}

}  // namespace preload

#pragma GCC visibility pop
