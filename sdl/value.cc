#include "sdl/value.h"

#include <cassert>
#include <cstdlib>

#include "sdl/binding.h"
#include "sdl/closure.h"
#include "sdl/list.h"
#include "sdl/text.h"

namespace sdl {
namespace {

// Objects that are to be destroyed, chained through what nobody needs of them any more: so destroying
// allocates nothing, for it happens in destructors, also when memory has run out. An address has 48 bits, of
// which the count takes 32.
class Dying {
 public:
  void add(const Object* object) {
    const auto next = reinterpret_cast<std::uintptr_t>(first_);
    assert(next >> 48 == 0);
    object->references.store(static_cast<std::uint32_t>(next), std::memory_order_relaxed);
    object->next_high = static_cast<std::uint16_t>(next >> 32);
    first_ = object;
  }
  // Null: there are none.
  const Object* take() {
    const Object* const object = first_;
    if (!object) return nullptr;
    const std::uintptr_t next =
        std::uintptr_t{object->next_high} << 32 | object->references.load(std::memory_order_relaxed);
    first_ = reinterpret_cast<const Object*>(next);
    return object;
  }
  // Lets go of an object; if that was the last to hold it, it is to die too.
  void drop(const Object* object) {
    if (object && object->references.fetch_sub(1, std::memory_order_acq_rel) == 1) add(object);
  }
  void drop(const Value& value) {
    if (value.is_shared()) drop(value.object());
  }

 private:
  const Object* first_ = nullptr;
};

}  // namespace

void destroy(const Object* first) {
  Dying dying;
  dying.add(first);
  while (const Object* const object = dying.take()) {
    switch (object->type) {
      case Object::Type::text: {
        const auto* text = static_cast<const TextObject*>(object);
        dying.drop(text->shared);
        delete text->stored;
        break;
      }
      case Object::Type::list:
        dying.drop(static_cast<const ListObject*>(object)->elements);
        break;
      case Object::Type::binding:
        dying.drop(static_cast<const BindingObject*>(object)->pairs);
        break;
      case Object::Type::elements: {
        const auto* elements = static_cast<const Elements*>(object);
        for (std::uint32_t i = 0; i < elements->used; ++i) dying.drop(elements->values()[i]);
        break;
      }
      case Object::Type::pairs: {
        const auto* pairs = static_cast<const Pairs*>(object);
        for (std::uint32_t i = 0; i < pairs->used; ++i) {
          dying.drop(pairs->all()[i].name);
          dying.drop(pairs->all()[i].value);
        }
        break;
      }
      case Object::Type::closure: {
        const auto* closure = static_cast<const ClosureObject*>(object);
        for (const Value& captured : closure->captured()) dying.drop(captured);
        break;
      }
      case Object::Type::bytes:
        break;
    }
    std::free(const_cast<Object*>(object));
  }
}

}  // namespace sdl
