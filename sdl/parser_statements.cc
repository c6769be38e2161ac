// Blocks, statements, functions, types.
#include <fmt/format.h>

#include "sdl/parser_state.h"

namespace sdl {

BlockExpression* Parser::block(const char* what) {
  const std::uint32_t begin = now().at;
  if (!accept(Token::open_brace)) {
    error(begin, fmt::format("expected '{{' before {}, found {}", what, found_instead()));
    return nullptr;
  }
  if (!nest()) return nullptr;
  std::vector<Statement*> statements;
  while (!at(Token::kw_return) && !at(Token::kw_value)) {
    if (at(Token::close_brace) || at(Token::end)) {
      error(now().at,
            fmt::format("expected 'return' or 'value' at the end of a block, found {}", found_instead()));
      if (accept(Token::close_brace)) --depth_;
      return nullptr;
    }
    if (!statement(statements) || !expect(Token::semicolon, "behind a statement")) recover();
  }
  advance();
  Expression* result = expression();
  if (result) accept(Token::semicolon);
  if (result && !at(Token::close_brace)) {
    error(now().at, fmt::format("expected '}}' behind the result of a block, found {}", found_instead()));
    result = nullptr;
  }
  // Behind the result there is nothing to go on with.
  for (unsigned open = 0; !result && !at(Token::end); advance()) {
    if (at(Token::open_brace)) ++open;
    if (at(Token::close_brace) && open-- == 0) break;
  }
  accept(Token::close_brace);
  --depth_;
  return result ? syntax_->make(
                      BlockExpression{{Expression::Form::block, begin}, syntax_->keep(statements), result})
                : nullptr;
}

void Parser::recover() {
  unsigned open = 0;
  for (;; advance()) {
    switch (now().token) {
      case Token::end:
        return;
      case Token::open_brace:
        ++open;
        break;
      case Token::close_brace:
        if (open-- == 0) return;
        break;
      case Token::semicolon:
        if (open > 0) break;
        advance();
        return;
      case Token::kw_return:
      case Token::kw_value:
        if (open > 0) break;
        return;
      default:
        break;
    }
  }
}

bool Parser::statement(std::vector<Statement*>& statements) {
  if (at(Token::kw_foreach)) return iterate(statements);
  if (accept(Token::kw_type)) {
    return expect(Token::identifier, "behind 'type'") &&
           expect(Token::assign, "in the definition of a type") && type();
  }
  if (!at(Token::identifier)) {
    error(now().at, fmt::format("expected a statement, found {}", found_instead()));
    return false;
  }
  return ahead(1).token == Token::open_paren ? define(statements) : assign(statements);
}

bool Parser::assign(std::vector<Statement*>& statements) {
  const Lexeme target = advance();
  const std::string_view name = spelling_of(target);
  if (!optional_type()) return false;
  Operation operation{};
  const Lexeme sign = now();
  switch (sign.token) {
    case Token::plus:
      operation = Operation::add;
      break;
    case Token::plus_plus:
      operation = Operation::overlay;
      break;
    case Token::minus:
      operation = Operation::subtract;
      break;
    case Token::star:
      operation = Operation::multiply;
      break;
    case Token::assign:
      break;
    case Token::slash:
    case Token::backslash:
    case Token::bang:
      error(sign.at, "a selection cannot be assigned to; overlay the binding: name ++= [ path = value ]");
      return false;
    default:
      error(sign.at, fmt::format("expected '=' behind '{}', found {}", name, found_instead()));
      return false;
  }
  if (sign.token != Token::assign) {
    advance();
    if (!at(Token::assign)) {
      error(now().at,
            fmt::format("expected '=', for an expression is no statement; found {}", found_instead()));
      return false;
    }
  }
  advance();
  Expression* value = expression();
  if (!value) return false;
  if (sign.token != Token::assign) {
    Expression* const before =
        syntax_->make(VariableExpression{{Expression::Form::variable, target.at}, name, {}});
    value = syntax_->make(BinaryExpression{{Expression::Form::binary, sign.at}, operation, before, value});
  }
  statements.push_back(syntax_->make(AssignStatement{{Statement::Form::assign, target.at}, name, 0, value}));
  return true;
}

bool Parser::iterate(std::vector<Statement*>& statements) {
  IterateStatement loop{};
  loop.form = Statement::Form::iterate;
  loop.at = advance().at;
  const auto variable = [&](std::string_view& name) {
    name = spelling_of(now());
    return expect(Token::identifier, "as the variable of 'foreach'") && optional_type();
  };
  if (accept(Token::open_bracket)) {
    if (!variable(loop.name) || !expect(Token::assign, "between name and value in 'foreach'") ||
        !variable(loop.value) || !expect(Token::close_bracket, "behind the variables of 'foreach'"))
      return false;
  } else if (!variable(loop.value)) {
    return false;
  }
  if (!expect(Token::kw_in, "in 'foreach'")) return false;
  loop.sequence = expression();
  if (!loop.sequence || !expect(Token::kw_do, "in 'foreach'") || !nest()) return false;
  std::vector<Statement*> body;
  const bool has_braces = accept(Token::open_brace);
  bool good = true;
  if (has_braces && at(Token::close_brace)) error(now().at, "expected a statement in the body of 'foreach'");
  if (!has_braces) good = statement(body);
  while (has_braces && !accept(Token::close_brace)) {
    if (at(Token::end) || at(Token::kw_return) || at(Token::kw_value)) {
      error(now().at,
            fmt::format("expected '}}' at the end of the body of 'foreach', found {}", found_instead()));
      good = false;
      break;
    }
    if (!statement(body))
      recover();
    else if (!at(Token::close_brace) && !expect(Token::semicolon, "behind a statement"))
      recover();
  }
  --depth_;
  loop.body = syntax_->keep(body);
  statements.push_back(syntax_->make(loop));
  return good;
}

bool Parser::define(std::vector<Statement*>& statements) {
  const Lexeme name = advance();
  std::vector<std::vector<Formal>> curried;
  while (at(Token::open_paren)) {
    if (!formals(curried.emplace_back())) return false;
  }
  if (depth_ + curried.size() > nesting_max) {
    error(name.at, fmt::format("nested deeper than {} levels", nesting_max));
    return false;
  }
  if (!optional_type()) return false;
  if (!at(Token::open_brace)) {
    error(now().at, fmt::format("expected '{{' before the body of '{}', found {}; a call is no statement, "
                                "but may stand behind 'name ='",
                                spelling_of(name), found_instead()));
    return false;
  }
  const auto levels = static_cast<unsigned>(curried.size());
  depth_ += levels;
  Expression* body = block("the function's body");
  depth_ -= levels;
  if (!body) return true;  // it has been told, and we stand behind it
  Function* function = nullptr;
  for (std::size_t i = curried.size(); i-- > 0;) {
    // Only the outermost has the name, so that inner ones take it from there.
    function = syntax_->make(Function{name.at,
                                      i == 0 ? spelling_of(name) : std::string_view(),
                                      name.pragmas,
                                      syntax_->keep(curried[i]),
                                      body,
                                      {},
                                      0});
    body = syntax_->make(FunctionExpression{{Expression::Form::function, name.at}, function});
  }
  statements.push_back(syntax_->make(DefineStatement{{Statement::Form::define, name.at}, function, 0}));
  return true;
}

bool Parser::formals(std::vector<Formal>& formals) {
  advance();
  return separated(Token::close_paren, "the parameters", [&] {
    const Lexeme name = now();
    if (!expect(Token::identifier, "as a parameter") || !optional_type()) return false;
    const std::string_view spelled = spelling_of(name);
    if (spelled == ".") error(name.at, "'.' cannot be a parameter: it is passed to every function");
    for (const Formal& other : formals)
      if (other.name == spelled) error(name.at, fmt::format("duplicate parameter '{}'", spelled));
    Expression* otherwise = nullptr;
    if (accept(Token::assign)) {
      otherwise = expression();
      if (!otherwise) return false;
    } else if (!formals.empty() && formals.back().otherwise) {
      error(name.at, fmt::format("'{}' needs a default, for the parameter before it has one", spelled));
    }
    formals.push_back({name.at, spelled, otherwise, name.pragmas});
    return true;
  });
}

bool Parser::optional_type() { return !accept(Token::colon) || type(); }

bool Parser::type() {
  if (!nest()) return false;
  bool good = true;
  const auto inner = [&] { return type() && expect(Token::close_paren, "behind a type"); };
  switch (now().token) {
    case Token::identifier:
    case Token::kw_bool:
    case Token::kw_int:
    case Token::kw_text:
      advance();
      break;
    case Token::kw_list:
      advance();
      if (accept(Token::open_paren)) good = inner();
      break;
    case Token::kw_binding:
      advance();
      if (!accept(Token::open_paren)) break;
      good = accept(Token::colon) ? inner() : types_of_arguments(true);
      break;
    case Token::kw_function:
      advance();
      while (good && accept(Token::open_paren)) good = types_of_arguments(false);
      if (good) good = optional_type();
      break;
    default:
      error(now().at, fmt::format("expected a type, found {}", found_instead()));
      good = false;
  }
  --depth_;
  return good;
}

// Behind the `(`. `named`: every one has a name and may have a type; else the other way round.
bool Parser::types_of_arguments(bool named) {
  return separated(Token::close_paren, "a type", [&] {
    if (named) return expect(Token::identifier, "in a type") && optional_type();
    if (at(Token::identifier) && ahead(1).token == Token::colon) advance(), advance();
    return type();
  });
}

}  // namespace sdl
