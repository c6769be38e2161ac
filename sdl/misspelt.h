// Names that somebody may have meant by another one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sdl {

inline constexpr std::size_t suggestion_names_max = 2'000;

// `; did you mean 'X'?`, or nothing: no name is near, the name is too short to tell, or there are too many.
std::string suggestion_among(std::string_view name, std::vector<std::string_view> names);

}  // namespace sdl
