// Inside the parser: the class its files share.
#pragma once

#include <string>
#include <unordered_map>

#include "sdl/lexer.h"
#include "sdl/parser.h"

namespace sdl {

class Parser {
 public:
  Parser(const Source& source, std::vector<Diagnostic>& found);
  void model();
  std::unique_ptr<Syntax> take() { return std::move(syntax_); }

 private:
  // ---- parser.cc: tokens, errors
  const Lexeme& now() const { return lexemes_[next_]; }
  const Lexeme& ahead(std::size_t count) const {
    return lexemes_[std::min(next_ + count, lexemes_.size() - 1)];
  }
  bool at(Token token) const { return now().token == token; }
  const Lexeme& advance() { return next_ + 1 < lexemes_.size() ? lexemes_[next_++] : lexemes_.back(); }
  bool accept(Token token) { return at(token) ? (advance(), true) : false; }
  bool expect(Token token, const char* where);
  std::string_view spelling_of(const Lexeme& lexeme) const {
    return source_.text().substr(lexeme.at, lexeme.bytes);
  }
  std::string found_instead() const;
  void error(std::uint32_t at, std::string message);
  void warning(std::uint32_t at, std::string message);
  void note_delimiter(const Lexeme& delimiter);
  bool nest();  // false, and an error: too deep. Else unnest() later

  // ---- parser_statements.cc: null or false after an error that has been told
  BlockExpression* block(const char* what);
  bool statement(std::vector<Statement*>& statements);
  void recover();  // to behind the statement's `;`, or to what ends the block
  bool assign(std::vector<Statement*>& statements);
  bool iterate(std::vector<Statement*>& statements);
  bool define(std::vector<Statement*>& statements);
  bool formals(std::vector<Formal>& formals);
  bool type();
  bool types_of_arguments(bool named);
  bool optional_type();

  // ---- parser_expressions.cc: the same
  Expression* expression();
  Expression* implication();
  Expression* operators(unsigned level);
  Expression* unary();
  Expression* primary();
  Expression* atom();
  Expression* list();
  Expression* binding();
  bool element(std::vector<BindingElement>& elements);
  bool arc(Arc& arc);
  template <class One>
  bool separated(Token end, const char* what, const One& one);
  bool closes_list() const;
  Expression* integer(const Lexeme& lexeme);
  const Value* name_constant(std::string_view name);

  // ---- parser_clauses.cc
  void clauses();
  bool file_items(std::vector<ClauseItem>& items);
  bool import_items(std::vector<ClauseItem>& items, const ClausePath* from);
  bool group(ClauseItem& item, bool is_import, const ClausePath* from);
  bool path(ClausePath& path, bool may_be_rooted);
  bool path_of_import(ClausePath& path, const ClausePath* from);
  bool plain_arc(std::string_view& arc);
  bool names_item() const;  // an arc and `=`
  bool ends_clause() const;
  void recover_in_clause();  // to behind the item's `;`, or to what ends the clause
  void check_names();

  const Source& source_;
  std::vector<Diagnostic>& found_;
  std::unique_ptr<Syntax> syntax_;
  std::vector<Lexeme> lexemes_;
  std::size_t next_ = 0;
  unsigned depth_ = 0;
  std::size_t errors_ = 0;
  Token delimiter_ = Token::end;
  bool told_of_delimiters_ = false;
  std::unordered_map<std::string_view, const Value*> names_;
};

// Commas between, one allowed behind the last; takes `end` too. `one` says whether it could read an element.
template <class One>
bool Parser::separated(Token end, const char* what, const One& one) {
  while (!accept(end)) {
    if (!one()) return false;
    if (accept(Token::comma)) continue;
    if (accept(end)) return true;
    error(now().at,
          std::string("expected ',' or ") + describe(end) + " in " + what + ", found " + found_instead());
    return false;
  }
  return true;
}

}  // namespace sdl
