// Writes a result into the file system: texts become files, bindings directories. Spec: 11.
#pragma once

#include <string>
#include <string_view>

#include "cache/base/result.h"
#include "sdl/value.h"

namespace sdl {

// What is at `path` ("a/b/c") below `value`. An empty path is the value itself.
cache::Result<Value> selected(const Value& value, std::string_view path);

// A binding is put into the directory `target`, which is made if need be: what is there and not in the
// binding stays, what has the same name is replaced. A text becomes the file `target`, or, if that is a
// directory, one in it called `name`. Nothing is written before all of the value is known to be of texts and
// bindings with names that files can have; then each file is whole or not there.
cache::Result<bool> ship(const Value& value, const std::string& target, const std::string& name);

}  // namespace sdl
