// How the sources of a build are compiled, for tools that read sources.
//
// https://clang.llvm.org/docs/JSONCompilationDatabase.html: entries with
// "directory", "arguments", "file" and, if an object was made of it alone, "output".
// They are sorted by file. One is kept from build to build until the same source
// is compiled to the same output, or is gone; so a build in which there was little
// to do takes nothing away.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cache/base/result.h"

namespace makecompat {

struct CompileCommand {
  std::string directory, file, output;  // file: as the command has it; output: empty if none is its own
  std::vector<std::string> arguments;
};

// One for each source among the words of a compiler's command; none if it only preprocesses, or tells what it is.
std::vector<CompileCommand> compile_commands_of(const std::string& directory, const std::vector<std::string>& arguments);

// The text that `path` is to have after a session with this report. Fault::invalid: what is there now is something else, or
// the report cannot be read.
cache::Result<std::string> compile_commands_text(const std::string& path, std::string_view report);
// Whether it can be written, before anything is done: a sentence if not.
cache::Result<bool> may_become_compile_commands(const std::string& path);

}  // namespace makecompat
