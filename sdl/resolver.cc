#include "sdl/resolver.h"

#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "sdl/deep_stack.h"
#include "sdl/primitives.h"
#include "sdl/misspelt.h"
#include "sdl/weight.h"

namespace sdl {
namespace {

// What is known while one function is walked.
struct Scope {
  struct Local {
    std::uint32_t slot;
    unsigned block;  // which of the open blocks it belongs to
  };
  struct Undo {
    std::string_view name;
    std::optional<Local> before;
  };

  Function& function;
  Scope* const outer;
  std::unordered_map<std::string_view, Local> locals;
  std::vector<Undo> undo;  // what blocks and loops take back at their end
  unsigned block = 0;
  std::uint32_t slot_count = 1;  // the first is that of `.`
  std::vector<Capture> captures;
  std::unordered_map<std::string_view, std::uint32_t> capture_numbers;

  std::uint32_t declare(std::string_view name) {
    const auto known = locals.find(name);
    if (known != locals.end() && known->second.block == block) return known->second.slot;
    return declare_at(name, slot_count++);
  }
  std::uint32_t declare_at(std::string_view name, std::uint32_t slot) {
    const auto known = locals.find(name);
    undo.push_back({name, known == locals.end() ? std::nullopt : std::optional(known->second)});
    locals[name] = {slot, block};
    return slot;
  }
  void take_back(std::size_t until) {
    for (; undo.size() > until; undo.pop_back()) {
      if (undo.back().before)
        locals[undo.back().name] = *undo.back().before;
      else
        locals.erase(undo.back().name);
    }
  }

  Access find(std::string_view name) {
    if (const auto local = locals.find(name); local != locals.end())
      return {Access::Where::local, local->second.slot, nullptr};
    if (!function.name.empty() && name == function.name) return {Access::Where::itself, 0, nullptr};
    if (const auto known = capture_numbers.find(name); known != capture_numbers.end())
      return {Access::Where::captured, known->second, nullptr};
    if (!outer) {
      if (name == "_self") return {Access::Where::model, 0, nullptr};
      if (const Value* primitive = find_primitive(name)) return {Access::Where::constant, 0, primitive};
      return {};
    }
    const Access there = outer->find(name);
    // The model is captured too: so a function carries all that it depends on but its code.
    if (there.where == Access::Where::constant || there.where == Access::Where::nowhere) return there;
    const auto number = static_cast<std::uint32_t>(captures.size());
    captures.push_back({name, there});
    capture_numbers.emplace(name, number);
    return {Access::Where::captured, number, nullptr};
  }
};

class Resolver {
 public:
  Resolver(Syntax& syntax, const Source& source, std::vector<Diagnostic>& found)
      : syntax_(syntax), source_(source), found_(found) {}

  void model() {
    Scope scope{*syntax_.body, nullptr, {}, {}, 0, 1, {}, {}};
    scope.declare_at(".", dot_slot);
    for (const std::span<ClauseItem> items : {syntax_.files, syntax_.imports})
      for (ClauseItem& item : items) item.slot = scope.declare(item.name);
    expression(*syntax_.body->body, scope);
    syntax_.body->slot_count = scope.slot_count;
  }

 private:
  void function(Function& function, Scope& outer) {
    function.number = static_cast<std::uint32_t>(syntax_.functions.size());
    syntax_.functions.push_back(&function);
    Scope scope{function, &outer, {}, {}, 0, 1, {}, {}};
    scope.slot_count += static_cast<std::uint32_t>(function.formals.size());
    // Defaults see what has been captured, but neither the parameters nor the `.` of the call.
    for (const Formal& formal : function.formals)
      if (formal.otherwise) expression(*formal.otherwise, scope);
    scope.declare_at(".", dot_slot);
    for (std::size_t i = 0; i < function.formals.size(); ++i)
      scope.declare_at(function.formals[i].name, static_cast<std::uint32_t>(1 + i));
    expression(*function.body, scope);
    function.captures = syntax_.keep(scope.captures);
    function.may_be_costly = may_be_costly(*function.body);
    function.slot_count = scope.slot_count;
  }

