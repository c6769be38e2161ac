#include "crude-import/import_session.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/cache_place.h"
#include "cache/base/owned_fd.h"
#include "cache/private_directory.h"

namespace crude_import {

using cache::fail;
using cache::Fault;
using cache::Result;
using nlohmann::json;

Result<bool> check_session_name(const std::string& name) {
  constexpr char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  if (!name.empty() && name[0] != '.' && name.size() <= 100 && name.find_first_not_of(allowed) == name.npos) return true;
  return fail(Fault::invalid, "--session " + name + ": a name has letters, digits, '-', '_' and '.'");
}

Result<std::vector<SessionRun>> add_to_session(const std::string& name, const SessionRun& run) {
  TRY(check_session_name(name));
  const std::string directory = TRY(broker::cache_place()) + "/imports";
  TRY(cache::open_private_directory(directory));
  const std::string path = directory + "/" + name;
  const cache::OwnedFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file || ::flock(file.get(), LOCK_EX) != 0) return fail(Fault::io, fmt::format("{}: {}", path, std::strerror(errno)));
  const std::string line = json{{"report", run.report}, {"directory", run.directory}}.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  if (::write(file.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) return fail(Fault::io, path + ": cannot be written");
  std::vector<SessionRun> runs;
  std::ifstream lines(path);
  for (std::string each; std::getline(lines, each);) {
    const json one = json::parse(each, nullptr, false);
    if (!one.is_object() || !one.contains("report") || !one.contains("directory")) return fail(Fault::corrupt, path + ": is damaged; remove it to begin anew");
    runs.push_back({one.at("report"), one.at("directory")});
  }
  return runs;
}

}  // namespace crude_import
