#include "broker/difference.h"

#include <time.h>

#include <cstring>
#include <unordered_map>

#include <fmt/format.h>

#include "broker/view.h"
#include "broker/wording.h"

namespace broker {
namespace {

using namespace cache;

std::string type_text(FileType type) {
  switch (type) {
    case FileType::absent: return "not there";
    case FileType::regular: return "a regular file";
    case FileType::directory: return "a directory";
    case FileType::symlink: return "a symbolic link";
    case FileType::fifo: return "a fifo";
    case FileType::socket: return "a socket";
    case FileType::character_device:
    case FileType::block_device: return "a device";
    case FileType::error: return "not to be looked at";
  }
  return "unknown";
}

std::string local_time(std::int64_t time_ns) {
  constexpr std::int64_t second = 1'000'000'000;
  const time_t seconds = static_cast<time_t>(time_ns >= 0 ? time_ns / second : (time_ns - second + 1) / second);
  struct tm parts;
  char text[40];
  if (!::localtime_r(&seconds, &parts) || ::strftime(text, sizeof text, "%F %T", &parts) == 0) return fmt::format("{} s", seconds);
  return text;
}

std::string entries_text(const EntryChanges& entries) {
  std::string text;
  if (!entries.added.empty()) text += "lists new: " + some_of(entries.added);
  if (!entries.removed.empty()) text += (text.empty() ? "" : "; ") + std::string("lists no more: ") + some_of(entries.removed);
  return text.empty() ? "lists other names than before" : text;
}

std::string path_text(std::uint32_t aspects, const std::string& before_value, const std::string& now_value, const EntryChanges& entries) {
  const auto before = parts_of(aspects, before_value), now = parts_of(aspects, now_value);
  if (!before || !now) return fmt::format("was {}, is {}", describe(aspects, before_value), describe(aspects, now_value));
  if (!now->readable) return "cannot be read";
  if (!before->readable) return "could not be read before";
  if (now->type == FileType::error) return std::string("cannot be looked at: ") + std::strerror(now->error);
  if (before->type == FileType::error) return std::string("could not be looked at before: ") + std::strerror(before->error);
  if (now->type != before->type) {
    if (now->type == FileType::absent) return "is gone";
    if (before->type == FileType::absent) return "is there now, and was not";
    return fmt::format("is {} now, and was {}", type_text(now->type), type_text(before->type));
  }
  if (now->type == FileType::absent) return "is not there for another reason than before";
  std::string text;
  auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  // Who has other contents has another time and mostly another size as well.
  if (now->digest != before->digest) add("has other contents");
  else if (now->bytes != before->bytes) add(fmt::format("has {} now, and had {}", count_text(*now->bytes, "byte", "bytes"), *before->bytes));
  else if (now->mtime_ns != before->mtime_ns) add("was changed at " + local_time(*now->mtime_ns));
  if (now->target != before->target) add(fmt::format("leads to {} now, and led to {}", *now->target, *before->target));
  if (now->listing != before->listing) add(entries_text(entries));
  if (now->mode != before->mode) add(fmt::format("has mode {:04o} now, and had {:04o}", *now->mode, *before->mode));
  if (now->owner != before->owner)
    add(fmt::format("belongs to {}:{} now, and belonged to {}:{}", now->owner->first, now->owner->second, before->owner->first, before->owner->second));
  if (now->links != before->links) add(fmt::format("has {} now, and had {}", count_text(*now->links, "hard link", "hard links"), *before->links));
  if (now->attributes != before->attributes) add("has other extended attributes");
  return text;
}

std::string descriptor_text(const std::string& number) {
  if (number == "0") return "standard input";
  if (number == "1") return "standard output";
  if (number == "2") return "standard error";
  if (number == "1000") return "the controlling terminal";  // see controlling_terminal
  return "descriptor " + number;
}

}  // namespace

std::string some_of(const std::vector<std::string>& names, std::size_t shown_max) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < shown_max; ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > shown_max) text += fmt::format(" and {} more", names.size() - shown_max);
  return text;
}

EntryChanges entry_changes(std::uint64_t before, std::uint64_t now, const HashedNames& there, const HashedNames& missing, const HashedNames& recent) {
  const std::uint64_t wanted = now - before;
  struct Candidate {
    const std::string* name;
    bool added;
  };
  std::unordered_map<std::uint64_t, Candidate> by_sum;
  by_sum.reserve(there.size() + missing.size());
  for (const auto& [name, hash] : there) by_sum.emplace(hash, Candidate{&name, true});
  for (const auto& [name, hash] : missing) by_sum.emplace(0 - hash, Candidate{&name, false});
  EntryChanges changes;
  auto take = [&](const Candidate& one) { (one.added ? changes.added : changes.removed).push_back(*one.name); };
  if (const auto one = by_sum.find(wanted); one != by_sum.end()) {
    take(one->second);
    return changes;
  }
  // In the order of the names given, not of the table.
  for (const HashedNames* names : {&there, &missing}) {
    for (const auto& [name, hash] : *names) {
      const std::uint64_t sum = names == &there ? hash : 0 - hash;
      const auto other = by_sum.find(wanted - sum);
      if (other == by_sum.end() || other->first == sum) continue;
      take({&name, names == &there});
      take(other->second);
      return changes;
    }
  }
  std::uint64_t sum = 0;
  for (const auto& [name, hash] : recent) sum += hash;
  for (const bool without_missing : {false, true}) {
    if (without_missing)
      for (const auto& [name, hash] : missing) sum -= hash;
    if (sum != wanted) continue;
    for (const auto& [name, hash] : recent) changes.added.push_back(name);
    if (without_missing)
      for (const auto& [name, hash] : missing) changes.removed.push_back(name);
    return changes;
  }
  return changes;
}

std::string difference_text(const NeedName& need, const std::string& before, const std::string& now, const EntryChanges& entries) {
  const std::string text = need.text.substr(0, need.text.find('\0'));
  switch (need.kind) {
    case NeedKind::path: return text + " " + path_text(need.detail, before, now, entries);
    case NeedKind::environment:
      if (before.empty()) return fmt::format("the variable {} is set now, and was not", text);
      if (now.empty()) return fmt::format("the variable {} is not set now, and was", text);
      return fmt::format("the variable {} has another value", text);
    case NeedKind::environment_names: return "other variables are set than before";
    case NeedKind::program: return text + " is another program, or has other libraries or another policy row";
    case NeedKind::descriptor: return fmt::format("{} is {} now, and was {}", descriptor_text(text), now, before);
    case NeedKind::same_files: return "some of the files it looks at are names of one file now, or no longer are";
    case NeedKind::inherited_file: return fmt::format("{} is a file with other contents, or another time, mode or number of names, or is read from elsewhere in it", descriptor_text(text));
  }
  return text;
}

int rank_of(const NeedName& need, const std::string& before, const std::string& now) {
  switch (need.kind) {
    case NeedKind::program: return 0;
    case NeedKind::environment: return 2;
    case NeedKind::environment_names: return 4;
    case NeedKind::inherited_file: case NeedKind::same_files: return 5;
    case NeedKind::descriptor: return 6;
    case NeedKind::path: break;
  }
  const auto then = parts_of(need.detail, before), today = parts_of(need.detail, now);
  if (!then || !today) return 9;
  if (then->type == today->type && then->digest != today->digest) return 1;
  if (then->type != today->type || then->target != today->target) return 3;
  if (then->listing != today->listing || then->bytes != today->bytes) return 7;
  return 8;
}

}  // namespace broker
