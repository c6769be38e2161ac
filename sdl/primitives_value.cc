// Primitives of any value: types, printing, fingerprints. Spec: 7.
#include "sdl/access.h"
#include "sdl/closure.h"
#include "sdl/evaluator.h"
#include "sdl/fingerprint.h"
#include "sdl/model.h"
#include "sdl/primitives.h"
#include "sdl/printer.h"

namespace sdl {
namespace {

constexpr std::size_t fingerprint_digits = 32;

Value name_of_type(Call& call) { return make_text(type_of(call.arguments[0])); }
Value same_type(Call& call) { return Value::boolean(call.arguments[0].kind() == call.arguments[1].kind()); }

template <Kind kind>
Value is_of_kind(Call& call) {
  return Value::boolean(call.arguments[0].kind() == kind);
}

Value assert_that(Call& call) {
  if (call.arguments[0].as_boolean()) return Value::boolean(true);
  const Value& message = call.arguments[1];
  if (!message.is_text()) return call.fail(printed(message, {.bytes_max = 10'000}));
  const auto bytes = text_bytes(message);
  return call.fail(bytes ? std::string(*bytes) : bytes.error().message);
}

Value print(Call& call) {
  const bool verbose = call.has(2) && call.arguments[2].as_boolean();
  const std::string text = printed(call.arguments[0], {verbose, call.evaluation.host().limits.printed_bytes});
  // The name of a file is no part of its value.
  if (text.find("<file ") != text.npos) call.evaluation.spoil();
  call.evaluation.print(text + "\n");
  return call.arguments[0];
}

Value model_name(Call& call) {
  const ClosureObject& closure = closure_of(call.arguments[0]);
  if (!closure.is_model()) return call.fail("takes a model, not another function");
  return make_text(closure.model->path());
}

Value fingerprint_of(Call& call) {
  const auto digest = fingerprint(call.arguments[0]);
  if (!digest) return call.fail(digest.error().message);
  return make_text(digest->hex().substr(0, fingerprint_digits));
}

constexpr Primitive primitives[] = {{"_type_of", "v", name_of_type, "T"},
                                    {"_same_type", "vv", same_type, "TT"},
                                    {"_is_bool", "v", is_of_kind<Kind::boolean>, "T"},
                                    {"_is_int", "v", is_of_kind<Kind::integer>, "T"},
                                    {"_is_text", "v", is_of_kind<Kind::text>, "T"},
                                    {"_is_list", "v", is_of_kind<Kind::list>, "T"},
                                    {"_is_binding", "v", is_of_kind<Kind::binding>, "T"},
                                    {"_is_closure", "v", is_of_kind<Kind::closure>, "T"},
                                    {"_is_err", "v", is_of_kind<Kind::error>, "T"},
                                    {"_assert", "bv", assert_that, "N-"},
                                    {"_print", "v|ib", print},
                                    {"_model_name", "f", model_name},
                                    {"_fingerprint", "v", fingerprint_of}};

}  // namespace

std::span<const Primitive> value_primitives() { return primitives; }

}  // namespace sdl
