// Texts: any bytes, of any length. Spec: 3, 8.4.
//
// Short ones stand in their object; longer ones are a window into bytes they
// share with others, so that a part costs no copy and `t += x` in a loop copies
// each byte about once: the text that ends where the shared bytes end may claim
// the room behind them. The contents of a file may also stay where they are until
// somebody asks.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cache/base/result.h"
#include "cache/digest.h"
#include "sdl/value.h"

namespace sdl {

// The contents of a file that the language sees as a text. Immutable; any thread may ask.
class StoredText {
 public:
  virtual ~StoredText() = default;
  // Read when first asked for; the view lasts as long as this object.
  virtual cache::Result<std::string_view> bytes() const = 0;
  virtual bool is_executable() const = 0;
  virtual std::string name() const = 0;  // for people: where it comes from
  // Of the bytes, if that is known without reading them.
  struct Summary {
    cache::Digest digest;
    std::uint64_t length;
  };
  virtual std::optional<Summary> summary() const { return std::nullopt; }
};

struct SharedBytes : Object {
  explicit SharedBytes(std::size_t own_capacity) : Object(Type::bytes), capacity(own_capacity) {}
  const std::size_t capacity;
  // How much of it belongs to some text. Whoever raises it owns what is between.
  mutable std::atomic<std::size_t> used{0};
  char* bytes() const { return reinterpret_cast<char*>(const_cast<SharedBytes*>(this) + 1); }
};

struct TextObject : Object {
  TextObject() : Object(Type::text) {}
  mutable std::atomic<std::uint64_t> hash{0};  // 0: not known yet
  const char* data = nullptr;                  // not of a stored text
  std::size_t length = 0;
  const SharedBytes* shared = nullptr;
  const std::shared_ptr<const StoredText>* stored = nullptr;

  std::string_view view() const { return {data, length}; }
};

Value make_text(std::string_view bytes);
Value make_stored_text(std::shared_ptr<const StoredText> stored);

// Null if it is no stored text.
const StoredText* stored_text(const Value& text);
cache::Result<std::string_view> bytes_of(const Value& text);

// Of texts whose bytes are in memory: all but stored ones.
std::string_view view_of(const Value& text);
std::uint64_t hash_of(const Value& text);

Value concatenated(const Value& left, std::string_view right);  // left is in memory
Value part_of(const Value& text, std::size_t first, std::size_t length);

}  // namespace sdl
