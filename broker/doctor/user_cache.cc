#include "broker/doctor/user_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstring>

#include <fmt/format.h>

#include "broker/client.h"
#include "broker/configuration.h"
#include "broker/control.h"
#include "broker/effective_settings.h"
#include "broker/settings.h"
#include "broker/wording.h"
#include "cache/base/owned_fd.h"

namespace broker::doctor {
namespace {

using cache::Fault;
using cache::OwnedFd;
using Status = Finding::Status;

constexpr int answer_ms_max = 2'000;
// Images of libc and of the shim alone take some of it.
constexpr std::uint64_t free_bytes_min = 16 << 20, free_bytes_scarce = 512 << 20;

constexpr char other_place[] = "choose another one with VESTAL_DIR, or `dir` in ~/.config/vestal/config.toml";

bool is_noexec(const std::string& path) {
  struct statvfs system {};
  return ::statvfs(path.c_str(), &system) == 0 && system.f_flag & ST_NOEXEC;
}
constexpr char noexec[] = "libraries cannot be loaded from there, for it is mounted with noexec";

}  // namespace

std::string place_above(std::string path) {
  while (path.size() > 1 && ::access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
    const std::size_t slash = path.rfind('/');
    path.erase(slash == path.npos || slash == 0 ? 1 : slash);
  }
  return path;
}

Finding check_configuration(std::string& max_size) {
  Finding finding{Status::ok, "configuration", {}, {}};
  std::string warnings;
  const auto warn = [&](const std::string& text) { warnings += (warnings.empty() ? "" : "; ") + text; };
  const auto files = find_configuration(warn);
  const auto settings = files.and_then([](const auto& found) { return read_configuration(found); }).and_then([&](const Configuration& configured) {
    return Settings::find(configured.settings, {}, warn);
  });
  if (!settings) return {Status::failed, finding.name, settings.error().message, "put that right, or remove it; until then no command runs"};
  max_size = (*settings)["max_size"].value;
  if (!warnings.empty()) return {Status::warning, finding.name, warnings, "put that right, or remove it; it is not used"};
  for (const ConfigurationFile& file : *files) finding.found += (finding.found.empty() ? "" : ", ") + file.path;
  if (finding.found.empty()) finding.found = "there are no files of it";
  return finding;
}

Finding check_cache_directory(const std::string& path) {
  Finding finding{Status::ok, "cache directory", path, {}};
  const auto failed = [&](const std::string& what, const std::string& advice) {
    finding.status = Status::failed;
    finding.found += ": " + what;
    finding.advice = advice;
    return finding;
  };
  if (path.find_first_of(": \t\n") != path.npos) return failed("a path with ':' or blanks cannot be preloaded from", other_place);
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    const int why = errno;
    const std::string above = place_above(path);
    if (why != ENOENT) return failed(std::strerror(why), other_place);
    // What root may do is known only when it has been done.
    std::string attempt = above + "/vestal-doctor-XXXXXX";
    if (!::mkdtemp(attempt.data()) || ::rmdir(attempt.c_str()) != 0) return failed(fmt::format("cannot be made, for {}: {}", above, std::strerror(errno)), other_place);
    if (is_noexec(above)) return failed(noexec, other_place);
    finding.found += ": is not there yet; the first command makes it";
    return finding;
  }
  if (S_ISLNK(status.st_mode)) return failed("is a symlink, which could be made to lead elsewhere", "name the directory itself");
  if (!S_ISDIR(status.st_mode)) return failed("is no directory", other_place);
  if (status.st_uid != ::geteuid()) return failed(fmt::format("belongs to user {}, who could change what is in it", status.st_uid), other_place);
  const std::string mode = fmt::format("mode {:04o}", status.st_mode & 07777), restrict = fmt::format("`chmod 700 {}` if it holds nothing but the cache", path);
  if (status.st_mode & (S_IWGRP | S_IWOTH)) return failed(mode + ": other users can write to it", restrict);
  if ((status.st_mode & S_IRWXU) != S_IRWXU) return failed(mode + ": its owner has to read, write and search it", restrict);
  if (::faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) != 0) return failed(std::strerror(errno), other_place);
  if (is_noexec(path)) return failed(noexec, other_place);
  finding.found += fmt::format(": yours, {}", mode);
  if (!(status.st_mode & (S_IRWXG | S_IRWXO))) return finding;
  finding.status = Status::warning;
  finding.found += ": other users can look into it";
  finding.advice = restrict;
  return finding;
}

Finding check_space(const std::string& path, const std::string& max_size) {
  Finding finding{Status::ok, "space", {}, {}};
  const std::string there = place_above(path);
  struct statvfs space {};
  if (::statvfs(there.c_str(), &space) != 0) return {Status::failed, finding.name, fmt::format("{}: {}", there, std::strerror(errno)), other_place};
  const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
  finding.found = fmt::format("{} free", size_text(free));
  if (space.f_files != 0 && space.f_favail == 0) finding.found += ", but for no more files";
  const auto limit = size_in(max_size);
  if (max_size == unlimited) finding.found += "; the cache may grow without limit";
  else if (limit) finding.found += fmt::format("; the cache may grow to {}", size_text(*limit));
  if (space.f_blocks != 0 && (free < free_bytes_min || (space.f_files != 0 && space.f_favail == 0))) finding.status = Status::failed;
  else if (space.f_blocks != 0 && free < free_bytes_scarce) finding.status = Status::warning;
  if (finding.status != Status::ok) finding.advice = "make room: `vestal gc --size SIZE` keeps the cache within a size, and so does VESTAL_MAX_SIZE";
  return finding;
}

Finding check_broker(const std::string& path) {
  const Finding none{Status::ok, "broker", "none runs; the first command starts it", {}};
  const auto failed = [&](const std::string& found, const std::string& advice) { return Finding{Status::failed, none.name, found, advice}; };
  const OwnedFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return none;
  const OwnedFd connection(connect_in(directory.get(), path));
  if (!connection && (errno == ENOENT || errno == ECONNREFUSED)) return none;
  if (!connection) return failed(fmt::format("{}/{}: {}", path, socket_name, std::strerror(errno)), "remove that file if no command runs");
  ucred peer{};
  socklen_t bytes = sizeof peer;
  if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0 || peer.uid != ::geteuid())
    return failed(fmt::format("process {} belongs to user {}", peer.pid, peer.uid), other_place);
  const auto reply = send_request(connection.get(), RequestKind::stats, BuildId::of_this_program(), {}).and_then([&](bool) {
    return receive_reply(connection.get(), answer_ms_max);
  });
  const std::string process = fmt::format("process {}", peer.pid);
  if (!reply && reply.error().fault != Fault::not_found)
    return failed(fmt::format("{} does not answer within {} s", process, answer_ms_max / 1000), fmt::format("`kill -9 {}`; the next command starts another one", peer.pid));
  if (!reply || reply->status == ReplyStatus::leaving) return {Status::ok, none.name, process + " is leaving; the next command starts another one", {}};
  if (reply->status == ReplyStatus::refused) return failed(fmt::format("{}: {}", process, reply->body), "wait until its commands have ended");
  return {Status::ok, none.name, process + " runs and answers", {}};
}

}  // namespace broker::doctor
