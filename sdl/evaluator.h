// Runs models: walks the tree of a function with a frame of slots for its names. Spec: 5.
//
// Host is what all threads of one evaluation share; an Evaluation belongs to one
// thread and runs on its stack, which should be deep (deep_stack.h). A function
// here that returns a Value returns `stopped` once something is wrong; what it is
// stands in diagnostics() then, and the evaluation is over.
//
// Where calls are cached (Host::calls), what the call under way looks at is noted: whoever does
// something with a value, rather than hand it on, says `see` before, or takes what is in it
// from `opened` or `selected`. See origins.h.
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
#include "sdl/call_cache.h"
#include "sdl/closure.h"
#include "sdl/diagnostic.h"
#include "sdl/model.h"
#include "sdl/primitives.h"
#include "sdl/syntax.h"
#include "sdl/timings.h"
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
  CallCache* calls = nullptr;                     // null: each call is evaluated
  Timings* timings = nullptr;                     // of threads that are started; null: nobody wants them
};

// A function's names while it runs.
struct Frame {
  Value* slots;
  const ClosureObject* closure;  // null: a model's body
  const Model* model;
  std::uint32_t origin = 0;  // of the closure under call
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
    if (transcript_) transcript_->append(text);
    if (printed_) printed_->append(text);
    else if (!text.empty()) host_.print(text);
  }

  // ---- what is looked at, for cached calls
  void see(const Value& value, Aspect aspect) {
    if (value.origin() != 0 || (aspect == Aspect::whole && recording_ && value.is_shared())) [[unlikely]]
      host_.calls->origins().look(recording_.get(), value, aspect);
  }
  // A list or binding, with its length or names looked at.
  Value opened(const Value& sequence) {
    return sequence.origin() == 0 ? sequence : host_.calls->origins().opened(recording_.get(), sequence);
  }
  // Of a binding; unbound: it has no such name.
  Value selected(const Value& binding, const Value& name) {
    return binding.origin() == 0 ? sdl::select(binding, name)
                                 : host_.calls->origins().selected(recording_.get(), binding, name);
  }
  // The results of the calls under way are not to be kept.
  void spoil() {
    if (recording_) host_.calls->origins().spoil(recording_.get());
  }
  void note_tool(bool may_be_kept);

 private:
  Value evaluate(const Expression& node, const Frame& frame);
  Value look(const Access& access, const Frame& frame) const;
  Value captured(std::uint32_t index, const Frame& frame) const;

  // ---- evaluator.cc
  Value fail_deep(const Expression& node, const Frame& frame);
  Value fail_type(const Expression& node, const Frame& frame, std::string_view what, const Value& value);
  Value fail_missing(const SelectExpression& node, const Value& base, const Value& name, const Frame& frame);
  Value fail_unbound(const VariableExpression& node, const Frame& frame);
  const Expression* choose(const ConditionalExpression& node, const Frame& frame);
  void see_both(const Value& left, const Value& right);
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
  Value call_closure(const ClosureObject& closure, std::uint32_t origin, ValueStack::Slots& slots, std::size_t given,
                     const Value& dot, const Frame& frame, std::uint32_t at);
  Value call_with_captured_dot(const ClosureObject& closure, std::uint32_t origin, ValueStack::Slots& slots,
                               std::size_t given, const CallExpression& node, const Frame& frame);
  void look_at_arguments(const Primitive& primitive, ValueStack::Slots& slots, std::size_t given);
  Value call_function(const ClosureObject& callee, std::uint32_t origin, ValueStack::Slots& slots,
                      std::size_t given, const Value& dot, const Frame& frame, std::uint32_t at);
  Value call_model(const Model& model, std::uint32_t origin, Value dot, const Frame* frame, std::uint32_t at);
  Value model_body(const Model& model, const Syntax& syntax, const std::vector<Value>& parts, const Value& closure,
                   Value dot);
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

  // ---- evaluator_cached.cc
  bool may_be_cached(const Function& function);
  Value cached_function(const ClosureObject& callee, std::uint32_t origin, ValueStack::Slots& slots);
  Value cached_model(const Model& model, const Syntax& syntax, const std::vector<Value>& parts, const Value& closure,
                     Value dot, bool is_build);
  struct Asked;
  Value through_cache(Asked& asked, const std::function<Value(std::vector<Value>&)>& body);
  std::optional<CallResult> known_result(Asked& asked);

  Host& host_;
  std::vector<Diagnostic> diagnostics_;
  ValueStack stack_;
  std::uint32_t depth_ = 0;
  std::uint32_t deepest_ = 0;  // that depth_ has been since the call that is being recorded began
  std::uint64_t steps_left_;
  std::string* printed_ = nullptr;  // where to print; null: at once

  std::shared_ptr<Recording> recording_;   // of the innermost call that is recorded
  std::string* transcript_ = nullptr;      // what it prints
  std::vector<const Function*> recorded_;  // functions whose calls are being recorded
  std::size_t recorded_models_ = 0;        // how many models
  const RunningCalls::Place* running_ = nullptr;  // the innermost call that others may wait for
  // What calls have cost beside steps, and what of all that has been kept or found, in steps.
  std::uint64_t extra_cost_ = 0, settled_cost_ = 0;
};

}  // namespace sdl
