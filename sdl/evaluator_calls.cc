// Calls of functions, models and primitives. Spec: 5.2.
#include <fmt/format.h>

#include "sdl/deep_stack.h"
#include "sdl/evaluator.h"
#include "sdl/lexer.h"

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

Value Evaluation::run(const Model& model, Value dot) { return call_model(model, 0, std::move(dot), nullptr, 0); }

// What a name stands for, if it is a closure without an origin that stays where it is as long as the frame needs
// it: without counting.
const ClosureObject* Evaluation::borrow(const Expression& node, const Frame& frame) {
  if (node.form != Expression::Form::variable) return nullptr;
  const Access& access = as<VariableExpression>(node).access;
  const Value* value = nullptr;
  switch (access.where) {
    case Access::Where::itself:
      return frame.origin == 0 ? frame.closure : nullptr;
    case Access::Where::local:
      value = frame.slots + access.index;
      break;
    case Access::Where::captured:
      if (frame.origin != 0) return nullptr;
      value = &frame.closure->captured()[access.index];
      break;
    case Access::Where::constant:
      value = access.constant;
      break;
    default:
      return nullptr;
  }
  return value->is_closure() && value->origin() == 0 ? &closure_of(*value) : nullptr;
}

Value Evaluation::call(const CallExpression& node, const Frame& frame) {
  Value held;
  const ClosureObject* const known = borrow(*node.callee, frame);
  if (!known) {
    held = VALUE_OR_STOP(evaluate(*node.callee, frame));
    if (!held.is_closure()) [[unlikely]]
      return fail_type(node, frame, "only functions and models can be called", held);
    see(held, Aspect::code);
  }
  const ClosureObject& closure = known ? *known : closure_of(held);
  // Arguments go where the callee wants them, in the slots behind that of `.`.
  const std::size_t given = node.arguments.size();
  ValueStack::Slots slots(stack_, slots_wanted(closure, given));
  for (std::size_t i = 0; i < given; ++i) slots[1 + i] = VALUE_OR_STOP(evaluate(*node.arguments[i], frame));
  const std::uint32_t origin = known ? 0 : held.origin();
  // In its slot it stays until this call is over.
  if (node.dot.where == Access::Where::local)
    return call_closure(closure, origin, slots, given, frame.slots[node.dot.index], frame, node.at);
  return call_with_captured_dot(closure, origin, slots, given, node, frame);
}

[[gnu::noinline]] Value Evaluation::call_with_captured_dot(const ClosureObject& closure, std::uint32_t origin,
                                                           ValueStack::Slots& slots, std::size_t given,
                                                           const CallExpression& node, const Frame& frame) {
  const Value dot = captured(node.dot.index, frame);
  return call_closure(closure, origin, slots, given, dot, frame, node.at);
}

inline Value Evaluation::call_closure(const ClosureObject& closure, std::uint32_t origin, ValueStack::Slots& slots,
                                      std::size_t given, const Value& dot, const Frame& frame, std::uint32_t at) {
  if (closure.function) return call_function(closure, origin, slots, given, dot, frame, at);
  if (closure.primitive) return call_primitive(*closure.primitive, slots, given, dot, frame, at);
  if (given > 1) return wrong_count("a model", given, 0, 1, frame, at);
  return call_model(*closure.model, origin, given == 1 ? std::move(slots[1]) : dot, &frame, at);
}

Value Evaluation::call(const Value& callee, std::span<Value> arguments, const Value& dot, const Frame& frame,
                       std::uint32_t at) {
  const ClosureObject& closure = closure_of(callee);
  see(callee, Aspect::code);
  ValueStack::Slots slots(stack_, slots_wanted(closure, arguments.size()));
  std::move(arguments.begin(), arguments.end(), slots.data() + 1);
  return call_closure(closure, callee.origin(), slots, arguments.size(), dot, frame, at);
}

Value Evaluation::call_function(const ClosureObject& callee, std::uint32_t origin, ValueStack::Slots& slots,
                                std::size_t given, const Value& dot, const Frame& frame, std::uint32_t at) {
  const Function& function = *callee.function;
  const std::size_t wanted = function.formals.size();
  if (given > wanted + 1) [[unlikely]]
    return too_many(function, given, frame, at);
  if (!enter(&frame, at)) [[unlikely]]
    return Value::stopped();
  slots[dot_slot] = given > wanted ? std::move(slots[1 + wanted]) : dot;
  const Frame inner{slots.data(), &callee, callee.model, origin};
  if (given < wanted && !fill_defaults(function, given, inner, frame, at)) {
    leave();
    return Value::stopped();
  }
  Value result = recording_ && function.may_be_costly && may_be_cached(function) ? cached_function(callee, origin, slots)
                                                       : evaluate(*function.body, inner);
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

Value Evaluation::model_body(const Model& model, const Syntax& syntax, const std::vector<Value>& parts,
                             const Value& closure, Value dot) {
  ValueStack::Slots slots(stack_, syntax.body->slot_count);
  slots[dot_slot] = std::move(dot);
  const std::uint32_t origin = closure.origin();
  for (std::size_t i = 0; i < parts.size(); ++i)
    slots[1 + i] = origin == 0 ? parts[i]
                               : host_.calls->origins().component(origin, Selector::Type::clause,
                                                                  static_cast<std::uint32_t>(i), parts[i]);
  return evaluate(*syntax.body->body, Frame{slots.data(), nullptr, &model, origin});
}

[[gnu::noinline]] Value Evaluation::call_model(const Model& model, std::uint32_t origin, Value dot,
                                               const Frame* frame, std::uint32_t at) {
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
      const Value closure = make_model_closure(model).with_origin(origin);
      // They are told when a model is called, so it is not the model itself that cannot be looked up.
      if (model.has_warnings()) spoil();
      if (host_.calls && !(syntax->body->pragmas & pragma_nocache))
        result = cached_model(model, *syntax, *values, closure, std::move(dot), frame == nullptr);
      else
        result = model_body(model, *syntax, *values, closure, std::move(dot));
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
  if (recording_) look_at_arguments(primitive, slots, given);
  Call call{*this, primitive, {slots.data() + 1, maximum}, dot, frame, at};
  return primitive.act(call);
}

[[gnu::noinline]] void Evaluation::look_at_arguments(const Primitive& primitive, ValueStack::Slots& slots,
                                                     std::size_t given) {
  for (std::size_t i = 0; i < given; ++i) {
    Value& argument = slots[1 + i];
    const bool has_parts = argument.is_list() || argument.is_binding();
    switch (i < primitive.looks.size() ? primitive.looks[i] : 'N') {
      case '-':
      case 'S':
        break;
      case 'T':
        see(argument, Aspect::type);
        break;
      case 'E':
        see(argument, Aspect::code);
        break;
      case 'L':
        see(argument, argument.is_list()      ? Aspect::length
                      : argument.is_binding() ? Aspect::names
                                              : Aspect::whole);
        break;
      case 'O':
        if (has_parts)
          argument = opened(argument);
        else
          see(argument, Aspect::whole);
        break;
      default:
        see(argument, Aspect::whole);
    }
  }
}

bool Evaluation::enter(const Frame* frame, std::uint32_t at) {
  if (depth_ >= host_.limits.calls || steps_left_ == 0) [[unlikely]]
    return fail_to_enter(frame, at);
  --steps_left_;
  if (++depth_ > deepest_) deepest_ = depth_;
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
