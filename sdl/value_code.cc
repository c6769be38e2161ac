#include "sdl/value_code.h"

#include "sdl/access.h"
#include "sdl/closure.h"
#include "sdl/deep_stack.h"
#include "sdl/model.h"
#include "sdl/primitives.h"

namespace sdl {
namespace {

using cache::fail;
using cache::Fault;
using cache::Result;
using cache::SealedReader;
using cache::SealedWriter;

constexpr std::size_t bytes_max = 4 << 20;
constexpr unsigned depth_max = 2'000;

tl::unexpected<cache::Error> cannot(const char* why) {
  return fail(Fault::unsupported, std::string("a result cannot be kept: ") + why);
}

struct Put {
  SealedWriter& writer;
  Origins& origins;
  const Recording& recording;
  std::size_t left = bytes_max;

  Result<bool> spend(std::size_t bytes) {
    if (bytes > left) return cannot("it is too long");
    left -= bytes;
    return true;
  }
  void mark(char letter) { writer.number(static_cast<std::uint8_t>(letter)); }
  Result<bool> put(const Way& way) {
    for (const Selector& selector : way) TRY(spend(16 + selector.name.size()));
    put_way(writer, way);
    return true;
  }
  Result<bool> put(const Value& value, unsigned depth) {
    if (depth > depth_max || stack_is_low()) return cannot("it is nested too deeply");
    TRY(spend(8));
    if (const auto way = origins.way_to(recording, value)) {
      mark('h');
      return put(*way);
    }
    switch (value.kind()) {
      case Kind::error:
        mark('e');
        return true;
      case Kind::boolean:
        mark('b');
        writer.number(static_cast<std::uint8_t>(value.as_boolean()));
        return true;
      case Kind::integer:
        mark('i');
        writer.number(value.as_integer());
        return true;
      case Kind::text:
        return put_text(value);
      case Kind::list:
        TRY(spend(std::size_t{8} * length(value)));
        mark('l');
        writer.count(length(value));
        for (const Value& each : elements_of(value)) TRY(put(each, depth + 1));
        return true;
      case Kind::binding:
        TRY(spend(std::size_t{12} * length(value)));
        mark('n');
        writer.count(length(value));
        for (const Pair& each : pairs_of(value)) {
          TRY(spend(view_of(each.name).size()));
          writer.text(view_of(each.name));
          TRY(put(each.value, depth + 1));
        }
        return true;
      case Kind::closure:
        return put_closure(closure_of(value), depth);
      default:
        // A captured name that has no value.
        mark('u');
        return true;
    }
  }
  Result<bool> put_text(const Value& value) {
    const StoredText* const stored = stored_text(value);
    if (!stored) {
      TRY(spend(view_of(value).size()));
      mark('t');
      writer.text(view_of(value));
      return true;
    }
    const auto summary = stored->summary();
    if (!summary) return cannot("the text of a file has no digest");
    mark('s');
    writer.digest(summary->digest);
    writer.number(summary->length);
    writer.number(static_cast<std::uint8_t>(stored->is_executable()));
    writer.text(stored->name());
    return spend(48 + stored->name().size());
  }
  Result<bool> put_closure(const ClosureObject& closure, unsigned depth) {
    if (closure.primitive) {
      mark('p');
      writer.text(closure.primitive->name);
      return true;
    }
    if (closure.is_model()) return cannot("a model is in it");
    const auto way = origins.way_to_model(recording, *closure.model);
    if (!way) return cannot("a function of another model is in it");
    mark('f');
    TRY(put(*way));
    writer.number(closure.function->number);
    writer.count(closure.captured_count);
    TRY(spend(std::size_t{8} * closure.captured_count));
    for (const Value& each : closure.captured()) TRY(put(each, depth + 1));
    return true;
  }
};

struct Take {
  SealedReader& reader;
  const std::vector<Value>& roots;
  Aspects& aspects;
  Origins& origins;
  TextStore& texts;

