#include "sdl/primitives.h"

#include <algorithm>
#include <unordered_map>

#include "sdl/access.h"
#include "sdl/closure.h"
#include "sdl/evaluator.h"

namespace sdl {
namespace {

std::unordered_map<std::string_view, Value> all_primitives() {
  std::unordered_map<std::string_view, Value> all;
  for (const auto part : {integer_primitives(), text_primitives(), sequence_primitives(),
                          binding_primitives(), value_primitives(), tool_primitives()})
    for (const Primitive& primitive : part) all.emplace(primitive.name, make_primitive_closure(primitive));
  return all;
}

}  // namespace

Value Call::fail(std::string message) const {
  return evaluation.fail(frame, at, std::string(primitive.name) + ": " + message);
}

std::int32_t Call::integer(std::size_t argument, std::int32_t otherwise) const {
  return has(argument) ? arguments[argument].as_integer() : otherwise;
}

std::size_t Primitive::minimum() const { return std::min(types.find('|'), types.size()); }
std::size_t Primitive::maximum() const { return types.size() - (types.find('|') != types.npos); }

namespace {

const std::unordered_map<std::string_view, Value>& known_primitives() {
  static const auto all = all_primitives();
  return all;
}

}  // namespace

std::vector<std::string_view> primitive_names() {
  std::vector<std::string_view> names;
  for (const auto& [name, closure] : known_primitives()) names.push_back(name);
  std::ranges::sort(names);
  return names;
}

const Value* find_primitive(std::string_view name) {
  const auto& all = known_primitives();
  const auto found = all.find(name);
  return found == all.end() ? nullptr : &found->second;
}

bool fits(const Value& value, char type) {
  switch (type) {
    case 'i':
      return value.is_integer();
    case 'b':
      return value.is_boolean();
    case 't':
      return value.is_text();
    case 'l':
      return value.is_list();
    case 'n':
      return value.is_binding();
    case 's':
      return value.is_text() || value.is_list() || value.is_binding();
    case 'c':
      return value.is_list() || value.is_binding();
    case 'f':
      return value.is_closure();
    default:
      return true;
  }
}

std::string_view type_wanted(char type) {
  switch (type) {
    case 'i':
      return "an integer";
    case 'b':
      return "a boolean";
    case 't':
      return "a text";
    case 'l':
      return "a list";
    case 'n':
      return "a binding";
    case 's':
      return "a text, list or binding";
    case 'c':
      return "a list or binding";
    case 'f':
      return "a function";
    default:
      return "a value";
  }
}

}  // namespace sdl
