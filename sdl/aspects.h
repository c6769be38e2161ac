// What an aspect of a value is, as a digest, and what stands at a place today. Spec: 9.1, 9.4.
//
// Equal digests of an aspect mean that no model can tell the values apart by it.
// Those of whole values differ from _fingerprint's (fingerprint.h) where that is not enough
// for a cache: a model counts with all that it can import.
//
// Any thread. Models and functions live longer.
#pragma once

#include <mutex>
#include <optional>
#include <unordered_map>

#include "cache/base/result.h"
#include "cache/digest.h"
#include "sdl/model.h"
#include "sdl/origins.h"
#include "sdl/value.h"

namespace sdl {

struct Function;

class Aspects {
 public:
  explicit Aspects(ModelLoader& models) : models_(models) {}

  // Of the value at a place, or of its absence. Fails if it cannot be told.
  cache::Result<cache::Digest> digest(Aspect aspect, const Value& value, bool is_there);
  // Of a way that leads nowhere: equal to no other.
  static cache::Digest nowhere();
  // Of the code of a closure.
  cache::Result<cache::Digest> code(const Value& closure);

  // What a selector picks out of a value, without an origin of that place. Nothing: it picks nothing.
  std::optional<Value> part(const Value& value, const Selector& selector);

 private:
  cache::Result<cache::Digest> whole(const Value& value, unsigned depth);
  cache::Result<cache::Digest> whole_composite(const Value& value, unsigned depth);

  ModelLoader& models_;
  std::mutex mutex_;
  struct Known {
    Value value;  // so that its address is nobody else's
    cache::Digest digest;
  };
  std::unordered_map<const Object*, Known> known_;
  std::unordered_map<const Function*, cache::Digest> known_code_;
  std::unordered_map<const Model*, std::optional<cache::Digest>> known_models_;
};

}  // namespace sdl
