// SHA-256, in lower-case hex.
#pragma once

#include <string>

#include "broker/images/elf_file.h"

namespace broker::images {

std::string sha256_hex(Bytes bytes);
inline std::string sha256_hex(const std::string& text) {
  return sha256_hex(Bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

}  // namespace broker::images
