// Texts as they are written in a model of the System Description Language.
#pragma once

#include <string>
#include <string_view>

namespace crude_import {

// With its quotes: printable ASCII as it is, all else as three octal digits.
std::string text_literal(std::string_view text);

}  // namespace crude_import
