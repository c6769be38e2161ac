#include "broker/cache_place.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "broker/configuration.h"

namespace broker {
namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

std::string home_directory() {
  if (std::string home = variable("HOME"); !home.empty()) return home;
  const passwd* const user = ::getpwuid(::geteuid());
  return user && user->pw_dir ? user->pw_dir : "";
}

// As the user's file or the machine's says; empty if none does.
cache::Result<std::string> place_in_files() {
  const std::vector<ConfigurationFile> files = TRY(find_common_configuration([](const std::string&) {}));
  if (files.empty()) return std::string();
  const Configuration configured = TRY(read_configuration(files));
  const auto found = std::ranges::find(configured.settings, "dir", &FileSetting::name);
  if (found == configured.settings.end()) return std::string();
  if (found->value.starts_with('/')) return found->value;
  const std::string home = home_directory();
  if (!home.starts_with('/')) return cache::fail(cache::Fault::not_found, found->where + ": there is no home directory");
  return home + found->value.substr(1);
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
  if (std::string said = TRY(place_in_files()); !said.empty()) return said;
  if (const std::string caches = variable("XDG_CACHE_HOME"); caches.starts_with('/')) return caches + "/vestal";
  const std::string home = home_directory();
  if (!home.starts_with('/')) {
    return cache::fail(cache::Fault::not_found, "there is no home directory to keep a cache in; set VESTAL_DIR");
  }
  return home + "/.cache/vestal";
}

}  // namespace broker
