// Source text to tokens, by longest match. Spec: 2 and 10.
//
// White space and comments are dropped; a pragma is kept as a mark on the token
// that follows it. Whatever the bytes are, there is an end token at the end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sdl/diagnostic.h"
#include "sdl/source.h"

namespace sdl {

enum class Token : std::uint8_t {
  end,
  identifier,
  integer,
  text,
  // keywords, in the order of their spellings in lexer.cc
  kw_binding,
  kw_bool,
  kw_do,
  kw_else,
  kw_err,
  kw_false,
  kw_files,
  kw_foreach,
  kw_from,
  kw_function,
  kw_if,
  kw_import,
  kw_in,
  kw_int,
  kw_list,
  kw_return,
  kw_text,
  kw_then,
  kw_true,
  kw_type,
  kw_value,
  slash,
  backslash,
  plus_plus,
  equal,
  not_equal,
  less_equal,
  greater_equal,
  implies,
  or_else,
  and_also,
  plus,
  minus,
  star,
  assign,
  less,
  greater,
  bang,
  open_paren,
  close_paren,
  open_bracket,
  close_bracket,
  open_brace,
  close_brace,
  colon,
  semicolon,
  comma,
  dollar,
  percent,
};

// Bits of Lexeme::pragmas.
enum Pragma : std::uint8_t { pragma_nocache = 1, pragma_pk = 2, pragma_waitdup = 4, pragma_noupdate = 8 };

struct Lexeme {
  Token token;
  std::uint8_t pragmas;  // those that stand before it
  std::uint32_t at;      // the first byte
  std::uint32_t bytes;
};

inline constexpr char comment_without_end[] = "this comment has no end";  // the message

// Appends what is wrong to `found`; what cannot be a token is left out then.
std::vector<Lexeme> tokens_of(const Source& source, std::vector<Diagnostic>& found);

// What the escapes of a text literal mean; `literal` has its quotes and has passed tokens_of.
std::string text_of_literal(std::string_view literal);

// How a token is called in messages: "'+='", "an identifier".
std::string describe(Token token);

bool is_identifier(std::string_view word);  // neither integer nor keyword

}  // namespace sdl
