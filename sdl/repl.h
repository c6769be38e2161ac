// What is typed, piece by piece: expressions, whose values are printed, and
// definitions and clauses, whose names what comes later can use. `.` is `[]` at first.
//
// Each input is the body of a function whose parameters are the names known so
// far; so the language itself is all that is needed. An input that fails changes
// nothing. Tools are not run, and nothing is cached. One thread, on a deep stack.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdl/diagnostic.h"
#include "sdl/model.h"
#include "sdl/tool_runner.h"
#include "sdl/value.h"

namespace sdl {

class Repl {
 public:
  // `directory`, absolute, is where paths in clauses begin.
  Repl(std::string directory, std::function<void(std::string_view)> print, std::function<void(const Diagnostic&)> tell);
  ~Repl();

  enum class Reply { done, failed, incomplete };
  // `may_go_on`: where the text is only the beginning of an input nothing is done; else that is an error.
  Reply take(const std::string& text, bool may_go_on);

 private:
  class Inputs;
  struct Draft;
  Draft parsed(std::string before, const std::string& text, std::string behind) const;
  Reply run_clauses(const std::string& text, bool may_go_on);
  Reply run_statements(Draft draft, const std::string& text);
  Reply refuse(const Draft& draft, const std::string& text, bool may_go_on);
  Value evaluate(std::string model_text, bool has_parameters);
  void set(std::string_view name, Value value);
  void tell(Diagnostic diagnostic) const;
  std::string path() const;
  std::string header() const;

  const std::string directory_;
  const std::function<void(std::string_view)> print_;
  const std::function<void(const Diagnostic&)> tell_;
  std::unique_ptr<Inputs> inputs_;
  ModelLoader models_;
  NoToolRunner tools_;
  unsigned number_ = 0;
  Value dot_;
  std::vector<std::pair<std::string, Value>> names_;
};

}  // namespace sdl
