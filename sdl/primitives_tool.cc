// `_run_tool`, which hands over to the host's ToolRunner. Spec: 8.
#include "sdl/evaluator.h"
#include "sdl/primitives.h"

namespace sdl {
namespace {

constexpr std::size_t tool_arguments = 10;

Value run_tool(Call& call) {
  // One more is the tool's environment in place of the caller's.
  const Value& dot = call.has(tool_arguments) ? call.arguments[tool_arguments] : call.dot;
  auto result = call.evaluation.host().tools.run(call.arguments.first(tool_arguments), dot);
  return result ? std::move(*result) : call.fail(std::move(result.error().message));
}

constexpr Primitive primitives[] = {{"_run_tool", "tl|tttttvtbv", run_tool}};

}  // namespace

std::span<const Primitive> tool_primitives() { return primitives; }

}  // namespace sdl
