#include "broker/configuration.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "broker/policy_file.h"
#include "cache/base/owned_fd.h"

namespace broker {
namespace {

using cache::Fault;
using cache::Result;
using cache::fail;

constexpr char project_name[] = "/.vestal.toml", common_name[] = "/vestal/config.toml";
constexpr char machine_place[] = "/etc";

// Nothing if there is none, or none that counts.
Result<std::optional<ConfigurationFile>> read_file(const std::string& path, const std::function<void(const std::string&)>& warn) {
  const cache::OwnedFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) {
    const int why = errno;
    // Who may not look into the directory cannot know of a file there.
    if (why == ENOENT || why == ENOTDIR || ::access(path.c_str(), F_OK) != 0) return std::nullopt;
    return fail(Fault::io, path + ": " + std::strerror(why));
  }
  struct stat status;
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return fail(Fault::invalid, path + ": is not a file");
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    warn(path + ": belongs to another user and is not used");
    return std::nullopt;
  }
  if (static_cast<std::size_t>(status.st_size) > configuration_bytes_max) return fail(Fault::invalid, path + ": is too long");
  ConfigurationFile found{path, std::string(static_cast<std::size_t>(status.st_size), '\0')};
  std::size_t done = 0;
  while (done < found.text.size()) {
    const ssize_t bytes = ::read(file.get(), found.text.data() + done, found.text.size() - done);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return fail(Fault::io, path + ": " + std::strerror(errno));
    if (bytes == 0) break;
    done += static_cast<std::size_t>(bytes);
  }
  found.text.resize(done);
  return found;
}

// Absolute, or empty.
std::string user_place() {
  const char* const own = std::getenv("XDG_CONFIG_HOME");
  if (own && *own == '/') return own;
  const char* home = std::getenv("HOME");
  if (!home || !*home) {
    const passwd* const user = ::getpwuid(::geteuid());
    home = user ? user->pw_dir : nullptr;
  }
  return home && *home == '/' ? std::string(home) + "/.config" : std::string();
}

}  // namespace

Result<std::vector<ConfigurationFile>> find_configuration(const std::function<void(const std::string&)>& warn) {
  std::vector<ConfigurationFile> files;
  const std::unique_ptr<char, decltype(&::free)> here(::getcwd(nullptr, 0), ::free);
  if (here && *here == '/') {
    for (std::string directory = here.get(); !directory.empty(); directory.resize(directory.rfind('/'))) {
      if (directory == "/") directory.clear();
      if (auto file = TRY(read_file(directory + project_name, warn))) {
        files.push_back(std::move(*file));
        break;
      }
      if (directory.empty()) break;
    }
  }
  for (ConfigurationFile& file : TRY(find_common_configuration(warn))) files.push_back(std::move(file));
  return files;
}

Result<std::vector<ConfigurationFile>> find_common_configuration(const std::function<void(const std::string&)>& warn) {
  std::vector<ConfigurationFile> files;
  for (const std::string& place : {user_place(), std::string(machine_place)}) {
    if (place.empty()) continue;
    if (auto file = TRY(read_file(place + common_name, warn))) files.push_back(std::move(*file));
  }
  return files;
}

bool is_of_project(std::string_view path) { return path.ends_with(project_name); }

std::string encode(const std::vector<ConfigurationFile>& files) {
  std::string bytes;
  for (const ConfigurationFile& file : files) {
    for (const std::string* piece : {&file.path, &file.text}) {
      const auto size = static_cast<std::uint32_t>(piece->size());
      bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
      bytes += *piece;
    }
  }
  return bytes;
}

Result<std::vector<ConfigurationFile>> decode_configuration(std::string_view bytes) {
  std::vector<ConfigurationFile> files;
  while (!bytes.empty()) {
    ConfigurationFile& file = files.emplace_back();
    for (std::string* piece : {&file.path, &file.text}) {
      std::uint32_t size;
      if (bytes.size() < sizeof size) return fail(Fault::corrupt, "the request has a broken configuration");
      std::memcpy(&size, bytes.data(), sizeof size);
      bytes.remove_prefix(sizeof size);
      if (bytes.size() < size) return fail(Fault::corrupt, "the request has a broken configuration");
      *piece = bytes.substr(0, size);
      bytes.remove_prefix(size);
    }
  }
  return files;
}

Result<Configuration> read_configuration(const std::vector<ConfigurationFile>& files) {
  Configuration all;
  for (const ConfigurationFile& file : files) {
    std::vector<PolicyRow> some = TRY(read_policy(file.text, file.path, &all.settings));
    all.rows.insert(all.rows.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
  }
  return all;
}

}  // namespace broker
