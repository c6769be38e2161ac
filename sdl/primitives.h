// The functions that are part of the language. Spec: 7.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sdl/value.h"

namespace sdl {

class Evaluation;
struct Primitive;
struct Frame;

// A call of a primitive under way. The arguments have the types that its row asks for; those left out are
// unbound.
struct Call {
  Evaluation& evaluation;
  const Primitive& primitive;
  std::span<Value> arguments;
  const Value& dot;  // the caller's
  const Frame& frame;
  std::uint32_t at;

  Value fail(std::string message) const;  // points to the call; returns `stopped`
  bool has(std::size_t argument) const {
    return argument < arguments.size() && !arguments[argument].is_unbound();
  }
  std::int32_t integer(std::size_t argument, std::int32_t otherwise) const;
};

struct Primitive {
  std::string_view name;
  // A letter for each argument: i integer, b boolean, t text, l list, n binding, s text, list or binding, c
  // list or binding, f closure, v any value. Those behind a bar may be left out.
  std::string_view types;
  Value (*act)(Call& call);
  // How it looks at its arguments, a letter each; N where there is none.
  //   N all of it | T type | E code | L length or names, of a text N | - not at all
  //   O as L, and what it takes out has its origin | S does it itself
  std::string_view looks = {};

  std::size_t minimum() const;
  std::size_t maximum() const;
};

// Each file has its part of them.
std::span<const Primitive> integer_primitives();
std::span<const Primitive> text_primitives();
std::span<const Primitive> sequence_primitives();
std::span<const Primitive> binding_primitives();
std::span<const Primitive> value_primitives();
std::span<const Primitive> tool_primitives();

// The closure of that name; null: there is none. It lives for ever.
const Value* find_primitive(std::string_view name);

std::vector<std::string_view> primitive_names();

// Whether a value fits a letter of Primitive::types, and what the letter stands for.
bool fits(const Value& value, char type);
std::string_view type_wanted(char type);

}  // namespace sdl
