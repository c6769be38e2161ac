// Blocks, assignments, loops, definitions of functions. Spec: 5.1.
#include <fmt/format.h>

#include "sdl/evaluator.h"

namespace sdl {

Value Evaluation::block(const BlockExpression& node, const Frame& frame) {
  for (const Statement* statement : node.statements)
    if (!run(*statement, frame)) return Value::stopped();
  return evaluate(*node.result, frame);
}

bool Evaluation::run(const Statement& statement, const Frame& frame) {
  switch (statement.form) {
    case Statement::Form::assign:
      return assign(as<AssignStatement>(statement), frame);
    case Statement::Form::iterate:
      return iterate(as<IterateStatement>(statement), frame);
    case Statement::Form::define: {
      const auto& define = as<DefineStatement>(statement);
      frame.slots[define.slot] = closure(*define.function, frame);
      return true;
    }
  }
  __builtin_unreachable();
}

bool Evaluation::assign(const AssignStatement& statement, const Frame& frame) {
  Value value = evaluate(*statement.value, frame);
  if (value.is_stopped()) return false;
  frame.slots[statement.slot] = std::move(value);
  return true;
}

bool Evaluation::iterate(const IterateStatement& loop, const Frame& frame) {
  Value sequence = evaluate(*loop.sequence, frame);
  if (sequence.is_stopped()) return false;
  const bool has_names = !loop.name.empty();
  if (has_names ? !sequence.is_binding() : !sequence.is_list()) {
    fail(frame, loop.sequence->at,
         fmt::format("this 'foreach' goes through a {}, not through {}", has_names ? "binding" : "list",
                     type_of(sequence)));
    return false;
  }
  sequence = opened(sequence);
  for (const Carried& carried : loop.carried) frame.slots[carried.slot] = look(carried.before, frame);
  const std::uint32_t count = length(sequence);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!step(frame, loop.at)) return false;
    if (has_names) {
      frame.slots[loop.name_slot] = name_at(sequence, i);
      frame.slots[loop.value_slot] = value_at(sequence, i);
    } else {
      frame.slots[loop.value_slot] = element(sequence, i);
    }
    for (const Statement* statement : loop.body)
      if (!run(*statement, frame)) return false;
  }
  return true;
}

Value Evaluation::closure(const Function& function, const Frame& frame) {
  ValueStack::Slots captured(stack_, function.captures.size());
  for (std::size_t i = 0; i < captured.size(); ++i) captured[i] = look(function.captures[i].from, frame);
  return make_closure(function, *frame.model, {captured.data(), captured.size()});
}

}  // namespace sdl
