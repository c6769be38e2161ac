#include "sdl/lexer.h"

#include <algorithm>
#include <array>
#include <iterator>

#include <fmt/format.h>

namespace sdl {
namespace {

constexpr std::string_view keywords[] = {"binding", "bool",   "do",       "else", "ERR",    "FALSE", "files",
                                         "foreach", "from",   "function", "if",   "import", "in",    "int",
                                         "list",    "return", "text",     "then", "TRUE",   "type",  "value"};
static_assert(std::size(keywords) ==
              static_cast<std::size_t>(Token::kw_value) - static_cast<std::size_t>(Token::kw_binding) + 1);

enum Class : std::uint8_t { other, space, word };

constexpr std::array<Class, 256> make_classes() {
  std::array<Class, 256> classes{};
  for (const char byte : {' ', '\t', '\r', '\n'}) classes[static_cast<unsigned char>(byte)] = space;
  for (int byte = 'a'; byte <= 'z'; ++byte) classes[byte] = classes[byte - 'a' + 'A'] = word;
  for (int byte = '0'; byte <= '9'; ++byte) classes[byte] = word;
  classes['.'] = classes['_'] = word;
  return classes;
}
constexpr auto classes = make_classes();

Class class_of(char byte) { return classes[static_cast<unsigned char>(byte)]; }
bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }
bool is_octal(char byte) { return byte >= '0' && byte <= '7'; }
int hex_value(char byte) {
  if (is_digit(byte)) return byte - '0';
  const char low = static_cast<char>(byte | 0x20);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

bool is_integer(std::string_view word) {
  if (!is_digit(word[0])) return false;
  if (word[0] != '0') return std::ranges::all_of(word, is_digit);
  if (word.size() > 2 && (word[1] | 0x20) == 'x')
    return std::ranges::all_of(word.substr(2), [](char byte) { return hex_value(byte) >= 0; });
  return std::ranges::all_of(word, is_octal);
}

Token token_of_word(std::string_view word) {
  if (is_integer(word)) return Token::integer;
  if (word.size() < 2 || word.size() > 8) return Token::identifier;
  for (std::size_t i = 0; i < std::size(keywords); ++i)
    if (keywords[i][0] == word[0] && keywords[i] == word)
      return static_cast<Token>(static_cast<std::size_t>(Token::kw_binding) + i);
  return Token::identifier;
}

constexpr char named_escapes[] = "ntvbrfa\\\"";
constexpr char escaped_bytes[] = "\n\t\v\b\r\f\a\\\"";

class Lexer {
 public:
  Lexer(const Source& source, std::vector<Diagnostic>& found)
      : source_(source), text_(source.text()), found_(found) {}

  std::vector<Lexeme> run() {
    lexemes_.reserve(text_.size() / 4 + 1);
    while (at_ < text_.size()) step();
    add(Token::end, text_.size(), 0);
    return std::move(lexemes_);
  }

 private:
  char peek(std::size_t ahead) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void add(Token token, std::size_t at, std::size_t bytes) {
    lexemes_.push_back({token, pragmas_, static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(bytes)});
    pragmas_ = 0;
  }
  void error(std::size_t at, std::string message) {
    found_.push_back(diagnose(Severity::error, source_, static_cast<std::uint32_t>(at), std::move(message)));
  }

  void step() {
    switch (class_of(text_[at_])) {
      case space:
        ++at_;
        return;
      case word:
        return take_word();
      case other:
        break;
    }
    if (text_[at_] == '"') return take_text();
    if (text_[at_] == '/' && peek(1) == '/') return skip_line();
    if (text_[at_] == '/' && peek(1) == '*') return skip_block();
    take_sign();
  }

  void take_word() {
    std::size_t end = at_ + 1;
    while (end < text_.size() && class_of(text_[end]) == word) ++end;
    add(token_of_word(text_.substr(at_, end - at_)), at_, end - at_);
    at_ = end;
  }

  void skip_line() { at_ = std::min(text_.find_first_of("\r\n", at_), text_.size()); }

  void skip_block() {
    const std::size_t end = text_.find("*/", at_ + 2);
    if (end == text_.npos) {
      error(at_, comment_without_end);
      at_ = text_.size();
      return;
    }
    const std::string_view comment = text_.substr(at_, end + 2 - at_);
    if (comment == "/**nocache**/") pragmas_ |= pragma_nocache;
    if (comment == "/**pk**/") pragmas_ |= pragma_pk;
    if (comment == "/**waitdup**/") pragmas_ |= pragma_waitdup;
    if (comment == "/**noupdate**/" || comment == "/**NOUPDATE**/") pragmas_ |= pragma_noupdate;
    at_ = end + 2;
  }

  void take_text() {
    std::size_t end = at_ + 1;
    for (;;) {
      if (end >= text_.size() || text_[end] == '\n' || text_[end] == '\r') {
        error(at_, "this text has no end in its line; a line's end is written \\n");
        break;
      }
      const auto byte = static_cast<unsigned char>(text_[end]);
      if (byte == '"') {
        ++end;
        break;
      }
      if (byte == '\\')
        end += escape_bytes(end);
      else {
        if (byte < 0x20 || byte == 0x7f)
          error(end, fmt::format("a text cannot contain the byte {:#04x}; write \\x{:02x}", byte, byte));
        ++end;
      }
    }
    add(Token::text, at_, end - at_);
    at_ = end;
  }

  // How many bytes the escape at `at` has; never a line's end among them.
  std::size_t escape_bytes(std::size_t at) {
    const char next = at + 1 < text_.size() ? text_[at + 1] : '\n';
    if (is_octal(next)) {
      std::size_t digits = 1;
      while (digits < 3 && at + 1 + digits < text_.size() && is_octal(text_[at + 1 + digits])) ++digits;
      int value = 0;
      for (std::size_t i = 0; i < digits; ++i) value = value * 8 + (text_[at + 1 + i] - '0');
      if (value > 255) error(at, "this octal escape is more than a byte");
      return 1 + digits;
    }
    if ((next | 0x20) == 'x') {
      std::size_t digits = 0;
      while (digits < 2 && at + 2 + digits < text_.size() && hex_value(text_[at + 2 + digits]) >= 0) ++digits;
      if (digits == 0) error(at, "\\x needs one or two hexadecimal digits");
      return 2 + digits;
    }
    if (next != '\0' && std::string_view(named_escapes).find(next) != std::string_view::npos) return 2;
    if (next == '\n' || next == '\r') return 1;
    error(at, "no such escape; there are \\n \\t \\v \\b \\r \\f \\a \\\\ \\\", \\OOO and \\xHH");
    return 1;
  }

  void take_sign() {
    struct Sign {
      char bytes[3];
      Token token;
    };
    static constexpr Sign pairs[] = {{"++", Token::plus_plus},     {"==", Token::equal},
                                     {"!=", Token::not_equal},     {"<=", Token::less_equal},
                                     {">=", Token::greater_equal}, {"=>", Token::implies},
                                     {"||", Token::or_else},       {"&&", Token::and_also}};
    static constexpr char singles[] = "/\\+-*=<>!()[]{}:;,$%";
    static constexpr Token single_tokens[] = {
        Token::slash,       Token::backslash,    Token::plus,          Token::minus,      Token::star,
        Token::assign,      Token::less,         Token::greater,       Token::bang,       Token::open_paren,
        Token::close_paren, Token::open_bracket, Token::close_bracket, Token::open_brace, Token::close_brace,
        Token::colon,       Token::semicolon,    Token::comma,         Token::dollar,     Token::percent};
    static_assert(sizeof singles - 1 == std::size(single_tokens));
    for (const Sign& sign : pairs) {
      if (text_[at_] != sign.bytes[0] || peek(1) != sign.bytes[1]) continue;
      add(sign.token, at_, 2);
      at_ += 2;
      return;
    }
    if (const std::size_t which = std::string_view(singles).find(text_[at_]);
        which != std::string_view::npos) {
      add(single_tokens[which], at_++, 1);
      return;
    }
    const std::size_t first = at_;
    // All of a strange word at once.
    while (at_ < text_.size() && static_cast<unsigned char>(text_[at_]) >= 0x80) ++at_;
    if (at_ == first) ++at_;
    const auto byte = static_cast<unsigned char>(text_[first]);
    if (byte > 0x20 && byte < 0x7f)
      error(first, fmt::format("'{}' is no part of the language", text_[first]));
    else
      error(first, fmt::format("the byte {:#04x} may stand only in a text or a comment", byte));
  }

  const Source& source_;
  const std::string_view text_;
  std::vector<Diagnostic>& found_;
  std::vector<Lexeme> lexemes_;
  std::size_t at_ = 0;
  std::uint8_t pragmas_ = 0;
};

}  // namespace

std::vector<Lexeme> tokens_of(const Source& source, std::vector<Diagnostic>& found) {
  return Lexer(source, found).run();
}

std::string text_of_literal(std::string_view literal) {
  std::string text;
  literal.remove_prefix(1);
  for (std::size_t at = 0; at < literal.size() && literal[at] != '"';) {
    if (literal[at] != '\\' || at + 1 == literal.size()) {
      text += literal[at++];
      continue;
    }
    const char next = literal[++at];
    int value = 0;
    if (is_octal(next)) {
      for (int digits = 0; digits < 3 && at < literal.size() && is_octal(literal[at]); ++digits)
        value = value * 8 + (literal[at++] - '0');
    } else if ((next | 0x20) == 'x') {
      ++at;
      for (int digits = 0; digits < 2 && at < literal.size() && hex_value(literal[at]) >= 0; ++digits)
        value = value * 16 + hex_value(literal[at++]);
    } else {
      const std::size_t which = std::string_view(named_escapes).find(next);
      value = which == std::string_view::npos ? next : escaped_bytes[which];
      ++at;
    }
    text += static_cast<char>(value);
  }
  return text;
}

std::string describe(Token token) {
  switch (token) {
    case Token::end:
      return "the end of the file";
    case Token::identifier:
      return "a name";
    case Token::integer:
      return "an integer";
    case Token::text:
      return "a text";
    default:
      break;
  }
  if (token >= Token::kw_binding && token <= Token::kw_value)
    return fmt::format(
        "'{}'", keywords[static_cast<std::size_t>(token) - static_cast<std::size_t>(Token::kw_binding)]);
  static constexpr const char* signs[] = {"/", "\\", "++", "==", "!=", "<=", ">=", "=>", "||", "&&",
                                          "+", "-",  "*",  "=",  "<",  ">",  "!",  "(",  ")",  "[",
                                          "]", "{",  "}",  ":",  ";",  ",",  "$",  "%"};
  return fmt::format("'{}'", signs[static_cast<std::size_t>(token) - static_cast<std::size_t>(Token::slash)]);
}

bool is_identifier(std::string_view name) {
  return !name.empty() &&
         std::ranges::all_of(name, [](char byte) { return class_of(byte) == Class::word; }) &&
         token_of_word(name) == Token::identifier;
}

}  // namespace sdl
