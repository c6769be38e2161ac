#include "broker/program_search.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace broker {
namespace {

constexpr char path_without_variable[] = "/bin:/usr/bin";

// 0 if execve would take this file, as far as one can tell beforehand.
int obstacle(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return errno;
  if (S_ISDIR(status.st_mode)) return EISDIR;
  if (!S_ISREG(status.st_mode)) return EACCES;
  return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

}  // namespace

FoundProgram find_program(const std::string& name) {
  FoundProgram found;
  if (name.find('/') != std::string::npos) {
    found.error = obstacle(name);
    if (found.error == 0) {
      found.path = name;
    } else {
      found.message = name + ": " + std::strerror(found.error);
    }
    return found;
  }
  found.error = ENOENT;
  const char* const variable = std::getenv("PATH");
  for (std::string_view rest = variable ? variable : path_without_variable; !name.empty();) {
    const std::size_t end = rest.find(':');
    const std::string folder(rest.substr(0, end));
    const std::string candidate = (folder.empty() ? std::string(".") : folder) + "/" + name;
    const int error = obstacle(candidate);
    if (error == 0) {
      found.error = 0;
      found.path = candidate;
      return found;
    }
    // Something of that name that may not be executed is passed over, but remembered.
    if (error == EACCES) found.error = EACCES;
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  found.message = name + (found.error == ENOENT ? ": command not found" : ": Permission denied");
  return found;
}

}  // namespace broker
