// Expressions, from the loosest operator to the tightest.
#include <charconv>

#include <fmt/format.h>

#include "sdl/parser_state.h"
#include "sdl/text.h"

namespace sdl {
namespace {

struct BinarySign {
  Token token;
  Operation operation;
  unsigned level;
};

// Levels of `operators`; a higher one binds tighter.
constexpr unsigned level_implies = 0, level_either = 1, level_both = 2, level_compare = 3, level_sum = 4,
                   level_product = 5, level_end = 6;
constexpr BinarySign binary_signs[] = {{Token::implies, Operation::implies, level_implies},
                                       {Token::or_else, Operation::either, level_either},
                                       {Token::and_also, Operation::both, level_both},
                                       {Token::equal, Operation::equal, level_compare},
                                       {Token::not_equal, Operation::not_equal, level_compare},
                                       {Token::less, Operation::less, level_compare},
                                       {Token::greater, Operation::greater, level_compare},
                                       {Token::less_equal, Operation::less_equal, level_compare},
                                       {Token::greater_equal, Operation::greater_equal, level_compare},
                                       {Token::plus, Operation::add, level_sum},
                                       {Token::plus_plus, Operation::overlay, level_sum},
                                       {Token::minus, Operation::subtract, level_sum},
                                       {Token::star, Operation::multiply, level_product}};

const BinarySign* sign_of(Token token) {
  if (token < Token::plus_plus || token > Token::greater) return nullptr;
  for (const BinarySign& sign : binary_signs)
    if (sign.token == token) return &sign;
  return nullptr;
}

// What an expression can begin with, as far as it decides what a `>` before it is.
bool begins_operand(Token token) {
  switch (token) {
    case Token::minus:
    case Token::bang:
    case Token::open_paren:
    case Token::kw_err:
    case Token::kw_true:
    case Token::kw_false:
    case Token::text:
    case Token::integer:
    case Token::identifier:
    case Token::less:
    case Token::open_bracket:
    case Token::open_brace:
      return true;
    default:
      return false;
  }
}

}  // namespace

const char* spelling(Operation operation) {
  static constexpr const char* signs[] = {"+",  "++", "-",  "*",  "==", "!=", "<", ">",
                                          "<=", ">=", "=>", "||", "&&", "-",  "!"};
  return signs[static_cast<std::size_t>(operation)];
}

Expression* Parser::expression() {
  if (!nest()) return nullptr;
  Expression* result = nullptr;
  if (!at(Token::kw_if)) {
    result = operators(level_implies);
  } else {
    const std::uint32_t begin = advance().at;
    Expression *yes = nullptr, *no = nullptr;
    Expression* const condition = expression();
    if (condition && expect(Token::kw_then, "in 'if'")) yes = expression();
    if (yes && expect(Token::kw_else, "in 'if', which always needs one")) no = expression();
    if (no)
      result =
          syntax_->make(ConditionalExpression{{Expression::Form::conditional, begin}, condition, yes, no});
  }
  --depth_;
  return result;
}

bool Parser::closes_list() const { return at(Token::greater) && !begins_operand(ahead(1).token); }

Expression* Parser::operators(unsigned level) {
  // Most expressions have no operator at all.
  Expression* left = unary();
  // What has been read binds at least as tight as `bound`.
  unsigned bound = level_end;
  while (left) {
    const BinarySign* const sign = sign_of(now().token);
    if (!sign || sign->level < level || closes_list()) return left;
    const Lexeme lexeme = advance();
    if (sign->level == level_compare && bound == level_compare) {
      error(lexeme.at, "comparisons cannot be chained; use parentheses");
      return nullptr;
    }
    Expression* const right = operators(sign->level + 1);
    if (!right) return nullptr;
    bound = sign->level;
    if (sign->level <= level_both)
      left = syntax_->make(
          LogicalExpression{{Expression::Form::logical, lexeme.at}, sign->operation, left, right});
    else
      left = syntax_->make(
          BinaryExpression{{Expression::Form::binary, lexeme.at}, sign->operation, left, right});
  }
  return nullptr;
}

Expression* Parser::unary() {
  const Lexeme sign = now();
  const bool has_sign = accept(Token::minus) || accept(Token::bang);
  Expression* const operand = primary();
  if (!operand || !optional_type()) return nullptr;
  if (!has_sign) return operand;
  const Operation operation = sign.token == Token::minus ? Operation::negate : Operation::invert;
  return syntax_->make(UnaryExpression{{Expression::Form::unary, sign.at}, operation, operand});
}

Expression* Parser::primary() {
  Expression* result = atom();
  while (result) {
    const Lexeme sign = now();
    switch (sign.token) {
      case Token::slash:
      case Token::backslash:
      case Token::bang: {
        advance();
        if (sign.token != Token::bang) note_delimiter(sign);
        SelectExpression select{{Expression::Form::select, sign.at}, sign.token == Token::bang, result, {}};
        result = arc(select.arc) ? syntax_->make(select) : nullptr;
        break;
      }
      case Token::open_paren: {
        advance();
        std::vector<Expression*> arguments;
        const bool good = separated(Token::close_paren, "the arguments of a call", [&] {
          arguments.push_back(expression());
          return arguments.back() != nullptr;
        });
        // Messages about a call point to what is called.
        result = good ? syntax_->make(CallExpression{
                            {Expression::Form::call, result->at}, result, syntax_->keep(arguments), {}})
                      : nullptr;
        break;
      }
      default:
        return result;
    }
  }
  return nullptr;
}

Expression* Parser::atom() {
  const Lexeme lexeme = now();
  const auto constant = [&](Value value) {
    return syntax_->make(
        ConstantExpression{{Expression::Form::constant, lexeme.at}, syntax_->keep(std::move(value))});
  };
  switch (lexeme.token) {
    case Token::identifier:
      advance();
      return syntax_->make(
          VariableExpression{{Expression::Form::variable, lexeme.at}, spelling_of(lexeme), {}});
    case Token::integer:
      advance();
      return integer(lexeme);
    case Token::text:
      advance();
      return constant(make_text(text_of_literal(spelling_of(lexeme))));
    case Token::kw_err:
      advance();
      return constant(Value::error());
    case Token::kw_true:
      advance();
      return constant(Value::boolean(true));
    case Token::kw_false:
      advance();
      return constant(Value::boolean(false));
    case Token::open_paren: {
      advance();
      Expression* const inner = expression();
      return inner && expect(Token::close_paren, "behind an expression") ? inner : nullptr;
    }
    case Token::less:
      return list();
    case Token::open_bracket:
      return binding();
    case Token::open_brace:
      return block("a block");
    default: {
      // The longest token is taken, which surprises behind a list.
      const bool is_split =
          lexeme.token == Token::assign && next_ > 0 && lexemes_[next_ - 1].token == Token::greater_equal;
      error(lexeme.at,
            fmt::format("expected an expression, found {}{}", found_instead(),
                        is_split ? " behind '>='; a '>' that ends a list needs a space before '=='" : ""));
      return nullptr;
    }
  }
}

Expression* Parser::integer(const Lexeme& lexeme) {
  std::string_view digits = spelling_of(lexeme);
  int base = 10;
  if (digits[0] == '0' && digits.size() > 1) {
    base = (digits[1] | 0x20) == 'x' ? 16 : 8;
    digits.remove_prefix(base == 16 ? 2 : 1);
  }
  std::int32_t value = 0;
  if (const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
      read.ec != std::errc()) {
    error(lexeme.at, fmt::format("the integer {} is greater than {}", spelling_of(lexeme),
                                 std::numeric_limits<std::int32_t>::max()));
    return nullptr;
  }
  return syntax_->make(
      ConstantExpression{{Expression::Form::constant, lexeme.at}, syntax_->keep(Value::integer(value))});
}

Expression* Parser::list() {
  const std::uint32_t begin = advance().at;
  std::vector<Expression*> elements;
  while (!accept(Token::greater)) {
    elements.push_back(expression());
    if (!elements.back()) return nullptr;
    if (accept(Token::comma) || at(Token::greater)) continue;
    error(now().at, fmt::format("expected ',' or '>' in a list, found {}", found_instead()));
    return nullptr;
  }
  return syntax_->make(ListExpression{{Expression::Form::list, begin}, syntax_->keep(elements)});
}

Expression* Parser::binding() {
  const std::uint32_t begin = advance().at;
  std::vector<BindingElement> elements;
  if (!separated(Token::close_bracket, "a binding", [&] { return element(elements); })) return nullptr;
  return syntax_->make(BindingExpression{{Expression::Form::binding, begin}, syntax_->keep(elements)});
}

bool Parser::element(std::vector<BindingElement>& elements) {
  const Lexeme first = now();
  std::vector<Arc> path;
  if (!arc(path.emplace_back())) return false;
  if (first.token == Token::identifier && (at(Token::comma) || at(Token::close_bracket))) {
    Expression* const variable =
        syntax_->make(VariableExpression{{Expression::Form::variable, first.at}, spelling_of(first), {}});
    elements.push_back({syntax_->keep(path), variable});
    return true;
  }
  while (at(Token::slash) || at(Token::backslash)) {
    note_delimiter(advance());
    if (at(Token::assign)) break;
    if (!arc(path.emplace_back())) return false;
    if (path.size() > nesting_max) {
      error(now().at, fmt::format("nested deeper than {} levels", nesting_max));
      return false;
    }
  }
  if (!expect(Token::assign, "behind a name in a binding")) return false;
  Expression* const value = expression();
  elements.push_back({syntax_->keep(path), value});
  return value != nullptr;
}

bool Parser::arc(Arc& arc) {
  const Lexeme lexeme = now();
  arc.at = lexeme.at;
  switch (lexeme.token) {
    case Token::identifier:
    case Token::integer:
      advance();
      arc.name = name_constant(spelling_of(lexeme));
      return true;
    case Token::text:
      advance();
      arc.name = name_constant(syntax_->keep(text_of_literal(spelling_of(lexeme))));
      return true;
    case Token::dollar:
      advance();
      if (const Lexeme name = now(); accept(Token::identifier)) {
        arc.computed =
            syntax_->make(VariableExpression{{Expression::Form::variable, name.at}, spelling_of(name), {}});
        return true;
      }
      if (!expect(Token::open_paren, "or a name behind '$'")) return false;
      arc.computed = expression();
      return arc.computed && expect(Token::close_paren, "behind a computed name");
    case Token::percent:
      advance();
      arc.computed = expression();
      return arc.computed && expect(Token::percent, "behind a computed name");
    default:
      error(lexeme.at, fmt::format("expected a name, found {}{}", found_instead(),
                                   lexeme.token >= Token::kw_binding && lexeme.token <= Token::kw_value
                                       ? ", which has to stand in double quotes to be one"
                                       : ""));
      return false;
  }
}

// One text object for each name of a file, so that comparing names mostly compares addresses.
const Value* Parser::name_constant(std::string_view name) {
  const Value*& known = names_[name];
  if (!known) known = syntax_->keep(make_text(name));
  return known;
}

}  // namespace sdl
