#include "broker/cache_clear.h"

#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string_view>

#include <fmt/format.h>

#include "broker/client.h"
#include "broker/collector.h"
#include "broker/control.h"
#include "cache/private_directory.h"
#include "cache/remove_directory.h"
#include "cache/use_lock.h"

namespace broker {
namespace {

using cache::Fault;
using cache::Result;
using cache::fail;
namespace fs = std::filesystem;

constexpr std::chrono::seconds leave_max{30};
constexpr char aside_prefix[] = "cleared-";

// Of what vestal makes in its directory. Locks stay, for others may wait for them; roots under way (`vestal import --session`) are the user's.
constexpr std::string_view parts[] = {"blobs", "index", "images", "trees", "tools", "calls", "sandboxes", "statistics", "staging", "explanations", "sessions", "broker.log", "broker.sock", "broker.pid"};
constexpr std::string_view prefixes[] = {"index.aside-", "carry-", aside_prefix, "vestal-doctor-", "statistics.", "explanations.", "sessions."};
constexpr std::string_view kept[] = {"broker.lock", "in-use"};

bool is_part(std::string_view name) {
  return std::ranges::count(parts, name) > 0 || std::ranges::any_of(prefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

// The lock that a broker holds as long as it lives.
Result<cache::OwnedFd> take_place_of_broker(const cache::OwnedFd& directory, const std::string& path) {
  cache::OwnedFd lock(::openat(directory.get(), "broker.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock) return fail(Fault::io, fmt::format("{}/broker.lock: {}", path, std::strerror(errno)));
  const auto deadline = std::chrono::steady_clock::now() + leave_max;
  // Another one may have begun meanwhile.
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    const auto asked = ask_running_broker(RequestKind::leave, {});
    if (!asked && asked.error().fault != Fault::not_found) return tl::unexpected(asked.error());
    if (std::chrono::steady_clock::now() > deadline) return fail(Fault::io, path + ": its broker does not leave; try again when no command runs");
    const timespec pause{0, 20'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return lock;
}

std::uint64_t bytes_below(const fs::path& path) {
  std::error_code error;
  if (fs::is_regular_file(fs::symlink_status(path, error))) return fs::file_size(path, error);
  std::uint64_t bytes = 0;
  for (fs::recursive_directory_iterator at(path, fs::directory_options::skip_permission_denied, error), end; !error && at != end; at.increment(error)) {
    std::error_code unknown;
    if (fs::is_regular_file(at->symlink_status(unknown))) bytes += at->file_size(unknown);
  }
  return bytes;
}

}  // namespace

Result<Cleared> clear_cache(const std::string& path) {
  Cleared cleared;
  std::error_code error;
  if (!fs::exists(path, error)) return cleared;
  const cache::OwnedFd directory = TRY(cache::open_private_directory(path));
  // Names like images or index are anybody's; each cache has this file as soon as a broker has served it.
  if (!fs::is_empty(path, error) && ::faccessat(directory.get(), "broker.lock", F_OK, AT_SYMLINK_NOFOLLOW) != 0)
    return fail(Fault::invalid, path + ": is no cache of vestal's (there is no broker.lock in it); nothing was removed");
  const auto alone = cache::hold_cache_alone(path);
  if (!alone || sandboxes_in_use(path)) return fail(Fault::io, path + ": a command runs in one of its trees, or models are evaluated; try again when that has ended");
  cache::OwnedFd lock = TRY(take_place_of_broker(directory, path));

  // Whoever waits for the lock need not wait until all files are gone.
  const std::string aside = fmt::format("{}{}", aside_prefix, ::getpid());
  if (::mkdirat(directory.get(), aside.c_str(), 0700) != 0) return fail(Fault::io, fmt::format("{}/{}: {}", path, aside, std::strerror(errno)));
  std::string failed;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name == aside || std::ranges::count(kept, name) > 0) continue;
    if (!is_part(name)) cleared.left.push_back(name);
    else if (::renameat(directory.get(), name.c_str(), directory.get(), (aside + "/" + name).c_str()) != 0) failed = fmt::format("{}/{}: cannot be removed: {}", path, name, std::strerror(errno));
  }
  lock.reset();
  cleared.bytes = bytes_below(path + "/" + aside);
  if (const std::error_code why = cache::remove_directory(path + "/" + aside)) failed = fmt::format("{}/{}: cannot be removed: {}", path, aside, why.message());
  if (!failed.empty()) return fail(Fault::io, failed);
  std::ranges::sort(cleared.left);
  return cleared;
}

}  // namespace broker
