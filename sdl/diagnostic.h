// What is wrong with a model, for its author: where, what, the line it stands in
// and which calls led there.
//
// A plain value that refers to nothing, so it outlives the evaluation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sdl/source.h"

namespace sdl {

enum class Severity { warning, error };

struct Diagnostic {
  // A call under way; the innermost comes first.
  struct Call {
    std::string function;
    std::string path;
    Position at;  // of the call
  };
  // Of a deep recursion nobody reads more.
  static constexpr std::size_t calls_max = 12;

  Severity severity = Severity::error;
  std::string path;  // empty: about no place in a file
  Position at;
  std::string message;  // without a final full stop
  std::string line;     // the source line, as much of it as is shown
  unsigned caret = 0;   // how many bytes of `line` stand before the place
  std::vector<Call> calls;
  std::size_t calls_left_out = 0;

  void add_call(std::string function, const Source& source, std::uint32_t offset);

  // `FILE:LINE:COLUMN: error: MESSAGE`, the line, a caret below it, the calls; ends with a line's end.
  std::string text() const;
};

// On standard error. Files below the current directory are named as the user would.
void tell(Diagnostic diagnostic);

Diagnostic diagnose(Severity severity, const Source& source, std::uint32_t offset, std::string message);

}  // namespace sdl
