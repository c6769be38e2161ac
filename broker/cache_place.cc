#include "broker/cache_place.h"

#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace broker {
namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

cache::Result<std::string> cache_place() {
  if (const std::string own = variable("VESTAL_DIR"); own.starts_with('/')) {
    return own;
  } else if (!own.empty()) {
    char* const here = ::getcwd(nullptr, 0);
    if (!here) return cache::fail(cache::Fault::io, std::string("no working directory: ") + std::strerror(errno));
    std::string place = std::string(here) + "/" + own;
    std::free(here);
    return place;
  }
  if (const std::string caches = variable("XDG_CACHE_HOME"); caches.starts_with('/')) return caches + "/vestal";
  std::string home = variable("HOME");
  if (home.empty()) {
    const passwd* const user = ::getpwuid(::geteuid());
    if (user && user->pw_dir) home = user->pw_dir;
  }
  if (!home.starts_with('/')) {
    return cache::fail(cache::Fault::not_found, "there is no home directory to keep a cache in; set VESTAL_DIR");
  }
  return home + "/.cache/vestal";
}

}  // namespace broker
