// Primitives of integers. Spec: 7.
#include <algorithm>
#include <limits>

#include "sdl/primitives.h"

namespace sdl {
namespace {

// Rounds down, whatever the signs are.
std::int64_t floor_of_quotient(std::int64_t left, std::int64_t right) {
  const std::int64_t quotient = left / right;
  return left % right != 0 && (left < 0) != (right < 0) ? quotient - 1 : quotient;
}

Value div(Call& call) {
  const std::int64_t left = call.arguments[0].as_integer(), right = call.arguments[1].as_integer();
  if (right == 0) return call.fail("division by zero");
  const std::int64_t quotient = floor_of_quotient(left, right);
  if (quotient > std::numeric_limits<std::int32_t>::max()) return call.fail("integer overflow");
  return Value::integer(static_cast<std::int32_t>(quotient));
}

Value mod(Call& call) {
  const std::int64_t left = call.arguments[0].as_integer(), right = call.arguments[1].as_integer();
  if (right == 0) return call.fail("division by zero");
  return Value::integer(static_cast<std::int32_t>(left - floor_of_quotient(left, right) * right));
}

Value min(Call& call) {
  return Value::integer(std::min(call.arguments[0].as_integer(), call.arguments[1].as_integer()));
}
Value max(Call& call) {
  return Value::integer(std::max(call.arguments[0].as_integer(), call.arguments[1].as_integer()));
}

constexpr Primitive primitives[] = {
    {"_div", "ii", div}, {"_mod", "ii", mod}, {"_min", "ii", min}, {"_max", "ii", max}};

}  // namespace

std::span<const Primitive> integer_primitives() { return primitives; }

}  // namespace sdl
