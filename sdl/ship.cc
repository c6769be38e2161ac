#include "sdl/ship.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include <fmt/format.h>

#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"
#include "sdl/access.h"

namespace sdl {
namespace {

using cache::fail;
using cache::Fault;
using cache::Result;

constexpr std::size_t path_bytes_max = 4000;  // the system takes a little more

tl::unexpected<cache::Error> failed(const std::string& path) {
  return fail(Fault::io, fmt::format("{}: {}", path, std::strerror(errno)));
}

// `path` is where it would stand: for messages, and the bound of the recursion.
Result<bool> check(const Value& value, const std::string& path) {
  if (path.size() > path_bytes_max)
    return fail(Fault::unsupported, fmt::format("{}...: the path is too long", path.substr(0, 100)));
  if (value.is_text()) return true;
  if (!value.is_binding())
    return fail(Fault::invalid, fmt::format("{} is {}; only texts and bindings can be shipped",
                                            path.empty() ? "the result" : path, type_of(value)));
  for (std::uint32_t i = 0; i < length(value); ++i) {
    const Value name_value = name_at(value, i);
    const std::string_view name = view_of(name_value);
    if (name == "." || name == ".." || name.find('/') != name.npos || name.find('\0') != name.npos)
      return fail(Fault::invalid, fmt::format("{}/{}: no file can have this name", path, name));
    TRY(check(value_at(value, i), fmt::format("{}/{}", path, name)));
  }
  return true;
}

Result<bool> write_file(const Value& text, const std::string& path) {
  const std::string_view bytes = TRY(text_bytes(text));
  const StoredText* const stored = stored_text(text);
  // Beside it and then in its place: nobody sees half a file, and a link there is not followed.
  std::string beside = path + ".XXXXXX";
  const cache::OwnedFd file(::mkostemp(beside.data(), O_CLOEXEC));
  if (file.get() < 0) return failed(path);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  const mode_t mode = stored && stored->is_executable() ? 0777 : 0666;
  if (!cache::write_all(file.get(), bytes) || ::fchmod(file.get(), mode & ~mask) != 0 ||
      ::rename(beside.c_str(), path.c_str()) != 0) {
    const auto error = failed(path);
    ::unlink(beside.c_str());
    return error;
  }
  return true;
}

bool is_directory(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// `is_target`: what the user has named may be a link to a directory; below it nothing is followed.
Result<bool> write_directory(const Value& binding, const std::string& path, bool is_target) {
  if (::mkdir(path.c_str(), 0777) != 0) {
    if (errno != EEXIST) return failed(path);
    struct stat status;
    if ((is_target ? ::stat : ::lstat)(path.c_str(), &status) != 0) return failed(path);
    if (!S_ISDIR(status.st_mode)) {
      if (is_target) return fail(Fault::io, path + ": no directory");
      if (::unlink(path.c_str()) != 0 || ::mkdir(path.c_str(), 0777) != 0) return failed(path);
    }
  }
  for (std::uint32_t i = 0; i < length(binding); ++i) {
    const Value name = name_at(binding, i), value = value_at(binding, i);
    const std::string entry = fmt::format("{}/{}", path, view_of(name));
    TRY(value.is_binding() ? write_directory(value, entry, false) : write_file(value, entry));
  }
  return true;
}

}  // namespace

Result<Value> selected(const Value& value, std::string_view path) {
  Value here = value;
  std::string done;
  while (!path.empty()) {
    const std::size_t end = path.find_first_of("/\\");
    const std::string_view arc = path.substr(0, end);
    path.remove_prefix(end == path.npos ? path.size() : end + 1);
    if (arc.empty()) continue;
    if (!here.is_binding())
      return fail(Fault::invalid, fmt::format("{} is {} and has no name '{}'",
                                              done.empty() ? "the result" : done, type_of(here), arc));
    here = select(here, arc);
    if (here.is_unbound())
      return fail(Fault::not_found,
                  fmt::format("{} has no name '{}'", done.empty() ? "the result" : done, arc));
    if (!done.empty()) done += '/';
    done += arc;
  }
  return here;
}

Result<bool> ship(const Value& value, const std::string& target, const std::string& name) {
  TRY(check(value, {}));
  if (value.is_binding()) return write_directory(value, target, true);
  if (!is_directory(target)) return write_file(value, target);
  if (name.empty())
    return fail(Fault::invalid, fmt::format("{} is a directory, and the result has no name in it", target));
  return write_file(value, target + "/" + name);
}

}  // namespace sdl
