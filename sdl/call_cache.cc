#include "sdl/call_cache.h"

#include "cache/sealed_bytes.h"
#include "sdl/access.h"
#include "sdl/closure.h"
#include "sdl/primitives.h"
#include "sdl/syntax.h"

namespace sdl {
namespace {

using cache::Digest;
using cache::Hasher;
using cache::SealedReader;
using cache::SealedWriter;

// Raise it when the same call gives another result, or rows change their meaning.
constexpr std::string_view version = "calls 1";

constexpr char sets_tag = 'K', set_tag = 'L', result_tag = 'C', value_tag = 'V';
// What one evaluation writes at most.
constexpr std::uint64_t bytes_per_evaluation = 128 << 20;
constexpr std::size_t looks_max = 100'000;

std::string row_key(char letter, const Digest& digest) { return std::string(1, letter).append(digest.view()); }

std::string result_key(const Digest& key, const Digest& set, const Digest& values) {
  Hasher hasher;
  hasher.add(key.view());
  hasher.add(set.view());
  hasher.add(values.view());
  return row_key('r', hasher.finish());
}

}  // namespace

CallCache::CallCache(cache::Rows& rows, TextStore& texts, ModelLoader& models, Options options)
    : rows_(rows),
      texts_(texts),
      options_(std::move(options)),
      aspects_(models),
      bytes_left_(bytes_per_evaluation) {}

void CallCache::trace(std::string_view outcome, std::string_view name) const {
  if (options_.trace) options_.trace(std::string(outcome).append(7 - std::min<std::size_t>(outcome.size(), 6), ' ').append(name));
}

std::optional<Digest> CallCache::model_key(const Value& model) {
  const auto code = aspects_.code(model);
  if (!code) return std::nullopt;
  Hasher hasher;
  for (const std::string_view piece : {version, std::string_view(options_.salt), std::string_view("model"), code->view()})
    hasher.add_piece(piece);
  return hasher.finish();
}

std::optional<Digest> CallCache::function_key(const Value& function, const std::vector<Value>& arguments,
                                              const std::vector<std::uint8_t>& aspects_in_key) {
  const auto code = aspects_.code(function);
  if (!code) return std::nullopt;
  Hasher hasher;
  for (const std::string_view piece :
       {version, std::string_view(options_.salt), std::string_view("function"), code->view()})
    hasher.add_piece(piece);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (aspects_in_key[i] == 0) {
      hasher.add_piece("");
      continue;
    }
    const auto aspect = static_cast<Aspect>(aspects_in_key[i]);
    const auto digest = aspects_.digest(aspect, arguments[i], true);
    if (!digest) return std::nullopt;
    hasher.add_piece(aspect == Aspect::whole ? "N" : "E");
    hasher.add_piece(digest->view());
  }
  return hasher.finish();
}

std::optional<Digest> CallCache::build_key(const Value& model, const Value& dot) {
  const auto all = aspects_.digest(Aspect::whole, model, true), there = aspects_.digest(Aspect::whole, dot, true);
  if (!all || !there) return std::nullopt;
  Hasher hasher;
  for (const std::string_view piece :
       {version, std::string_view(options_.salt), std::string_view("build"), all->view(), there->view()})
    hasher.add_piece(piece);
  return hasher.finish();
}

std::vector<Digest> CallCache::sets_of(const Digest& key) {
  std::vector<Digest> sets;
  const auto row = rows_.get(row_key('k', key));
  if (!row) return sets;
  auto reader = SealedReader::open(*row, sets_tag, "sets of looks");
  if (!reader) return sets;
  for (std::size_t left = reader->count(32); left > 0; --left) sets.push_back(reader->digest());
  return reader->finished() ? sets : std::vector<Digest>();
}

std::shared_ptr<const CallCache::Set> CallCache::set(const Digest& digest) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = known_sets_.find(digest); known != known_sets_.end()) return known->second;
  }
  const auto row = rows_.get(row_key('n', digest));
  if (!row || cache::digest_of(*row) != digest) return nullptr;
  auto reader = SealedReader::open(*row, set_tag, "looks");
  if (!reader) return nullptr;
  auto set = std::make_shared<Set>();
  for (std::size_t left = reader->count(5); left > 0; --left) {
    Way way = take_way(*reader);
    const auto aspect = reader->number<std::uint8_t>();
    reader->expect(aspect != 0 && (aspect & (aspect - 1)) == 0 && aspect <= static_cast<std::uint8_t>(Aspect::code));
    set->push_back({std::move(way), static_cast<Aspect>(aspect)});
  }
  if (!reader->finished()) return nullptr;
  const std::lock_guard lock(mutex_);
  return known_sets_.try_emplace(digest, std::move(set)).first->second;
}

std::optional<Digest> CallCache::digest_of(const Dependency& dependency, const std::vector<Value>& roots) {
  const Way& way = dependency.way;
  if (way.empty() || way[0].type != Selector::Type::root || way[0].number >= roots.size()) return std::nullopt;
  Value value = roots[way[0].number];
  for (std::size_t i = 1; i < way.size(); ++i) {
    auto part = aspects_.part(value, way[i]);
    if (!part) {
      const bool is_missing_name =
          i + 1 == way.size() && way[i].type == Selector::Type::name && value.is_binding();
      if (dependency.aspect != Aspect::presence || !is_missing_name) return Aspects::nowhere();
      return aspects_.digest(Aspect::presence, Value(), false).value();
    }
    value = std::move(*part);
  }
  const auto digest = aspects_.digest(dependency.aspect, value, true);
  if (!digest) return std::nullopt;
  return *digest;
}

