// `files` and `import` clauses. Spec: 5.3.
#include <unordered_set>

#include <fmt/format.h>

#include "sdl/parser_state.h"

namespace sdl {
namespace {

bool is_delimiter(Token token) { return token == Token::slash || token == Token::backslash; }

}  // namespace

void Parser::clauses() {
  std::vector<ClauseItem> files, imports;
  while (accept(Token::kw_files))
    while (!file_items(files)) recover_in_clause();
  bool had_from = false;
  while (at(Token::kw_import) || at(Token::kw_from)) {
    const Lexeme begin = advance();
    ClausePath from{};
    const bool has_from = begin.token == Token::kw_from;
    if (has_from && (!path(from, true) || !expect(Token::kw_import, "behind the path of 'from'"))) {
      recover_in_clause();
      if (accept(Token::kw_import)) recover_in_clause();  // what it imports has been lost with the path
      continue;
    }
    if (!has_from && had_from)
      warning(begin.at,
              "this 'import' is local, though a 'from' stands before it; local imports are clearer before "
              "all others");
    had_from |= has_from;
    while (!import_items(imports, has_from ? &from : nullptr)) recover_in_clause();
  }
  if (at(Token::kw_files)) error(now().at, "'files' has to stand before every 'import'");
  syntax_->files = syntax_->keep(files);
  syntax_->imports = syntax_->keep(imports);
  check_names();
}

void Parser::recover_in_clause() {
  while (!ends_clause() && !accept(Token::semicolon)) advance();
}

bool Parser::ends_clause() const {
  return at(Token::kw_files) || at(Token::kw_import) || at(Token::kw_from) || at(Token::open_brace) ||
         at(Token::end);
}

bool Parser::names_item() const {
  return (at(Token::identifier) || at(Token::integer) || at(Token::text)) && ahead(1).token == Token::assign;
}

// Items end with semicolons, of which the last may be missing.
bool Parser::file_items(std::vector<ClauseItem>& items) {
  while (!ends_clause()) {
    ClauseItem item{};
    item.at = now().at;
    if (names_item()) {
      plain_arc(item.name);
      advance();
    }
    if (!item.name.empty() && at(Token::open_bracket)) {
      if (!group(item, false, nullptr)) return false;
    } else {
      ClausePath one{};
      if (!path(one, true)) return false;
      if (item.name.empty() && one.arcs.back().empty()) {
        error(item.at, "the current directory needs a name: name = \"\"");
        return false;
      }
      if (item.name.empty()) item.name = one.arcs.back();
      item.paths = syntax_->keep(std::vector<ClausePath>{one});
    }
    items.push_back(item);
    if (!ends_clause() && !expect(Token::semicolon, "behind a file")) return false;
  }
  return true;
}

bool Parser::import_items(std::vector<ClauseItem>& items, const ClausePath* from) {
  while (!ends_clause()) {
    ClauseItem item{};
    item.at = now().at;
    const bool is_named = names_item();
    if (is_named) {
      plain_arc(item.name);
      advance();
    } else if (!from) {
      error(item.at, fmt::format("expected NAME = PATH in 'import', found {}", found_instead()));
      return false;
    }
    if (is_named && at(Token::open_bracket)) {
      if (!group(item, true, from)) return false;
    } else {
      ClausePath one{};
      if (!path_of_import(one, from)) return false;
      if (!is_named) item.name = one.name;
      item.paths = syntax_->keep(std::vector<ClausePath>{one});
    }
    items.push_back(item);
    if (!ends_clause() && !expect(Token::semicolon, "behind an import")) return false;
  }
  return true;
}

bool Parser::group(ClauseItem& item, bool is_import, const ClausePath* from) {
  advance();
  item.is_group = true;
  std::vector<ClausePath> paths;
  std::unordered_set<std::string_view> names;
  const bool good = separated(Token::close_bracket, "brackets", [&] {
    ClausePath one{};
    std::string_view name;
    const std::uint32_t begin = now().at;
    const bool is_named = names_item();
    if (is_named) {
      plain_arc(name);
      advance();
    } else if (is_import && !from) {
      error(begin, fmt::format("expected NAME = PATH in 'import', found {}", found_instead()));
      return false;
    }
    if (!(is_import ? path_of_import(one, from) : path(one, true))) return false;
    if (is_named)
      one.name = name;
    else if (!is_import)
      one.name = one.arcs.back();
    one.at = begin;
    if (one.name.empty()) error(begin, "this needs a name, which cannot be empty");
    if (!names.insert(one.name).second) error(begin, fmt::format("the name '{}' is there twice", one.name));
    paths.push_back(one);
    return true;
  });
  item.paths = syntax_->keep(paths);
  return good;
}

// With the arcs of `from` before its own; its name is the first of its own.
bool Parser::path_of_import(ClausePath& import, const ClausePath* from) {
  if (!path(import, !from)) return false;
  if (!from) return true;
  import.name = import.arcs.front();
  import.is_absolute = from->is_absolute;
  std::vector<std::string_view> arcs(from->arcs.begin(), from->arcs.end());
  arcs.insert(arcs.end(), import.arcs.begin(), import.arcs.end());
  import.arcs = syntax_->keep(arcs);
  return true;
}

bool Parser::path(ClausePath& path, bool may_be_rooted) {
  path.at = now().at;
  std::vector<std::string_view> arcs;
  if (is_delimiter(now().token)) {
    if (!may_be_rooted) {
      error(now().at, "a path behind 'from' begins with a name");
      return false;
    }
    path.is_absolute = true;
    note_delimiter(advance());
  }
  do {
    if (!plain_arc(arcs.emplace_back())) return false;
    if (!is_delimiter(now().token)) break;
    note_delimiter(advance());
  } while (at(Token::identifier) || at(Token::integer) || at(Token::text));
  path.arcs = syntax_->keep(arcs);
  return true;
}

bool Parser::plain_arc(std::string_view& name) {
  const Lexeme lexeme = now();
  switch (lexeme.token) {
    case Token::identifier:
    case Token::integer:
      name = spelling_of(lexeme);
      break;
    case Token::text:
      name = syntax_->keep(text_of_literal(spelling_of(lexeme)));
      break;
    default:
      error(lexeme.at, fmt::format("expected a part of a path, found {}", found_instead()));
      return false;
  }
  advance();
  if (name == "." || name == "..") error(lexeme.at, fmt::format("'{}' cannot be part of a path", name));
  if (name.find_first_of("/\\") != name.npos || name.find('\0') != name.npos)
    error(lexeme.at, "a part of a path cannot contain a delimiter");
  return true;
}

void Parser::check_names() {
  std::unordered_set<std::string_view> names;
  for (const std::span<ClauseItem> items : {syntax_->files, syntax_->imports}) {
    for (const ClauseItem& item : items) {
      if (!is_identifier(item.name))
        error(item.at,
              fmt::format("'{}' cannot be the name of a variable; write NAME = before the path", item.name));
      else if (item.name == ".")
        error(item.at, "'.' is the environment and cannot be the name of a file or import");
      if (!names.insert(item.name).second)
        error(item.at, fmt::format("the name '{}' is there twice", item.name));
    }
  }
}

}  // namespace sdl
