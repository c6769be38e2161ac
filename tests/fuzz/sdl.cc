// Whatever bytes a model has: lexer and parser come to an end and say where something is wrong, and what they
// accept is evaluated within its limits, with the same result each time.
//
// Input: the model.
#include "sdl/deep_stack.h"
#include "sdl/evaluator.h"
#include "sdl/fingerprint.h"
#include "sdl/printer.h"
#include "tests/fuzz/fuzz.h"

using namespace sdl;

namespace {

constexpr std::size_t model_bytes_max = 20'000;

class OneText final : public StoredText {
 public:
  explicit OneText(std::string bytes) : bytes_(std::move(bytes)) {}
  cache::Result<std::string_view> bytes() const override { return std::string_view(bytes_); }
  bool is_executable() const override { return false; }
  std::string name() const override { return "/model.ves"; }

 private:
  const std::string bytes_;
};

// The model and nothing else.
class OneFile final : public ModelFiles {
 public:
  explicit OneFile(std::string bytes) : text_(std::make_shared<OneText>(std::move(bytes))) {}
  cache::Result<Type> type(const std::string& path) override {
    return path == "/model.ves" ? Type::file : path.empty() ? Type::directory : Type::missing;
  }
  cache::Result<std::shared_ptr<const StoredText>> file(const std::string&) override { return text_; }
  cache::Result<std::vector<std::string>> names(const std::string&) override {
    return std::vector<std::string>{"model.ves"};
  }
  cache::Result<std::string> target(const std::string& link) override {
    return cache::fail(cache::Fault::invalid, link);
  }

 private:
  const std::shared_ptr<const StoredText> text_;
};

// What came of it, as text.
std::string outcome(const std::string& model) {
  OneFile files(model);
  ModelLoader models(files);
  NoToolRunner tools;
  std::string text;
  Host host{models,
            tools,
            [&](std::string_view printed) { text += printed.substr(0, 1000); },
            [&](const Diagnostic& each) { text += each.text(); },
            {.calls = 200, .steps = 2000, .length = 1000, .printed_bytes = 10'000}};
  Evaluation evaluation(host);
  const Value value = evaluation.run(models.model("/model.ves"), BindingBuilder().finish());
  for (const Diagnostic& each : evaluation.diagnostics()) {
    fuzz::require(
        each.severity == Severity::error && each.at.line >= 1 && each.at.column >= 1 && !each.message.empty(),
        "an error has a place and a message");
    fuzz::require(each.caret <= each.line.size(), "a caret stands in its line or behind it");
    text += each.text();
  }
  fuzz::require(value.is_stopped() == !evaluation.diagnostics().empty(), "there is a value or an error");
  if (!value.is_stopped()) text += printed(value, {.verbose = true, .bytes_max = 10'000});
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  const std::string model(reinterpret_cast<const char*>(bytes), std::min(count, model_bytes_max));
  fuzz::require(outcome(model) == outcome(model), "a model gives the same result again");
  return 0;
}

std::vector<std::string> seeds() {
  return {
      "{ a = [ p = 1, q = [ r = 2, s = 3 ] ]; b = [ q = [ s = 9, t = 4 ], u = 5 ]; return < a + b, a ++ b, a "
      "- b >; }",
      "{ show(n = 0) { return ./base + n; }; . = [ base = 100 ]; return < show(), show(5), show(5, [ base = "
      "7 ]) >; }",
      "{ acc = <>; foreach [ n = v ] in [ a = 1, b = 2 ] do { acc += < n, v >; last = n; }; return [ acc, "
      "last ]; }",
      "{ mul(a: int)(b = 2) { return a * b; }; triple = mul(3); x = { x = 5; value x + 1; }; return < "
      "triple(4), triple(), x >; }",
      "files here = \"\"; me = [ model.ves ]; import again = model; { return < here, me/model.ves, _self == "
      "1, again >; }",
      "{ up(n, v) { return [ $(n + \"2\") = v, %n%/x\\y = !(v == 1) ]; }; return _par_map(up, [ a = 1, b = "
      "-2 ]); }",
      "{ /**nocache**/ f(/**pk**/ n: list(int), m: binding(a: text) = [\"\\x41\"=1]) { return if n == <> "
      "then 0 else 1 + f(_tail(n)); };\n"
      "  return < f(<1, 017, 0xff>), _fingerprint(f), _findre(\"banana\", \"(an)+|x\", 1), _sub(\"abcdef\", "
      "2, 3) > ; } // end",
      "{ l = <1>; foreach i in <1, 2, 3, 4, 5> do l = l + l + <l>; x = _print(l); return TRUE && FALSE || "
      "ERR == ERR => l != <>; }",
  };
}
