// Primitives of lists that bindings, and partly texts, have too. Spec: 7.
#include <algorithm>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include "sdl/access.h"
#include "sdl/closure.h"
#include "sdl/evaluator.h"
#include "sdl/primitives.h"

namespace sdl {
namespace {

Value list1(Call& call) { return make_list(call.arguments.first(1)); }

Value head(Call& call) {
  const Value& sequence = call.arguments[0];
  if (length(sequence) == 0) return call.fail("there is nothing in it");
  return sequence.is_list() ? element(sequence, 0) : part(sequence, 0, 1);
}

Value tail(Call& call) {
  const Value& sequence = call.arguments[0];
  const std::uint32_t count = length(sequence);
  if (count == 0) return call.fail("there is nothing in it");
  return part(sequence, 1, count - 1);
}

Value length_of(Call& call) {
  const Value& sequence = call.arguments[0];
  if (!sequence.is_text()) return Value::integer(static_cast<std::int32_t>(length(sequence)));
  const auto bytes = text_bytes(sequence);
  if (!bytes) return call.fail(bytes.error().message);
  if (bytes->size() > std::numeric_limits<std::int32_t>::max())
    return call.fail("the length does not fit into an integer");
  return Value::integer(static_cast<std::int32_t>(bytes->size()));
}

Value elem(Call& call) {
  const Value& sequence = call.arguments[0];
  const std::int32_t index = call.arguments[1].as_integer();
  if (sequence.is_text()) {
    const auto bytes = text_bytes(sequence);
    if (!bytes) return call.fail(bytes.error().message);
    return make_text(index < 0 || static_cast<std::size_t>(index) >= bytes->size()
                         ? std::string_view()
                         : bytes->substr(static_cast<std::size_t>(index), 1));
  }
  const std::uint32_t count = length(sequence);
  if (index < 0 || static_cast<std::uint32_t>(index) >= count)
    return call.fail(fmt::format("there is no element {}; the length is {}", index, count));
  return sequence.is_list() ? element(sequence, static_cast<std::uint32_t>(index))
                            : part(sequence, static_cast<std::uint32_t>(index), 1);
}

// What is outside counts as the nearest end.
Value sub(Call& call) {
  const Value& sequence = call.arguments[0];
  std::string_view bytes;
  if (sequence.is_text()) {
    const auto read = text_bytes(sequence);
    if (!read) return call.fail(read.error().message);
    bytes = *read;
  }
  const std::int64_t count = sequence.is_text() ? static_cast<std::int64_t>(bytes.size()) : length(sequence);
  const std::int64_t first = std::clamp<std::int64_t>(call.integer(1, 0), 0, count);
  const std::int64_t wanted = call.has(2) ? std::max(call.arguments[2].as_integer(), 0) : count;
  const std::int64_t end = std::min(first + wanted, count);
  if (!sequence.is_text())
    return part(sequence, static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(end - first));
  const auto from = static_cast<std::size_t>(first), bytes_wanted = static_cast<std::size_t>(end - first);
  return stored_text(sequence) ? make_text(bytes.substr(from, bytes_wanted))
                               : part_of(sequence, from, bytes_wanted);
}

Value append(Call& call) {
  const Value &left = call.arguments[0], &right = call.arguments[1];
  if (left.kind() != right.kind())
    return call.fail(
        fmt::format("takes two lists or two bindings, not {} and {}", type_of(left), type_of(right)));
  if (std::size_t{length(left)} + length(right) > call.evaluation.host().limits.length)
    return call.fail("the result would be too long");
  if (left.is_list()) return concatenated_lists(left, right);
  for (std::uint32_t i = 0; i < length(right); ++i) {
    const Value name = name_at(right, i);
    if (defined(left, name)) return call.fail(fmt::format("duplicate name '{}' in a binding", view_of(name)));
  }
  return overlay_of(left, right);
}

// Null, or why it cannot be mapped with.
const char* unfit(const Value& function, bool maps_binding) {
  const ClosureObject& closure = closure_of(function);
  if (closure.primitive) return "a primitive cannot be mapped with";
  if (closure.is_model()) return maps_binding ? "a model cannot be mapped over a binding" : nullptr;
  if (closure.function->formals.size() == (maps_binding ? 2 : 1)) return nullptr;
  return maps_binding ? "over a binding needs a function of two parameters"
                      : "over a list needs a function of one parameter";
}

std::vector<Value> arguments_of(const Value& sequence, std::size_t index) {
  const auto i = static_cast<std::uint32_t>(index);
  if (sequence.is_binding()) return {name_at(sequence, i), value_at(sequence, i)};
  return {element(sequence, i)};
}

// Adds a binding's pairs; false, and a message: it is none, or a name is there already.
bool add_pairs(const Call& call, BindingBuilder& pairs, const Value& result) {
  if (!result.is_binding()) {
    call.fail(fmt::format("the function has to return bindings, not {}", type_of(result)));
    return false;
  }
  const Value binding = call.evaluation.opened(result);
  for (std::uint32_t i = 0; i < length(binding); ++i) {
    const Value name = name_at(binding, i);
    if (pairs.add(name, value_at(binding, i))) continue;
    call.fail(fmt::format("duplicate name '{}' in a binding", view_of(name)));
    return false;
  }
  return true;
}

Value map(Call& call) {
  const Value &function = call.arguments[0], &sequence = call.arguments[1];
  if (const char* const why = unfit(function, sequence.is_binding())) return call.fail(why);
  const std::uint32_t count = length(sequence);
  std::vector<Value> results;
  BindingBuilder pairs(sequence.is_binding() ? count : 0);
  for (std::uint32_t i = 0; i < count; ++i) {
    std::vector<Value> arguments = arguments_of(sequence, i);
    Value result = VALUE_OR_STOP(call.evaluation.call(function, arguments, call.dot, call.frame, call.at));
    if (!sequence.is_binding())
      results.push_back(std::move(result));
    else if (!add_pairs(call, pairs, result))
      return Value::stopped();
  }
  return sequence.is_binding() ? pairs.finish() : make_list(results);
}

Value parallel_map(Call& call) {
  const Value &function = call.arguments[0], &sequence = call.arguments[1];
  const std::uint32_t count = length(sequence);
  if (count < 2 || !call.evaluation.host().idle_threads || unfit(function, sequence.is_binding()))
    return map(call);
  std::vector<Value> results;
  const auto arguments = [&](std::size_t i) { return arguments_of(sequence, i); };
  if (!call.evaluation.call_each(function, count, arguments, results, call.dot, call.frame, call.at))
    return Value::stopped();
  if (!sequence.is_binding()) return make_list(results);
  BindingBuilder pairs(count);
  for (const Value& result : results)
    if (!add_pairs(call, pairs, result)) return Value::stopped();
  return pairs.finish();
}

constexpr Primitive primitives[] = {
    {"_list1", "v", list1, "-"},      {"_head", "c", head, "O"},    {"_tail", "c", tail, "O"},
    {"_length", "s", length_of, "L"}, {"_elem", "si", elem, "O"},   {"_sub", "s|ii", sub, "O"},
    {"_append", "cc", append, "OO"},  {"_map", "fc", map, "EO"}, {"_par_map", "fc", parallel_map, "EO"}};

}  // namespace

std::span<const Primitive> sequence_primitives() { return primitives; }

}  // namespace sdl
