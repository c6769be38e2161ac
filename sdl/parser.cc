#include "sdl/parser.h"

#include <fmt/format.h>

#include "sdl/deep_stack.h"
#include "sdl/parser_state.h"

namespace sdl {

Parser::Parser(const Source& source, std::vector<Diagnostic>& found)
    : source_(source),
      found_(found),
      syntax_(std::make_unique<Syntax>()),
      lexemes_(tokens_of(source, found)) {
  for (const Diagnostic& diagnostic : found) errors_ += diagnostic.severity == Severity::error;
}

void Parser::model() {
  clauses();
  const std::uint8_t pragmas = now().pragmas;
  const std::uint32_t begin = now().at;
  BlockExpression* const body = block("the model's body");
  if (body && !at(Token::end))
    error(now().at, "expected the end of the file behind the model's body, found " + found_instead());
  if (body && errors_ == 0) syntax_->body = syntax_->make(Function{begin, {}, pragmas, {}, body, {}, 0});
}

bool Parser::expect(Token token, const char* where) {
  if (accept(token)) return true;
  // What is missing is missing behind the last token, not before the next, which may be lines away.
  if (token == Token::semicolon && next_ > 0) {
    const Lexeme& last = lexemes_[next_ - 1];
    error(last.at + last.bytes,
          fmt::format("expected {} {}, found {}", describe(token), where, found_instead()));
  } else {
    error(now().at, fmt::format("expected {} {}, found {}", describe(token), where, found_instead()));
  }
  return false;
}

std::string Parser::found_instead() const {
  const Lexeme& lexeme = now();
  switch (lexeme.token) {
    case Token::identifier:
    case Token::integer:
      return fmt::format("'{}'", spelling_of(lexeme));
    default:
      break;
  }
  return describe(lexeme.token);
}

void Parser::error(std::uint32_t at, std::string message) {
  if (++errors_ <= errors_max) found_.push_back(diagnose(Severity::error, source_, at, std::move(message)));
}

void Parser::warning(std::uint32_t at, std::string message) {
  found_.push_back(diagnose(Severity::warning, source_, at, std::move(message)));
}

void Parser::note_delimiter(const Lexeme& delimiter) {
  if (delimiter_ == Token::end) delimiter_ = delimiter.token;
  if (delimiter_ == delimiter.token || told_of_delimiters_) return;
  told_of_delimiters_ = true;
  warning(delimiter.at, "this file has both '/' and '\\' between names; use one of them");
}

bool Parser::nest() {
  if (depth_ < nesting_max && !stack_is_low()) return ++depth_, true;
  error(now().at, fmt::format("nested deeper than {} levels", depth_));
  return false;
}

std::unique_ptr<Syntax> parse(const Source& source, std::vector<Diagnostic>& found) {
  Parser parser(source, found);
  parser.model();
  return parser.take();
}

}  // namespace sdl
