// Closures: functions with what they have captured, models and primitives. Spec: 3.
//
// A function's own name is not among what it captures: inside its body it stands
// for the closure under call. So no closure holds itself, and counting references
// is enough.
//
// The code belongs to the Model it was read with; models live as long as their
// ModelLoader, and closures must not outlive it.
#pragma once

#include <cstdint>
#include <span>

#include "sdl/value.h"

namespace sdl {

struct Function;
struct Primitive;
class Model;

struct alignas(Value) ClosureObject : Object {
  ClosureObject(const Function* own_function, const Model* own_model, const Primitive* own_primitive,
                std::uint32_t own_count)
      : Object(Type::closure),
        function(own_function),
        model(own_model),
        primitive(own_primitive),
        captured_count(own_count) {}

  const Function* const function;    // null: a model or a primitive
  const Model* const model;          // of a function: where it stands; null: a primitive
  const Primitive* const primitive;  // null: a function or a model
  const std::uint32_t captured_count;

  bool is_model() const { return !function && model; }
  std::span<Value> captured() const {
    return {reinterpret_cast<Value*>(const_cast<ClosureObject*>(this) + 1), captured_count};
  }
};

inline const ClosureObject& closure_of(const Value& closure) {
  return *static_cast<const ClosureObject*>(closure.object());
}

// Of a function; `captured` are moved into it, in the order of Function::captures.
Value make_closure(const Function& function, const Model& model, std::span<Value> captured);
Value make_model_closure(const Model& model);
Value make_primitive_closure(const Primitive& primitive);

}  // namespace sdl
