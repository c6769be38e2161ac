#include "sdl/aspects.h"

#include <string>

#include "sdl/access.h"
#include "sdl/canonical.h"
#include "sdl/closure.h"
#include "sdl/deep_stack.h"
#include "sdl/primitives.h"

namespace sdl {
namespace {

using cache::Digest;
using cache::fail;
using cache::Fault;
using cache::Hasher;
using cache::Result;

constexpr unsigned depth_max = 2'000;
constexpr std::size_t known_max = 50'000;
constexpr std::size_t long_text = 4'096;  // whose digest is worth remembering

Digest digest_with(std::string_view mark, std::string_view one = {}, std::string_view other = {}) {
  Hasher hasher;
  hasher.add_piece(mark);
  hasher.add_piece(one);
  hasher.add_piece(other);
  return hasher.finish();
}

Result<Digest> too_deep() { return fail(Fault::unsupported, "a value is nested too deeply to have a digest"); }

}  // namespace

Digest Aspects::nowhere() { return digest_with("nowhere"); }

Result<Digest> Aspects::code(const Value& value) {
  const ClosureObject& closure = closure_of(value);
  if (closure.primitive) return digest_with("primitive", closure.primitive->name);
  if (closure.is_model()) {
    // A model that cannot be called, for one of its files is gone, is another.
    if (!models_.parts(*closure.model)) return fail(Fault::not_found, "the model cannot be called");
    return digest_with("model", closure.model->digest().view());
  }
  const Function& function = *closure.function;
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = known_code_.find(&function); known != known_code_.end()) return known->second;
  }
  Hasher hasher;
  hasher.add_piece("function");
  hasher.add_piece(TRY(body_fingerprint(function)).view());
  // What a name means that has not been captured is decided by the name.
  for (const Capture& capture : function.captures) hasher.add_piece(capture.name);
  const Digest digest = hasher.finish();
  const std::lock_guard lock(mutex_);
  return known_code_.emplace(&function, digest).first->second;
}

Result<Digest> Aspects::whole_composite(const Value& value, unsigned depth) {
  Hasher hasher;
  const auto add = [&](const Value& part) -> Result<bool> {
    hasher.add_piece(TRY(whole(part, depth + 1)).view());
    return true;
  };
  if (value.is_list()) {
    hasher.add_piece("list");
    for (const Value& part : elements_of(value)) TRY(add(part));
  } else if (value.is_binding()) {
    hasher.add_piece("binding");
    for (const Pair& pair : pairs_of(value)) {
      hasher.add_piece(view_of(pair.name));
      TRY(add(pair.value));
    }
  } else {
    hasher.add_piece("closure");
    hasher.add_piece(TRY(code(value)).view());
    for (const Value& part : closure_of(value).captured()) TRY(add(part));
  }
  return hasher.finish();
}

Result<Digest> Aspects::whole(const Value& value, unsigned depth) {
  switch (value.kind()) {
    case Kind::boolean:
      return digest_with("boolean", value.as_boolean() ? "1" : "0");
    case Kind::integer:
      return digest_with("integer", std::to_string(value.as_integer()));
    case Kind::error:
      return digest_with("error");
    case Kind::unbound:
      return digest_with("unbound");
    case Kind::stopped:
      return fail(Fault::invalid, "no value");
    case Kind::text: {
      // What is printed of it says whether it is stored.
      const StoredText* const stored = stored_text(value);
      const bool is_executable = stored && stored->is_executable();
      if (stored) {
        if (const auto summary = stored->summary())
          return digest_with("stored text", summary->digest.view(), is_executable ? "x" : "");
      } else if (view_of(value).size() < long_text) {
        return digest_with("text", cache::digest_of(view_of(value)).view());
      }
      break;
    }
    case Kind::closure: {
      const ClosureObject& closure = closure_of(value);
      if (closure.primitive) return code(value);
      if (!closure.is_model()) break;
      const std::lock_guard lock(mutex_);
      const auto [known, is_new] = known_models_.try_emplace(closure.model);
      if (is_new) known->second = models_.surroundings(*closure.model);
      if (!known->second) return fail(Fault::unsupported, "what a model can import is not known");
      return digest_with("whole model", closure.model->path(), known->second->view());
    }
    default:
      break;
  }
  if (depth > depth_max || stack_is_low()) return too_deep();
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = known_.find(value.object()); known != known_.end()) return known->second.digest;
  }
  Digest digest;
  if (value.is_text()) {
    const StoredText* const stored = stored_text(value);
    digest = digest_with(stored ? "stored text" : "text", cache::digest_of(TRY(text_bytes(value))).view(),
                         stored && stored->is_executable() ? "x" : "");
  } else {
    digest = TRY(whole_composite(value, depth));
  }
  const std::lock_guard lock(mutex_);
  if (known_.size() >= known_max) known_.clear();
  known_.try_emplace(value.object(), Known{value, digest});
  return digest;
}

Result<Digest> Aspects::digest(Aspect aspect, const Value& value, bool is_there) {
  if (aspect == Aspect::presence) return digest_with("presence", is_there ? "1" : "0");
  if (!is_there) return nowhere();
  switch (aspect) {
    case Aspect::whole:
      return whole(value, 0);
    case Aspect::names: {
      if (!value.is_binding()) return nowhere();
      Hasher hasher;
      hasher.add_piece("names");
      for (const Pair& pair : pairs_of(value)) hasher.add_piece(view_of(pair.name));
      return hasher.finish();
    }
    case Aspect::type:
      // Two kinds that have one name, for no model has seen the second.
      return digest_with("type", value.is_unbound() ? "unbound" : type_of(value));
    case Aspect::length:
      if (!value.is_list()) return nowhere();
      return digest_with("length", std::to_string(length(value)));
    case Aspect::code: {
      if (!value.is_closure()) return nowhere();
      auto digest = code(value);
      // That of a model that cannot be called is as good as none; of a function whose code cannot be told nothing is known.
      return digest || digest.error().fault != Fault::not_found ? digest : Result<Digest>(nowhere());
    }
    case Aspect::presence:
      break;
  }
  return nowhere();
}

std::optional<Value> Aspects::part(const Value& value, const Selector& selector) {
  switch (selector.type) {
    case Selector::Type::name:
      if (value.is_binding())
        if (const Pair* const pair = find_pair(value, selector.name)) return pair->value;
      break;
    case Selector::Type::element:
      if (value.is_list() && selector.number < length(value)) return element(value, selector.number);
      break;
    case Selector::Type::captured:
      if (value.is_closure() && selector.number < closure_of(value).captured_count)
        return closure_of(value).captured()[selector.number];
      break;
    case Selector::Type::clause:
      if (value.is_closure() && closure_of(value).is_model()) {
        const std::vector<Value>* const parts = models_.parts(*closure_of(value).model);
        if (parts && selector.number < parts->size()) return (*parts)[selector.number];
      }
      break;
    case Selector::Type::root:
      break;
  }
  return std::nullopt;
}

}  // namespace sdl
