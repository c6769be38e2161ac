// Whether evaluating something may cost more than looking it up in a cache.
#pragma once

#include "sdl/syntax.h"

namespace sdl {

// Whether there is a loop in it, or a call of anything but a primitive that calls nothing. It has been resolved.
bool may_be_costly(const Expression& body);

}  // namespace sdl
