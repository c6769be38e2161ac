// What somebody who has misspelt a word may have meant.
#pragma once

#include <string>
#include <vector>

namespace cache {

// `; did you mean 'X'?`, or nothing if no choice is near.
std::string suggestion(const std::string& word, const std::vector<std::string>& choices);

}  // namespace cache
