// The files in which users say how vestal is to behave.
//
//   .vestal.toml                       of the project: in the working directory or the nearest one above it
//   $XDG_CONFIG_HOME/vestal/config.toml, ~/.config/vestal/config.toml    the user's
//   /etc/vestal/config.toml            the machine's
//
// What they may hold: [[policy]] rows, see broker/policy_file.h, and single values, see broker/setting_keys.h; a project's go
// before the user's, those before the machine's. The client reads the files and complains of what is wrong in them before
// anything is started; their text travels to the broker with the request for a session, for it may have been started by
// somebody else long ago.
//
// A project file that belongs to another user, who is not root, is not used: anybody may have put it into /tmp.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/policy_table.h"
#include "cache/base/result.h"

namespace broker {

inline constexpr std::size_t configuration_bytes_max = 256 << 10;  // of one file

struct ConfigurationFile {
  std::string path;  // absolute
  std::string text;
};

// Those that are there, nearest first. `warn` is told of files that are not used.
cache::Result<std::vector<ConfigurationFile>> find_configuration(const std::function<void(const std::string&)>& warn);
// The same without the project's, for what no project may say.
cache::Result<std::vector<ConfigurationFile>> find_common_configuration(const std::function<void(const std::string&)>& warn);
// Whether it is a project's, and so may not say what the cache is like.
bool is_of_project(std::string_view path);

// For a request. Empty if there are none.
std::string encode(const std::vector<ConfigurationFile>& files);
cache::Result<std::vector<ConfigurationFile>> decode_configuration(std::string_view bytes);

// A value as a file has it, one that makes sense.
struct FileSetting {
  std::string name;
  std::string value;
  std::string where;  // path:line
};

struct Configuration {
  std::vector<PolicyRow> rows;
  std::vector<FileSetting> settings;  // nearest first; a name may stand in several files
};
cache::Result<Configuration> read_configuration(const std::vector<ConfigurationFile>& files);

}  // namespace broker
