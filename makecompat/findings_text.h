// Findings as people and other programs read them.
#pragma once

#include <string>

#include "makecompat/findings.h"

namespace makecompat {

// A line for each, as compilers write: `Makefile:12: a.o: reads config.h, ... [undeclared-prerequisite]`. Paths below `directory`
// are relative to it.
std::string text_of(const Findings& findings, const std::string& directory);

// An object: "recipes", "problems", "findings": kind, makefile, line, targets, path, other, note, text.
std::string json_of(const Findings& findings, const std::string& directory);

// SARIF 2.1.0, https://docs.oasis-open.org/sarif/sarif/v2.1.0/.
std::string sarif_of(const Findings& findings, const std::string& directory);

}  // namespace makecompat
