// What operators do to values. Spec: 6.
#pragma once

#include "cache/base/result.h"
#include "sdl/binding.h"
#include "sdl/syntax.h"
#include "sdl/value.h"

namespace sdl {

// The operations on two values that both have been evaluated. Results are not longer than `length_max`.
// Of what is inside the operands `opener` is told before it is looked at.
cache::Result<Value> operate(Operation operation, const Value& left, const Value& right, std::size_t length_max,
                             const Opener& opener = {});
cache::Result<Value> operate(Operation operation, const Value& operand);

// Elementwise and in order; functions cannot be compared. Takes no stack for nested values.
cache::Result<bool> equal(const Value& left, const Value& right);

}  // namespace sdl
