// Tokens to the tree of a model. Spec: 4, 2.1.
//
// Goes on behind an error at the next statement, so that one run tells of all
// of them; a tree with an error has no body. Nesting is bounded, by
// nesting_max and by the stack there is, so that this cannot run out of it.
#pragma once

#include <memory>
#include <vector>

#include "sdl/diagnostic.h"
#include "sdl/source.h"
#include "sdl/syntax.h"

namespace sdl {

inline constexpr unsigned nesting_max = 1000;
inline constexpr std::size_t errors_max = 20;  // later ones are not told

// The tree refers to the source, which has to outlive it. Names are not resolved yet.
std::unique_ptr<Syntax> parse(const Source& source, std::vector<Diagnostic>& found);

}  // namespace sdl
