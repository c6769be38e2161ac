#include "broker/shim_place.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

namespace broker {

cache::Result<std::string> find_shim() {
  std::error_code error;
  std::filesystem::path shim;
  if (const char* wanted = std::getenv("VESTAL_SHIM"); wanted && *wanted) {
    shim = std::filesystem::absolute(wanted, error);
  } else {
    shim = std::filesystem::read_symlink("/proc/self/exe", error).parent_path().parent_path() /
           "lib/vestal/libvestal_shim.so";
  }
  if (::access(shim.c_str(), R_OK) == 0) return shim.string();
  return cache::fail(cache::Fault::not_found, fmt::format("{}: {}", shim.string(), std::strerror(errno)));
}

}  // namespace broker
