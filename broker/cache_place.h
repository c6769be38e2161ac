// Where the cache is: $VESTAL_DIR, else what the user's configuration file or
// the machine's says (`dir`), else $XDG_CACHE_HOME/vestal, else
// ~/.cache/vestal. An empty variable counts as unset. A relative $VESTAL_DIR
// counts from the working directory; a relative $XDG_CACHE_HOME is ignored, as
// its specification wants it.
#pragma once

#include <string>

#include "cache/base/result.h"

namespace broker {

// An absolute path; nothing needs to be there. An Error: there is no home directory either.
cache::Result<std::string> cache_place();

}  // namespace broker
