#include "sdl/weight.h"

#include "sdl/closure.h"
#include "sdl/deep_stack.h"
#include "sdl/primitives.h"

namespace sdl {
namespace {

class Weigher {
 public:
  static bool is_heavy(const Expression& node) {
    if (stack_is_low()) return true;
    switch (node.form) {
      case Expression::Form::constant:
      case Expression::Form::variable:
      case Expression::Form::function:
        return false;
      case Expression::Form::unary:
        return is_heavy(*as<UnaryExpression>(node).operand);
      case Expression::Form::binary:
        return is_heavy(*as<BinaryExpression>(node).left) || is_heavy(*as<BinaryExpression>(node).right);
      case Expression::Form::logical:
        return is_heavy(*as<LogicalExpression>(node).left) || is_heavy(*as<LogicalExpression>(node).right);
      case Expression::Form::conditional: {
        const auto& conditional = as<ConditionalExpression>(node);
        return is_heavy(*conditional.condition) || is_heavy(*conditional.yes) || is_heavy(*conditional.no);
      }
      case Expression::Form::select:
        return is_heavy(*as<SelectExpression>(node).base) || is_heavy(as<SelectExpression>(node).arc);
      case Expression::Form::call:
        return is_heavy(as<CallExpression>(node));
      case Expression::Form::list:
        for (const Expression* each : as<ListExpression>(node).elements)
          if (is_heavy(*each)) return true;
        return false;
      case Expression::Form::binding:
        for (const BindingElement& element : as<BindingExpression>(node).elements) {
          for (const Arc& arc : element.path)
            if (is_heavy(arc)) return true;
          if (is_heavy(*element.value)) return true;
        }
        return false;
      case Expression::Form::block:
        for (const Statement* each : as<BlockExpression>(node).statements) {
          if (each->form == Statement::Form::iterate) return true;
          if (each->form == Statement::Form::assign && is_heavy(*as<AssignStatement>(*each).value)) return true;
        }
        return is_heavy(*as<BlockExpression>(node).result);
    }
    return true;
  }

 private:
  static bool is_heavy(const Arc& arc) { return arc.computed && is_heavy(*arc.computed); }
  static bool is_heavy(const CallExpression& call) {
    if (call.callee->form != Expression::Form::variable) return true;
    const Access& access = as<VariableExpression>(*call.callee).access;
    if (access.where != Access::Where::constant) return true;
    const std::string_view name = closure_of(*access.constant).primitive->name;
    if (name == "_run_tool" || name == "_map" || name == "_par_map") return true;
    for (const Expression* each : call.arguments)
      if (is_heavy(*each)) return true;
    return false;
  }
};

}  // namespace

bool may_be_costly(const Expression& body) { return Weigher::is_heavy(body); }

}  // namespace sdl
