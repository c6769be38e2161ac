// What a session reports of the command that ran in it, read from its JSON.
// Immutable data; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace crude_import {

struct CommandReport {
  struct Path {
    std::string path;
    bool listed = false, changed = false;
    std::string by;  // the command that looked first
  };
  struct Other {
    std::string reason, command;
  };
  std::vector<Path> programs, paths;  // `programs`: what programs were started with
  std::vector<std::string> absent, made, variables;
  bool whole_environment = false;
  std::vector<Other> others;  // what no root can hold
  std::string directory;      // where the command ran; set by who knows it

  // Nothing if it is no such report.
  static std::optional<CommandReport> from(std::string_view json);
};

}  // namespace crude_import
