// An imported root as a model in Vesta's System Description Language, which runs
// the command in it (`vestal build`):
//
//   DIR.ves                  the model
//   DIR.sdl/components/      a component of each Debian package that files of the root are of, see component.h, with
//                            these files alone
//   DIR.sdl/root/            what is of no package, and all directories and links to such
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cache/base/result.h"
#include "crude-import/imported_root.h"

namespace crude_import {

struct ModelOfCommand {
  std::vector<std::string> arguments;
  std::string directory;  // where it ran, absolute
  std::vector<std::pair<std::string, std::string>> variables;
};

// Fault::invalid: DIR.sdl is there and not empty. That of the same session is made anew.
cache::Result<bool> check_model(const std::string& root, const std::string& session);
// Of the root DIR, which has been written; replaces DIR.ves. Returns how many components there are.
cache::Result<std::size_t> write_model(const std::string& root, const RootTotals& contents, const ModelOfCommand& command);

}  // namespace crude_import
