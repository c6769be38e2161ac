#include "sdl/value.h"

#include <cstdlib>
#include <vector>

#include "sdl/binding.h"
#include "sdl/closure.h"
#include "sdl/list.h"
#include "sdl/text.h"

namespace sdl {
namespace {

// Lets go of an object; if it was the last to hold it, the object is to die too, but later.
void drop(const Object* object, std::vector<const Object*>& dying) {
  if (object && object->references.fetch_sub(1, std::memory_order_acq_rel) == 1) dying.push_back(object);
}

void drop(const Value& value, std::vector<const Object*>& dying) {
  if (value.is_shared()) drop(value.object(), dying);
}

}  // namespace

void destroy(const Object* first) {
  std::vector<const Object*> dying;  // allocates nothing unless something dies with the first
  for (const Object* object = first;;) {
    switch (object->type) {
      case Object::Type::text: {
        const auto* text = static_cast<const TextObject*>(object);
        drop(text->shared, dying);
        delete text->stored;
        break;
      }
      case Object::Type::list:
        drop(static_cast<const ListObject*>(object)->elements, dying);
        break;
      case Object::Type::binding:
        drop(static_cast<const BindingObject*>(object)->pairs, dying);
        break;
      case Object::Type::elements: {
        const auto* elements = static_cast<const Elements*>(object);
        for (std::uint32_t i = 0; i < elements->used; ++i) drop(elements->values()[i], dying);
        break;
      }
      case Object::Type::pairs: {
        const auto* pairs = static_cast<const Pairs*>(object);
        for (std::uint32_t i = 0; i < pairs->used; ++i) {
          drop(pairs->all()[i].name, dying);
          drop(pairs->all()[i].value, dying);
        }
        break;
      }
      case Object::Type::closure: {
        const auto* closure = static_cast<const ClosureObject*>(object);
        for (const Value& captured : closure->captured()) drop(captured, dying);
        break;
      }
      case Object::Type::bytes:
        break;
    }
    std::free(const_cast<Object*>(object));
    if (dying.empty()) return;
    object = dying.back();
    dying.pop_back();
  }
}

}  // namespace sdl
