// Digests of values, which stand for them. Spec: 9.1.
//
// Equal for values that no model can tell apart; different otherwise. Made of the
// digests of the components in their order, each kind with a mark of its own:
//
//   "e" | "b" and 0 or 1 | "i" and the number | "t", whether executable, the bytes' digest
//   "l", count, each element's digest | "n", count, each name's digest and value's digest
//   "f", body fingerprint, count, digests of what it has captured | "m", path, digest of the file | "p", name
#pragma once

#include "cache/base/result.h"
#include "cache/digest.h"
#include "sdl/value.h"

namespace sdl {

// Fails if a stored text cannot be read, or code is nested too deeply. Takes no stack for nested values.
cache::Result<cache::Digest> fingerprint(const Value& value);

}  // namespace sdl
