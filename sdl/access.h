// How the evaluator and the primitives look into values: only so.
//
// Each function is one way in which a result can depend on a value (spec 9.4): on
// its type, its length or names, one component, all of its bytes. They note nothing:
// where calls are cached, the evaluator notes the look (Evaluation::see) before it
// looks, or opens the value (Evaluation::opened), so that its components have origins.
#pragma once

#include <cstdint>
#include <string_view>

#include "cache/base/result.h"
#include "sdl/binding.h"
#include "sdl/list.h"
#include "sdl/text.h"
#include "sdl/value.h"

namespace sdl {

inline std::string_view type_of(const Value& value) {
  switch (value.kind()) {
    case Kind::boolean:
      return "t_bool";
    case Kind::integer:
      return "t_int";
    case Kind::text:
      return "t_text";
    case Kind::list:
      return "t_list";
    case Kind::binding:
      return "t_binding";
    case Kind::closure:
      return "t_closure";
    default:
      return "t_err";
  }
}

// Of a list or binding.
inline std::uint32_t length(const Value& sequence) {
  return static_cast<std::uint32_t>(sequence.is_list() ? elements_of(sequence).size()
                                                       : pairs_of(sequence).size());
}

// Of a list; `index` is below its length.
inline Value element(const Value& list, std::uint32_t index) { return elements_of(list)[index]; }

// Of a binding, by place; `index` is below its length.
inline Value name_at(const Value& binding, std::uint32_t index) { return pairs_of(binding)[index].name; }
inline Value value_at(const Value& binding, std::uint32_t index) { return pairs_of(binding)[index].value; }

// Of a binding, by name, which is in memory. Unbound if it is not there.
inline Value select(const Value& binding, const Value& name) {
  const Pair* const pair = find_pair(binding, name);
  return pair ? pair->value : Value();
}
inline Value select(const Value& binding, std::string_view name) { return select(binding, make_text(name)); }
inline bool defined(const Value& binding, const Value& name) { return find_pair(binding, name) != nullptr; }

// Of a text; of one that is stored somewhere it may be impossible to tell.
inline cache::Result<std::string_view> text_bytes(const Value& text) { return bytes_of(text); }

// A part of a list or binding.
inline Value part(const Value& sequence, std::uint32_t first, std::uint32_t count) {
  return sequence.is_list() ? part_of_list(sequence, first, count) : part_of_binding(sequence, first, count);
}

}  // namespace sdl
