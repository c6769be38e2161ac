#include "sdl/binding.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

#include "sdl/deep_stack.h"
#include "sdl/text.h"

namespace sdl {
namespace {

constexpr std::uint32_t searched_pairs_max = 8;

const BindingObject* object_of(const Value& binding) {
  return static_cast<const BindingObject*>(binding.object());
}

Pairs* new_pairs(std::size_t capacity) {
  const std::size_t slots = capacity <= searched_pairs_max ? 0 : std::bit_ceil(capacity + capacity / 2);
  void* const place =
      std::malloc(sizeof(Pairs) + capacity * sizeof(Pair) + slots * sizeof(std::atomic<std::uint32_t>));
  if (!place) throw std::bad_alloc();
  auto* pairs = new (place) Pairs(static_cast<std::uint32_t>(capacity), static_cast<std::uint32_t>(slots));
  for (std::size_t i = 0; i < slots; ++i) new (pairs->slots() + i) std::atomic<std::uint32_t>(0);
  return pairs;
}

// Takes over the reference to the pairs.
Value window(const Pairs* pairs, std::uint32_t first, std::uint32_t length) {
  void* const place = std::malloc(sizeof(BindingObject));
  if (!place) throw std::bad_alloc();
  return Value::of(Kind::binding, new (place) BindingObject(pairs, first, length));
}

bool same_name(const Value& one, const Value& other) {
  return one.object() == other.object() || view_of(one) == view_of(other);
}

// Hash bits that neighbouring names share are spread first.
std::uint32_t first_slot(const Pairs& pairs, std::uint64_t hash) {
  return static_cast<std::uint32_t>((hash * 0x9e37'79b9'7f4a'7c15) >> 32) & (pairs.slot_count - 1);
}

template <class Matches>
const Pair* look_up(const Pairs& pairs, std::uint32_t first, std::uint32_t end, std::uint64_t hash,
                    const Matches& matches) {
  for (std::uint32_t slot = first_slot(pairs, hash);; slot = (slot + 1) & (pairs.slot_count - 1)) {
    const std::uint32_t number = pairs.slots()[slot].load(std::memory_order_acquire);
    if (number == 0) return nullptr;
    if (!matches(pairs.all()[number - 1])) continue;
    return number - 1 >= first && number - 1 < end ? pairs.all() + number - 1 : nullptr;
  }
}

const Pair* find_in(const Pairs& pairs, std::uint32_t first, std::uint32_t end, const Value& name) {
  const auto matches = [&](const Pair& pair) { return same_name(pair.name, name); };
  if (pairs.slot_count == 0 || end - first <= searched_pairs_max / 2) {
    const Pair* const found = std::find_if(pairs.all() + first, pairs.all() + end, matches);
    return found == pairs.all() + end ? nullptr : found;
  }
  return look_up(pairs, first, end, hash_of(name), matches);
}

// Room for it has been claimed.
void put(const Pairs& pairs, std::uint32_t at, Value name, Value value) {
  const std::uint64_t hash = pairs.slot_count ? hash_of(name) : 0;
  new (pairs.all() + at) Pair{std::move(name), std::move(value)};
  if (pairs.slot_count == 0) return;
  for (std::uint32_t slot = first_slot(pairs, hash);; slot = (slot + 1) & (pairs.slot_count - 1)) {
    std::uint32_t free = 0;
    if (pairs.slots()[slot].compare_exchange_strong(free, at + 1, std::memory_order_release)) return;
  }
}

// A copy with room for more; `source` is not needed any more.
Pairs* larger(Pairs* source) {
  const std::uint32_t used = source->used;
  Pairs* const pairs = new_pairs(std::min<std::size_t>(std::size_t{used} + used / 2 + 4, length_max));
  for (std::uint32_t i = 0; i < used; ++i)
    put(*pairs, i, std::move(source->all()[i].name), std::move(source->all()[i].value));
  pairs->used = used;
  release(source);
  return pairs;
}

}  // namespace

BindingBuilder::BindingBuilder(std::size_t expected) : pairs_(new_pairs(expected)) {}

BindingBuilder::~BindingBuilder() {
  if (pairs_) release(pairs_);
}

bool BindingBuilder::add(Value name, Value value) {
  const std::uint32_t used = pairs_->used;
  if (find_in(*pairs_, 0, used, name)) return false;
  if (used == pairs_->capacity) pairs_ = larger(pairs_);
  put(*pairs_, used, std::move(name), std::move(value));
  pairs_->used = used + 1;
  return true;
}

Value BindingBuilder::finish() {
  const std::uint32_t used = pairs_->used;
  return window(std::exchange(pairs_, nullptr), 0, used);
}

std::span<const Pair> pairs_of(const Value& binding) {
  const BindingObject* const object = object_of(binding);
  return {object->pairs->all() + object->first, object->length};
}

const Pair* find_pair(const Value& binding, const Value& name) {
  const BindingObject* const object = object_of(binding);
  return find_in(*object->pairs, object->first, object->first + object->length, name);
}

const Pair* find_pair(const Value& binding, std::string_view name) {
  return find_pair(binding, make_text(name));
}

Value part_of_binding(const Value& binding, std::uint32_t first, std::uint32_t length) {
  const BindingObject* const object = object_of(binding);
  if (first == 0 && length == object->length) return binding;
  retain(object->pairs);
  return window(object->pairs, object->first + first, length);
}

Value overlay_of(const Value& left, const Value& right) {
  const std::span<const Pair> first = pairs_of(left), second = pairs_of(right);
  if (second.empty()) return left;
  if (first.empty()) return right;
  const bool disjoint =
      std::ranges::none_of(second, [&](const Pair& pair) { return find_pair(left, pair.name); });
  const BindingObject* const object = object_of(left);
  const Pairs* const pairs = object->pairs;
  std::uint32_t end = object->length;
  const auto length = static_cast<std::uint32_t>(first.size() + second.size());
  if (disjoint && object->first == 0 && second.size() <= pairs->capacity - end &&
      pairs->used.compare_exchange_strong(end, length)) {
    for (const Pair& pair : second) put(*pairs, end++, pair.name, pair.value);
    retain(pairs);
    return window(pairs, 0, length);
  }
  BindingBuilder builder;
  release(std::exchange(builder.pairs_,
                        new_pairs(std::min<std::size_t>(std::size_t{length} + length / 2 + 2, length_max))));
  std::uint32_t used = 0;
  for (const Pair& pair : first) {
    const Pair* const replaced = disjoint ? nullptr : find_pair(right, pair.name);
    put(*builder.pairs_, used++, pair.name, replaced ? replaced->value : pair.value);
  }
  for (const Pair& pair : second)
    if (disjoint || !find_pair(left, pair.name)) put(*builder.pairs_, used++, pair.name, pair.value);
  builder.pairs_->used = used;
  return builder.finish();
}

Value recursive_overlay_of(const Value& left, const Value& right, const Opener& opener) {
  if (stack_is_low()) return Value();
  // Where both sides have bindings, what comes of them stands on the right of a plain overlay.
  BindingBuilder merged;
  for (const Pair& pair : pairs_of(right)) {
    if (opener.type) {
      const Pair* const other = find_pair(left, pair.name);
      if (!other) continue;
      opener.type(pair.value);
      if (!pair.value.is_binding()) continue;
      opener.type(other->value);
      if (!other->value.is_binding()) continue;
      Value both = recursive_overlay_of(opener.open(other->value), opener.open(pair.value), opener);
      if (both.is_unbound()) return both;
      merged.add(pair.name, std::move(both));
      continue;
    }
    if (!pair.value.is_binding()) continue;
    const Pair* const other = find_pair(left, pair.name);
    if (!other || !other->value.is_binding()) continue;
    Value both = recursive_overlay_of(other->value, pair.value);
    if (both.is_unbound()) return both;
    merged.add(pair.name, std::move(both));
  }
  return overlay_of(overlay_of(left, right), merged.finish());
}

Value difference_of(const Value& left, const Value& right) {
  BindingBuilder builder;
  for (const Pair& pair : pairs_of(left))
    if (!find_pair(right, pair.name)) builder.add(pair.name, pair.value);
  return builder.finish();
}

}  // namespace sdl
