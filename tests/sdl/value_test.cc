#include "sdl/value.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "sdl/access.h"
#include "sdl/fingerprint.h"
#include "sdl/operators.h"
#include "sdl/printer.h"
#include "tests/sdl/play.h"

using namespace sdl;

namespace {

Value text(const char* bytes) { return make_text(bytes); }

Value list_of(std::vector<Value> values) { return make_list(values); }

Value binding_of(std::initializer_list<std::pair<const char*, int>> pairs) {
  BindingBuilder builder;
  for (const auto& [name, value] : pairs) builder.add(make_text(name), Value::integer(value));
  return builder.finish();
}

std::string hex(const Value& value) { return fingerprint(value)->hex(); }

}  // namespace

TEST_CASE("appending to a list leaves every earlier state of it as it was") {
  const Value start = list_of({Value::integer(1)});
  const Value two = concatenated_lists(start, list_of({Value::integer(2)}));
  const Value three = concatenated_lists(two, list_of({Value::integer(3)}));
  const Value other = concatenated_lists(two, list_of({Value::integer(4)}));
  CHECK(printed(start) == "< 1 >");
  CHECK(printed(two) == "< 1, 2 >");
  CHECK(printed(three) == "< 1, 2, 3 >");
  CHECK(printed(other) == "< 1, 2, 4 >");
  CHECK(printed(concatenated_lists(other, other)) == "< 1, 2, 4, 1, 2, 4 >");
  CHECK(printed(concatenated_lists(part(three, 1, 1), start)) == "< 2, 1 >");
}

TEST_CASE("appending to a text leaves every earlier state of it as it was") {
  const std::string many(100, 'x');
  const Value start = make_text(many);
  const Value grown = concatenated(start, "1");
  const Value one = concatenated(grown, "2"), other = concatenated(grown, "3");
  CHECK(view_of(one) == many + "12");
  CHECK(view_of(other) == many + "13");
  CHECK(view_of(grown) == many + "1");
  CHECK(view_of(concatenated(other, view_of(other))) == many + "13" + many + "13");
  CHECK(view_of(part_of(one, 50, 52)) == std::string(50, 'x') + "12");
}

TEST_CASE("a large binding finds its names, keeps their order, and so do its parts") {
  Value all = BindingBuilder().finish();
  constexpr int count = 5000;
  for (int i = 0; i < count; ++i) {
    BindingBuilder one;
    one.add(make_text(std::to_string(i)), Value::integer(i));
    all = overlay_of(all, one.finish());
  }
  CHECK(length(all) == count);
  for (int i = 0; i < count; i += 7) CHECK(select(all, std::to_string(i)).as_integer() == i);
  CHECK(select(all, "5000").is_unbound());
  const Value tail = part(all, 1000, 3000);
  CHECK(select(tail, "999").is_unbound());
  CHECK(select(tail, "4000").is_unbound());
  CHECK(select(tail, "1000").as_integer() == 1000);
  CHECK(view_of(name_at(tail, 0)) == "1000");
  // A name before the part may be appended behind it.
  const Value again = overlay_of(tail, binding_of({{"5", -5}}));
  CHECK(select(again, "5").as_integer() == -5);
  CHECK(select(all, "5").as_integer() == 5);
}

TEST_CASE("an overlay takes the place of what it replaces and appends the rest") {
  const Value left = binding_of({{"a", 1}, {"b", 2}}), right = binding_of({{"c", 3}, {"a", 4}});
  CHECK(printed(overlay_of(left, right)) == "[ a=4, b=2, c=3 ]");
  CHECK(printed(overlay_of(right, left)) == "[ c=3, a=1, b=2 ]");
  CHECK(printed(difference_of(left, right)) == "[ b=2 ]");
  CHECK(printed(left) == "[ a=1, b=2 ]");
}

TEST_CASE("values nested a million deep are compared, printed, fingerprinted and freed") {
  std::string shown;
  {
    Value one = list_of({}), other = list_of({});
    for (int i = 0; i < 1'000'000; ++i) {
      one = list_of({one});
      BindingBuilder builder;
      builder.add(text("n"), other);
      other = builder.finish();
    }
    CHECK(*equal(one, Value(one)));
    CHECK_FALSE(*equal(one, other));
    CHECK(hex(one) != hex(other));
    shown = printed(one);
  }
  CHECK(shown.size() == 4u * 1'000'001);
}