  // Unbound: there is none. A captured name without a value is told in `is_unbound`.
  Value take(unsigned depth, bool* is_unbound = nullptr) {
    if (depth > depth_max || stack_is_low()) return Value();
    switch (reader.number<std::uint8_t>()) {
      case 'e':
        return Value::error();
      case 'b':
        return Value::boolean(reader.number<std::uint8_t>() != 0);
      case 'i':
        return Value::integer(reader.number<std::int32_t>());
      case 't':
        return make_text(reader.text());
      case 's': {
        StoredText::Summary summary;
        summary.digest = reader.digest();
        summary.length = reader.number<std::uint64_t>();
        const bool is_executable = reader.number<std::uint8_t>() != 0;
        const std::string name(reader.text());
        return texts.text(summary, is_executable, name);
      }
      case 'l': {
        std::vector<Value> elements;
        for (std::size_t left = reader.count(1); left > 0; --left) {
          elements.push_back(take(depth + 1));
          if (elements.back().is_unbound()) return Value();
        }
        return make_list(elements);
      }
      case 'n': {
        const std::size_t count = reader.count(5);
        BindingBuilder pairs(count);
        for (std::size_t left = count; left > 0; --left) {
          const std::string_view name = reader.text();
          Value value = take(depth + 1);
          if (name.empty() || value.is_unbound() || !pairs.add(make_text(name), std::move(value))) return Value();
        }
        return pairs.finish();
      }
      case 'p': {
        const Value* const primitive = find_primitive(reader.text());
        return primitive ? *primitive : Value();
      }
      case 'f':
        return take_function(depth);
      case 'h': {
        auto value = value_at_place(take_way(reader), roots, aspects, origins);
        return value ? std::move(*value) : Value();
      }
      case 'u':
        if (is_unbound) *is_unbound = true;
        return Value();
      default:
        reader.expect(false);
        return Value();
    }
  }
  Value take_function(unsigned depth) {
    const auto model = value_at_place(take_way(reader), roots, aspects, origins);
    const auto number = reader.number<std::uint32_t>();
    const std::size_t count = reader.count(1);
    if (!model || !model->is_closure() || !closure_of(*model).is_model()) return Value();
    const Model& its = *closure_of(*model).model;
    const Syntax* const syntax = its.quiet_syntax();
    if (!syntax || number >= syntax->functions.size()) return Value();
    const Function& function = *syntax->functions[number];
    if (function.captures.size() != count) return Value();
    std::vector<Value> captured;
    for (std::size_t i = 0; i < count; ++i) {
      bool is_unbound = false;
      captured.push_back(take(depth + 1, &is_unbound));
      if (captured.back().is_unbound() && !is_unbound) return Value();
    }
    return make_closure(function, its, captured);
  }
};

}  // namespace

void put_way(SealedWriter& writer, const Way& way) {
  writer.count(way.size());
  for (const Selector& selector : way) {
    writer.number(static_cast<std::uint8_t>(selector.type));
    writer.number(selector.number);
    writer.text(selector.name);
  }
}

Way take_way(SealedReader& reader) {
  Way way;
  for (std::size_t left = reader.count(9); left > 0; --left) {
    const auto type = reader.number<std::uint8_t>();
    reader.expect(type <= static_cast<std::uint8_t>(Selector::Type::clause));
    const auto number = reader.number<std::uint32_t>();
    way.push_back({static_cast<Selector::Type>(type), number, std::string(reader.text())});
  }
  return way;
}

Result<bool> put_value(SealedWriter& writer, const Value& value, Origins& origins, const Recording& recording) {
  return Put{writer, origins, recording}.put(value, 0);
}

std::optional<Value> value_at_place(const Way& way, const std::vector<Value>& roots, Aspects& aspects,
                                    Origins& origins) {
  if (way.empty() || way[0].type != Selector::Type::root || way[0].number >= roots.size()) return std::nullopt;
  Value value = roots[way[0].number];
  for (std::size_t i = 1; i < way.size(); ++i) {
    const auto part = aspects.part(value, way[i]);
    if (!part) return std::nullopt;
    value = way[i].type == Selector::Type::name
                ? origins.component(value.origin(), way[i].name, *part)
                : origins.component(value.origin(), way[i].type, way[i].number, *part);
  }
  return value;
}

Value take_value(SealedReader& reader, const std::vector<Value>& roots, Aspects& aspects, Origins& origins,
                 TextStore& texts) {
  return Take{reader, roots, aspects, origins, texts}.take(0);
}

}  // namespace sdl
