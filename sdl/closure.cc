#include "sdl/closure.h"

#include <cstdlib>
#include <memory>
#include <new>

namespace sdl {
namespace {

Value make(const Function* function, const Model* model, const Primitive* primitive,
           std::span<Value> captured) {
  void* const place = std::malloc(sizeof(ClosureObject) + captured.size_bytes());
  if (!place) throw std::bad_alloc();
  auto* closure =
      new (place) ClosureObject(function, model, primitive, static_cast<std::uint32_t>(captured.size()));
  std::uninitialized_move(captured.begin(), captured.end(), closure->captured().data());
  return Value::of(Kind::closure, closure);
}

}  // namespace

Value make_closure(const Function& function, const Model& model, std::span<Value> captured) {
  return make(&function, &model, nullptr, captured);
}
Value make_model_closure(const Model& model) { return make(nullptr, &model, nullptr, {}); }
Value make_primitive_closure(const Primitive& primitive) { return make(nullptr, nullptr, &primitive, {}); }

}  // namespace sdl
