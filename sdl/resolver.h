// Finds for every name in a tree where its value will be: slots, captures. Spec: 5, 5.1, 5.2.
//
// Names are lexical, so this is done once, before anything runs. A block's names
// have slots of their own and are forgotten behind it. Where a loop assigns a name
// the block does not have yet, the name gets its slot before the loop, with the
// value it had until then; so what the body sees is right in its first round, in
// later ones, and behind a loop of no rounds at all.
//
// A name that is nowhere is no error here, only where it is evaluated.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "sdl/diagnostic.h"
#include "sdl/source.h"
#include "sdl/syntax.h"

namespace sdl {

// `syntax` has a body.
void resolve(Syntax& syntax, const Source& source, std::vector<Diagnostic>& found);

// The names that have values behind the statements, each once, in the order in which they get them. Of loops those that their bodies assign, but
// for the loops' own variables.
std::vector<std::string_view> assigned_names(std::span<Statement* const> statements);

}  // namespace sdl
