#include "crude-import/debian_packages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string_view>

#include <fmt/format.h>

#include "cache/base/owned_fd.h"

namespace crude_import {
namespace {

constexpr std::string_view usr = "/usr";

bool may_be_a_pattern(const std::string& path) { return path.find_first_of("*?[]\\\n") != path.npos; }

}  // namespace

std::map<std::string, std::string> packages_of(const std::vector<std::string>& paths) {
  std::map<std::string, std::string> packages;
  // Inherited by what is started, so that the list has a name there.
  const cache::OwnedFd list(::memfd_create("paths", 0));
  std::string text;
  for (const std::string& path : paths) {
    if (may_be_a_pattern(path)) continue;
    text.append(path).append(1, '\0');
    if (path.starts_with("/usr/")) text.append(path.substr(usr.size())).append(1, '\0');
  }
  if (!list || ::write(list.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return packages;
  const std::string command = fmt::format("LC_ALL=C xargs -0r dpkg-query --search -- </proc/self/fd/{} 2>/dev/null", list.get());
  struct Close { void operator()(std::FILE* file) const { ::pclose(file); } };
  const std::unique_ptr<std::FILE, Close> answer(::popen(command.c_str(), "re"));
  if (!answer) return packages;
  char* line = nullptr;
  std::size_t room = 0;
  // "gcc-12: /usr/bin/x86_64-linux-gnu-gcc-12", "libc6:amd64: /lib/...", "a, b: /usr/share/doc"
  for (ssize_t bytes; (bytes = ::getline(&line, &room, answer.get())) > 0;) {
    std::string_view rest(line, static_cast<std::size_t>(bytes));
    if (rest.ends_with('\n')) rest.remove_suffix(1);
    const std::size_t at = rest.find(": /");
    if (at == rest.npos || rest.starts_with("diversion ")) continue;
    const std::string package(rest.substr(0, rest.find_first_of(":,")));
    const std::string path(rest.substr(at + 2));
    packages.emplace(path, package);
    packages.emplace(std::string(usr) + path, package);
  }
  ::free(line);
  return packages;
}

}  // namespace crude_import
