// Values as `_print` shows them. Spec: 7, "Types and diagnostics".
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "sdl/value.h"

namespace sdl {

struct PrintOptions {
  bool verbose = false;  // contents of stored texts; formals, body and context of functions
  std::size_t bytes_max = std::size_t{1} << 30;  // what is longer ends with "..."
};

// Takes no stack for nested values.
std::string printed(const Value& value, const PrintOptions& options = {});

// In double quotes, so that the language reads it back.
std::string quoted(std::string_view bytes);

}  // namespace sdl
