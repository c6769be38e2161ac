#include "sdl/canonical.h"

#include <fmt/format.h>

#include "sdl/deep_stack.h"
#include "sdl/printer.h"
#include "sdl/text.h"

namespace sdl {
namespace {

class Writer {
 public:
  std::string run(const Function& function) {
    this->function(function);
    return std::move(text_);
  }
  bool is_whole() const { return is_whole_; }

 private:
  void function(const Function& function) {
    text_ += '(';
    for (const Formal& formal : function.formals) {
      if (&formal != function.formals.data()) text_ += ',';
      text_ += formal.name;
      if (!formal.otherwise) continue;
      text_ += '=';
      expression(*formal.otherwise);
    }
    text_ += ')';
    expression(*function.body);
  }

  void arc(const Arc& arc) {
    if (arc.name) {
      text_ += quoted(view_of(*arc.name));
      return;
    }
    text_ += "$(";
    expression(*arc.computed);
    text_ += ')';
  }

  void variable(const VariableExpression& variable) {
    // The own name, whatever it is. A backslash begins no name.
    if (variable.access.where == Access::Where::itself)
      text_ += "\\self";
    else
      text_ += variable.name;
  }

  void pair(const Expression& left, Operation operation, const Expression& right) {
    text_ += '(';
    expression(left);
    text_ += ' ';
    text_ += spelling(operation);
    text_ += ' ';
    expression(right);
    text_ += ')';
  }

  void expression(const Expression& node) {
    if (stack_is_low()) {
      text_ += "...";
      is_whole_ = false;
      return;
    }
    switch (node.form) {
      case Expression::Form::constant:
        text_ += printed(*as<ConstantExpression>(node).value);
        return;
      case Expression::Form::variable:
        return variable(as<VariableExpression>(node));
      case Expression::Form::unary:
        text_ += '(';
        text_ += spelling(as<UnaryExpression>(node).operation);
        expression(*as<UnaryExpression>(node).operand);
        text_ += ')';
        return;
      case Expression::Form::binary:
        return pair(*as<BinaryExpression>(node).left, as<BinaryExpression>(node).operation,
                    *as<BinaryExpression>(node).right);
      case Expression::Form::logical:
        return pair(*as<LogicalExpression>(node).left, as<LogicalExpression>(node).operation,
                    *as<LogicalExpression>(node).right);
      case Expression::Form::conditional:
        text_ += "(if ";
        expression(*as<ConditionalExpression>(node).condition);
        text_ += " then ";
        expression(*as<ConditionalExpression>(node).yes);
        text_ += " else ";
        expression(*as<ConditionalExpression>(node).no);
        text_ += ')';
        return;
      case Expression::Form::select:
        expression(*as<SelectExpression>(node).base);
        text_ += as<SelectExpression>(node).asks ? '!' : '/';
        return arc(as<SelectExpression>(node).arc);
      case Expression::Form::call:
        expression(*as<CallExpression>(node).callee);
        return expressions('(', as<CallExpression>(node).arguments, ')');
      case Expression::Form::list:
        return expressions('<', as<ListExpression>(node).elements, '>');
      case Expression::Form::binding:
        return binding(as<BindingExpression>(node));
      case Expression::Form::block:
        return block(as<BlockExpression>(node));
      case Expression::Form::function:
        return function(*as<FunctionExpression>(node).function);
    }
  }

  void expressions(char open, std::span<Expression* const> all, char close) {
    text_ += open;
    for (const Expression* each : all) {
      expression(*each);
      text_ += ',';
    }
    text_ += close;
  }

  void binding(const BindingExpression& binding) {
    text_ += '[';
    for (const BindingElement& element : binding.elements) {
      for (const Arc& each : element.path) {
        arc(each);
        text_ += '/';
      }
      text_ += '=';
      expression(*element.value);
      text_ += ',';
    }
    text_ += ']';
  }

  void block(const BlockExpression& block) {
    text_ += '{';
    for (const Statement* each : block.statements) statement(*each);
    text_ += "return ";
    expression(*block.result);
    text_ += '}';
  }

  void statement(const Statement& statement) {
    switch (statement.form) {
      case Statement::Form::assign:
        text_ += as<AssignStatement>(statement).name;
        text_ += '=';
        expression(*as<AssignStatement>(statement).value);
        break;
      case Statement::Form::define:
        text_ += as<DefineStatement>(statement).function->name;
        function(*as<DefineStatement>(statement).function);
        break;
      case Statement::Form::iterate: {
        const auto& loop = as<IterateStatement>(statement);
        text_ += fmt::format("foreach [{}={}] in ", loop.name, loop.value);
        expression(*loop.sequence);
        text_ += "do{";
        for (const Statement* each : loop.body) this->statement(*each);
        text_ += '}';
      }
    }
    text_ += ';';
  }

  std::string text_;
  bool is_whole_ = true;
};

}  // namespace

std::string canonical_form(const Function& function) { return Writer().run(function); }

cache::Result<cache::Digest> body_fingerprint(const Function& function) {
  Writer writer;
  const std::string form = writer.run(function);
  if (!writer.is_whole())
    return cache::fail(cache::Fault::unsupported, "a function is nested too deeply to have a fingerprint");
  return cache::digest_of(form);
}

}  // namespace sdl
