// The code of a function in one canonical spelling, and its digest. Spec: 9.1.
//
// Two functions have the same form if they differ only in layout, comments,
// pragmas, type annotations, parentheses that change nothing, and their own name.
// Names of parameters and variables count.
#pragma once

#include <string>

#include "cache/base/result.h"
#include "cache/digest.h"
#include "sdl/syntax.h"

namespace sdl {

// Where too little stack is left for all of it, it has "..." inside.
std::string canonical_form(const Function& function);
// Fails then: what is cut off could be the difference.
cache::Result<cache::Digest> body_fingerprint(const Function& function);

}  // namespace sdl
