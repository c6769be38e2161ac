#include "crude-import/sdl_text.h"

#include <fmt/format.h>

namespace crude_import {

std::string text_literal(std::string_view text) {
  std::string made = "\"";
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (letter == '"' || letter == '\\') made += {'\\', letter};
    else if (byte < ' ' || byte >= 0x7f) made += fmt::format("\\{:03o}", byte);
    else made += letter;
  }
  return made + "\"";
}

}  // namespace crude_import
