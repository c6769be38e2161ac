#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include <fmt/format.h>

#include "broker/cache_place.h"
#include "broker/cli/options.h"
#include "broker/cli/tree.h"
#include "broker/sandbox/sandbox.h"
#include "broker/tree/tree_reader.h"
#include "broker/wording.h"

namespace broker::cli {
namespace {

using cache::fail;
using cache::Fault;
using cache::Result;

Result<std::vector<std::string>> environment_of(const std::vector<std::string>& words) {
  std::vector<std::string> environment;
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.find('='));
    if (name.empty()) return fail(Fault::invalid, "--env " + word + ": no name");
    std::erase_if(environment, [&](const std::string& one) { return one.starts_with(name + "="); });
    if (name.size() < word.size()) environment.push_back(word);
    else if (const char* const value = std::getenv(name.c_str())) environment.push_back(name + "=" + value);
  }
  return environment;
}

// Before the command has run for nothing.
Result<bool> check_out(const std::string& path) {
  std::error_code error;
  const std::filesystem::path out = std::filesystem::absolute(path, error).lexically_normal();
  const bool is_there = std::filesystem::symlink_status(out, error).type() != std::filesystem::file_type::not_found;
  if (is_there && !(std::filesystem::is_directory(out, error) && std::filesystem::is_empty(out, error)))
    return fail(Fault::invalid, "--out " + path + ": is there, and no empty directory");
  const std::string above = (out.has_filename() ? out.parent_path() : out.parent_path().parent_path()).string();
  if (::faccessat(AT_FDCWD, above.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    return fail(Fault::invalid, fmt::format("--out {}: {}: {}", path, above, std::strerror(errno)));
  return true;
}

Result<sandbox::Ended> run(const TreeOptions& options, const CommandOptions& command, char* const* arguments) {
  sandbox::Wanted wanted;
  wanted.tree = TRY(digest_in(options.tree));
  if (options.backend == "shim")
    return fail(Fault::invalid, "--backend shim: a tree is served by the kernel, there is no other way (docs/architecture.md, \"One way to serve a tree\"); say auto or chroot, or leave it out");
  if (!options.backend.empty() && options.backend != "auto" && options.backend != "chroot")
    return fail(Fault::invalid, "--backend " + options.backend + ": there are auto and chroot");
  if (!options.directory.empty()) wanted.directory = options.directory;
  if (!wanted.directory.starts_with('/')) return fail(Fault::invalid, "--cwd " + options.directory + ": not an absolute path");
  wanted.environment = TRY(environment_of(options.environment));
  for (std::string hole : options.holes) {
    while (hole.size() > 1 && hole.ends_with('/')) hole.pop_back();
    if (!hole.starts_with('/') || hole.size() == 1 || std::filesystem::path(hole).lexically_normal() != hole)
      return fail(Fault::invalid, "--hole " + hole + ": not an absolute path, or one with '.' or '..' in it");
    for (const char* own : {"/dev", "/proc", "/sys"})
      if (hole == own || hole.starts_with(std::string(own) + "/")) return fail(Fault::invalid, fmt::format("--hole {}: {} is the sandbox's own", hole, own));
    wanted.holes.push_back(std::move(hole));
  }
  wanted.options = command;
  wanted.wants_changes = !options.out.empty();
  if (!options.out.empty()) TRY(check_out(options.out));
  const std::string place = TRY(cache_place());
  sandbox::Ended ended = TRY(sandbox::run(place, arguments, wanted));
  if (!options.out.empty()) {
    const cache::BlobStore blobs = TRY(cache::BlobStore::open(place + "/blobs"));
    TRY(tree::Reader(blobs).check_out(ended.changes.digest, options.out));
  }
  return ended;
}

}  // namespace

int run_in_tree(const TreeOptions& options, const CommandOptions& command, char* const* arguments) {
  const auto ended = run(options, command, arguments);
  if (!ended) {
    complain("run: " + ended.error().message);
    return ended.error().fault == Fault::invalid ? status_wrong_usage : status_own_failure;
  }
  for (const tree::LeftOut& one : ended->after.left_out) complain("left out: " + one.path + ": " + one.what);
  if (ended->changed) complain(fmt::format("tree: {}/{}", ended->after.digest.hex(), ended->after.bytes));
  end_like(ended->status);
}

}  // namespace broker::cli
