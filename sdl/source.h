// The text of one file of the language, and where in it a byte stands.
//
// Immutable; any thread may read it. Shorter than 4 GiB, which its reader checks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sdl {

// Both from 1; the column counts bytes.
struct Position {
  unsigned line = 1, column = 1;
  bool operator==(const Position&) const = default;
};

class Source {
 public:
  static constexpr std::size_t bytes_max = 0xffff'fff0;

  Source(std::string path, std::string text);

  const std::string& path() const { return path_; }
  std::string_view text() const { return text_; }
  Position position(std::uint32_t offset) const;
  std::string_view line(unsigned number) const;  // without its end

 private:
  const std::string path_;
  const std::string text_;
  std::vector<std::uint32_t> line_starts_;
};

}  // namespace sdl