TEST_CASE("integers that do not fit into 32 bits are errors") {
  const auto of = [](Operation operation, int left, int right) {
    return operate(operation, Value::integer(left), Value::integer(right), length_max);
  };
  constexpr int greatest = 2'147'483'647, least = -greatest - 1;
  CHECK(of(Operation::add, greatest - 1, 1)->as_integer() == greatest);
  CHECK_FALSE(of(Operation::add, greatest, 1));
  CHECK_FALSE(of(Operation::subtract, least, 1));
  CHECK(of(Operation::multiply, 65536, -32768)->as_integer() == least);
  CHECK_FALSE(of(Operation::multiply, 65536, 32768));
  CHECK_FALSE(operate(Operation::negate, Value::integer(least)));
}

TEST_CASE("equal values have equal fingerprints, and values of one look have different ones") {
  CHECK(hex(text("ab")) == hex(concatenated(text("a"), "b")));
  CHECK(hex(list_of({text("a"), text("b")})) != hex(list_of({text("ab")})));
  CHECK(hex(list_of({list_of({text("a")}), text("b")})) != hex(list_of({list_of({text("a"), text("b")})})));
  CHECK(hex(binding_of({{"a", 1}, {"b", 2}})) != hex(binding_of({{"b", 2}, {"a", 1}})));
  CHECK(hex(list_of({})) != hex(BindingBuilder().finish()));
  CHECK(hex(Value::integer(1)) != hex(Value::boolean(true)));
  CHECK(hex(Value::integer(1)) != hex(text("1")));
  CHECK(hex(Value::error()) != hex(text("ERR")));
}

TEST_CASE("a stored text has the fingerprint of its bytes, and another if it can be executed") {
  const auto stored = [](bool is_executable) {
    return make_stored_text(std::make_shared<sdl_test::TextInMemory>("/f", "ab", is_executable));
  };
  CHECK(hex(stored(false)) == hex(text("ab")));
  CHECK(hex(stored(true)) != hex(text("ab")));
  CHECK(*equal(stored(true), text("ab")));
  CHECK(printed(stored(true)) == "<file /f>");
  CHECK(printed(stored(true), {.verbose = true}) == "\"ab\"");
}

TEST_CASE("texts are printed so that the language reads them back") {
  CHECK(quoted(std::string("a\"b\\\n\t\0"
                           "7\x7f",
                           9)) == "\"a\\\"b\\\\\\n\\t\\0007\\177\"");
}

TEST_CASE("threads append to one value without seeing each other's additions") {
  // With room behind it, which one of them gets.
  const Value list = concatenated_lists(list_of({Value::integer(0)}), list_of({Value::integer(1)}));
  const Value binding = overlay_of(binding_of({{"a", 0}}), binding_of({{"b", 1}}));
  const Value bytes = concatenated(make_text(std::string(100, 'x')), "y");
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      const std::string mark(1, static_cast<char>('0' + number));
      for (int round = 0; round < 300; ++round) {
        Value grown_list = list, grown_binding = binding, grown_bytes = bytes;
        for (int i = 0; i < 20; ++i) {
          grown_list = concatenated_lists(grown_list, list_of({Value::integer(number)}));
          BindingBuilder one;
          one.add(make_text(mark + std::to_string(i)), Value::integer(number));
          grown_binding = overlay_of(grown_binding, one.finish());
          grown_bytes = concatenated(grown_bytes, mark);
        }
        for (std::uint32_t i = 2; i < 22; ++i) wrong += element(grown_list, i).as_integer() != number;
        for (int i = 0; i < 20; ++i) {
          const Value found = select(grown_binding, mark + std::to_string(i));
          wrong += !found.is_integer() || found.as_integer() != number;
        }
        wrong += length(grown_binding) != 22 || view_of(grown_bytes).substr(101) != std::string(20, mark[0]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(length(list) == 2);
}
