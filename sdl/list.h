// Lists: a window into elements that lists share. Spec: 3.
//
// A part of a list costs no copy. The list that ends where the shared elements
// end may claim the room behind them, so `l += <x>` in a loop copies each element
// a bounded number of times, whoever else holds earlier states of `l`.
#pragma once

#include <span>

#include "sdl/value.h"

namespace sdl {

inline constexpr std::uint32_t length_max = 0x7fff'ffff;  // _length has to tell it

struct alignas(Value) Elements : Object {
  explicit Elements(std::uint32_t own_capacity) : Object(Type::elements), capacity(own_capacity) {}
  const std::uint32_t capacity;
  // How many belong to some list. Whoever raises it makes what is between.
  mutable std::atomic<std::uint32_t> used{0};
  Value* values() const { return reinterpret_cast<Value*>(const_cast<Elements*>(this) + 1); }
};

struct ListObject : Object {
  ListObject(const Elements* own_elements, std::uint32_t own_first, std::uint32_t own_length)
      : Object(Type::list), elements(own_elements), first(own_first), length(own_length) {}
  const Elements* const elements;
  const std::uint32_t first, length;
};

Value make_list(std::span<Value> values);  // moves them out
std::span<const Value> elements_of(const Value& list);
Value concatenated_lists(const Value& left, const Value& right);  // together not longer than length_max
Value part_of_list(const Value& list, std::uint32_t first, std::uint32_t length);

}  // namespace sdl
