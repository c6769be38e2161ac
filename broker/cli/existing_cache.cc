#include "broker/cli/existing_cache.h"

#include <unistd.h>

#include "broker/cache_place.h"
#include "broker/client.h"

namespace broker::cli {

tl::expected<std::string, int> existing_cache() {
  const auto place = cache_place();
  if (!place) {
    complain(place.error().message);
    return tl::unexpected(status_own_failure);
  }
  if (::access(place->c_str(), F_OK) == 0) return *place;
  complain("there is no cache at " + *place + " yet");
  return tl::unexpected(1);
}

}  // namespace broker::cli
