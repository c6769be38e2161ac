// The models that come with the program (sdl/lib): to models they are in a
// directory of one name everywhere, wherever the program has been installed.
#pragma once

#include "cache/base/result.h"
#include "cache/digest.h"
#include "sdl/tools/directories.h"

namespace sdl {

inline constexpr char library_directory[] = "/vestal";

// Of the files in ../share/vestal/sdl from where the program really lies; it has no directories in it. They
// are read each time, for they are few and small. Fault::io: they are not there.
cache::Result<cache::Digest> library_tree(Directories& directories);

}  // namespace sdl
