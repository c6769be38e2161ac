#include "sdl/fingerprint.h"

#include <optional>
#include <string>
#include <vector>

#include "sdl/access.h"
#include "sdl/canonical.h"
#include "sdl/closure.h"
#include "sdl/model.h"
#include "sdl/primitives.h"

namespace sdl {
namespace {

using cache::Digest;
using cache::Hasher;
using cache::Result;

// What has components, with how many of their digests are in.
struct Open {
  Value value;
  std::uint32_t next, count;
  Hasher hasher;
};

void add_number(Hasher& hasher, std::uint32_t number) {
  char bytes[4];
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<char>(number >> (8 * i));
  hasher.add({bytes, sizeof bytes});
}

Result<Digest> digest_of_text(const Value& text) {
  const StoredText* const stored = stored_text(text);
  Hasher hasher;
  hasher.add(stored && stored->is_executable() ? "tx" : "t-");
  const auto known = stored ? stored->summary() : std::nullopt;
  hasher.add((known ? known->digest : cache::digest_of(TRY(text_bytes(text)))).view());
  return hasher.finish();
}

Digest digest_with(std::string_view mark, std::string_view one, std::string_view other = {}) {
  Hasher hasher;
  hasher.add(mark);
  hasher.add_piece(one);
  hasher.add_piece(other);
  return hasher.finish();
}

// The digest, or what has to be looked into first.
Result<std::optional<Digest>> begin(const Value& value, std::vector<Open>& open) {
  switch (value.kind()) {
    case Kind::boolean:
      return digest_with("b", value.as_boolean() ? "1" : "0");
    case Kind::integer:
      return digest_with("i", std::to_string(value.as_integer()));
    case Kind::text:
      return TRY(digest_of_text(value));
    case Kind::list:
    case Kind::binding: {
      open.push_back({value, 0, length(value), Hasher()});
      open.back().hasher.add(value.is_list() ? "l" : "n");
      break;
    }
    case Kind::closure: {
      const ClosureObject& closure = closure_of(value);
      if (closure.primitive) return digest_with("p", closure.primitive->name);
      if (closure.is_model()) return digest_with("m", closure.model->path(), closure.model->digest().view());
      open.push_back({value, 0, closure.captured_count, Hasher()});
      open.back().hasher.add("f");
      open.back().hasher.add(TRY(body_fingerprint(*closure.function)).view());
      break;
    }
    default:
      return digest_with("e", {});
  }
  add_number(open.back().hasher, open.back().count);
  return std::nullopt;
}

}  // namespace

Result<Digest> fingerprint(const Value& value) {
  std::vector<Open> open;
  std::optional<Digest> done = TRY(begin(value, open));
  for (;;) {
    if (done) {
      if (open.empty()) return *done;
      open.back().hasher.add(done->view());
    }
    Open& now = open.back();
    if (now.next == now.count) {
      done = now.hasher.finish();
      open.pop_back();
      continue;
    }
    const std::uint32_t index = now.next++;
    Value component;
    if (now.value.is_list())
      component = element(now.value, index);
    else if (now.value.is_closure())
      component = closure_of(now.value).captured()[index];
    else {
      now.hasher.add(cache::digest_of(view_of(name_at(now.value, index))).view());
      component = value_at(now.value, index);
    }
    done = TRY(begin(component, open));
  }
}

}  // namespace sdl