  void expression(Expression& node, Scope& scope) {
    if (stack_is_low()) {
      if (!told_) found_.push_back(diagnose(Severity::error, source_, node.at, "nested too deeply"));
      told_ = true;
      return;
    }
    switch (node.form) {
      case Expression::Form::constant:
        return;
      case Expression::Form::variable: {
        auto& variable = static_cast<VariableExpression&>(node);
        variable.access = scope.find(variable.name);
        if (variable.access.where == Access::Where::nowhere) variable.suggestion = syntax_.keep(suggested_name(variable.name, scope));
        return;
      }
      case Expression::Form::unary:
        return expression(*static_cast<UnaryExpression&>(node).operand, scope);
      case Expression::Form::binary: {
        auto& binary = static_cast<BinaryExpression&>(node);
        expression(*binary.left, scope);
        return expression(*binary.right, scope);
      }
      case Expression::Form::logical: {
        auto& logical = static_cast<LogicalExpression&>(node);
        expression(*logical.left, scope);
        return expression(*logical.right, scope);
      }
      case Expression::Form::conditional: {
        auto& conditional = static_cast<ConditionalExpression&>(node);
        expression(*conditional.condition, scope);
        expression(*conditional.yes, scope);
        return expression(*conditional.no, scope);
      }
      case Expression::Form::select: {
        auto& select = static_cast<SelectExpression&>(node);
        expression(*select.base, scope);
        if (select.arc.computed) expression(*select.arc.computed, scope);
        return;
      }
      case Expression::Form::call: {
        auto& call = static_cast<CallExpression&>(node);
        expression(*call.callee, scope);
        for (Expression* argument : call.arguments) expression(*argument, scope);
        call.dot = scope.find(".");
        return;
      }
      case Expression::Form::list:
        for (Expression* element : static_cast<ListExpression&>(node).elements) expression(*element, scope);
        return;
      case Expression::Form::binding:
        for (const BindingElement& element : static_cast<BindingExpression&>(node).elements) {
          for (const Arc& arc : element.path)
            if (arc.computed) expression(*arc.computed, scope);
          expression(*element.value, scope);
        }
        return;
      case Expression::Form::block:
        return block(static_cast<BlockExpression&>(node), scope);
      case Expression::Form::function:
        return function(*static_cast<FunctionExpression&>(node).function, scope);
    }
  }

  static std::string suggested_name(std::string_view name, const Scope& innermost) {
    std::vector<std::string_view> names = primitive_names();
    for (const Scope* scope = &innermost; scope; scope = scope->outer) {
      for (const auto& [local, where] : scope->locals) names.push_back(local);
      if (!scope->function.name.empty()) names.push_back(scope->function.name);
    }
    return suggestion_among(name, std::move(names));
  }

  void block(BlockExpression& block, Scope& scope) {
    const std::size_t before = scope.undo.size();
    // The outermost block of a function is where its parameters are.
    const bool is_outermost = &block == scope.function.body;
    if (!is_outermost) ++scope.block;
    for (Statement* statement : block.statements) this->statement(*statement, scope);
    expression(*block.result, scope);
    if (!is_outermost) --scope.block;
    scope.take_back(before);
  }

  void statement(Statement& statement, Scope& scope) {
    switch (statement.form) {
      case Statement::Form::assign: {
        auto& assign = static_cast<AssignStatement&>(statement);
        expression(*assign.value, scope);
        assign.slot = scope.declare(assign.name);
        return;
      }
      case Statement::Form::define: {
        auto& define = static_cast<DefineStatement&>(statement);
        function(*define.function, scope);
        define.slot = scope.declare(define.function->name);
        return;
      }
      case Statement::Form::iterate:
        return iterate(static_cast<IterateStatement&>(statement), scope);
    }
  }

  void iterate(IterateStatement& loop, Scope& scope) {
    expression(*loop.sequence, scope);
    std::vector<Carried> carried;
    for (const std::string_view name : assigned_names(loop.body)) {
      if (name == loop.name || name == loop.value) continue;
      const auto known = scope.locals.find(name);
      if (known != scope.locals.end() && known->second.block == scope.block) continue;
      const Access before = scope.find(name);  // before it is declared
      carried.push_back({scope.declare(name), before});
    }
    loop.carried = syntax_.keep(carried);
    const std::size_t before = scope.undo.size();
    if (!loop.name.empty()) loop.name_slot = scope.declare_at(loop.name, scope.slot_count++);
    loop.value_slot = scope.declare_at(loop.value, scope.slot_count++);
    for (Statement* each : loop.body) statement(*each, scope);
    scope.take_back(before);
  }

  Syntax& syntax_;
  const Source& source_;
  std::vector<Diagnostic>& found_;
  bool told_ = false;
};

}  // namespace

std::vector<std::string_view> assigned_names(std::span<Statement* const> statements) {
  std::vector<std::string_view> names;
  std::unordered_set<std::string_view> seen;
  const auto add = [&](std::string_view name) {
    if (seen.insert(name).second) names.push_back(name);
  };
  for (const Statement* each : statements) {
    if (each->form == Statement::Form::assign) add(static_cast<const AssignStatement*>(each)->name);
    if (each->form == Statement::Form::define) add(static_cast<const DefineStatement*>(each)->function->name);
    if (each->form != Statement::Form::iterate) continue;
    const auto& loop = *static_cast<const IterateStatement*>(each);
    for (const std::string_view name : assigned_names(loop.body))
      if (name != loop.name && name != loop.value) add(name);
  }
  return names;
}

void resolve(Syntax& syntax, const Source& source, std::vector<Diagnostic>& found) {
  Resolver(syntax, source, found).model();
}

}  // namespace sdl
