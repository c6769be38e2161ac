// Where the shim is: $VESTAL_SHIM, else ../lib/vestal/libvestal_shim.so from where
// the program really lies.
#pragma once

#include <string>

#include "cache/base/result.h"

namespace broker {

// An absolute path; Fault::not_found if there is no such file.
cache::Result<std::string> find_shim();

}  // namespace broker
