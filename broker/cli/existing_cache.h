// For sub-commands that read a cache as it lies there, without a broker.
#pragma once

#include <string>

#include <tl/expected.hpp>

namespace broker::cli {

// The user's cache, which is there. Or the status to leave with: what is wrong has been said.
tl::expected<std::string, int> existing_cache();

}  // namespace broker::cli
