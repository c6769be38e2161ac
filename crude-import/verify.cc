#include "crude-import/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <variant>

#include <fmt/format.h>

#include "broker/cache_place.h"
#include "broker/control.h"
#include "broker/sandbox/sandbox.h"
#include "broker/tree/tree_adder.h"
#include "broker/tree/tree_reader.h"
#include "broker/view.h"
#include "crude-import/capture.h"
#include "crude-import/root_writer.h"

namespace crude_import {
namespace {

using broker::CommandOptions;
using cache::fail;
using cache::Fault;
using cache::Result;

constexpr std::size_t differences_max = 20;

std::string status_text(int status) {
  return WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status)) : fmt::format("status {}", WEXITSTATUS(status));
}

std::string first_difference(const char* name, const std::string& then, const std::string& now) {
  const auto at = std::mismatch(then.begin(), then.end(), now.begin(), now.end()).first;
  const auto line = 1 + std::count(then.begin(), at, '\n');
  return fmt::format("{} differs from line {} on: {} bytes, in the root {}", name, line, then.size(), now.size());
}

using Entry = std::variant<broker::tree::File, broker::tree::Symlink>;

Result<std::map<std::string, Entry>> entries_of(const broker::tree::Reader& reader, const cache::Digest& tree) {
  std::map<std::string, Entry> entries;
  TRY(reader.walk(tree, {nullptr, [&](const std::string& path, const broker::tree::File& file) { entries.emplace("/" + path, file); },
                         [&](const std::string& path, const broker::tree::Symlink& link) { entries.emplace("/" + path, link); }}));
  return entries;
}

// Nothing if the path is here what it is in the tree.
std::string difference_of(const std::string& path, const Entry& entry, const broker::View& view) {
  const broker::PathFacts facts = view.look(path);
  if (facts.type == broker::FileType::absent) return path + ": was made in the root alone";
  if (const auto* link = std::get_if<broker::tree::Symlink>(&entry)) {
    const auto target = view.target(path);
    return target && *target == link->target ? "" : path + ": another symbolic link";
  }
  const auto& file = std::get<broker::tree::File>(entry);
  const auto digest = view.bytes(path);
  if (!digest) return path + ": another kind of file";
  if (*digest != file.digest) return path + ": other contents";
  return (facts.mode & 0777) == file.mode ? "" : path + ": another mode";
}

}  // namespace

std::string unrepeatable_input() {
  struct stat status{};
  if (::fstat(0, &status) != 0 || S_ISREG(status.st_mode) || S_ISCHR(status.st_mode)) return {};
  return "standard input cannot be read a second time; give it a file, or </dev/null";
}

Result<Observed> observe(char* const* arguments, const CommandOptions& given) {
  Observed observed;
  const cache::OwnedFd report(broker::away_from_standard(::memfd_create("report", MFD_CLOEXEC)));
  if (!report) return fail(Fault::io, std::string("no memory for a report: ") + std::strerror(errno));
  Capture output = TRY(Capture::begin(1, true)), errors = TRY(Capture::begin(2, true));
  const pid_t child = ::fork();
  if (child == 0) {
    CommandOptions options = given;
    options.need_needs([&](const std::string& text, int) {
      const bool is_whole = ::write(report.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
      return is_whole ? std::nullopt : std::optional(broker::status_own_failure);
    });
    ::_exit(broker::run_command(arguments, options));
  }
  while (child > 0 && ::waitpid(child, &observed.status, 0) < 0 && errno == EINTR) {}
  observed.output = TRY(output.end());
  observed.errors = TRY(errors.end());
  std::string text(static_cast<std::size_t>(::lseek(report.get(), 0, SEEK_END)), '\0');
  if (::pread(report.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) text.clear();
  auto read = CommandReport::from(text);
  if (!read) return fail(Fault::io, "nothing is known of what the command needed");
  observed.report = std::move(*read);
  observed.text = std::move(text);
  return observed;
}

Result<Comparison> compare_in_root(const std::string& root, char* const* arguments, const CommandOptions& options, const Observed& first) {
  const std::string place = TRY(broker::cache_place());
  cache::BlobStore blobs = TRY(cache::BlobStore::open(place + "/blobs"));
  cache::FileMemo memo(nullptr);
  const broker::View view(memo, blobs);
  broker::sandbox::Wanted wanted;
  wanted.tree = TRY(broker::tree::add(root, view, blobs)).digest;
  wanted.directory = std::filesystem::current_path().string();
  for (char** variable = environ; *variable; ++variable) wanted.environment.emplace_back(*variable);
  wanted.options = options;
  wanted.options.need_needs([](const std::string&, int) { return std::nullopt; });
  wanted.uid = ::geteuid();
  wanted.gid = ::getegid();
  wanted.umask = ::umask(0);
  ::umask(static_cast<mode_t>(wanted.umask));
  wanted.fixed_addresses = false;
  wanted.wants_changes = true;
  Observed second;
  Capture output = TRY(Capture::begin(1, false)), errors = TRY(Capture::begin(2, false));
  auto ended = broker::sandbox::run(place, arguments, wanted);
  second.output = TRY(output.end());
  second.errors = TRY(errors.end());
  if (!ended) return tl::unexpected(std::move(ended.error()));

  Comparison comparison;
  std::vector<std::string>& differences = comparison.differences;
  if (ended->status != first.status) differences.push_back(fmt::format("{}, in the root {}", status_text(first.status), status_text(ended->status)));
  if (second.output != first.output) differences.push_back(first_difference("standard output", first.output, second.output));
  if (second.errors != first.errors) differences.push_back(first_difference("standard error", first.errors, second.errors));
  const broker::tree::Reader reader(blobs);
  const auto made = TRY(entries_of(reader, ended->changes.digest));
  const auto there = TRY(entries_of(reader, ended->after.digest));
  for (const auto& [path, entry] : made)
    if (std::string difference = difference_of(path, entry, view); !difference.empty()) differences.push_back(std::move(difference));
  for (const std::string& path : first.report.made) {
    const auto type = view.look(path).type;
    if (!is_special(path) && (type == broker::FileType::regular || type == broker::FileType::symlink) && !there.contains(path))
      differences.push_back(path + ": was not made in the root");
  }
  if (differences.size() > differences_max) {
    const std::size_t more = differences.size() - differences_max;
    differences.resize(differences_max);
    differences.push_back(fmt::format("and {} more", more));
  }
  if (differences.empty()) return comparison;
  const auto report = CommandReport::from(ended->report);
  if (!report) return fail(Fault::io, "nothing is known of what the command needed in the root");
  for (const std::string& path : report->absent)
    if (!is_special(path) && view.look(path).type != broker::FileType::absent && std::ranges::find(first.report.absent, path) == first.report.absent.end()) comparison.missing.insert(path);
  return comparison;
}

}  // namespace crude_import
