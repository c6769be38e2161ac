// The layout of a model's text: indentation by brackets, one blank at most
// between tokens, one blank line at most between lines. Where lines end stays as it
// was, and so does every token and comment.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sdl/diagnostic.h"
#include "sdl/source.h"

namespace sdl {

// Formatting its result changes nothing. Nothing, and diagnostics, if the source is no model.
std::optional<std::string> formatted(const Source& source, std::vector<Diagnostic>& found);

}  // namespace sdl
