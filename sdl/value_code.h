// Results of calls as bytes, to be kept, and back. Spec: 9.2.
//
//   "e" | "b" and 0 or 1 | "i" and the number | "t" and bytes
//   "s", digest, length, whether executable, name   text of a stored file
//   "l", count, elements | "n", count, names with values
//   "p", name                                        primitive
//   "f", way to the model, number, count, captured   function of a model
//   "h", way                                         what stands at that place in the inputs of the call
//
// A way is a count and, for each part, its kind, its number and its name.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cache/base/result.h"
#include "cache/digest.h"
#include "cache/sealed_bytes.h"
#include "sdl/aspects.h"
#include "sdl/origins.h"
#include "sdl/text.h"
#include "sdl/value.h"

namespace sdl {

// Where texts of files are.
class TextStore {
 public:
  virtual ~TextStore() = default;
  // Unbound: it is not there any more.
  virtual Value text(const StoredText::Summary& summary, bool is_executable, const std::string& name) = 0;
};

void put_way(cache::SealedWriter& writer, const Way& way);
Way take_way(cache::SealedReader& reader);

// Fails if there is something that cannot be written down, or if it would take more than some megabytes.
cache::Result<bool> put_value(cache::SealedWriter& writer, const Value& value, Origins& origins,
                              const Recording& recording);

// What stands at a place, with its origin around the call; nothing: the way leads nowhere.
std::optional<Value> value_at_place(const Way& way, const std::vector<Value>& roots, Aspects& aspects,
                                    Origins& origins);

// Unbound: it cannot be had, for something is damaged or not there.
Value take_value(cache::SealedReader& reader, const std::vector<Value>& roots, Aspects& aspects,
                 Origins& origins, TextStore& texts);

}  // namespace sdl
