// The seam between the language and what runs tools: `_run_tool`. Spec: 8.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cache/base/result.h"
#include "sdl/value.h"

namespace sdl {

struct ToolRun {
  Value value;
  bool may_be_kept = true;  // with the same input it would be the same next time
  std::vector<std::string> warnings = {};  // of the call
};

class ToolRunner {
 public:
  virtual ~ToolRunner() = default;
  // What results depend on beside the arguments and `dot`; the same during an evaluation.
  virtual std::string surroundings() const { return {}; }
  // `arguments` are those of `_run_tool` in their order, with their types not looked at; those left out are
  // unbound. Called by any thread.
  virtual cache::Result<ToolRun> run(std::span<const Value> arguments, const Value& dot) = 0;
};

// Refuses to run anything.
class NoToolRunner final : public ToolRunner {
 public:
  cache::Result<ToolRun> run(std::span<const Value>, const Value&) override {
    return cache::fail(cache::Fault::unsupported, "_run_tool is not available here");
  }
};

}  // namespace sdl
