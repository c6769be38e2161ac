// Stack for recursion as deep as the models of users go.
//
// The evaluator walks the tree, so a call in the language is a few calls in C++.
// It runs in a thread whose stack is mapped large and takes memory only as far as
// it is used; and whatever recurses asks before whether there is still room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace sdl {

inline constexpr std::size_t deep_stack_bytes = std::size_t{1} << 30;

// Runs it in a thread of its own with such a stack, and waits. If there is no such thread to be had it runs
// in this one.
void on_deep_stack(const std::function<void()>& act);

// Below this address a function of this thread should not recurse any more. Until it is known, above
// everything.
inline thread_local std::uintptr_t stack_floor = UINTPTR_MAX;
bool stack_is_low_slowly();

inline bool stack_is_low() {
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) < stack_floor && stack_is_low_slowly();
}

}  // namespace sdl
