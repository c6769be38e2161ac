#include "broker/judge.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "broker/wording.h"
#include "preload/protocol.h"

namespace broker {
namespace {

using namespace cache;

constexpr std::size_t reasons_max = 5;
constexpr std::size_t entries_max = 5000;  // of a directory whose changes are told by name

std::string key_of(const NeedName& need) {
  std::string key(reinterpret_cast<const char*>(&need.detail), sizeof need.detail);
  return key += need.text;
}

std::uint32_t number_in(const std::string& text) {
  std::uint32_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// What is known to have been made in a directory since then.
HashedNames made_since(const std::string& directory, const HashedNames& there, std::int64_t when_ns) {
  HashedNames recent;
  for (const auto& entry : there) {
    struct statx status;
    if (::statx(AT_FDCWD, (directory + "/" + entry.first).c_str(), AT_SYMLINK_NOFOLLOW, STATX_BTIME, &status) != 0 || !(status.stx_mask & STATX_BTIME)) continue;
    if (status.stx_btime.tv_sec * std::int64_t{1'000'000'000} + status.stx_btime.tv_nsec > when_ns) recent.push_back(entry);
  }
  return recent;
}

}  // namespace

void Judge::begin_pass() { looks_.clear(); }

void Judge::forget(const std::string& path) {
  for (auto each = looks_.begin(); each != looks_.end();) {
    const std::string_view text = std::string_view(each->first).substr(sizeof(std::uint32_t));
    const std::string_view name = text.substr(0, text.find('\0'));
    const bool listing_of_parent = name == std::string_view(path).substr(0, path.rfind('/'));
    each = name == path || listing_of_parent ? looks_.erase(each) : std::next(each);
  }
}

const std::pair<PathFacts, PathContents>& Judge::observed(const NeedName& need) {
  const auto [place, fresh] = looks_.try_emplace(key_of(need));
  auto& [facts, contents] = place->second;
  if (!fresh) return place->second;
  const std::size_t end = need.text.find('\0');
  const std::string path = need.text.substr(0, end);
  facts = parts_.view->look(path);
  if ((need.detail & aspect_bytes) && facts.type == FileType::regular)
    if (auto digest = parts_.view->bytes(path, &facts)) contents.bytes = *digest;
  if ((need.detail & aspect_target) && facts.type == FileType::symlink)
    if (auto target = parts_.view->target(path)) contents.target = *target;
  if ((need.detail & aspect_listing) && facts.type == FileType::directory)
    if (auto sum = parts_.view->listing(path, end == need.text.npos ? std::string_view() : std::string_view(need.text).substr(end + 1)))
      contents.listing = *sum;
  if ((need.detail & aspect_attributes) && (facts.type == FileType::regular || facts.type == FileType::directory)) contents.attributes = parts_.view->attributes(path);
  return place->second;
}

std::string name_of_descriptor(const ExecRecord& exec, const preload::FdPayload& fd) {
  char name[4096];
  const std::string link = fmt::format("/proc/{}/fd/{}", exec.pid, fd.fd);
  const ssize_t bytes = ::readlink(link.c_str(), name, sizeof name);
  return bytes <= 0 || bytes >= static_cast<ssize_t>(sizeof name) ? std::string() : std::string(name, static_cast<std::size_t>(bytes));
}

std::string Judge::value_today(const Step& step, const NeedName& need, SameFiles& same_files) {
  switch (need.kind) {
    // Behind all paths, for names are sorted.
    case NeedKind::same_files: return same_files.value();
    case NeedKind::path: {
      const auto& [facts, contents] = observed(need);
      if (facts.type == FileType::regular && facts.links > 1 && SameFiles::is_told_by(need.detail)) same_files.add({facts.device, facts.inode}, need.text);
      return value_of(need.detail, facts, contents);
    }
    case NeedKind::environment: return environment_value(step.exec, need.text);
    case NeedKind::environment_names: return environment_names_value(step.exec);
    case NeedKind::program: {
      const std::size_t end = need.text.find('\0');
      const std::string path = need.text.substr(0, end);
      // That is not for its mode alone to say: its file system may be mounted otherwise now.
      if (::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0) return "not to be executed";
      const auto program = parts_.programs->look_up(path, end == need.text.npos ? std::string() : need.text.substr(end + 1));
      return program ? std::string(policies_.with_rows((*program)->identity, (*program)->real_path).view()) : std::string("absent");
    }
    case NeedKind::descriptor: return descriptor_value(step.exec, number_in(need.text), need.detail);
    case NeedKind::inherited_file: {
      const preload::FdPayload* fd = step.exec.fd(number_in(need.text));
      if (!fd || fd->kind != preload::fd_regular) return "not a file";
      const std::string name = name_of_descriptor(step.exec, *fd);
      if (name.empty()) return "not a file";
      PathFacts facts;
      const auto digest = parts_.view->bytes(name, &facts);
      if (!digest || facts.device != fd->device || facts.inode != fd->inode) return "another file";
      return inherited_file_value(fd->offset, *digest, need.detail, facts);
    }
  }
  return "unknown";
}

NeedValues Judge::values_today(const Step& step, const NeedSet& names) {
  NeedValues values;
  values.reserve(names.size());
  SameFiles same_files;
  for (const NeedName& need : names) values.push_back(value_today(step, need, same_files));
  return values;
}

bool Judge::reads_its_output(const Step& step, const NeedSet& names) {
  if (!step.exec.may_write_to_files()) return false;
  return std::ranges::any_of(names, [&](const NeedName& need) {
    if (need.kind == NeedKind::inherited_file) {
      const preload::FdPayload* fd = step.exec.fd(number_in(need.text));
      return fd && step.exec.may_write_to(fd->device, fd->inode);
    }
    if (need.kind != NeedKind::path || need.detail & aspect_replaceable) return false;
    const PathFacts& facts = observed(need).first;
    return facts.type == FileType::regular && step.exec.may_write_to(facts.device, facts.inode);
  });
}

Verdict Judge::decide(const Step& step, const std::vector<Digest>& tried) {
  Verdict verdict;
  for (const Digest& digest : parts_.cache->need_sets(*step.key)) {
    if (std::find(tried.begin(), tried.end(), digest) != tried.end()) continue;
    auto names = parts_.cache->need_set(digest);
    if (!names) continue;
    NeedValues values = values_today(step, *names);
    const Digest values_digest = digest_of(values);
    auto result = parts_.cache->result(*step.key, digest, values_digest);
    if (!result) continue;
    if (reads_its_output(step, *names)) {
      verdict.reasons = {reads_its_output_reason};
      return verdict;
    }
    verdict.result = std::move(result);
    verdict.names = std::move(*names);
    verdict.values = std::move(values);
    verdict.need_set = digest;
    verdict.values_digest = values_digest;
    return verdict;
  }
  verdict.reasons = why_not(step);
  return verdict;
}

std::vector<std::string> Judge::why_not(const Step& step) {
  const auto last = step.key ? parts_.cache->last_run(*step.key) : std::nullopt;
  if (!last) return {unknown_command_reason};
  const auto names = parts_.cache->need_set(last->need_set);
  struct Differing {
    int rank;
    std::size_t index;
    std::string now;
  };
  std::vector<Differing> differing;
  if (names && names->size() == last->values.size()) {
    NeedValues today = values_today(step, *names);
    for (std::size_t i = 0; i < names->size(); ++i) {
      std::string& now = today[i];
      if (now == last->values[i]) continue;
      const int rank = rank_of((*names)[i], last->values[i], now);
      differing.push_back({rank, i, std::move(now)});
    }
  }
  if (differing.empty()) return {last->not_stored.empty() ? "its result is no longer in the cache" : last->not_stored};
  std::stable_sort(differing.begin(), differing.end(), [](const Differing& a, const Differing& b) { return a.rank < b.rank; });
  std::vector<std::string> reasons;
  for (const Differing& one : differing) {
    if (reasons.size() == reasons_max) break;
    const NeedName& need = (*names)[one.index];
    reasons.push_back(difference_text(need, last->values[one.index], one.now, entry_changes_of(*names, *last, one.index, one.now)));
  }
  if (differing.size() > reasons_max)
    reasons.push_back(count_text(differing.size() - reasons_max, "more need differs", "more needs differ"));
  return reasons;
}

// If it is a listing that differs: which of its names do. Names that are gone are known only if the step looked at them too.
EntryChanges Judge::entry_changes_of(const NeedSet& names, const LastRun& last, std::size_t index, const std::string& now) const {
  const NeedName& need = names[index];
  if (need.kind != NeedKind::path || !(need.detail & aspect_listing)) return {};
  const auto before = parts_of(need.detail, last.values[index]), today = parts_of(need.detail, now);
  if (!before || !today || !before->listing || !today->listing || *before->listing == *today->listing) return {};
  const std::size_t end = need.text.find('\0');
  const std::string directory = need.text.substr(0, end);
  const HashedNames there = parts_.view->entries(directory, end == need.text.npos ? std::string_view() : std::string_view(need.text).substr(end + 1));
  if (there.size() > entries_max) return {};
  HashedNames missing;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const NeedName& other = names[i];
    const std::string path = other.text.substr(0, other.text.find('\0'));
    const std::size_t slash = path.rfind('/');
    if (other.kind != NeedKind::path || slash == path.npos || path.compare(0, slash, directory) != 0 || slash != directory.size()) continue;
    const auto then = parts_of(other.detail, last.values[i]);
    const std::string name = path.substr(slash + 1);
    if (!then || !then->readable || then->type == FileType::absent || parts_.view->look(path).type != FileType::absent) continue;
    missing.emplace_back(name, preload::entry_hash(name.data(), name.size(), entry_type_of(then->type)));
  }
  return entry_changes(*before->listing, *today->listing, there, missing, made_since(directory, there, last.when_ns));
}

}  // namespace broker
