#include "sdl/repl.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "sdl/access.h"
#include "sdl/closure.h"
#include "sdl/evaluator.h"
#include "sdl/lexer.h"
#include "sdl/model_files.h"
#include "sdl/parser.h"
#include "sdl/printer.h"
#include "sdl/resolver.h"

namespace sdl {
namespace {

// An input stands in its model from the second line on.
constexpr unsigned lines_before = 1;
constexpr const char* function_name = "_input";

class InputText final : public StoredText {
 public:
  InputText(std::string name, std::string bytes) : name_(std::move(name)), bytes_(std::move(bytes)) {}
  cache::Result<std::string_view> bytes() const override { return std::string_view(bytes_); }
  bool is_executable() const override { return false; }
  std::string name() const override { return name_; }

 private:
  const std::string name_, bytes_;
};

bool has_errors(const std::vector<Diagnostic>& found) {
  return std::ranges::any_of(found, [](const Diagnostic& each) { return each.severity == Severity::error; });
}

}  // namespace

// The disk, and beside it what was typed.
class Repl::Inputs final : public ModelFiles {
 public:
  std::map<std::string, std::string> texts;

  cache::Result<Type> type(const std::string& path) override { return disk_.type(path); }
  cache::Result<std::shared_ptr<const StoredText>> file(const std::string& path) override {
    if (const auto typed = texts.find(path); typed != texts.end())
      return std::make_shared<InputText>(path, typed->second);
    return disk_.file(path);
  }
  cache::Result<std::vector<std::string>> names(const std::string& directory) override { return disk_.names(directory); }
  cache::Result<std::string> target(const std::string& link) override { return disk_.target(link); }