std::optional<Digest> CallCache::today(const Set& set, const std::vector<Value>& roots) {
  Hasher hasher;
  for (const Dependency& each : set) {
    const auto digest = digest_of(each, roots);
    if (!digest) return std::nullopt;
    hasher.add(digest->view());
  }
  return hasher.finish();
}

void CallCache::pass_on(const Set& set, const std::vector<Value>& roots, Recording* around) {
  if (!around) return;
  for (const Dependency& each : set) {
    Way way = each.way;
    if (each.aspect == Aspect::presence && way.size() > 1) {
      const std::string name = way.back().name;
      way.pop_back();
      const auto binding = value_at_place(way, roots, aspects_, origins_);
      if (binding && binding->is_binding())
        origins_.selected(around, *binding, make_text(name));
      else
        origins_.spoil(around);
      continue;
    }
    const auto value = value_at_place(way, roots, aspects_, origins_);
    if (value)
      origins_.look(around, *value, each.aspect);
    else
      origins_.spoil(around);
  }
}

std::optional<CallResult> CallCache::take(std::string_view row_key, const std::vector<Value>& roots) {
  const auto row = rows_.get(row_key);
  if (!row) return std::nullopt;
  auto reader = SealedReader::open(*row, result_tag, "result of a call");
  if (!reader || reader->text() != row_key) return std::nullopt;
  CallResult result;
  result.printed = std::string(reader->text());
  result.height = reader->number<std::uint32_t>();
  result.steps = reader->number<std::uint64_t>();
  auto value = SealedReader::open(reader->text(), value_tag, "value");
  if (!reader->finished() || !value) return std::nullopt;
  result.value = take_value(*value, roots, aspects_, origins_, texts_);
  if (result.value.is_unbound() || !value->finished()) return std::nullopt;
  return result;
}

std::optional<CallResult> CallCache::look_up(const Digest& key, const std::vector<Value>& roots, Recording* around) {
  for (const Digest& digest : sets_of(key)) {
    const auto looks = set(digest);
    if (!looks) continue;
    const auto values = today(*looks, roots);
    if (!values) continue;
    auto result = take(result_key(key, digest, *values), roots);
    if (!result) continue;
    pass_on(*looks, roots, around);
    ++counts_.found;
    return result;
  }
  ++counts_.missed;
  return std::nullopt;
}

std::optional<CallResult> CallCache::look_up_build(const Digest& key, const std::vector<Value>& roots) {
  auto result = take(row_key('r', key), roots);
  if (result) ++counts_.builds_found;
  return result;
}

void CallCache::put(std::string_view key, std::string_view row) {
  if (!options_.adds) return;
  {
    const std::lock_guard lock(mutex_);
    if (bytes_left_ < key.size() + row.size()) return;
    bytes_left_ -= key.size() + row.size();
  }
  rows_.put(key, row);
}

namespace {

std::string row_with(std::string_view key, const CallResult& result, std::string_view value) {
  SealedWriter writer(result_tag);
  writer.text(key);
  writer.text(result.printed);
  writer.number(result.height);
  writer.number(result.steps);
  writer.text(value);
  return std::move(writer).seal();
}

std::optional<std::string> value_row(Origins& origins, const Recording& recording, const Value& value) {
  SealedWriter writer(value_tag);
  if (!put_value(writer, value, origins, recording)) return std::nullopt;
  return std::move(writer).seal();
}

}  // namespace

bool CallCache::store(const Digest& key, Recording& recording, const CallResult& result) {
  // First, for it looks at the code of functions in it.
  const auto value = value_row(origins_, recording, result.value);
  if (!value) return false;
  const std::vector<Look> looks = origins_.looks(recording);
  if (looks.size() > looks_max || !options_.adds) return false;
  SealedWriter names(set_tag);
  names.count(looks.size());
  Hasher values;
  for (const Look& look : looks) {
    put_way(names, look.way);
    names.number(static_cast<std::uint8_t>(look.aspect));
    const auto digest = aspects_.digest(look.aspect, look.value, look.is_there);
    if (!digest) return false;
    values.add(digest->view());
  }
  const std::string set_row = std::move(names).seal();
  const Digest set_digest = cache::digest_of(set_row);
  const std::string own = result_key(key, set_digest, values.finish());
  put(own, row_with(own, result, *value));
  bool is_known;
  {
    const std::lock_guard lock(mutex_);
    is_known = known_sets_.contains(set_digest);
  }
  if (!is_known || !rows_.get(row_key('n', set_digest))) put(row_key('n', set_digest), set_row);
  const std::lock_guard lock(changing_);
  std::vector<Digest> sets = sets_of(key);
  if (!sets.empty() && sets[0] == set_digest) {
    ++counts_.stored;
    return true;
  }
  std::erase(sets, set_digest);
  sets.insert(sets.begin(), set_digest);
  if (sets.size() > sets_max) sets.resize(sets_max);
  SealedWriter writer(sets_tag);
  writer.count(sets.size());
  for (const Digest& each : sets) writer.digest(each);
  put(row_key('k', key), std::move(writer).seal());
  ++counts_.stored;
  return true;
}

void CallCache::store_build(const Digest& key, Recording& recording, const CallResult& result) {
  const std::string own = row_key('r', key);
  if (const auto value = value_row(origins_, recording, result.value)) put(own, row_with(own, result, *value));
}

}  // namespace sdl
