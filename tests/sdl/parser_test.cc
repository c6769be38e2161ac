#include "sdl/parser.h"

#include <catch2/catch.hpp>

#include "sdl/canonical.h"
#include "sdl/deep_stack.h"

using namespace sdl;

namespace {

// The lines with places, of everything the parser says.
std::string told(const std::string& model) {
  const Source source("m.ves", model);
  std::vector<Diagnostic> found;
  std::unique_ptr<Syntax> syntax;
  on_deep_stack([&] { syntax = parse(source, found); });
  std::string all;
  for (const Diagnostic& each : found) {
    const std::string text = each.text();
    all += text.substr(0, text.find('\n') + 1);
    if (each.severity == Severity::error) CHECK(syntax->body == nullptr);
  }
  if (all.empty()) CHECK(syntax->body != nullptr);
  return all;
}

std::string form(const std::string& expression) {
  const Source source("m.ves", "{return " + expression + ";}");
  std::vector<Diagnostic> found;
  const auto syntax = parse(source, found);
  if (!syntax->body) return found.at(0).message;
  const std::string text = canonical_form(*syntax->body);
  return text.substr(10, text.size() - 11);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("operators bind as tightly as they should, and to the left") {
  CHECK(form("a + b * c - d") == "((a + (b * c)) - d)");
  CHECK(form("a => b || c && d == e") == "(a => (b || (c && (d == e))))");
  CHECK(form("a => b => c") == "((a => b) => c)");
  CHECK(form("-a * !b/c(d)") == "((-a) * (!b/\"c\"(d,)))");
  CHECK(form("if a then b else c + d") == "(if a then b else (c + d))");
  CHECK(form("a == b == c") == "comparisons cannot be chained; use parentheses");
  CHECK(form("(a == b) == c") == "((a == b) == c)");
  CHECK(form("a!b && c") == "(a!\"b\" && c)");
}

TEST_CASE("what follows a > says whether it ends a list") {
  CHECK(form("<a > b>") == "<(a > b),>");
  CHECK(form("<<a>, b>") == "<<a,>,b,>");
  CHECK(form("<1, 2,>") == "<1,2,>");
  CHECK(form("<>") == "<>");
  CHECK(form("(<1>) - x") == "(<1,> - x)");
}

TEST_CASE("a binding's names can be written, quoted and computed") {
  CHECK(form("[a, b/c = 1, $d = 2, $(e + f)/g = 3, %h%/0x1F = 4, \"if\"/ = 5]") ==
        "[\"a\"/=a,\"b\"/\"c\"/=1,$(d)/=2,$((e + f))/\"g\"/=3,$(h)/\"0x1F\"/=4,\"if\"/=5,]");
}

TEST_CASE("the parser goes on behind an error and tells all of them") {
  const std::string text = told("{\n  a = ;\n  b = 1 2;\n  c = [ d 1 ];\n  e = f(;\n  return <1;\n}\n");
  CHECK(count(text, " error: ") == 5);
  for (const char* line : {"m.ves:2:7:", "m.ves:3:8:", "m.ves:4:11:", "m.ves:5:9:", "m.ves:6:12:"})
    CHECK(count(text, line) == 1);
}

TEST_CASE("an error inside a function does not hide one behind it") {
  const std::string text = told("{ f(x) { y = ; return x; };\n  z = +;\n  return f; }");
  CHECK(count(text, " error: ") == 2);
  CHECK(count(text, "m.ves:2:7:") == 1);
}

TEST_CASE("many errors are told, but not all") {
  std::string model = "{";
  for (int i = 0; i < 1000; ++i) model += "a = ;\n";
  CHECK(count(told(model + "return 1; }"), " error: ") == errors_max);
}

TEST_CASE("whatever is cut off, the parser comes to an end and says what is missing") {
  const std::string model =
      "files a = [ b, c = d/e ]; import m = x/y; from /p/q import r; { f(a: int, b = 1)(c) { return = a; }; "
      "foreach [n = v] "
      "in b do { x += <n>; }; return value if a then [ a/$b = 1 ] else <1, 2>; }";
  for (std::size_t length = 0; length < model.size(); ++length)
    CHECK_FALSE(told(model.substr(0, length)).empty());
}

TEST_CASE("nesting deeper than a thousand levels is refused, not a crash") {
  for (const std::string open : {"(", "<", "[a=", "{return ", "-(", "f(", "if ", "a/$(", "{ g() "}) {
    std::string model = "{ return ";
    for (int i = 0; i < 200'000; ++i) model += open;
    CHECK_FALSE(told(model).empty());
  }
  CHECK(told("{ return " + std::string(900, '(') + "1" + std::string(900, ')') + "; }").empty());
}

TEST_CASE("parameters are named once, do not include the environment, and have defaults from the first on") {
  CHECK(
      told("{ f(a, a) { return 1; }; return 1; }").starts_with("m.ves:1:8: error: duplicate parameter 'a'"));
  CHECK(told("{ f(.) { return 1; }; return 1; }").starts_with("m.ves:1:5: error: '.'"));
  CHECK(
      told("{ f(a = 1, b) { return 1; }; return 1; }").starts_with("m.ves:1:12: error: 'b' needs a default"));
}

TEST_CASE("types are read and forgotten") {
  CHECK(told("{ type t = list(binding(:function(int, x: text)(any): bool)); a: binding(x, y: t) = 1; "
             "f(x: list): function { return x: int; }; return a; }")
            .empty());
  CHECK_FALSE(told("{ a: 3 = 1; return a; }").empty());
}

TEST_CASE("two kinds of path delimiters in one file are worth a warning, once") {
  const std::string text = told("{ return a/b\\c/d\\e; }");
  CHECK(count(text, "m.ves:1:13: warning: ") == 1);
  CHECK(count(text, "warning") == 1);
}

TEST_CASE("a mistake in a clause is told once, and what comes behind it is read") {
  const auto errors = [](const std::string& model) { return count(told(model), " error: "); };
  CHECK(errors("files a b;\n{ return 1; }") == 1);
  CHECK(errors("files a b; c;\n{ return 1; }") == 1);
  CHECK(errors("files a = [ b c ]; d;\n{ return 1; }") == 1);
  CHECK(errors("files list;\nimport b = c;\n{ return 1; }") == 1);
  CHECK(errors("import a = b\nc = d;\n{ return 1; }") == 1);
  CHECK(errors("import a; b = c;\n{ return 1; }") == 1);
  CHECK(errors("from a b import c;\n{ return 1; }") == 1);
  CHECK(errors("from = import c;\nimport d = e;\n{ return 1; }") == 1);
  CHECK(errors("from a import b c;\n{ return 1; }") == 1);
  CHECK(errors("files a b;\nimport c d;\n{ return 1 +; }") == 3);
  CHECK(errors("files a b") == 2);  // there is no body, either
}
