// Bindings: names with values, in an order that can be observed. Spec: 3, 6.
//
// A window into pairs that bindings share, as lists are. More than a few pairs
// have a hash table behind them, so that a look-up costs the same in a large one.
// Names are texts in memory, not empty, all different among the pairs of one
// Pairs; so only a binding that begins where they begin may append to them.
//
// The table is only ever added to, by whoever has claimed room; a slot is written
// after its pair, and readers skip pairs outside their window.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "sdl/list.h"
#include "sdl/value.h"

namespace sdl {

struct Pair {
  Value name, value;
};

struct alignas(Pair) Pairs : Object {
  Pairs(std::uint32_t own_capacity, std::uint32_t own_slots)
      : Object(Type::pairs), capacity(own_capacity), slot_count(own_slots) {}
  const std::uint32_t capacity;
  const std::uint32_t slot_count;  // a power of two, or 0: there is no table
  mutable std::atomic<std::uint32_t> used{0};
  Pair* all() const { return reinterpret_cast<Pair*>(const_cast<Pairs*>(this) + 1); }
  // 1 + the pair's number, 0 if free.
  std::atomic<std::uint32_t>* slots() const {
    return reinterpret_cast<std::atomic<std::uint32_t>*>(all() + capacity);
  }
};

struct BindingObject : Object {
  BindingObject(const Pairs* own_pairs, std::uint32_t own_first, std::uint32_t own_length)
      : Object(Type::binding), pairs(own_pairs), first(own_first), length(own_length) {}
  const Pairs* const pairs;
  const std::uint32_t first, length;
};

// Puts a binding together. `expected` is how many pairs there will be, about.
class BindingBuilder {
 public:
  explicit BindingBuilder(std::size_t expected = 0);
  ~BindingBuilder();
  BindingBuilder(const BindingBuilder&) = delete;
  // False: the name is there already, and nothing is changed.
  bool add(Value name, Value value);
  Value finish();  // once

 private:
  friend Value overlay_of(const Value&, const Value&);
  Pairs* pairs_;
};

std::span<const Pair> pairs_of(const Value& binding);
const Pair* find_pair(const Value& binding, const Value& name);  // null: not there
const Pair* find_pair(const Value& binding, std::string_view name);
Value part_of_binding(const Value& binding, std::uint32_t first, std::uint32_t length);

Value overlay_of(const Value& left, const Value& right);
// Who wants to know what is looked at inside bindings.
struct Opener {
  std::function<void(const Value&)> type;         // its type is looked at; empty: nobody wants to know
  std::function<Value(const Value&)> open;  // the binding to look into instead
};
// Unbound if they are nested too deeply for the stack.
Value recursive_overlay_of(const Value& left, const Value& right, const Opener& opener = {});
Value difference_of(const Value& left, const Value& right);

}  // namespace sdl
