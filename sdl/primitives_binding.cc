// Primitives of bindings alone. Spec: 7.
#include <optional>

#include <fmt/format.h>

#include "sdl/access.h"
#include "sdl/evaluator.h"
#include "sdl/primitives.h"

namespace sdl {
namespace {

// A text that can be a name, in memory; unbound if it cannot.
Value name_argument(Call& call, std::size_t argument, std::string& why) {
  const auto bytes = text_bytes(call.arguments[argument]);
  if (!bytes)
    why = bytes.error().message;
  else if (bytes->empty())
    why = "a name cannot be empty";
  else
    return stored_text(call.arguments[argument]) ? make_text(*bytes) : call.arguments[argument];
  return Value();
}

Value bind1(Call& call) {
  std::string why;
  const Value name = name_argument(call, 0, why);
  if (name.is_unbound()) return call.fail(why);
  BindingBuilder one(1);
  one.add(name, call.arguments[1]);
  return one.finish();
}

Value name_of_one(Call& call) {
  if (length(call.arguments[0]) != 1)
    return call.fail(fmt::format("takes a binding of one name, not of {}", length(call.arguments[0])));
  return name_at(call.arguments[0], 0);
}

Value value_of_one(Call& call) {
  if (length(call.arguments[0]) != 1)
    return call.fail(fmt::format("takes a binding of one name, not of {}", length(call.arguments[0])));
  return value_at(call.arguments[0], 0);
}

Value is_defined(Call& call) {
  std::string why;
  const Value name = name_argument(call, 1, why);
  if (name.is_unbound()) return call.fail(why);
  return Value::boolean(!call.evaluation.selected(call.arguments[0], name).is_unbound());
}

Value lookup(Call& call) {
  std::string why;
  const Value name = name_argument(call, 1, why);
  if (name.is_unbound()) return call.fail(why);
  Value found = call.evaluation.selected(call.arguments[0], name);
  if (found.is_unbound()) return call.fail(fmt::format("the binding has no name '{}'", view_of(name)));
  return found;
}

constexpr Primitive primitives[] = {{"_bind1", "tv", bind1, "N-"},
                                    {"_n", "n", name_of_one, "O"},
                                    {"_v", "n", value_of_one, "O"},
                                    {"_defined", "nt", is_defined, "SN"},
                                    {"_lookup", "nt", lookup, "SN"}};

}  // namespace

std::span<const Primitive> binding_primitives() { return primitives; }

}  // namespace sdl