 private:
  DiskFiles disk_;
};

struct Repl::Draft {
  std::string text;
  std::unique_ptr<Source> source;  // which the tree looks into
  std::unique_ptr<Syntax> syntax;
  std::vector<Diagnostic> found;
  Position first_error;  // of the input's own lines; behind them: it is not complete
  bool is_right() const { return !has_errors(found); }
};

Repl::Repl(std::string directory, std::function<void(std::string_view)> print, std::function<void(const Diagnostic&)> tell)
    : directory_(std::move(directory)),
      print_(std::move(print)),
      tell_(std::move(tell)),
      inputs_(std::make_unique<Inputs>()),
      models_(*inputs_, "/"),
      dot_(BindingBuilder().finish()) {}

Repl::~Repl() = default;

std::string Repl::path() const { return fmt::format("{}/input {}", directory_ == "/" ? "" : directory_, number_); }

std::string Repl::header() const {
  std::string names;
  for (const auto& [name, value] : names_) names += (names.empty() ? "" : ", ") + name;
  return fmt::format("{{ {}({}) {{ ", function_name, names);
}

void Repl::tell(Diagnostic diagnostic) const {
  const auto correct = [&](const std::string& where, Position& at) {
    if (inputs_->texts.contains(where) || where == path()) at.line -= std::min(at.line, lines_before);
  };
  correct(diagnostic.path, diagnostic.at);
  for (Diagnostic::Call& call : diagnostic.calls) correct(call.path, call.at);
  tell_(diagnostic);
}

void Repl::set(std::string_view name, Value value) {
  const auto known = std::ranges::find_if(names_, [&](const auto& each) { return each.first == name; });
  if (known != names_.end()) known->second = std::move(value);
  else names_.emplace_back(name, std::move(value));
}

Repl::Draft Repl::parsed(std::string before, const std::string& text, std::string behind) const {
  Draft draft;
  draft.text = std::move(before) + "\n" + text + "\n" + std::move(behind);
  draft.source = std::make_unique<Source>(path(), draft.text);
  draft.syntax = parse(*draft.source, draft.found);
  for (const Diagnostic& each : draft.found)
    if (each.severity == Severity::error) {
      draft.first_error = each.at;
      break;
    }
  return draft;
}

Repl::Reply Repl::refuse(const Draft& draft, const std::string& text, bool may_go_on) {
  const unsigned last_line = lines_before + static_cast<unsigned>(std::ranges::count(text, '\n')) + 1;
  if (draft.first_error.line > last_line) {
    if (may_go_on) return Reply::incomplete;
    tell_(diagnose(Severity::error, Source(path(), text), static_cast<std::uint32_t>(text.find_last_not_of(" \t\n") + 1), "this is not complete"));
    return Reply::failed;
  }
  for (const Diagnostic& each : draft.found)
    if (each.at.line <= last_line) tell(each);
  return Reply::failed;
}

// The model's value; of a model with parameters, what its function makes of the names. Unbound: it has failed, which is told.
Value Repl::evaluate(std::string model_text, bool has_parameters) {
  inputs_->texts[path()] = std::move(model_text);
  Host host{models_, tools_, print_, [this](const Diagnostic& warning) { tell(warning); }};
  Evaluation evaluation(host);
  const Model& model = models_.model(path());
  Value value = evaluation.run(model, dot_);
  if (has_parameters && !value.is_stopped()) {
    std::vector<Value> arguments;
    for (const auto& [name, known] : names_) arguments.push_back(known);
    value = evaluation.call(value, arguments, dot_, Frame{nullptr, nullptr, &model}, 0);
  }
  for (Diagnostic each : evaluation.diagnostics()) {
    // That the input is a function is nobody's business.
    std::erase_if(each.calls, [](const Diagnostic::Call& call) { return call.function == fmt::format("'{}'", function_name); });
    tell(std::move(each));
  }
  return value.is_stopped() ? Value() : value;
}

Repl::Reply Repl::run_clauses(const std::string& text, bool may_go_on) {
  const Draft draft = parsed("", text, "{ return 0; }");
  if (!draft.is_right()) return refuse(draft, text, may_go_on);
  std::string names;
  for (const std::span<ClauseItem> items : {draft.syntax->files, draft.syntax->imports})
    for (const ClauseItem& item : items) names.append(names.empty() ? "" : ", ").append(item.name);
  const Value binding = evaluate(fmt::format("\n{}\n{{ return [ {} ]; }}", text, names), false);
  if (binding.is_unbound()) return Reply::failed;
  for (std::uint32_t i = 0; i < length(binding); ++i) set(view_of(name_at(binding, i)), value_at(binding, i));
  return Reply::done;
}

// They are evaluated to a function that has captured what they define: a name that a loop of no rounds would have given a
// value is among that, and unbound.
Repl::Reply Repl::run_statements(Draft draft, const std::string& text) {
  const auto& input = as<BlockExpression>(*draft.syntax->body->body);
  const auto& define = as<DefineStatement>(*input.statements[0]);
  std::string names;
  for (const std::string_view name : assigned_names(as<BlockExpression>(*define.function->body).statements))
    names.append(", ").append(name);
  const Value function = evaluate(fmt::format("{}\n{}\n; _state(_names = < .{} >) {{ return 0; }}; return _state; }}; return {}; }}", header(),
                                              text, names, function_name), true);
  if (function.is_unbound()) return Reply::failed;
  const ClosureObject& closure = closure_of(function);
  for (std::uint32_t i = 0; i < closure.captured_count; ++i) {
    const std::string_view name = closure.function->captures[i].name;
    const Value& value = closure.captured()[i];
    if (name == ".") dot_ = value;
    else if (!value.is_unbound()) set(name, value);
  }
  return Reply::done;
}

Repl::Reply Repl::take(const std::string& given, bool may_go_on) {
  ++number_;
  const auto reply = [&]() -> Reply {
    std::vector<Diagnostic> found;
    const std::vector<Lexeme> lexemes = tokens_of(Source(path(), given), found);
    unsigned open = 0;
    for (const Lexeme& lexeme : lexemes) {
      const bool closes = lexeme.token == Token::close_paren || lexeme.token == Token::close_bracket || lexeme.token == Token::close_brace;
      if (closes && open == 0)
        found.push_back(diagnose(Severity::error, Source(path(), given), lexeme.at, "nothing is open that this could close"));
      if (closes) open -= open > 0;
      open += lexeme.token == Token::open_paren || lexeme.token == Token::open_bracket || lexeme.token == Token::open_brace;
    }
    if (has_errors(found)) {
      const bool is_open_comment = found.size() == 1 && found[0].message == comment_without_end;
      if (is_open_comment && may_go_on) return Reply::incomplete;
      for (const Diagnostic& each : found) tell_(each);
      return Reply::failed;
    }
    if (lexemes.front().token == Token::end) return Reply::done;
    if (open > 0 && may_go_on) return Reply::incomplete;
    const Token first = lexemes.front().token;
    if (first == Token::kw_files || first == Token::kw_import || first == Token::kw_from) return run_clauses(given, may_go_on);
    // Who has put a `;` behind it means the same.
    std::string text = given;
    if (const Lexeme& last = lexemes[lexemes.size() - std::min<std::size_t>(2, lexemes.size())]; last.token == Token::semicolon)
      text[last.at] = ' ';
    const std::string end = fmt::format("; }}; return {}; }}", function_name);
    Draft expression = parsed(header() + "return", text, end);
    if (expression.is_right()) {
      const Value value = evaluate(std::move(expression.text), true);
      if (value.is_unbound()) return Reply::failed;
      print_(printed(value) + "\n");
      return Reply::done;
    }
    Draft statements = parsed(header(), text, "; return 0" + end);
    if (statements.is_right()) return run_statements(std::move(statements), text);
    const auto place = [](const Draft& draft) { return std::pair(draft.first_error.line, draft.first_error.column); };
    return refuse(place(statements) > place(expression) ? statements : expression, text, may_go_on);
  }();
  // The same input once more, with more behind it.
  if (reply == Reply::incomplete) --number_;
  return reply;
}

}  // namespace sdl
