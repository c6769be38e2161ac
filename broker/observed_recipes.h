// What the recipes of a session's makes have read and written, line by line, for
// who compares it with what makefiles say (makecompat/findings.h).
//
// A line is a process that make has started itself, with all that this has
// started; make reads what a function's process writes ($(shell ...)), which is
// no line. A line that was replayed has read what the run that was recorded has
// read. Paths are absolute, with the symbolic links in front of their ends followed.
//
// One thread, the session's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

struct ObservedRecipes {
  struct Make {
    std::uint64_t number = 0;       // of its step
    std::uint64_t line = 0;         // that has started it, perhaps by way of others; 0: none
    std::string program, directory; // directory: it has been executed in
    std::vector<std::string> arguments;
    // NAME=VALUE, without what vestal has added. For the client alone: nobody stores it. Empty if it ended before it was looked at.
    std::vector<std::string> environment;
  };
  struct Line {
    std::uint64_t number = 0;   // of its step
    std::uint64_t make = 0;     // Make::number
    std::uint64_t recipe = 0;   // the same for lines that follow each other; two recipes may be taken for one, see recorder_recipes.cc
    std::string command;    // all its words
    std::string looked_at;  // the file that make has looked at behind the recipe, if it was there; often its target
    std::string directory;      // of make
    std::uint64_t began = 0, ended = 0;  // places in the session's log: two lines did not run at once if one ended before the other began
    std::int32_t status = 0;    // as wait(2) reports it
    std::vector<std::string> read;     // contents of regular files that were there before it, and files it has executed
    std::vector<std::string> asked;    // looked for, and there, in whatever way
    std::vector<std::string> written;  // made, written into or replaced, and there at its end
    std::vector<std::string> removed;
  };
  // A compiler's driver (gcc, c++, ...-clang-14) that was run. What runs in a step that was replayed is known of its outputs'
  // last makers.
  struct Compilation {
    std::string program, directory;
    std::vector<std::string> arguments;
  };
  std::vector<Make> makes;
  std::vector<Line> lines;  // in the order of their ends
  std::vector<Compilation> compilations;  // the same

  std::string to_json() const;
};

// By the name of its file.
bool is_compiler_driver(std::string_view program);

// Of a live process of this user: its variables as it was started with them.
std::vector<std::string> environment_of(std::int32_t pid);

}  // namespace broker
