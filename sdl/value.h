// A value of the language: 16 bytes, immutable, cheap to copy. Spec: 3.
//
// Booleans and integers stand in it, everything else is a shared object with a
// count of its references; the last one frees it, without recursion however deep
// it is nested. Nothing cyclic can be made: a function reaches itself through its
// own call, not through what it has captured (see closure.h).
//
// Two kinds are never seen by a model: `stopped` is what a function returns when
// the evaluation has failed (why stands in the Evaluation), `unbound` is a name
// that has no value yet. A moved-from value is unbound.
//
// Where calls are cached a value may have an origin: the number of the place in
// the inputs of a call that it was taken from as it stands (origins.h). Copies
// keep it; what is made of other values has none. It is no part of the value.
//
// Threads may share values: counts are atomic, and what objects gain after they
// were made (room at the end of a list's elements, a text's hash, the mark) is guarded in
// their own files.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace sdl {

enum class Kind : std::uint8_t { stopped, unbound, error, boolean, integer, text, list, binding, closure };

struct Object {
  enum class Type : std::uint8_t { text, bytes, list, elements, binding, pairs, closure };

  explicit Object(Type own_type) : type(own_type) {}
  Object(const Object&) = delete;

  mutable std::atomic<std::uint32_t> references{1};
  const Type type;
  mutable std::atomic<bool> has_no_origins{false};  // known to have none in it, however deep; see origins.cc
  mutable std::uint16_t next_high = 0;  // of an object that is being destroyed, see value.cc
};
static_assert(sizeof(Object) == 8);

void destroy(const Object* object);  // whose last reference is gone

inline void retain(const Object* object) { object->references.fetch_add(1, std::memory_order_relaxed); }
inline void release(const Object* object) {
  // The only owner needs no atomic decrement to find out that it is the last.
  if (object->references.load(std::memory_order_acquire) == 1 ||
      object->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
    destroy(object);
}

class Value {
 public:
  Value() : head_{Kind::unbound, 0}, object_(nullptr) {}
  Value(const Value& other) : head_(other.head_), object_(other.object_) {
    if (is_shared()) retain(object_);
  }
  Value(Value&& other) noexcept : head_(other.head_), object_(other.object_) { other.head_.kind = Kind::unbound; }
  Value& operator=(const Value& other) { return *this = Value(other); }
  Value& operator=(Value&& other) noexcept {
    if (this == &other) return *this;
    const Kind old_kind = head_.kind;
    const Object* const old_object = object_;
    head_ = other.head_;
    object_ = other.object_;
    other.head_.kind = Kind::unbound;
    if (old_kind >= Kind::text) release(old_object);
    return *this;
  }
  ~Value() {
    if (is_shared()) release(object_);
  }

  static Value stopped() { return Value(Kind::stopped); }
  static Value error() { return Value(Kind::error); }
  static Value boolean(bool boolean) {
    Value value(Kind::boolean);
    value.boolean_ = boolean;
    return value;
  }
  static Value integer(std::int32_t integer) {
    Value value(Kind::integer);
    value.integer_ = integer;
    return value;
  }
  // Takes over a reference.
  static Value of(Kind kind, const Object* object) {
    Value value(kind);
    value.object_ = object;
    return value;
  }

  Kind kind() const { return head_.kind; }
  bool is_stopped() const { return head_.kind == Kind::stopped; }
  bool is_unbound() const { return head_.kind == Kind::unbound; }
  bool is_boolean() const { return head_.kind == Kind::boolean; }
  bool is_integer() const { return head_.kind == Kind::integer; }
  bool is_text() const { return head_.kind == Kind::text; }
  bool is_list() const { return head_.kind == Kind::list; }
  bool is_binding() const { return head_.kind == Kind::binding; }
  bool is_closure() const { return head_.kind == Kind::closure; }

  bool is_shared() const { return head_.kind >= Kind::text; }
  // Of a boolean, of an integer, of what is shared; nothing else may be asked for them.
  bool as_boolean() const { return boolean_; }
  std::int32_t as_integer() const { return integer_; }
  const Object* object() const { return object_; }

  std::uint32_t origin() const { return head_.origin; }  // 0: none
  Value with_origin(std::uint32_t origin) const {
    Value value(*this);
    value.head_.origin = origin;
    return value;
  }

 private:
  explicit Value(Kind kind) : head_{kind, 0}, object_(nullptr) {}

  // Copied as one word.
  struct alignas(8) Head {
    Kind kind;
    std::uint32_t origin;
  };
  Head head_;
  union {
    bool boolean_;
    std::int32_t integer_;
    const Object* object_;
  };
};
static_assert(sizeof(Value) == 16);

}  // namespace sdl

// The value of an expression in C++; returns from the function it stands in if there is none.
#define VALUE_OR_STOP(expression)                         \
  ({                                                      \
    ::sdl::Value value_or_stop = (expression);            \
    if (value_or_stop.is_stopped()) return value_or_stop; \
    std::move(value_or_stop);                             \
  })
