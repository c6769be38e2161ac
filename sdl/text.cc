#include "sdl/text.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace sdl {
namespace {

constexpr std::size_t short_bytes_max = 64;

const TextObject* object_of(const Value& text) { return static_cast<const TextObject*>(text.object()); }

void* allocate(std::size_t bytes) {
  void* const place = std::malloc(bytes);
  if (!place) throw std::bad_alloc();
  return place;
}

SharedBytes* new_bytes(std::size_t capacity) {
  return new (allocate(sizeof(SharedBytes) + capacity)) SharedBytes(capacity);
}

// An object with room behind it.
TextObject* new_text(std::size_t room) {
  auto* text = new (allocate(sizeof(TextObject) + room)) TextObject;
  text->data = reinterpret_cast<const char*>(text + 1);
  return text;
}

void copy(char* to, std::string_view from) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

Value window(const SharedBytes* bytes, const char* data, std::size_t length) {
  TextObject* const text = new_text(0);
  text->data = data;
  text->length = length;
  text->shared = bytes;
  return Value::of(Kind::text, text);
}

Value joined(std::string_view left, std::string_view right, std::size_t room) {
  const std::size_t length = left.size() + right.size();
  if (length <= short_bytes_max) {
    TextObject* const text = new_text(length);
    text->length = length;
    copy(reinterpret_cast<char*>(text + 1), left);
    copy(reinterpret_cast<char*>(text + 1) + left.size(), right);
    return Value::of(Kind::text, text);
  }
  SharedBytes* const bytes = new_bytes(length + room);
  bytes->used = length;
  copy(bytes->bytes(), left);
  copy(bytes->bytes() + left.size(), right);
  return window(bytes, bytes->bytes(), length);
}

}  // namespace

Value make_text(std::string_view bytes) { return joined(bytes, {}, 0); }

Value make_stored_text(std::shared_ptr<const StoredText> stored) {
  TextObject* const text = new_text(0);
  const Value value = Value::of(Kind::text, text);
  text->stored = new std::shared_ptr<const StoredText>(std::move(stored));
  return value;
}

const StoredText* stored_text(const Value& text) {
  const auto* stored = object_of(text)->stored;
  return stored ? stored->get() : nullptr;
}

cache::Result<std::string_view> bytes_of(const Value& text) {
  if (const StoredText* stored = stored_text(text)) return stored->bytes();
  return object_of(text)->view();
}

std::string_view view_of(const Value& text) { return object_of(text)->view(); }

std::uint64_t hash_of(const Value& text) {
  const TextObject* const object = object_of(text);
  std::uint64_t hash = object->hash.load(std::memory_order_relaxed);
  if (hash == 0) {
    hash = std::hash<std::string_view>()(object->view()) | 1;
    object->hash.store(hash, std::memory_order_relaxed);
  }
  return hash;
}

Value concatenated(const Value& left, std::string_view right) {
  const TextObject* const object = object_of(left);
  if (right.empty()) return left;
  if (const SharedBytes* const bytes = object->shared) {
    std::size_t end = static_cast<std::size_t>(object->data - bytes->bytes()) + object->length;
    if (right.size() <= bytes->capacity - end &&
        bytes->used.compare_exchange_strong(end, end + right.size())) {
      copy(bytes->bytes() + end, right);
      retain(bytes);
      return window(bytes, object->data, object->length + right.size());
    }
  }
  // As much room again: so a loop that appends copies each byte a bounded number of times.
  return joined(object->view(), right, object->length + right.size());
}

Value part_of(const Value& text, std::size_t first, std::size_t length) {
  const TextObject* const object = object_of(text);
  if (first == 0 && length == object->length) return text;
  const SharedBytes* const bytes = object->shared;
  // A small part of much does not keep all of it in memory.
  if (!bytes || length <= short_bytes_max || length < bytes->capacity / 4)
    return make_text(object->view().substr(first, length));
  retain(bytes);
  return window(bytes, object->data + first, length);
}

}  // namespace sdl
