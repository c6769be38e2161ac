// Primitives that search in texts. Spec: 7; regular expressions are POSIX extended ones.
#include <regex.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "sdl/access.h"
#include "sdl/primitives.h"

namespace sdl {
namespace {

enum class First { lowest, highest };

Value search(Call& call, First first) {
  const auto text = text_bytes(call.arguments[0]), part = text_bytes(call.arguments[1]);
  if (!text) return call.fail(text.error().message);
  if (!part) return call.fail(part.error().message);
  const auto start = static_cast<std::size_t>(std::max(call.integer(2, 0), 0));
  const std::size_t found = first == First::lowest ? text->find(*part, start) : text->rfind(*part);
  if (found == text->npos || found < start) return Value::integer(-1);
  if (found > std::numeric_limits<std::int32_t>::max())
    return call.fail("the place does not fit into an integer");
  return Value::integer(static_cast<std::int32_t>(found));
}

Value find(Call& call) { return search(call, First::lowest); }
Value findr(Call& call) { return search(call, First::highest); }

struct FreeExpression {
  void operator()(regex_t* expression) const {
    ::regfree(expression);
    delete expression;
  }
};

Value findre(Call& call) {
  const auto text = text_bytes(call.arguments[0]), pattern = text_bytes(call.arguments[1]);
  if (!text) return call.fail(text.error().message);
  if (!pattern) return call.fail(pattern.error().message);
  if (pattern->find('\0') != pattern->npos)
    return call.fail("a regular expression cannot contain the byte 0");
  if (text->size() > std::numeric_limits<regoff_t>::max()) return call.fail("the text is too long");

  auto made = std::make_unique<regex_t>();
  const int error = ::regcomp(made.get(), std::string(*pattern).c_str(), REG_EXTENDED);
  if (error != 0) {
    char message[256];
    ::regerror(error, made.get(), message, sizeof message);
    return call.fail(std::string("regular expression: ") + message);
  }
  const std::unique_ptr<regex_t, FreeExpression> expression(made.release());

  const auto bytes = static_cast<std::int64_t>(text->size());
  std::int64_t start = call.integer(2, 0);
  if (start < 0) start = std::max<std::int64_t>(start + bytes, 0);
  if (start > bytes) return Value::boolean(false);
  std::vector<regmatch_t> groups(expression->re_nsub + 1);
  groups[0] = {static_cast<regoff_t>(start), static_cast<regoff_t>(bytes)};
  // The call is given an end; sanitizers look for a zero byte nevertheless.
  const std::string subject(*text);
  const int flags = REG_STARTEND | (start > 0 ? REG_NOTBOL : 0);
  if (::regexec(expression.get(), subject.c_str(), groups.size(), groups.data(), flags) != 0)
    return Value::boolean(false);

  std::vector<Value> places;
  for (const regmatch_t& group : groups) {
    Value ends[] = {Value::integer(group.rm_so), Value::integer(group.rm_eo)};
    places.push_back(make_list(ends));
  }
  return make_list(places);
}

constexpr Primitive primitives[] = {
    {"_find", "tt|i", find}, {"_findr", "tt|i", findr}, {"_findre", "tt|i", findre}};

}  // namespace

std::span<const Primitive> text_primitives() { return primitives; }

}  // namespace sdl
