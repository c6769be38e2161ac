#include "broker/judge.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace broker {
namespace {

using namespace cache;

constexpr std::size_t reasons_max = 3;

std::string key_of(const NeedName& need) {
  std::string key(reinterpret_cast<const char*>(&need.detail), sizeof need.detail);
  return key += need.text;
}

std::uint32_t number_in(const std::string& text) {
  std::uint32_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// For a human: which need, from what to what.
std::string explain(const NeedName& need, const std::string& before, const std::string& now) {
  const std::string text = need.text.substr(0, need.text.find('\0'));
  switch (need.kind) {
    case NeedKind::path:
      return fmt::format("{}: was {}, is {}", text, describe(need.detail, before), describe(need.detail, now));
    case NeedKind::environment:
      if (before.empty()) return fmt::format("variable {}: was not set, is now", text);
      if (now.empty()) return fmt::format("variable {}: was set, is not now", text);
      return fmt::format("variable {}: has another value", text);
    case NeedKind::environment_names: return "the set of variables is another";
    case NeedKind::program: return fmt::format("{}: is another program, or has other libraries or another policy row", text);
    case NeedKind::descriptor: return fmt::format("descriptor {}: was {}, is {}", text, before, now);
    case NeedKind::inherited_file: return fmt::format("descriptor {}: the file behind it has other contents or another position", text);
  }
  return text;
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

std::string Judge::value_today(const Step& step, const NeedName& need) {
  switch (need.kind) {
    case NeedKind::path: {
      const auto& [facts, contents] = observed(need);
      return value_of(need.detail, facts, contents);
    }
    case NeedKind::environment: return environment_value(step.exec, need.text);
    case NeedKind::environment_names: return environment_names_value(step.exec);
    case NeedKind::program: {
      const std::size_t end = need.text.find('\0');
      const auto program = parts_.programs->look_up(need.text.substr(0, end), end == need.text.npos ? std::string() : need.text.substr(end + 1));
      return program ? std::string(policies_.with_rows((*program)->identity, (*program)->real_path).view()) : std::string("absent");
    }
    case NeedKind::descriptor: return descriptor_value(step.exec, number_in(need.text), need.detail);
    case NeedKind::inherited_file: {
      const preload::FdPayload* fd = step.exec.fd(number_in(need.text));
      if (!fd || fd->kind != preload::fd_regular) return "not a file";
      // The process that asks waits for the answer, so its descriptor is still there.
      char name[4096];
      const std::string link = fmt::format("/proc/{}/fd/{}", step.exec.pid, fd->fd);
      const ssize_t bytes = ::readlink(link.c_str(), name, sizeof name);
      if (bytes <= 0 || bytes >= static_cast<ssize_t>(sizeof name)) return "not a file";
      PathFacts facts;
      const auto digest = parts_.view->bytes(std::string(name, static_cast<std::size_t>(bytes)), &facts);
      if (!digest || facts.device != fd->device || facts.inode != fd->inode) return "another file";
      return inherited_file_value(fd->offset, *digest);
    }
  }
  return "unknown";
}

NeedValues Judge::values_today(const Step& step, const NeedSet& names) {
  NeedValues values;
  values.reserve(names.size());
  for (const NeedName& need : names) values.push_back(value_today(step, need));
  return values;
}

Verdict Judge::decide(const Step& step) {
  Verdict verdict;
  for (const Digest& digest : parts_.cache->need_sets(*step.key)) {
    auto names = parts_.cache->need_set(digest);
    if (!names) continue;
    NeedValues values = values_today(step, *names);
    const Digest values_digest = digest_of(values);
    auto result = parts_.cache->result(*step.key, digest, values_digest);
    if (!result) continue;
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
  if (!last) return {"no result of this command with this program in this directory was known"};
  std::vector<std::string> reasons;
  const auto names = parts_.cache->need_set(last->need_set);
  if (names && names->size() == last->values.size()) {
    for (std::size_t i = 0; i < names->size() && reasons.size() < reasons_max; ++i) {
      const std::string now = value_today(step, (*names)[i]);
      if (now != last->values[i]) reasons.push_back(explain((*names)[i], last->values[i], now));
    }
  }
  if (reasons.empty()) reasons.push_back(last->not_stored.empty() ? "its result is no longer in the cache" : last->not_stored);
  return reasons;
}

}  // namespace broker
