// Reading and writing a descriptor to the end, interrupted or in pieces as it may be.
#pragma once

#include <errno.h>
#include <unistd.h>

#include <string>
#include <string_view>

namespace cache {

// False, and errno: not all of it has been written. Allocates nothing.
inline bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

// Until the end, or what cannot be read.
inline std::string read_all(int file) {
  std::string text;
  char piece[4096];
  for (;;) {
    const ssize_t count = ::read(file, piece, sizeof piece);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(piece, static_cast<std::size_t>(count));
  }
}

}  // namespace cache
