// Expressions. Calls and statements are in files of their own.
#include "sdl/evaluator.h"

#include <fmt/format.h>

#include "sdl/deep_stack.h"
#include "sdl/misspelt.h"
#include "sdl/operators.h"

namespace sdl {

Value Evaluation::fail(const Frame& frame, std::uint32_t at, std::string message) {
  diagnostics_.push_back(diagnose(Severity::error, frame.model->source(), at, std::move(message)));
  return Value::stopped();
}

// The way from call to call is on the stack up to a hundred thousand times. So what only messages need stands
// in functions of its own, which are not inlined.
[[gnu::noinline, gnu::cold]] Value Evaluation::fail_deep(const Expression& node, const Frame& frame) {
  return fail(frame, node.at,
              depth_ < 100 ? "nested too deeply" : fmt::format("recursion deeper than {} calls", depth_));
}

[[gnu::noinline, gnu::cold]] Value Evaluation::fail_type(const Expression& node, const Frame& frame,
                                                         std::string_view what, const Value& value) {
  return fail(frame, node.at, fmt::format("{}, not {}", what, type_of(value)));
}

Value Evaluation::evaluate(const Expression& node, const Frame& frame) {
  if (stack_is_low()) [[unlikely]]
    return fail_deep(node, frame);
  switch (node.form) {
    case Expression::Form::constant:
      return *as<ConstantExpression>(node).value;
    case Expression::Form::variable:
      return variable(as<VariableExpression>(node), frame);
    case Expression::Form::unary:
      return unary(as<UnaryExpression>(node), frame);
    case Expression::Form::binary:
      return binary(as<BinaryExpression>(node), frame);
    case Expression::Form::logical:
      return logical(as<LogicalExpression>(node), frame);
    case Expression::Form::conditional: {
      const auto& conditional = as<ConditionalExpression>(node);
      const Expression* const chosen = choose(conditional, frame);
      return chosen ? evaluate(*chosen, frame) : Value::stopped();
    }
    case Expression::Form::select:
      return select(as<SelectExpression>(node), frame);
    case Expression::Form::call:
      return call(as<CallExpression>(node), frame);
    case Expression::Form::list:
      return list(as<ListExpression>(node), frame);
    case Expression::Form::binding:
      return binding(as<BindingExpression>(node), frame);
    case Expression::Form::block:
      return block(as<BlockExpression>(node), frame);
    case Expression::Form::function:
      return closure(*as<FunctionExpression>(node).function, frame);
  }
  __builtin_unreachable();
}

// The branch of an `if`. Null: stopped.
[[gnu::noinline]] const Expression* Evaluation::choose(const ConditionalExpression& node,
                                                       const Frame& frame) {
  const Value condition = evaluate(*node.condition, frame);
  see(condition, Aspect::whole);
  if (condition.is_boolean()) [[likely]]
    return condition.as_boolean() ? node.yes : node.no;
  if (!condition.is_stopped())
    fail_type(*node.condition, frame, "the condition of 'if' has to be a boolean", condition);
  return nullptr;
}

Value Evaluation::captured(std::uint32_t index, const Frame& frame) const {
  const Value& value = frame.closure->captured()[index];
  if (frame.origin == 0) [[likely]]
    return value;
  return host_.calls->origins().component(frame.origin, Selector::Type::captured, index, value);
}

Value Evaluation::look(const Access& access, const Frame& frame) const {
  switch (access.where) {
    case Access::Where::local:
      return frame.slots[access.index];
    case Access::Where::captured:
      return captured(access.index, frame);
    case Access::Where::itself:
      retain(frame.closure);
      return Value::of(Kind::closure, frame.closure).with_origin(frame.origin);
    case Access::Where::model:
      return make_model_closure(*frame.model).with_origin(frame.origin);
    case Access::Where::constant:
      return *access.constant;
    case Access::Where::nowhere:
      break;
  }
  return Value();
}

[[gnu::noinline, gnu::cold]] Value Evaluation::fail_unbound(const VariableExpression& node,
                                                            const Frame& frame) {
  return fail(frame, node.at, fmt::format("'{}' is unbound{}", node.name, node.suggestion));
}

Value Evaluation::variable(const VariableExpression& node, const Frame& frame) {
  Value value = look(node.access, frame);
  if (value.is_unbound()) [[unlikely]]
    return fail_unbound(node, frame);
  return value;
}

Value Evaluation::unary(const UnaryExpression& node, const Frame& frame) {
  const Value operand = VALUE_OR_STOP(evaluate(*node.operand, frame));
  see(operand, Aspect::whole);
  auto result = operate(node.operation, operand);
  return result ? std::move(*result) : fail(frame, node.at, std::move(result.error().message));
}

Value Evaluation::binary(const BinaryExpression& node, const Frame& frame) {
  const Value left = VALUE_OR_STOP(evaluate(*node.left, frame));
  const Value right = VALUE_OR_STOP(evaluate(*node.right, frame));
  // What loops are made of, without the detour.
  if (left.is_integer() && right.is_integer()) {
    if ((left.origin() | right.origin()) != 0) [[unlikely]]
      see_both(left, right);
    std::int32_t result = 0;
    switch (node.operation) {
      case Operation::add:
        if (__builtin_add_overflow(left.as_integer(), right.as_integer(), &result)) break;
        return Value::integer(result);
      case Operation::subtract:
        if (__builtin_sub_overflow(left.as_integer(), right.as_integer(), &result)) break;
        return Value::integer(result);
      case Operation::equal:
        return Value::boolean(left.as_integer() == right.as_integer());
      case Operation::less:
        return Value::boolean(left.as_integer() < right.as_integer());
      default:
        break;
    }
  }
  return operated(node, left, right, frame);
}

[[gnu::noinline, gnu::cold]] void Evaluation::see_both(const Value& left, const Value& right) {
  see(left, Aspect::whole);
  see(right, Aspect::whole);
}

[[gnu::noinline]] Value Evaluation::operated(const BinaryExpression& node, const Value& left_given,
                                             const Value& right_given, const Frame& frame) {
  Value left = left_given, right = right_given;
  Opener opener;
  if (recording_) {
    const bool compares = node.operation == Operation::equal || node.operation == Operation::not_equal;
    if (!compares && left.kind() == right.kind() && (left.is_list() || left.is_binding())) {
      left = opened(left);
      right = opened(right);
      opener.type = [this](const Value& value) { see(value, Aspect::type); };
      opener.open = [this](const Value& value) { return opened(value); };
    } else {
      see(left, Aspect::whole);
      see(right, Aspect::whole);
    }
  }
  auto result = operate(node.operation, left, right, host_.limits.length, opener);
  return result ? std::move(*result) : fail(frame, node.at, std::move(result.error().message));
}

Value Evaluation::logical(const LogicalExpression& node, const Frame& frame) {
  const auto refuse = [&](const Value& value) {
    return fail(frame, node.at,
                fmt::format("'{}' takes two booleans, not {}", spelling(node.operation), type_of(value)));
  };
  const Value left = VALUE_OR_STOP(evaluate(*node.left, frame));
  see(left, Aspect::whole);
  if (!left.is_boolean()) return refuse(left);
  // What the left side alone decides: `=>` is `!left || right`.
  if (node.operation == Operation::implies ? !left.as_boolean()
                                           : left.as_boolean() == (node.operation == Operation::either))
    return Value::boolean(node.operation != Operation::both);
  Value right = VALUE_OR_STOP(evaluate(*node.right, frame));
  see(right, Aspect::type);
  return right.is_boolean() ? right : refuse(right);
}

Value Evaluation::name_of(const Arc& arc, const Frame& frame, bool may_be_empty) {
  Value name = arc.name ? *arc.name : VALUE_OR_STOP(evaluate(*arc.computed, frame));
  see(name, Aspect::whole);
  if (!name.is_text())
    return fail(frame, arc.at, fmt::format("a name has to be a text, not {}", type_of(name)));
  const auto bytes = text_bytes(name);
  if (!bytes) return fail(frame, arc.at, bytes.error().message);
  if (bytes->empty() && !may_be_empty) return fail(frame, arc.at, "a name cannot be empty");
  // Names are compared often, so they are in memory.
  return stored_text(name) ? make_text(*bytes) : name;
}

Value Evaluation::select(const SelectExpression& node, const Frame& frame) {
  const Value base = VALUE_OR_STOP(evaluate(*node.base, frame));
  if (!base.is_binding()) [[unlikely]]
    return fail_type(node, frame,
                     node.asks ? "'!' takes a binding on its left" : "'/' takes a binding on its left", base);
  const Value name = VALUE_OR_STOP(name_of(node.arc, frame, node.asks));
  Value found = selected(base, name);
  if (node.asks) return Value::boolean(!found.is_unbound());
  if (found.is_unbound()) [[unlikely]]
    return fail_missing(node, base, name, frame);
  return found;
}

[[gnu::noinline, gnu::cold]] Value Evaluation::fail_missing(const SelectExpression& node, const Value& base, const Value& name,
                                                             const Frame& frame) {
  std::vector<Value> held;  // as long as their letters are looked at
  std::vector<std::string_view> names;
  for (std::uint32_t i = 0; i < length(base) && i <= suggestion_names_max; ++i) held.push_back(name_at(base, i));
  for (const Value& each : held) names.push_back(view_of(each));
  return fail(frame, node.arc.at, fmt::format("the binding has no name '{}'{}", view_of(name), suggestion_among(view_of(name), std::move(names))));
}

Value Evaluation::list(const ListExpression& node, const Frame& frame) {
  ValueStack::Slots elements(stack_, node.elements.size());
  for (std::size_t i = 0; i < node.elements.size(); ++i)
    elements[i] = VALUE_OR_STOP(evaluate(*node.elements[i], frame));
  return make_list({elements.data(), elements.size()});
}

Value Evaluation::binding(const BindingExpression& node, const Frame& frame) {
  BindingBuilder all(node.elements.size());
  for (const BindingElement& element : node.elements) {
    ValueStack::Slots names(stack_, element.path.size());
    for (std::size_t i = 0; i < names.size(); ++i)
      names[i] = VALUE_OR_STOP(name_of(element.path[i], frame, false));
    Value value = VALUE_OR_STOP(evaluate(*element.value, frame));
    for (std::size_t i = names.size(); i-- > 1;) {
      BindingBuilder inner(1);
      inner.add(names[i], std::move(value));
      value = inner.finish();
    }
    if (!all.add(names[0], std::move(value)))
      return fail(frame, element.path[0].at,
                  fmt::format("duplicate name '{}' in a binding", view_of(names[0])));
  }
  return all.finish();
}

}  // namespace sdl
