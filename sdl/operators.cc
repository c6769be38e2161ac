#include "sdl/operators.h"

#include <vector>

#include <fmt/format.h>

#include "sdl/access.h"

namespace sdl {
namespace {

using cache::fail;
using cache::Fault;
using cache::Result;

Result<Value> overflow(Operation operation, std::int64_t left, std::int64_t right) {
  return fail(Fault::invalid, fmt::format("integer overflow: {} {} {} does not fit into 32 bits", left,
                                          spelling(operation), right));
}

Result<Value> operate_integers(Operation operation, std::int32_t left, std::int32_t right) {
  std::int32_t result = 0;
  switch (operation) {
    case Operation::add:
      if (__builtin_add_overflow(left, right, &result)) return overflow(operation, left, right);
      return Value::integer(result);
    case Operation::subtract:
      if (__builtin_sub_overflow(left, right, &result)) return overflow(operation, left, right);
      return Value::integer(result);
    case Operation::multiply:
      if (__builtin_mul_overflow(left, right, &result)) return overflow(operation, left, right);
      return Value::integer(result);
    case Operation::less:
      return Value::boolean(left < right);
    case Operation::greater:
      return Value::boolean(left > right);
    case Operation::less_equal:
      return Value::boolean(left <= right);
    case Operation::greater_equal:
      return Value::boolean(left >= right);
    default:
      return fail(Fault::invalid,
                  fmt::format("'{}' takes two bindings, not t_int and t_int", spelling(operation)));
  }
}

Result<Value> too_long(const char* what) {
  return fail(Fault::invalid, fmt::format("the {} would be too long", what));
}

std::string_view wanted(Operation operation) {
  switch (operation) {
    case Operation::add:
      return "two integers, texts, lists or bindings";
    case Operation::overlay:
      return "two bindings";
    case Operation::subtract:
      return "two integers or two bindings";
    default:
      return "two integers";
  }
}

Result<Value> operate_bindings(Operation operation, const Value& left, const Value& right,
                               std::size_t length_max, const Opener& opener) {
  if (operation == Operation::subtract) return difference_of(left, right);
  if (std::size_t{length(left)} + length(right) > length_max) return too_long("binding");
  if (operation == Operation::add) return overlay_of(left, right);
  Value overlaid = recursive_overlay_of(left, right, opener);
  if (overlaid.is_unbound()) return fail(Fault::invalid, "'++' of bindings that are nested too deeply");
  return overlaid;
}

}  // namespace

Result<Value> operate(Operation operation, const Value& left, const Value& right, std::size_t length_max,
                      const Opener& opener) {
  if (operation == Operation::equal) return Value::boolean(TRY(equal(left, right)));
  if (operation == Operation::not_equal) return Value::boolean(!TRY(equal(left, right)));
  if (left.is_integer() && right.is_integer())
    return operate_integers(operation, left.as_integer(), right.as_integer());
  if (operation == Operation::add && left.is_text() && right.is_text()) {
    const std::string_view first = TRY(text_bytes(left)), second = TRY(text_bytes(right));
    if (first.size() + second.size() > length_max) return too_long("text");
    return concatenated(stored_text(left) ? make_text(first) : left, second);
  }
  if (operation == Operation::add && left.is_list() && right.is_list()) {
    if (std::size_t{length(left)} + length(right) > length_max) return too_long("list");
    return concatenated_lists(left, right);
  }
  const bool of_bindings =
      operation == Operation::add || operation == Operation::overlay || operation == Operation::subtract;
  if (of_bindings && left.is_binding() && right.is_binding())
    return operate_bindings(operation, left, right, length_max, opener);
  return fail(Fault::invalid, fmt::format("'{}' takes {}, not {} and {}", spelling(operation),
                                          wanted(operation), type_of(left), type_of(right)));
}

Result<Value> operate(Operation operation, const Value& operand) {
  if (operation == Operation::invert) {
    if (!operand.is_boolean())
      return fail(Fault::invalid, fmt::format("'!' takes a boolean, not {}", type_of(operand)));
    return Value::boolean(!operand.as_boolean());
  }
  if (!operand.is_integer())
    return fail(Fault::invalid, fmt::format("'-' takes an integer, not {}", type_of(operand)));
  std::int32_t result = 0;
  if (__builtin_sub_overflow(0, operand.as_integer(), &result))
    return fail(Fault::invalid,
                fmt::format("integer overflow: -({}) does not fit into 32 bits", operand.as_integer()));
  return Value::integer(result);
}

Result<bool> equal(const Value& left, const Value& right) {
  // What is still to be compared, with how far it has been.
  struct Open {
    Value left, right;
    std::uint32_t next;
  };
  std::vector<Open> open;
  Value one = left, other = right;
  for (;;) {
    if (one.kind() != other.kind()) return false;
    switch (one.kind()) {
      case Kind::boolean:
        if (one.as_boolean() != other.as_boolean()) return false;
        break;
      case Kind::integer:
        if (one.as_integer() != other.as_integer()) return false;
        break;
      case Kind::text:
        if (one.object() != other.object() && TRY(text_bytes(one)) != TRY(text_bytes(other))) return false;
        break;
      case Kind::list:
      case Kind::binding:
        if (length(one) != length(other)) return false;
        open.push_back({std::move(one), std::move(other), 0});
        break;
      case Kind::closure:
        return fail(Fault::invalid, "functions cannot be compared");
      default:
        break;
    }
    while (!open.empty() && open.back().next == length(open.back().left)) open.pop_back();
    if (open.empty()) return true;
    Open& now = open.back();
    const std::uint32_t index = now.next++;
    if (now.left.is_binding()) {
      if (view_of(name_at(now.left, index)) != view_of(name_at(now.right, index))) return false;
      one = value_at(now.left, index);
      other = value_at(now.right, index);
    } else {
      one = element(now.left, index);
      other = element(now.right, index);
    }
  }
}

}  // namespace sdl
