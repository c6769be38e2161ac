// The tree of a model: made by the parser, completed by the resolver, then only read.
//
// Nodes live in the tree's memory and are freed with it; they have no destructors.
// Type annotations are checked for their form and not kept. `at` is the byte of
// the source that messages point to.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <memory_resource>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "sdl/value.h"

namespace sdl {

struct Function;

// Where the value of a name is when the code runs; found by the resolver, for names are lexical.
struct Access {
  enum class Where : std::uint8_t {
    nowhere,   // no such name
    local,     // slot `index` of the frame
    captured,  // number `index` of what the closure has captured
    itself,    // the closure under call
    model,     // the model's own closure: _self
    constant,  // a primitive
  };
  Where where = Where::nowhere;
  std::uint32_t index = 0;
  const Value* constant = nullptr;
};

inline constexpr std::uint32_t dot_slot = 0;  // of every frame

enum class Operation : std::uint8_t {
  add,
  overlay,
  subtract,
  multiply,
  equal,
  not_equal,
  less,
  greater,
  less_equal,
  greater_equal,  // two values
  implies,
  either,
  both,  // the second if needed
  negate,
  invert,  // one
};
const char* spelling(Operation operation);

struct Expression {
  enum class Form : std::uint8_t {
    constant,
    variable,
    unary,
    binary,
    logical,
    conditional,
    select,
    call,
    list,
    binding,
    block,
    function
  };
  Form form;
  std::uint32_t at;
};

// A name: written down, or computed.
struct Arc {
  std::uint32_t at = 0;
  const Value* name = nullptr;
  Expression* computed = nullptr;
};

struct ConstantExpression : Expression {
  const Value* value;
};
struct VariableExpression : Expression {
  std::string_view name;
  Access access;
  std::string_view suggestion = {};  // for a message that there is no such name
};
struct UnaryExpression : Expression {
  Operation operation;
  Expression* operand;
};
struct BinaryExpression : Expression {
  Operation operation;
  Expression *left, *right;
};
struct LogicalExpression : Expression {
  Operation operation;
  Expression *left, *right;
};
struct ConditionalExpression : Expression {
  Expression *condition, *yes, *no;
};
struct SelectExpression : Expression {
  bool asks;
  Expression* base;
  Arc arc;
};  // asks: `!`, whether it is there
struct CallExpression : Expression {
  Expression* callee;
  std::span<Expression*> arguments;
  Access dot;
};
struct ListExpression : Expression {
  std::span<Expression*> elements;
};
struct BindingElement {
  std::span<Arc> path;
  Expression* value;
};
struct BindingExpression : Expression {
  std::span<BindingElement> elements;
};

struct Statement {
  enum class Form : std::uint8_t { assign, iterate, define };
  Form form;
  std::uint32_t at;
};
// `x op= e` is kept as what it means, `x = x op e`.
struct AssignStatement : Statement {
  std::string_view name;
  std::uint32_t slot;
  Expression* value;
};
// A name that a loop assigns: has its own slot from before the loop on, with the value that it had until
// then.
struct Carried {
  std::uint32_t slot;
  Access before;
};
struct IterateStatement : Statement {
  std::string_view name;  // of a binding's loop: what gets the name; else empty
  std::string_view value;
  std::uint32_t name_slot, value_slot;
  Expression* sequence;
  std::span<Statement*> body;
  std::span<Carried> carried;
};
struct DefineStatement : Statement {
  Function* function;
  std::uint32_t slot;
};

struct BlockExpression : Expression {
  std::span<Statement*> statements;
  Expression* result;
};

struct Formal {
  std::uint32_t at;
  std::string_view name;
  Expression* otherwise;  // null: has to be given
  std::uint8_t pragmas;
};

struct Capture {
  std::string_view name;
  Access from;
};  // from: in the frame where the closure is made

// Of `f(a)(b) { ... }`, the function of `a` has as its body the function of `b`.
struct Function {
  std::uint32_t at;
  std::string_view name;
  std::uint8_t pragmas;
  std::span<Formal> formals;  // in the slots behind `.`
  Expression* body;
  std::span<Capture> captures;
  std::uint32_t slot_count;
  std::uint32_t number = 0;  // in Syntax::functions
  bool may_be_costly = false;  // see weight.h
};
struct FunctionExpression : Expression {
  Function* function;
};

// What a `files` or `import` clause brings in.
struct ClausePath {
  std::uint32_t at;
  std::string_view name;  // written or derived; of an element in brackets any text
  bool is_absolute;
  std::span<std::string_view> arcs;  // "" is the current directory
};
struct ClauseItem {
  std::uint32_t at;
  std::string_view name;
  bool is_group;  // a binding of the paths; else there is one
  std::span<ClausePath> paths;
  std::uint32_t slot;
};

// A whole file.
struct Syntax {
  std::pmr::monotonic_buffer_resource memory{1 << 14};
  std::deque<Value> constants;
  std::span<ClauseItem> files, imports;
  std::vector<const Function*> functions;  // all but the body, in the order in which they are resolved
  Function* body = nullptr;  // without formals; null: the file is in error

  template <class T>
  T* make(T node) {
    static_assert(std::is_trivially_destructible_v<T>);
    return new (memory.allocate(sizeof(T), alignof(T))) T(node);
  }
  template <class T>
  std::span<T> keep(const std::vector<T>& nodes) {
    static_assert(std::is_trivially_destructible_v<T>);
    if (nodes.empty()) return {};
    T* const kept = static_cast<T*>(memory.allocate(nodes.size() * sizeof(T), alignof(T)));
    std::uninitialized_copy(nodes.begin(), nodes.end(), kept);
    return {kept, nodes.size()};
  }
  std::string_view keep(std::string_view text) {
    char* const kept = static_cast<char*>(memory.allocate(text.size() + 1, 1));
    text.copy(kept, text.size());
    return {kept, text.size()};
  }
  const Value* keep(Value value) { return &constants.emplace_back(std::move(value)); }
};

template <class Node, class Base>
const Node& as(const Base& node) {
  return static_cast<const Node&>(node);
}

}  // namespace sdl
