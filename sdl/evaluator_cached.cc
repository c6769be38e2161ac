// Calls that are looked up, or recorded and kept. Spec: 9.
//
// What was not kept is evaluated, and so is everything that cannot have a key; so nothing here fails.
#include <algorithm>

#include <fmt/format.h>

#include "sdl/evaluator.h"
#include "sdl/lexer.h"

namespace sdl {
namespace {

constexpr std::uint64_t tool_cost = 1'000;
// How many recorded calls of one function, and of all, are one inside the other: each records what those in it do.
constexpr std::size_t recorded_of_one_max = 8, recorded_max = 64;
constexpr std::size_t transcript_max = 1 << 20;

// Puts a variable back to what it was.
template <class Variable>
class Kept {
 public:
  explicit Kept(Variable& variable) : variable_(variable), before_(variable) {}
  ~Kept() { variable_ = before_; }
  Kept(const Kept&) = delete;

 private:
  Variable& variable_;
  const Variable before_;
};

std::uint8_t bit(Aspect aspect) { return static_cast<std::uint8_t>(aspect); }

// What of an argument is in a function's key.
std::uint8_t aspect_in_key(const Formal& formal, const Value& value) {
  if (formal.pragmas & pragma_pk) return bit(Aspect::whole);
  if (value.is_closure()) return bit(closure_of(value).primitive ? Aspect::whole : Aspect::code);
  return value.is_list() || value.is_binding() ? 0 : bit(Aspect::whole);
}

}  // namespace

struct Evaluation::Asked {
  std::optional<cache::Digest> key, build_key;
  std::vector<Value> roots;  // `.`, the closure, the arguments
  std::vector<std::uint8_t> aspects_in_key;
  const Function* function;  // null: a model
  std::string name;          // for people
  bool waits;                // for the same call in another thread
};

void Evaluation::note_tool(bool may_be_kept) {
  extra_cost_ += tool_cost;
  if (!may_be_kept) spoil();
}

bool Evaluation::may_be_cached(const Function& function) {
  return host_.calls->options().caches_functions && recorded_.size() < recorded_max && !(function.pragmas & pragma_nocache) &&
         std::ranges::count(recorded_, &function) < static_cast<std::ptrdiff_t>(recorded_of_one_max);
}

[[gnu::noinline]] Value Evaluation::cached_function(const ClosureObject& callee, std::uint32_t origin,
                                                    ValueStack::Slots& slots) {
  const Function& function = *callee.function;
  retain(&callee);
  const std::size_t wanted = function.formals.size();
  Asked asked;
  asked.function = &function;
  asked.roots.reserve(2 + wanted);
  asked.roots.push_back(slots[dot_slot]);
  asked.roots.push_back(Value::of(Kind::closure, &callee).with_origin(origin));
  asked.aspects_in_key = {0, bit(Aspect::code)};
  std::vector<Value> arguments;
  std::vector<std::uint8_t> aspects;
  for (std::size_t i = 0; i < wanted; ++i) {
    const Value& argument = slots[1 + i];
    aspects.push_back(aspect_in_key(function.formals[i], argument));
    if (aspects.back() != 0) see(argument, static_cast<Aspect>(aspects.back()));
    arguments.push_back(argument);
    asked.roots.push_back(argument);
    asked.aspects_in_key.push_back(aspects.back());
  }
  {
    const Timed looking_up(Activity::look_up_calls);
    asked.key = host_.calls->function_key(asked.roots[1], arguments, aspects);
  }
  arguments.clear();
  asked.waits = (function.pragmas & pragma_waitdup) != 0;
  asked.name = function.name.empty() ? "function" : fmt::format("function {}", function.name);
  return through_cache(asked, [&](std::vector<Value>& roots) {
    for (std::size_t i = 0; i < wanted; ++i) slots[1 + i] = roots[2 + i];
    slots[dot_slot] = roots[0];
    return evaluate(*function.body, Frame{slots.data(), &callee, callee.model, roots[1].origin()});
  });
}

[[gnu::noinline]] Value Evaluation::cached_model(const Model& model, const Syntax& syntax,
                                                 const std::vector<Value>& parts, const Value& closure, Value dot,
                                                 bool is_build) {
  Asked asked;
  asked.function = nullptr;
  asked.roots = {std::move(dot), closure};
  asked.aspects_in_key = {0, bit(Aspect::code)};
  {
    const Timed looking_up(Activity::look_up_calls);
    asked.key = host_.calls->model_key(closure);
    if (is_build) asked.build_key = host_.calls->build_key(closure, asked.roots[0]);
  }
  asked.waits = (syntax.body->pragmas & pragma_waitdup) != 0;
  asked.name = fmt::format("model {}", model.path());
  return through_cache(asked, [&](std::vector<Value>& roots) {
    return model_body(model, syntax, parts, roots[1], std::move(roots[0]));
  });
}

// With what it says of limits.
std::optional<CallResult> Evaluation::known_result(Asked& asked) {
  const Timed looking_up(Activity::look_up_calls);
  CallCache& calls = *host_.calls;
  const auto fits = [&](const CallResult& result) {
    return depth_ + std::uint64_t{result.height} <= host_.limits.calls && result.steps <= steps_left_;
  };
  if (asked.build_key)
    if (auto known = calls.look_up_build(*asked.build_key, asked.roots); known && fits(*known)) return known;
  if (!asked.key) return std::nullopt;
  if (asked.build_key) {
    // What the result rests on is the same; the next time it is found by the build's key.
    std::vector<Value> roots = asked.roots;
    const auto own = calls.origins().begin(nullptr, roots, asked.aspects_in_key);
    if (!own) return std::nullopt;
    auto known = calls.look_up(*asked.key, roots, own.get());
    if (known && !calls.origins().is_spoilt(*own)) calls.store_build(*asked.build_key, *own, *known);
    calls.origins().end(*own);
    if (!known || !fits(*known)) return std::nullopt;
    return known;
  }
  auto known = calls.look_up(*asked.key, asked.roots, recording_.get());
  if (!known || !fits(*known)) return std::nullopt;
  return known;
}

Value Evaluation::through_cache(Asked& asked, const std::function<Value(std::vector<Value>&)>& body) {
  CallCache& calls = *host_.calls;
  if (!asked.key && !asked.build_key) return body(asked.roots);
  const std::uint64_t steps_before = steps_left_;
  // Declared in this order: what is evaluated here goes on for others until `running_` is as it was.
  RunningCalls::Place place;
  const Kept<const RunningCalls::Place*> running_around(running_);
  auto known = known_result(asked);
  if (asked.waits && asked.key && !known) {
    // One may have ended since that look, so there is another in any case.
    for (auto turn = RunningCalls::Turn::other_was_kept; !known && turn == RunningCalls::Turn::other_was_kept;) {
      const Timed waiting(Activity::wait);
      turn = calls.running().enter(*asked.key, running_, place);
      if (turn == RunningCalls::Turn::entered) running_ = &place;
      known = known_result(asked);
    }
  }
  if (known) {
    calls.trace("hit", asked.name);
    print(known->printed);
    steps_left_ -= known->steps;
    settled_cost_ += known->steps;
    deepest_ = std::max(deepest_, depth_ + known->height);
    return std::move(known->value);
  }
  calls.trace("miss", asked.name);
  // Each level keeps what was printed in all levels below.
  if (!asked.function && recorded_models_ >= recorded_max) return body(asked.roots);
  const std::shared_ptr<Recording> around = recording_;
  const std::shared_ptr<Recording> own = calls.origins().begin(around, asked.roots, asked.aspects_in_key);
  if (!own) {
    // What is not recorded any more counts for nobody.
    spoil();
    return body(asked.roots);
  }
  const std::uint32_t deepest_around = deepest_;
  const std::uint64_t cost_before = extra_cost_ - settled_cost_;
  std::string transcript;
  std::string* const transcript_around = std::exchange(transcript_, &transcript);
  recording_ = own;
  deepest_ = depth_;
  if (asked.function) recorded_.push_back(asked.function);
  else ++recorded_models_;

  CallResult made;
  made.value = body(asked.roots);

  if (asked.function) recorded_.pop_back();
  else --recorded_models_;
  made.height = deepest_ - depth_;
  made.steps = steps_before - steps_left_;
  deepest_ = std::max(deepest_, deepest_around);
  recording_ = around;
  transcript_ = transcript_around;
  if (transcript_) transcript_->append(transcript);
  if (transcript.size() > transcript_max) calls.origins().spoil(own.get());
  if (!made.value.is_stopped() && !calls.origins().is_spoilt(*own)) {
    const Timed keeping(Activity::keep_calls);
    const std::uint64_t cost = made.steps + extra_cost_ - settled_cost_ - cost_before;
    made.printed = std::move(transcript);
    if (asked.key && (!asked.function || cost >= calls.options().worth_keeping)) {
      if (calls.store(*asked.key, *own, made)) place.note_kept();
      settled_cost_ += cost;
    }
    if (asked.build_key) calls.store_build(*asked.build_key, *own, made);
  }
  calls.origins().end(*own);
  return std::move(made.value);
}

}  // namespace sdl
