#include "sdl/origins.h"

#include <algorithm>
#include <cassert>
#include <unordered_map>

#include "sdl/access.h"
#include "sdl/closure.h"
#include "sdl/deep_stack.h"

namespace sdl {
namespace {

// More is not recorded: each takes some 100 bytes until the evaluation is over.
constexpr std::size_t nodes_max = 2'000'000;
constexpr std::uint32_t selector_number_max = (1u << 29) - 1;
constexpr std::uint16_t depth_max = 200;
constexpr unsigned look_depth_max = 2'000;

constexpr std::uint8_t bit(Aspect aspect) { return static_cast<std::uint8_t>(aspect); }

std::uint64_t key_of(std::uint32_t parent, Selector::Type type, std::uint32_t number) {
  return std::uint64_t{parent} << 32 | std::uint64_t{static_cast<std::uint8_t>(type)} << 29 | number;
}

}  // namespace

class Recording {
 public:
  std::shared_ptr<Recording> around;  // null: it is the outermost
  std::vector<std::uint32_t> nodes;   // parents before their children
  bool is_spoilt = false;
  // What has been looked at as a whole and has no origin, held so that its address is nobody else's.
  std::unordered_map<const Object*, Value> looked_at;
  std::unordered_map<const Model*, std::uint32_t> models;  // the place of each; 0: it stands at several
};

struct Origins::Node {
  Recording* recording = nullptr;  // null: it has ended
  Number parent = 0;               // 0: a root
  Number after = 0;                // once it has ended: the place around it that this was; 0: none
  std::uint32_t number = 0;        // of the selector
  std::uint16_t depth = 0;
  Selector::Type type = Selector::Type::root;
  std::uint8_t seen = 0, in_key = 0;
  bool is_there = true;
  Value value;   // with the origin that it has around the recording, if that does not follow from the parent's
  Value opened;  // unbound: has not been
};

Origins::Origins() { nodes_.emplace_back(); }
Origins::~Origins() = default;

Origins::Number Origins::resolved(Number number) const {
  while (number != 0 && !nodes_[number].recording) number = nodes_[number].after;
  return number;
}

std::uint32_t Origins::name_number(std::string_view name) {
  if (const auto known = name_numbers_.find(name); known != name_numbers_.end()) return known->second;
  const auto number = static_cast<std::uint32_t>(names_.size());
  names_.emplace_back(name);
  name_numbers_.emplace(names_.back(), number);
  return number;
}

namespace {

void note_model(Recording& recording, const Model* model, std::uint32_t place) {
  const auto [known, is_new] = recording.models.emplace(model, place);
  if (!is_new) known->second = 0;
}

}  // namespace

std::shared_ptr<Recording> Origins::begin(const std::shared_ptr<Recording>& around, std::vector<Value>& roots,
                                          const std::vector<std::uint8_t>& aspects_in_key) {
  const std::lock_guard lock(mutex_);
  if (is_full_) return nullptr;
  auto recording = std::make_shared<Recording>();
  recording->around = around;
  for (std::size_t i = 0; i < roots.size(); ++i) {
    const auto number = static_cast<Number>(nodes_.size());
    Node& node = nodes_.emplace_back();
    node.recording = recording.get();
    node.number = static_cast<std::uint32_t>(i);
    node.in_key = aspects_in_key[i];
    node.value = roots[i];
    recording->nodes.push_back(number);
    if (roots[i].is_closure() && closure_of(roots[i]).is_model()) note_model(*recording, closure_of(roots[i]).model, number);
    roots[i] = roots[i].with_origin(number);
  }
  return recording;
}

// 0: there can be none; the recording is spoilt then.
Origins::Number Origins::child(Number parent, Selector::Type type, std::uint32_t number, const Value& raw,
                               bool is_there) {
  const std::uint64_t key = key_of(parent, type, number);
  if (const auto known = children_.find(key); known != children_.end()) return known->second;
  Recording* const recording = nodes_[parent].recording;
  is_full_ = is_full_ || nodes_.size() >= nodes_max;
  if (is_full_ || nodes_[parent].depth >= depth_max || number > selector_number_max) {
    recording->is_spoilt = true;
    return 0;
  }
  const auto own = static_cast<Number>(nodes_.size());
  Node& node = nodes_.emplace_back();
  node.recording = recording;
  node.parent = parent;
  node.number = number;
  node.depth = static_cast<std::uint16_t>(nodes_[parent].depth + 1);
  node.type = type;
  node.is_there = is_there;
  node.value = raw;
  recording->nodes.push_back(own);
  children_.emplace(key, own);
  if (raw.is_closure() && closure_of(raw).is_model()) note_model(*recording, closure_of(raw).model, own);
  return own;
}

Value Origins::with_child(std::uint32_t origin, Selector::Type type, std::uint32_t number, const Value& raw,
                          bool is_there) {
  const Number parent = resolved(origin);
  if (parent == 0) return raw;  // what it has itself is its origin
  return raw.with_origin(child(parent, type, number, raw, is_there));
}

Value Origins::component(std::uint32_t origin, Selector::Type type, std::uint32_t number, const Value& raw) {
  if (origin == 0) return raw;
  const std::lock_guard lock(mutex_);
  return with_child(origin, type, number, raw, true);
}

Value Origins::component(std::uint32_t origin, std::string_view name, const Value& raw) {
  if (origin == 0) return raw;
  const std::lock_guard lock(mutex_);
  return with_child(origin, Selector::Type::name, name_number(name), raw, true);
}

Value Origins::selected(Recording* recording, const Value& binding, const Value& name) {
  const Value raw = select(binding, name);
  if (binding.origin() == 0) return raw;
  const std::lock_guard lock(mutex_);
  const Number parent = resolved(binding.origin());
  if (parent == 0) return raw;
  const Number own = child(parent, Selector::Type::name, name_number(view_of(name)), raw, !raw.is_unbound());
  if (own != 0)
    nodes_[own].seen |= bit(Aspect::presence);
  else if (recording)
    recording->is_spoilt = true;
  return raw.with_origin(own);
}

Value Origins::opened(Recording* recording, const Value& sequence) {
  if (sequence.origin() == 0) return sequence;
  const std::lock_guard lock(mutex_);
  const Number parent = resolved(sequence.origin());
  if (parent == 0) return sequence.with_origin(0);
  look_locked(recording, sequence, bit(sequence.is_list() ? Aspect::length : Aspect::names));
  if (!nodes_[parent].opened.is_unbound()) return nodes_[parent].opened;
  Value opened;
  if (sequence.is_list()) {
    std::vector<Value> elements;
    elements.reserve(length(sequence));
    for (std::uint32_t i = 0; i < length(sequence); ++i)
      elements.push_back(with_child(parent, Selector::Type::element, i, element(sequence, i), true));
    opened = make_list(elements);
  } else {
    BindingBuilder pairs(length(sequence));
    for (std::uint32_t i = 0; i < length(sequence); ++i)
      pairs.add(name_at(sequence, i),
                with_child(parent, Selector::Type::name, name_number(view_of(name_at(sequence, i))),
                           value_at(sequence, i), true));
    opened = pairs.finish();
  }
  nodes_[parent].opened = opened;
  return opened;
}

// Looks at everything in a value that has no origin. True: there is none that has one.
bool Origins::look_inside(Recording* recording, const Value& value, unsigned depth) {
  if (!value.is_shared() || value.is_text() || value.object()->has_no_origins.load(std::memory_order_relaxed))
    return true;
  if (depth > look_depth_max || stack_is_low()) {
    recording->is_spoilt = true;
    return false;
  }
  if (recording->looked_at.contains(value.object())) return false;
  bool none = true;
  const auto inside = [&](const Value& part) {
    const Number number = resolved(part.origin());
    if (number == 0) {
      none = look_inside(recording, part, depth + 1) && none;
      return;
    }
    nodes_[number].seen |= bit(Aspect::whole);
    none = false;
  };
  if (value.is_list())
    for (const Value& part : elements_of(value)) inside(part);
  else if (value.is_binding())
    for (const Pair& pair : pairs_of(value)) inside(pair.value);
  else
    for (const Value& part : closure_of(value).captured()) inside(part);
  if (none)
    value.object()->has_no_origins.store(true, std::memory_order_relaxed);
  else
    recording->looked_at.emplace(value.object(), value);
  return none;
}

void Origins::look_locked(Recording* recording, const Value& value, std::uint8_t aspects) {
  if (const Number number = resolved(value.origin()); number != 0)
    nodes_[number].seen |= aspects;
  else if (recording && (aspects & bit(Aspect::whole)))
    look_inside(recording, value, 0);
}

void Origins::look(Recording* recording, const Value& value, Aspect aspect) {
  if (value.origin() == 0 && (aspect != Aspect::whole || !value.is_shared() || value.is_text() || !recording))
    return;
  const std::lock_guard lock(mutex_);
  look_locked(recording, value, bit(aspect));
}

void Origins::spoil(Recording* recording) {
  if (!recording) return;
  const std::lock_guard lock(mutex_);
  recording->is_spoilt = true;
}

bool Origins::is_spoilt(const Recording& recording) {
  const std::lock_guard lock(mutex_);
  return recording.is_spoilt;
}

Way Origins::way_of(Number number) const {
  Way way;
  for (Number at = number; at != 0; at = nodes_[at].parent) {
    const Node& node = nodes_[at];
    const bool is_name = node.type == Selector::Type::name;
    way.push_back({node.type, is_name ? 0 : node.number, is_name ? names_[node.number] : std::string()});
  }
  std::reverse(way.begin(), way.end());
  return way;
}

std::optional<Way> Origins::way_to(const Recording& recording, const Value& value) {
  if (value.origin() == 0) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const Number number = resolved(value.origin());
  if (number == 0 || nodes_[number].recording != &recording) return std::nullopt;
  return way_of(number);
}

std::optional<Way> Origins::way_to_model(const Recording& recording, const Model& model) {
  const std::lock_guard lock(mutex_);
  const auto known = recording.models.find(&model);
  if (known == recording.models.end() || known->second == 0) return std::nullopt;
  nodes_[known->second].seen |= bit(Aspect::code);
  return way_of(known->second);
}

std::vector<Look> Origins::looks(Recording& recording) {
  const std::lock_guard lock(mutex_);
  // Whole values say all of what is below them, and what is looked at says that it is there.
  std::unordered_map<Number, bool> covered, needed;
  for (const Number number : recording.nodes) {
    const Node& node = nodes_[number];
    covered[number] = node.parent != 0 && (covered[node.parent] || (nodes_[node.parent].seen & bit(Aspect::whole)) ||
                                           (nodes_[node.parent].in_key & bit(Aspect::whole)));
  }
  std::vector<Look> looks;
  for (auto at = recording.nodes.rbegin(); at != recording.nodes.rend(); ++at) {
    const Node& node = nodes_[*at];
    if (covered[*at]) continue;
    std::uint8_t seen = node.seen & static_cast<std::uint8_t>(~node.in_key);
    if (node.in_key & bit(Aspect::whole)) seen = 0;
    if (seen & bit(Aspect::whole)) seen = bit(Aspect::whole);
    if (node.is_there && (needed[*at] || (seen & ~bit(Aspect::presence))))
      seen &= static_cast<std::uint8_t>(~bit(Aspect::presence));
    if (node.parent != 0 && (seen != 0 || needed[*at])) needed[node.parent] = true;
    for (std::uint8_t one = 1; one <= bit(Aspect::code); one = static_cast<std::uint8_t>(one << 1))
      if (seen & one) looks.push_back({way_of(*at), static_cast<Aspect>(one), node.value, node.is_there});
  }
  std::sort(looks.begin(), looks.end(), [](const Look& a, const Look& b) {
    return a.way != b.way ? a.way < b.way : a.aspect < b.aspect;
  });
  return looks;
}

void Origins::end(Recording& recording) {
  const std::lock_guard lock(mutex_);
  Recording* const around = recording.around.get();
  for (const Number number : recording.nodes) {
    const Number parent = nodes_[number].parent;
    Number after;
    if (parent == 0) {
      after = resolved(nodes_[number].value.origin());
    } else if (const Number outside = nodes_[parent].after; outside != 0) {
      const Node node = nodes_[number];
      after = child(outside, node.type, node.number, node.value, node.is_there);
    } else {
      after = resolved(nodes_[number].value.origin());
    }
    if (nodes_[number].seen != 0) {
      if (after != 0)
        nodes_[after].seen |= nodes_[number].seen;
      else if (around && (nodes_[number].seen & bit(Aspect::whole)))
        look_inside(around, nodes_[number].value, 0);
    }
    nodes_[number].after = after;
  }
  if (around && recording.is_spoilt) around->is_spoilt = true;
  for (const Number number : recording.nodes) {
    Node& node = nodes_[number];
    if (node.parent != 0) children_.erase(key_of(node.parent, node.type, node.number));
    node.recording = nullptr;
    node.value = Value();
    node.opened = Value();
  }
}

}  // namespace sdl
