// What steps and edits are made of: shell texts in which @X stands for something picked at random.
//
//   @F an input: a file, a link, an absent name, a directory, an earlier output      @E a source, never another name of an output
//   @O an output, perhaps one that is there; @Q a new one, @C of a copy, @H of a link, @G to be moved to, @J with two names
//   @P an output of an earlier step            @D a directory   @L a link   @M an absent name   @S a script
//   @T a file whose times are compared         @K a time long ago, in seconds
//   @W a word   @X a variable   @A a mode   @B a directory's mode   @U a umask   @Y a type for find   @N 1..9
//   @1 .. @9 what the first .. ninth of these was                   @@ an @
#pragma once

#include <vector>

namespace random_builds {

struct Phrase {
  unsigned weight;
  const char* text;
};

// Steps that only read the sources and make outputs of their own.
extern const std::vector<Phrase> pure_steps;
// Steps that change or remove what others read or made. Only in builds that run one step at a time.
extern const std::vector<Phrase> rough_steps;
// Steps that take a while.
extern const std::vector<Phrase> compiler_steps;

extern const std::vector<Phrase> file_edits;
extern const std::vector<Phrase> shell_edits;
extern const std::vector<Phrase> clock_edits;

}  // namespace random_builds
