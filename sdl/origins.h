// Where values come from, and what calls look at: the dependencies of recorded calls. Spec: 9.4, 9.5.
//
// A recorded call has a Recording. What goes into it are its roots: values 0 to n.
// A place is a root and the way from there; a value whose origin is a place is what
// stands there, as it is. Taking a component out of it gives that the origin of its
// own place, and looking at it is noted at the place.
//
// A value without an origin was computed by the call itself, or has been looked at
// as a whole; its components may have origins.
//
// When a recording ends, its places become those of the recording around it: what
// stood at a root came from somewhere there, or from nowhere. Values need not be
// changed for that. What was looked at is passed on to the same places.
//
// One Origins is shared by the threads of an evaluation, and so may be a Recording
// (by calls side by side that belong to it). Numbers are not used again.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sdl/value.h"

namespace sdl {

class Model;

// What can be looked at; a bit each.
enum class Aspect : std::uint8_t {
  whole = 1,     // N
  presence = 2,  // ! whether a binding has the name
  names = 4,     // B of a binding, in their order
  type = 8,      // T
  length = 16,   // L of a list
  code = 32,     // E of a closure, not what it has captured
};

// One part of a way.
struct Selector {
  enum class Type : std::uint8_t { root, name, element, captured, clause };
  Type type;
  std::uint32_t number;  // of anything but a name
  std::string name;
  auto operator<=>(const Selector&) const = default;
};
using Way = std::vector<Selector>;  // begins with the root

// That something was looked at, and what was there.
struct Look {
  Way way;
  Aspect aspect;
  Value value;
  bool is_there;
};

class Recording;

class Origins {
 public:
  Origins();
  ~Origins();

  // ---- a call
  // The roots get their origins. `aspects_in_key[i]`, bits: what of root i is in the key of the call, and so needs no noting.
  // Null: no more can be recorded.
  std::shared_ptr<Recording> begin(const std::shared_ptr<Recording>& around, std::vector<Value>& roots,
                                   const std::vector<std::uint8_t>& aspects_in_key);
  // What it has looked at, without what follows from the rest, in the order of the ways.
  std::vector<Look> looks(Recording& recording);
  // The way to the place of a value in this recording. Nothing: it has none there.
  std::optional<Way> way_to(const Recording& recording, const Value& value);
  // The way to a place where that model's closure stands, whose code is looked at.
  std::optional<Way> way_to_model(const Recording& recording, const Model& model);
  void end(Recording& recording);

  // Its result must not be kept, nor those of the calls around it.
  void spoil(Recording* recording);
  bool is_spoilt(const Recording& recording);

  // ---- looking; `recording` is the innermost one, null if there is none
  void look(Recording* recording, const Value& value, Aspect aspect);
  // A component of a value of that origin, with its own. `raw` is what stands there.
  Value component(std::uint32_t origin, Selector::Type type, std::uint32_t number, const Value& raw);
  Value component(std::uint32_t origin, std::string_view name, const Value& raw);
  // Of a binding, by name, with the look that it takes. Unbound: it is not there.
  Value selected(Recording* recording, const Value& binding, const Value& name);
  // A list or binding without an origin whose components have theirs; its length or names are looked at.
  Value opened(Recording* recording, const Value& sequence);

 private:
  struct Node;
  using Number = std::uint32_t;

  Number resolved(Number number) const;
  Number child(Number parent, Selector::Type type, std::uint32_t number, const Value& raw, bool is_there);
  Value with_child(std::uint32_t origin, Selector::Type type, std::uint32_t number, const Value& raw, bool is_there);
  void look_locked(Recording* recording, const Value& value, std::uint8_t aspects);
  bool look_inside(Recording* recording, const Value& value, unsigned depth);
  std::uint32_t name_number(std::string_view name);
  Way way_of(Number number) const;

  mutable std::mutex mutex_;
  std::deque<Node> nodes_;
  std::unordered_map<std::uint64_t, Number> children_;  // by parent and selector
  std::deque<std::string> names_;
  std::unordered_map<std::string_view, std::uint32_t> name_numbers_;
  bool is_full_ = false;
};

}  // namespace sdl
