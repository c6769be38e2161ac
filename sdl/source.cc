#include "sdl/source.h"

#include <algorithm>

namespace sdl {

Source::Source(std::string path, std::string text) : path_(std::move(path)), text_(std::move(text)) {
  line_starts_.push_back(0);
  for (std::size_t at = 0; at < text_.size(); ++at) {
    // A line ends with CR, LF or both.
    const bool ends =
        text_[at] == '\n' || (text_[at] == '\r' && (at + 1 == text_.size() || text_[at + 1] != '\n'));
    if (ends) line_starts_.push_back(static_cast<std::uint32_t>(at + 1));
  }
}

Position Source::position(std::uint32_t offset) const {
  const auto after = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  return {static_cast<unsigned>(after - line_starts_.begin()), offset - after[-1] + 1};
}

std::string_view Source::line(unsigned number) const {
  if (number < 1 || number > line_starts_.size()) return {};
  std::string_view rest = std::string_view(text_).substr(line_starts_[number - 1]);
  return rest.substr(0, rest.find_first_of("\r\n"));
}

}  // namespace sdl
