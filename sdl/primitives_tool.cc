// `_run_tool`, which hands over to the host's ToolRunner. Spec: 8.
#include "sdl/evaluator.h"
#include "sdl/primitives.h"

namespace sdl {
namespace {

constexpr std::size_t tool_arguments = 10;

Value run_tool(Call& call) {
  // One more is the tool's environment in place of the caller's.
  const Value& dot = call.has(tool_arguments) ? call.arguments[tool_arguments] : call.dot;
  if (dot.is_binding())
    for (const std::string_view name : {"root", "envVars", "tool_dep_control"})
      call.evaluation.see(call.evaluation.selected(dot, make_text(name)), Aspect::whole);
  auto result = call.evaluation.host().tools.run(call.arguments.first(tool_arguments), dot);
  if (!result) return call.fail(std::move(result.error().message));
  for (std::string& warning : result->warnings)
    call.evaluation.host().warn(diagnose(Severity::warning, call.frame.model->source(), call.at, std::move(warning)));
  // Of a result that is found nobody would be warned.
  call.evaluation.note_tool(result->may_be_kept && result->warnings.empty());
  return std::move(result->value);
}

constexpr Primitive primitives[] = {{"_run_tool", "tl|tttttvtbv", run_tool, "NNNNNNNNNNS"}};

}  // namespace

std::span<const Primitive> tool_primitives() { return primitives; }

}  // namespace sdl
