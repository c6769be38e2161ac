// Runs models: walks the tree of a function with a frame of slots for its names. Spec: 5.
//
// Host is what all threads of one evaluation share; an Evaluation belongs to one
// thread and runs on its stack, which should be deep (deep_stack.h). A function
// here that returns a Value returns `stopped` once something is wrong; what it is
// stands in diagnostics() then, and the evaluation is over.
//
// All that a call could depend on goes through access.h, through `look` (names),
// and through call(), where a cache can be asked.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sdl/access.h"
#include "sdl/closure.h"
#include "sdl/diagnostic.h"
#include "sdl/model.h"
#include "sdl/primitives.h"
#include "sdl/syntax.h"
#include "sdl/tool_runner.h"
#include "sdl/value.h"
#include "sdl/value_stack.h"

namespace sdl {

struct Limits {
  std::uint32_t calls = 100'000;                                    // one inside the other
  std::uint64_t steps = std::numeric_limits<std::uint64_t>::max();  // calls and rounds of loops
  std::size_t length = length_max;  // of a text, list or binding that an operator makes
  std::size_t printed_bytes = std::size_t{1} << 30;
};

struct Host {
  ModelLoader& models;
  ToolRunner& tools;
  std::function<void(std::string_view)> print;  // what `_print` prints, whole lines
  std::function<void(const Diagnostic&)> warn;
  Limits limits = {};
  std::atomic<unsigned>* idle_threads = nullptr;  // how many more may be started for `_par_map`; null: none
};

// A function's names while it runs.
struct Frame {
  Value* slots;
  const ClosureObject* closure;  // null: a model's body
  const Model* model;
};

class Evaluation {
 public:
  explicit Evaluation(Host& host) : host_(host), steps_left_(host.limits.steps) {}

  // A model as the whole build.
  Value run(const Model& model, Value dot);

  const std::vector<Diagnostic>& diagnostics() const { return diagnostics_; }
  Host& host() const { return host_; }

  // For primitives.
  Value fail(const Frame& frame, std::uint32_t at, std::string message);
  // `arguments` are moved from. One more than there are parameters is the callee's `.` in place of `dot`.
  Value call(const Value& callee, std::span<Value> arguments, const Value& dot, const Frame& frame,
             std::uint32_t at);
  // Calls it `count` times, perhaps side by side, and adds the results in their order; `arguments` is asked by several threads. False: one
  // has failed; what is wrong with the first that did is told, and there are no results from that one on.
  bool call_each(const Value& callee, std::size_t count, const std::function<std::vector<Value>(std::size_t)>& arguments,
                 std::vector<Value>& results, const Value& dot, const Frame& frame, std::uint32_t at);
  void print(std::string_view text) {
    if (printed_) printed_->append(text);
    else if (!text.empty()) host_.print(text);
  }

 private:
  Value evaluate(const Expression& node, const Frame& frame);
  Value look(const Access& access, const Frame& frame) const;

  // ---- evaluator.cc
  Value fail_deep(const Expression& node, const Frame& frame);
  Value fail_type(const Expression& node, const Frame& frame, std::string_view what, const Value& value);
  Value fail_unbound(const VariableExpression& node, const Frame& frame);
  const Expression* choose(const ConditionalExpression& node, const Frame& frame);
  Value operated(const BinaryExpression& node, const Value& left, const Value& right, const Frame& frame);
  Value variable(const VariableExpression& node, const Frame& frame);
  Value unary(const UnaryExpression& node, const Frame& frame);
  Value binary(const BinaryExpression& node, const Frame& frame);
  Value logical(const LogicalExpression& node, const Frame& frame);
  Value select(const SelectExpression& node, const Frame& frame);
  Value list(const ListExpression& node, const Frame& frame);
  Value binding(const BindingExpression& node, const Frame& frame);
  Value name_of(const Arc& arc, const Frame& frame, bool may_be_empty);

  // ---- evaluator_statements.cc
  Value block(const BlockExpression& node, const Frame& frame);
  bool run(const Statement& statement, const Frame& frame);  // false: stopped
  bool assign(const AssignStatement& statement, const Frame& frame);
  bool iterate(const IterateStatement& statement, const Frame& frame);
  Value closure(const Function& function, const Frame& frame);

  // ---- evaluator_calls.cc
  Value call(const CallExpression& node, const Frame& frame);
  const ClosureObject* borrow(const Expression& node, const Frame& frame);
  Value call_function(const ClosureObject& callee, ValueStack::Slots& slots, std::size_t given,
                      const Value& dot, const Frame& frame, std::uint32_t at);
  Value call_model(const Model& model, Value dot, const Frame* frame, std::uint32_t at);
  Value call_primitive(const Primitive& primitive, ValueStack::Slots& slots, std::size_t given,
                       const Value& dot, const Frame& frame, std::uint32_t at);
  bool fill_defaults(const Function& function, std::size_t given, const Frame& inner, const Frame& frame,
                     std::uint32_t at);
  Value too_many(const Function& function, std::size_t given, const Frame& frame, std::uint32_t at);
  Value stopped_in(const Function& function, const Frame& frame, std::uint32_t at);
  bool enter(const Frame* frame, std::uint32_t at);  // false: too deep, or out of steps
  bool fail_to_enter(const Frame* frame, std::uint32_t at);
  void leave() { --depth_; }
  Value wrong_count(std::string_view name, std::size_t given, std::size_t minimum, std::size_t maximum,
                    const Frame& frame, std::uint32_t at);

  bool step(const Frame& frame, std::uint32_t at);

  Host& host_;
  std::vector<Diagnostic> diagnostics_;
  ValueStack stack_;
  std::uint32_t depth_ = 0;
  std::uint64_t steps_left_;
  std::string* printed_ = nullptr;  // where to print; null: at once
};

}  // namespace sdl
