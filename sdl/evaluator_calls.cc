// Calls of functions, models and primitives. Spec: 5.2.
#include <fmt/format.h>

#include "sdl/deep_stack.h"
#include "sdl/evaluator.h"

namespace sdl {
namespace {

std::string name_for_people(const Function& function) {
  return function.name.empty() ? std::string("a curried function") : fmt::format("'{}'", function.name);
}

std::size_t slots_wanted(const ClosureObject& callee, std::size_t given) {
  // One more for the callee's `.`, wherever it comes from.
  if (callee.function) return std::max<std::size_t>(callee.function->slot_count, given + 1);
  return std::max(callee.primitive ? callee.primitive->maximum() : 0, given) + 1;
}

}  // namespace

Value Evaluation::run(const Model& model, Value dot) { return call_model(model, std::move(dot), nullptr, 0); }

// What a name stands for, if it is a closure that stays where it is as long as the frame needs it: without
// counting.
const ClosureObject* Evaluation::borrow(const Expression& node, const Frame& frame) {
  if (node.form != Expression::Form::variable) return nullptr;
  const Access& access = as<VariableExpression>(node).access;
  const Value* value = nullptr;
  switch (access.where) {
    case Access::Where::itself:
      return frame.closure;
    case Access::Where::local:
      value = frame.slots + access.index;
      break;
    case Access::Where::captured:
      value = &frame.closure->captured()[access.index];
      break;
    case Access::Where::constant:
      value = access.constant;
      break;
    default:
      return nullptr;
  }
  return value->is_closure() ? &closure_of(*value) : nullptr;
}

Value Evaluation::call(const CallExpression& node, const Frame& frame) {
  Value held;
  const ClosureObject* const known = borrow(*node.callee, frame);
  if (!known) {
    held = VALUE_OR_STOP(evaluate(*node.callee, frame));
    if (!held.is_closure()) [[unlikely]]
      return fail_type(node, frame, "only functions and models can be called", held);
  }
  const ClosureObject& closure = known ? *known : closure_of(held);
  // Arguments go where the callee wants them, in the slots behind that of `.`.
  const std::size_t given = node.arguments.size();
  ValueStack::Slots slots(stack_, slots_wanted(closure, given));
  for (std::size_t i = 0; i < given; ++i) slots[1 + i] = VALUE_OR_STOP(evaluate(*node.arguments[i], frame));
  // In its slot it stays until this call is over.
  const Value& dot = node.dot.where == Access::Where::local ? frame.slots[node.dot.index]
                                                            : frame.closure->captured()[node.dot.index];
  if (closure.function) return call_function(closure, slots, given, dot, frame, node.at);
  if (closure.primitive) return call_primitive(*closure.primitive, slots, given, dot, frame, node.at);
  if (given > 1) return wrong_count("a model", given, 0, 1, frame, node.at);
  return call_model(*closure.model, given == 1 ? std::move(slots[1]) : dot, &frame, node.at);
}

Value Evaluation::call(const Value& callee, std::span<Value> arguments, const Value& dot, const Frame& frame,
                       std::uint32_t at) {
  const ClosureObject& closure = closure_of(callee);
  ValueStack::Slots slots(stack_, slots_wanted(closure, arguments.size()));
  std::move(arguments.begin(), arguments.end(), slots.data() + 1);
  if (closure.function) return call_function(closure, slots, arguments.size(), dot, frame, at);
  if (closure.primitive) return call_primitive(*closure.primitive, slots, arguments.size(), dot, frame, at);
  if (arguments.size() > 1) return wrong_count("a model", arguments.size(), 0, 1, frame, at);
  return call_model(*closure.model, arguments.empty() ? dot : std::move(slots[1]), &frame, at);
}

Value Evaluation::call_function(const ClosureObject& callee, ValueStack::Slots& slots, std::size_t given,
                                const Value& dot, const Frame& frame, std::uint32_t at) {
  const Function& function = *callee.function;
  const std::size_t wanted = function.formals.size();
  if (given > wanted + 1) [[unlikely]]
    return too_many(function, given, frame, at);
  if (!enter(&frame, at)) [[unlikely]]
    return Value::stopped();
  slots[dot_slot] = given > wanted ? std::move(slots[1 + wanted]) : dot;
  const Frame inner{slots.data(), &callee, callee.model};
  if (given < wanted && !fill_defaults(function, given, inner, frame, at)) {
    leave();
    return Value::stopped();
  }
  Value result = evaluate(*function.body, inner);
  leave();
  if (result.is_stopped()) [[unlikely]]
    return stopped_in(function, frame, at);
  return result;
}

[[gnu::noinline, gnu::cold]] Value Evaluation::too_many(const Function& function, std::size_t given,
                                                        const Frame& frame, std::uint32_t at) {
  return wrong_count(name_for_people(function), given, 0, function.formals.size() + 1, frame, at);
}

// False: stopped.
[[gnu::noinline]] bool Evaluation::fill_defaults(const Function& function, std::size_t given,
                                                 const Frame& inner, const Frame& frame, std::uint32_t at) {
  for (std::size_t i = given; i < function.formals.size(); ++i) {
    const Formal& formal = function.formals[i];
    if (!formal.otherwise) {
      fail(frame, at, fmt::format("{} needs its argument '{}'", name_for_people(function), formal.name));
      return false;
    }
    Value otherwise = evaluate(*formal.otherwise, inner);
    if (otherwise.is_stopped()) {
      stopped_in(function, frame, at);
      return false;
    }
    inner.slots[1 + i] = std::move(otherwise);
  }
  return true;
}

[[gnu::noinline, gnu::cold]] Value Evaluation::stopped_in(const Function& function, const Frame& frame,
                                                          std::uint32_t at) {
  if (!diagnostics_.empty())
    diagnostics_.back().add_call(name_for_people(function), frame.model->source(), at);
  return Value::stopped();
}

[[gnu::noinline]] Value Evaluation::call_model(const Model& model, Value dot, const Frame* frame,
                                               std::uint32_t at) {
  if (!enter(frame, at)) return Value::stopped();
  const std::size_t told = diagnostics_.size();
  Value result = Value::stopped();
  const Syntax* const syntax = model.syntax(diagnostics_);
  // Warnings stop nobody.
  std::erase_if(diagnostics_, [&](const Diagnostic& each) {
    if (each.severity == Severity::warning) host_.warn(each);
    return each.severity == Severity::warning;
  });
  if (syntax) {
    if (const std::vector<Value>* const values = host_.models.clause_values(model, diagnostics_)) {
      ValueStack::Slots slots(stack_, syntax->body->slot_count);
      slots[dot_slot] = std::move(dot);
      std::copy(values->begin(), values->end(), slots.data() + 1);
      result = evaluate(*syntax->body->body, Frame{slots.data(), nullptr, &model});
    }
  }
  leave();
  if (result.is_stopped() && frame && diagnostics_.size() > told)
    diagnostics_.back().add_call(fmt::format("model {}", model.path()), frame->model->source(), at);
  return result;
}

[[gnu::noinline]] Value Evaluation::call_primitive(const Primitive& primitive, ValueStack::Slots& slots,
                                                   std::size_t given, const Value& dot, const Frame& frame,
                                                   std::uint32_t at) {
  const std::size_t minimum = primitive.minimum(), maximum = primitive.maximum();
  if (given < minimum || given > maximum)
    return wrong_count(primitive.name, given, minimum, maximum, frame, at);
  std::string_view types = primitive.types;
  std::size_t index = 0;
  for (const char type : types) {
    if (type == '|') continue;
    const Value& argument = slots[1 + index++];
    if (index > given) break;
    if (!fits(argument, type))
      return fail(frame, at,
                  fmt::format("{} takes as argument {} {}, not {}", primitive.name, index, type_wanted(type),
                              type_of(argument)));
  }
  if (!step(frame, at)) return Value::stopped();
  Call call{*this, primitive, {slots.data() + 1, maximum}, dot, frame, at};
  return primitive.act(call);
}

bool Evaluation::enter(const Frame* frame, std::uint32_t at) {
  if (depth_ >= host_.limits.calls || steps_left_ == 0) [[unlikely]]
    return fail_to_enter(frame, at);
  --steps_left_;
  ++depth_;
  return true;
}

[[gnu::noinline, gnu::cold]] bool Evaluation::fail_to_enter(const Frame* frame, std::uint32_t at) {
  if (!frame) return false;
  if (steps_left_ == 0) return step(*frame, at);
  fail(*frame, at, fmt::format("recursion deeper than {} calls", host_.limits.calls));
  return false;
}

bool Evaluation::step(const Frame& frame, std::uint32_t at) {
  if (steps_left_ == 0) [[unlikely]] {
    fail(frame, at, fmt::format("stopped after {} steps", host_.limits.steps));
    return false;
  }
  --steps_left_;
  return true;
}

[[gnu::noinline, gnu::cold]] Value Evaluation::wrong_count(std::string_view name, std::size_t given,
                                                           std::size_t minimum, std::size_t maximum,
                                                           const Frame& frame, std::uint32_t at) {
  if (given > maximum)
    return fail(frame, at,
                fmt::format("too many arguments: {} takes at most {}, not {}", name, maximum, given));
  return fail(frame, at,
              fmt::format("too few arguments: {} takes at least {}, not {}", name, minimum, given));
}

}  // namespace sdl
