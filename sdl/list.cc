#include "sdl/list.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

namespace sdl {
namespace {

const ListObject* object_of(const Value& list) { return static_cast<const ListObject*>(list.object()); }

Elements* new_elements(std::size_t capacity) {
  void* const place = std::malloc(sizeof(Elements) + capacity * sizeof(Value));
  if (!place) throw std::bad_alloc();
  return new (place) Elements(static_cast<std::uint32_t>(capacity));
}

// Takes over the reference to the elements.
Value window(const Elements* elements, std::uint32_t first, std::uint32_t length) {
  void* const place = std::malloc(sizeof(ListObject));
  if (!place) throw std::bad_alloc();
  return Value::of(Kind::list, new (place) ListObject(elements, first, length));
}

}  // namespace

Value make_list(std::span<Value> values) {
  Elements* const elements = new_elements(values.size());
  std::uninitialized_move(values.begin(), values.end(), elements->values());
  elements->used = static_cast<std::uint32_t>(values.size());
  return window(elements, 0, elements->capacity);
}

std::span<const Value> elements_of(const Value& list) {
  const ListObject* const object = object_of(list);
  return {object->elements->values() + object->first, object->length};
}

Value concatenated_lists(const Value& left, const Value& right) {
  const std::span<const Value> first = elements_of(left), second = elements_of(right);
  if (second.empty()) return left;
  if (first.empty()) return right;
  const ListObject* const object = object_of(left);
  const Elements* const elements = object->elements;
  const auto length = static_cast<std::uint32_t>(first.size() + second.size());
  std::uint32_t end = object->first + object->length;
  if (second.size() <= elements->capacity - end &&
      elements->used.compare_exchange_strong(end, end + static_cast<std::uint32_t>(second.size()))) {
    std::uninitialized_copy(second.begin(), second.end(), elements->values() + end);
    retain(elements);
    return window(elements, object->first, length);
  }
  // Half as much room again, so that a loop that appends copies each element a bounded number of times.
  Elements* const all = new_elements(std::min<std::size_t>(std::size_t{length} + length / 2 + 2, length_max));
  Value* const middle = std::uninitialized_copy(first.begin(), first.end(), all->values());
  std::uninitialized_copy(second.begin(), second.end(), middle);
  all->used = length;
  return window(all, 0, length);
}

Value part_of_list(const Value& list, std::uint32_t first, std::uint32_t length) {
  const ListObject* const object = object_of(list);
  if (first == 0 && length == object->length) return list;
  retain(object->elements);
  return window(object->elements, object->first + first, length);
}

}  // namespace sdl
