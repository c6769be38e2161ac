#include "sdl/lexer.h"

#include <catch2/catch.hpp>

using namespace sdl;

namespace {

struct Lexed {
  std::string tokens, errors;
  std::vector<Lexeme> lexemes;
};

Lexed lexed(const std::string& text) {
  const Source source("m.ves", text);
  std::vector<Diagnostic> found;
  Lexed result;
  result.lexemes = tokens_of(source, found);
  for (const Lexeme& each : result.lexemes)
    if (each.token != Token::end) result.tokens += text.substr(each.at, each.bytes) + " ";
  for (const Diagnostic& each : found) result.errors += each.text();
  return result;
}

Token first_token(const std::string& text) { return lexed(text).lexemes[0].token; }

}  // namespace

TEST_CASE("the longest token is taken") {
  CHECK(lexed("a++=b").tokens == "a ++ = b ");
  CHECK(lexed("a+=b").tokens == "a + = b ");
  CHECK(lexed("<1>==<1>").tokens == "< 1 >= = < 1 > ");
  CHECK(lexed("a//b\nc/b").tokens == "a c / b ");
  CHECK(lexed("a/*b**/c/**/d").tokens == "a c d ");
}

TEST_CASE("a word that is neither an integer nor a keyword is a name") {
  for (const char* name :
       {".", "..", ".WD", "foo.c", "3.14", "36.x", "1_000", "08", "0x", "any", "If", "0b1"})
    CHECK(first_token(name) == Token::identifier);
  for (const char* integer : {"0", "36", "017", "0xfF", "0X0"}) CHECK(first_token(integer) == Token::integer);
  CHECK(first_token("ERR") == Token::kw_err);
  CHECK(first_token("binding") == Token::kw_binding);
  CHECK(first_token("value") == Token::kw_value);
  CHECK_FALSE(is_identifier("if"));
  CHECK_FALSE(is_identifier("12"));
  CHECK_FALSE(is_identifier("a-b"));
  CHECK_FALSE(is_identifier(""));
}

TEST_CASE("escapes of a text become bytes") {
  CHECK(text_of_literal("\"a\\n\\t\\\\\\\"\\101\\0\\x4a\\X4\"") == std::string("a\n\t\\\"A\0J\x04", 9));
  CHECK(text_of_literal("\"// no comment\"") == "// no comment");
  CHECK(text_of_literal("\"\\1234\"") == "S4");
}

TEST_CASE("what cannot be in a text is told where it stands") {
  CHECK(lexed("x = \"a\\q\";").errors.starts_with("m.ves:1:7: error: no such escape"));
  CHECK(lexed("\"\\x\"").errors.starts_with("m.ves:1:2: error: "));
  CHECK(lexed("\"\\400\"").errors.starts_with("m.ves:1:2: error: "));
  CHECK(lexed("\"a\tb\"").errors.starts_with("m.ves:1:3: error: "));
  CHECK(lexed("\n  \"abc\nd").errors.starts_with("m.ves:2:3: error: this text has no end"));
  CHECK(lexed("\"\xc3\xa9\"").errors.empty());
}

TEST_CASE("a byte that is no token is left out and told") {
  const Lexed result = lexed("a # b \xc3\xa9 c");
  CHECK(result.tokens == "a b c ");
  CHECK(result.errors.find("m.ves:1:3: error: '#'") != std::string::npos);
  CHECK(result.errors.find("m.ves:1:7: error: ") != std::string::npos);
  CHECK(lexed("a /* b").errors.starts_with("m.ves:1:3: error: this comment has no end"));
}

TEST_CASE("a pragma is a mark on the token behind it, if it is spelled exactly so") {
  CHECK(lexed("/**nocache**/ f").lexemes[0].pragmas == pragma_nocache);
  CHECK(lexed("/**pk**/ /* other */ /**waitdup**/ x").lexemes[0].pragmas == (pragma_pk | pragma_waitdup));
  CHECK(lexed("/**NOUPDATE**/x").lexemes[0].pragmas == pragma_noupdate);
  CHECK(lexed("/** pk**/ x /**nothing**/ y").lexemes[0].pragmas == 0);
  CHECK(lexed("/**pk**/ x y").lexemes[1].pragmas == 0);
}

TEST_CASE("a line ends with CR, LF or both") {
  const Source source("m.ves", "a\r\nb\rc\nd");
  CHECK(source.position(0) == Position{1, 1});
  CHECK(source.position(3) == Position{2, 1});
  CHECK(source.position(5) == Position{3, 1});
  CHECK(source.position(7) == Position{4, 1});
  CHECK(source.line(2) == "b");
  CHECK(lexed("a // b\rc").tokens == "a c ");
}
