#include "broker/step.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include <fmt/format.h>

#include "broker/policy_table.h"

namespace broker {
namespace {

using namespace cache;
using namespace preload;

constexpr std::uint64_t stream_bytes_kept_max = 4 << 20;

std::string bytes_of(std::uint64_t value) { return std::string(reinterpret_cast<const char*>(&value), sizeof value); }

// Copies the aspects that are new; says whether those already there are the same.
bool join(PathUse& use, std::uint32_t aspects, const PathFacts& facts, const PathContents& contents) {
  if (facts.type == FileType::regular && facts.links > 1 && facts.inode && !use.shared) use.shared = FileNumber(facts.device, facts.inode);
  const std::uint32_t known = use.aspects & aspects;
  bool same = true;
  if (use.aspects == 0) {
    use.facts = facts;
  } else {
    same = use.facts.type == facts.type && use.facts.error == facts.error;
    if (known & aspect_mode) same = same && use.facts.mode == facts.mode && use.facts.uid == facts.uid && use.facts.gid == facts.gid;
    const bool directory = facts.type == FileType::directory;
    if ((known & aspect_size) && !directory) same = same && use.facts.bytes == facts.bytes;
    if ((known & aspect_links) && !directory) same = same && use.facts.links == facts.links;
    if ((known & aspect_times) && !directory) same = same && use.facts.mtime_ns == facts.mtime_ns;
    const std::uint32_t fresh = aspects & ~use.aspects;
    if (fresh & aspect_mode) {
      use.facts.mode = facts.mode;
      use.facts.uid = facts.uid;
      use.facts.gid = facts.gid;
    }
    if (fresh & aspect_size) use.facts.bytes = facts.bytes;
    if (fresh & aspect_links) use.facts.links = facts.links;
    if (fresh & aspect_times) use.facts.mtime_ns = facts.mtime_ns;
  }
  if (known & aspect_bytes) same = same && use.contents.bytes == contents.bytes;
  else if (aspects & aspect_bytes) use.contents.bytes = contents.bytes;
  if (known & aspect_target) same = same && use.contents.target == contents.target;
  else if (aspects & aspect_target) use.contents.target = contents.target;
  if (!(known & aspect_listing) && (aspects & aspect_listing)) use.contents.listing = contents.listing;
  if (known & aspect_attributes) same = same && use.contents.attributes == contents.attributes;
  else if (aspects & aspect_attributes) use.contents.attributes = contents.attributes;
  use.aspects |= aspects;
  return same;
}

}  // namespace

bool PathUse::replaceable() const {
  return !strict && contents_changed && (aspects & ~std::uint32_t{aspect_type | aspect_mode | aspect_size | aspect_links | aspect_times}) == 0;
}

std::optional<std::uint64_t> ExecRecord::variable(std::string_view name) const {
  const auto found = std::lower_bound(variables.begin(), variables.end(), name, [](const auto& v, std::string_view n) { return v.first < n; });
  if (found == variables.end() || found->first != name) return std::nullopt;
  return found->second;
}

const FdPayload* ExecRecord::fd(std::uint32_t number) const {
  for (const FdPayload& each : fds)
    if (each.fd == number) return &each;
  return nullptr;
}

const FdPayload* ExecRecord::same_stream(const FdPayload& what) const {
  const FdPayload* found = nullptr;
  for (const FdPayload& each : fds) {
    if (each.device != what.device || each.inode != what.inode) continue;
    if (each.fd == what.fd) return &each;
    if (!found) found = &each;
  }
  return found;
}

bool ExecRecord::may_write_to_files() const {
  return std::ranges::any_of(fds, [](const FdPayload& each) { return each.kind == fd_regular && each.writable; });
}

bool ExecRecord::may_write_to(std::uint64_t device, std::uint64_t inode) const {
  return std::ranges::any_of(fds, [&](const FdPayload& each) { return each.kind == fd_regular && each.writable && each.device == device && each.inode == inode; });
}

bool Step::owns(PathId path, Position at) const {
  const auto found = uses.find(path);
  return found != uses.end() && found->second.contents_changed && found->second.changed_at < at;
}

void Step::spoil_by_processor(const std::string& counter, const std::string& random) {
  if (!counter.empty() && (preload::clock_by_monotonic & ~policy.ignored_clocks)) spoil("may read the processor's clock, " + counter);
  if (!random.empty() && !policy.ignores_random) spoil("may read the processor's random numbers, " + random);
}

bool Step::observe(PathId path, std::uint32_t aspects, const PathFacts& facts, const PathContents& contents, Position at, bool is_strict) {
  PathUse& use = uses[path];
  if (use.contents_changed && use.changed_at < at) {
    note_look_at_own(use, aspects, facts);
    return true;
  }
  // After its own chmod or touch, mode and times are its own.
  if (use.attributes_changed && use.attributes_at < at) aspects &= ~std::uint32_t{aspect_mode | aspect_times};
  if (aspects == 0) return true;
  use.observed_first = std::min(use.observed_first, at);
  use.strict = use.strict || is_strict;
  if (join(use, aspects, facts, contents)) return true;
  use.unknown = true;
  return false;
}

void Step::note_look_at_own(PathUse& use, std::uint32_t aspects, const PathFacts& facts) {
  // A file that was only written to has the mode and the names that it had before.
  std::uint32_t from_before = aspects & (aspect_mode | aspect_links);
  if (use.mode_set) from_before &= ~std::uint32_t{aspect_mode};
  if (from_before && use.found_there >= 0 && !use.fresh && !use.was_absent && use.present && facts.type == FileType::regular) {
    use.strict = true;
    use.observed_first = std::min(use.observed_first, use.changed_at);
    if (use.found_there) join(use, aspect_type | (from_before & ~use.aspects), facts, {});
    else if (use.aspects == 0) join(use, aspect_type, PathFacts{}, {});
  }
  if (aspects & aspect_times && use.moved_from != no_path) spoil("asks for the time of a file that it moved");
  if (use.linked_to == no_path || !(aspects & (aspect_links | aspect_times))) return;
  const auto source = uses.find(use.linked_to);
  if (source == uses.end() || !source->second.contents_changed) spoil("asks about a file from before by another name that it gave it");
}

void Step::require_single_name(PathId path, std::uint32_t links) {
  if (links > 1) not_storable("moves or removes a file that it has written, and that has other names as well");
  uses[path].single_name = true;
}

void Step::move_old_file(PathId path, std::uint32_t links, std::uint32_t mode) {
  std::int32_t written_with = -1;  // the mode asked for by who wrote it, within the step
  for (Step* each = this; each; each = each->parent) {
    PathUse& use = each->uses[path];
    const bool made_it = use.contents_changed && (use.fresh || use.was_absent);
    if (made_it) return;
    each->require_single_name(path, links);
    if (use.contents_changed) written_with = use.mode_set ? -1 : use.creation_mode;
    if (written_with < 0) continue;
    if (written_with != static_cast<std::int32_t>(mode)) each->not_storable("moves a file that it has written, and that had a mode of its own");
    use.moved_mode = written_with;
  }
}

void Step::give_name(PathId to, PathId from) {
  uses[to].linked_to = from;
  for (Step* each = this; each; each = each->parent) each->named_again.insert(from);
}

void Step::lose_name(PathId path) {
  // What an inner step has seen and done is not yet among the outer one's.
  bool had_attributes_changed = false, had_other_names = false, had_name_given = false;
  for (Step* each = this; each; each = each->parent) {
    const auto known = each->uses.find(path);
    const bool is_known = known != each->uses.end();
    if (is_known && known->second.contents_changed) break;
    // Other names have the new mode as well.
    had_attributes_changed = had_attributes_changed || (is_known && known->second.attributes_changed);
    had_other_names = had_other_names || (is_known && known->second.shared);
    if (had_attributes_changed) each->require_single_name(path, had_other_names ? 2 : 1);
    // What has only the new name now is not a file of its own: it may have had more, and has the time from before.
    had_name_given = had_name_given || (each->named_again.contains(path) && std::ranges::any_of(each->uses, [&](const auto& use) { return use.second.linked_to == path && use.second.present; }));
    if (had_name_given) each->not_storable("takes away the name of a file from before that it has given another one");
  }
  for (Step* each = this; each; each = each->parent) {
    const auto known = each->uses.find(path);
    if (known == each->uses.end() || !known->second.contents_changed) continue;
    const PathUse& use = known->second;
    if (!use.present || use.fresh || use.was_absent) return;
    if (use.entry_type != 8) return;
    for (Step* around = each; around; around = around->parent) {
      const auto its = around->uses.find(path);
      if (its != around->uses.end() && its->second.contents_changed && (its->second.fresh || its->second.was_absent)) return;
      around->require_single_name(path, use.links_when_written);
    }
    return;
  }
}

void Step::add_stream(std::uint32_t fd, std::string_view bytes) {
  stream_bytes += bytes.size();
  if (stream_bytes > stream_bytes_kept_max) {
    not_storable("writes more to its standard output than is kept");
    streams.clear();
  } else if (!streams.empty() && streams.back().fd == fd) {
    streams.back().bytes += bytes;
  } else {
    streams.push_back({fd, std::string(bytes)});
  }
}

PathUse& Step::change(PathId path, Position at, bool attributes) {
  PathUse& use = uses[path];
  if (!use.changed()) use.order = ++change_count;
  use.inode = 0;
  Position& when = attributes ? use.attributes_at : use.changed_at;
  when = std::min(when, at);
  return use;
}

void Step::subtract_own_entries(PathId directory, Position at, PathTable& paths, PathContents& contents, std::string& except) const {
  std::set<std::string, std::less<>> names;
  for (const auto& [path, use] : uses) {
    if (!use.contents_changed || use.changed_at >= at || paths.parent(path) != directory) continue;
    const std::string_view name = paths.name(path);
    const bool known = use.was_absent;
    bool named = false;
    for (std::size_t from = 0; !named && from < except.size();) {
      const std::size_t end = except.find('/', from);
      named = std::string_view(except).substr(from, end - from) == name;
      from = end + 1;
    }
    if (use.present && !named && contents.listing) *contents.listing -= entry_hash(name.data(), name.size(), use.entry_type);
    if (!known && !named) names.emplace(name);
  }
  if (names.empty()) return;
  for (std::size_t from = 0; from < except.size();) {
    const std::size_t end = except.find('/', from);
    names.emplace(except.substr(from, end - from));
    from = end + 1;
  }
  except.clear();
  for (const std::string& name : names) except += name + '/';
}

bool is_make(std::string_view program) {
  program.remove_prefix(program.rfind('/') + 1);
  return program == "make" || program == "gmake";
}

std::string brief_command(const ExecRecord& exec) {
  constexpr std::size_t bytes_max = 60;
  std::string text;
  for (const std::string& word : exec.arguments) {
    text += (text.empty() ? "" : " ") + word;
    if (text.size() <= bytes_max) continue;
    text.resize(bytes_max);
    text += "...";
    break;
  }
  if (text.empty()) return exec.program;
  const auto name = [](const std::string& path) { return path.substr(path.rfind('/') + 1); };
  if (name(exec.arguments[0]) != name(exec.program)) text += " (" + exec.program + ")";
  return text;
}

void merge_into(Step& outer, const Step& inner, PathTable& paths) {
  // In the order in which the inner step changed them.
  std::vector<std::pair<PathId, const PathUse*>> changes;
  for (const auto& [path, use] : inner.uses) {
    if (use.changed()) changes.emplace_back(path, &use);
    if (use.aspects == 0 && !use.unknown) continue;
    PathUse& own = outer.uses[path];
    if (own.contents_changed && own.changed_at < use.observed_first) {
      outer.note_look_at_own(own, use.aspects, use.facts);
      continue;
    }
    own.unknown = own.unknown || use.unknown;
    std::uint32_t aspects = use.aspects;
    if (own.attributes_changed && own.attributes_at < use.observed_first) aspects &= ~std::uint32_t{aspect_mode | aspect_times};
    if (aspects == 0) continue;
    own.observed_first = std::min(own.observed_first, use.observed_first);
    // A program that does not care what was in the place of its own outputs does care for what it only looks for.
    own.strict = own.strict || !use.replaceable();
    own.times_matter = own.times_matter || (aspects & aspect_times);
    if (aspects & ~own.aspects & aspect_listing) {
      PathContents contents = use.contents;
      own.except = use.except;
      outer.subtract_own_entries(path, use.observed_first, paths, contents, own.except);
      if (!join(own, aspects, use.facts, contents)) own.unknown = true;
    } else if (!join(own, aspects, use.facts, use.contents)) {
      own.unknown = true;
    }
    if (!own.shared) own.shared = use.shared;
  }
  std::sort(changes.begin(), changes.end(), [](const auto& a, const auto& b) { return a.second->order < b.second->order; });
  // What the inner step moved may have been made by the outer one, or moved already.
  std::map<PathId, PathUse> moved;
  for (const auto& [path, use] : changes)
    if (const auto source = outer.uses.find(use->moved_from); source != outer.uses.end()) moved.emplace(*source);
  for (const auto& [path, use] : changes) {
    PathUse& own = outer.uses[path];
    const bool first = !own.changed();
    if (first) own.order = ++outer.change_count;
    own.attributes_at = std::min(own.attributes_at, use->attributes_at);
    if (first || use->changed_at < own.changed_at) {
      own.changed_at = use->changed_at;
      own.was_absent = use->was_absent;
      own.found_there = use->found_there;
      own.temporary = use->temporary;
    }
    // Seen by another inner step only after it was made: not a need of the whole.
    if (use->contents_changed && own.aspects && use->changed_at < own.observed_first) {
      own.aspects = 0;
      own.contents = {};
      own.observed_first = never;
      own.unknown = false;
    }
    own.inode = 0;
    const bool was_made_before = own.contents_changed && own.present && own.creation_mode >= 0;
    if (use->contents_changed) {
      // Made where the outer one had removed it, it is as new as if made exclusively.
      own.fresh = use->present && (use->fresh || (own.contents_changed && (own.fresh || !own.present)));
      own.mode_set = use->mode_set || (own.mode_set && use->present && !own.fresh);
      own.times_set = use->times_set;
      own.moved_from = use->moved_from;
      if (const auto source = moved.find(use->moved_from); source != moved.end() && source->second.has_own_time() && source->second.changed_at < use->changed_at) {
        own.times_set = source->second.times_set;
        own.moved_from = source->second.moved_from;
      }
    } else {
      // Of attributes alone, `fresh` says that the time became now.
      own.mode_set = own.mode_set || use->mode_set;
      own.times_set = use->times_set || (own.times_set && !use->fresh);
      if (use->times_set || use->fresh) own.moved_from = no_path;
      if (!own.contents_changed) own.fresh = !own.times_set && (own.fresh || use->fresh);
    }
    own.contents_changed = own.contents_changed || use->contents_changed;
    own.attributes_changed = own.attributes_changed || use->attributes_changed;
    if (use->contents_changed) {
      own.present = use->present;
      own.entry_type = use->entry_type;
      own.linked_to = use->linked_to;
      // Who opens first what is not there gives it its mode.
      const bool is_anew = use->fresh || use->was_absent;
      own.links_when_written = use->links_when_written;
      if (first) {
        own.new_unless_empty = use->new_unless_empty;
        own.was_empty = use->was_empty;
      }
      if (is_anew) own.made_mode = use->made_mode;
      if (is_anew || (use->creation_mode >= 0 && !was_made_before)) own.creation_mode = use->creation_mode;
    }
  }

  // A variable the outer program passed on as it got it is its need; one that it set itself is not.
  const auto pass_on = [&](const std::string& name) {
    if (inner.exec.variable(name) == outer.exec.variable(name)) outer.variables.insert(name);
  };
  for (const std::string& name : inner.variables) pass_on(name);
  // Where its libraries were looked for makes it what it is. (All else that ld.so is told is part of the outer one's key.)
  if (inner.program && !inner.program->is_static) pass_on("LD_LIBRARY_PATH");
  outer.whole_environment = outer.whole_environment || inner.whole_environment;

  for (const auto& [fd, questions] : inner.descriptors) {
    const FdPayload* what = inner.exec.fd(fd);
    if (!what) {
      // Closed for the inner one; whether it was so for the outer one is told by its own record.
      if (!outer.exec.fd(fd)) outer.descriptors[fd] |= questions;
      continue;
    }
    if (const FdPayload* same = outer.exec.same_stream(*what)) outer.descriptors[same->fd] |= questions;
  }
  for (const auto& [fd, file] : inner.inherited_files) {
    const FdPayload* what = inner.exec.fd(fd);
    const FdPayload* same = what ? outer.exec.same_stream(*what) : nullptr;
    if (same) {
      InheritedFile& own = outer.inherited_files.try_emplace(same->fd, InheritedFile{same->offset, file.contents, 0, file.facts, file.path, file.at}).first->second;
      own.aspects |= file.aspects;
    } else if (const auto moved = outer.uses.find(file.path); moved != outer.uses.end() && moved->second.moved_from != no_path) {
      // The outer one has opened it under another name and moved it then.
      outer.uses[moved->second.moved_from].unknown = true;
    } else if (file.aspects != 0 && file.path != no_path && !outer.owns(file.path, file.at)) {
      // The outer one has opened it, and so knows its contents.
      outer.observe(file.path, file.aspects, file.facts, {}, file.at, false);
    }
  }
  for (const auto& [fd, offset] : inner.positions) {
    const FdPayload* what = inner.exec.fd(fd);
    const FdPayload* same = what ? outer.exec.same_stream(*what) : nullptr;
    if (same) outer.positions[same->fd] = offset;
  }
  // A program that the outer step made is none of its needs.
  auto add_program = [&](const ProgramUse& use) {
    if (!outer.owns(use.file, use.at)) outer.programs.push_back(use);
  };
  for (const ProgramUse& use : inner.programs) add_program(use);
  if (inner.program) add_program({inner.exec.program, inner.exec.library_path, inner.identity, inner.file, inner.began});
  if (!inner.spoils.empty()) outer.spoil(inner.spoils, inner.spoiled_by.empty() ? brief_command(inner.exec) : inner.spoiled_by);
}

// bash gives every command the path of that command, or the last word of the line before. Who walks the environment does not
// look at it; env and printenv, who show it, ask for it (see the recorder).
constexpr std::string_view last_command = "_";

std::string environment_value(const ExecRecord& exec, std::string_view name) {
  const auto value = exec.variable(name);
  if (!value) return {};
  // Its place is not in the value of all names.
  return name == last_command ? bytes_of(*value) + bytes_of(exec.last_command_at) : bytes_of(*value);
}

std::string environment_names_value(const ExecRecord& exec) { return exec.names_value; }

std::string value_of_names(const std::vector<std::pair<std::string, std::uint64_t>>& variables) {
  Hasher hasher;
  std::set<std::string_view> seen;
  for (const auto& [name, value] : variables) {
    if (name == last_command) continue;
    hasher.add_piece(name);
    // A second one of the same name; the first is a need of its own.
    if (!seen.insert(name).second) hasher.add_piece(bytes_of(value));
  }
  return std::string(hasher.finish().view());
}

std::string descriptor_value(const ExecRecord& exec, std::uint32_t number, std::uint32_t questions) {
  if (number == controlling_terminal) return exec.has_terminal ? "terminal" : "closed";
  const FdPayload* fd = exec.fd(number);
  if (!fd) return "closed";
  if (questions & fd_asked_sharing) {
    std::string value = descriptor_value(exec, number, questions & ~std::uint32_t{fd_asked_sharing});
    value += fd->writable ? ", the same as" : ", not to be written to, the same as";
    for (const FdPayload& other : exec.fds)
      if (other.fd != 0 && other.device == fd->device && other.inode == fd->inode) value += fmt::format(" {}", other.fd);
    return value;
  }
  if (questions & fd_asked_again) {
    const std::string value = descriptor_value(exec, number, questions & ~std::uint32_t{fd_asked_again});
    return fd->kind != fd_regular ? value : value + (fd->appends ? ", a file that is added to" : ", a file that is written to");
  }
  if (questions & fd_asked_window) {
    std::string value = descriptor_value(exec, number, (questions & ~std::uint32_t{fd_asked_window}) | fd_asked_terminal);
    if (fd->kind == fd_terminal) value += fmt::format(" of {} rows and {} columns", fd->offset >> 16, fd->offset & 0xffff);
    return value;
  }
  if (questions & (fd_asked_position | fd_asked_access)) {
    std::string value = descriptor_value(exec, number, questions & ~std::uint32_t{fd_asked_position | fd_asked_access});
    if (questions & fd_asked_position && fd->kind == fd_regular) value += fmt::format(", at {}", fd->offset);
    static constexpr const char* ways[] = {"read", "written", "read and written", "neither read nor written"};
    if (questions & fd_asked_access) {
      value += fmt::format(", {}{}{}", ways[fd->writable & 3], fd->appends ? ", appended to" : "", fd->waits ? "" : ", without waiting");
      if (fd->kind == fd_regular || fd->kind == fd_directory) value += ", opened";  // O_LARGEFILE
    }
    return value;
  }
  if (questions == 0) return fd->kind == fd_device ? "a device" : "open";
  if (questions & fd_asked_exactly) {
    static constexpr const char* kinds[] = {"closed", "the null device", "a terminal", "a pipe", "a file", "a directory", "a socket", "a device", "random numbers"};
    return fd->kind < std::size(kinds) ? kinds[fd->kind] : "unknown";
  }
  if (!(questions & fd_asked_kind) && fd->kind == fd_null) return "no terminal";
  switch (fd->kind) {
    case fd_null: return number != 0 && !fd->writable ? "null, not to be written to" : "null";
    case fd_terminal: return "terminal";
    case fd_device: return "a device";
    case fd_random: return "random numbers";
    default: return questions & fd_asked_kind ? "file or pipe" : "no terminal";
  }
}

std::string inherited_file_value(std::int64_t offset, const Digest& contents, std::uint32_t aspects, const PathFacts& facts) {
  std::string value = bytes_of(static_cast<std::uint64_t>(offset)) + std::string(contents.view());
  return aspects == 0 ? value : value + value_of(aspects, facts, {});
}

bool SameFiles::is_told_by(std::uint32_t aspects) {
  return !(aspects & aspect_replaceable) && aspects & (aspect_mode | aspect_size | aspect_links | aspect_times | aspect_bytes);
}

std::string SameFiles::value() const {
  std::set<std::string> groups;
  for (const auto& [file, names] : names_) {
    if (names.size() < 2) continue;
    std::string group;
    for (const std::string& name : names) group.append(name).push_back('\0');
    groups.insert(group + '\0');
  }
  std::string value;
  for (const std::string& group : groups) value += group;
  return value;
}

void collect_needs(const Step& step, const PathTable& paths, NeedSet& names, NeedValues& values, std::string& problem) {
  std::vector<std::pair<NeedName, std::string>> needs;
  needs.reserve(step.uses.size() + step.variables.size() + 8);
  SameFiles same_files;
  for (const auto& [path, use] : step.uses) {
    if (use.aspects == 0 && !use.unknown && !use.single_name) continue;
    // A name made up for the run: what was not there before is nobody's need.
    if (use.temporary && use.was_absent && !use.present) continue;
    std::uint32_t aspects = use.aspects;
    PathFacts facts = use.facts;
    if (use.replaceable()) aspects = aspect_replaceable;
    if (aspects == aspect_replaceable && use.new_unless_empty) {
      aspects |= aspect_size;
      facts.bytes = use.was_empty ? 0 : 1;
    }
    if (use.single_name) {
      aspects = (aspects ? aspects : std::uint32_t{aspect_replaceable}) | aspect_links;
      if (use.moved_mode >= 0) {
        if (aspects & aspect_replaceable) aspects = with_expected_mode(aspects, static_cast<std::uint32_t>(use.moved_mode));
        else if (facts.type == FileType::regular && facts.inode == 0 && problem.empty()) problem = paths.text(path) + ": its mode was not looked at before it was moved";
        else aspects |= aspect_mode;
      }
      if (!(use.aspects & aspect_links)) facts.links = 1;  // as when it was moved
    }
    if (use.unknown) {
      if (problem.empty()) problem = paths.text(path) + ": changed while in use";
      continue;
    }
    if (use.shared && SameFiles::is_told_by(aspects)) same_files.add(*use.shared, paths.text(path));
    NeedName name{NeedKind::path, aspects, paths.text(path)};
    if (aspects & aspect_listing) {
      name.text += '\0';
      name.text += use.except;
    }
    needs.emplace_back(std::move(name), value_of(aspects, facts, use.contents));
  }
  std::set<std::string, std::less<>> variables = step.variables;
  if (step.whole_environment) {
    for (const auto& [name, value] : step.exec.variables)
      if (name != last_command) variables.insert(name);
    needs.emplace_back(NeedName{NeedKind::environment_names, 0, {}}, environment_names_value(step.exec));
  }
  for (const std::string& name : variables) needs.emplace_back(NeedName{NeedKind::environment, 0, name}, environment_value(step.exec, name));
  for (const auto& [fd, questions] : step.descriptors)
    needs.emplace_back(NeedName{NeedKind::descriptor, questions, std::to_string(fd)}, descriptor_value(step.exec, fd, questions));
  for (const auto& [fd, file] : step.inherited_files)
    needs.emplace_back(NeedName{NeedKind::inherited_file, file.aspects, std::to_string(fd)}, inherited_file_value(file.offset, file.contents, file.aspects, file.facts));
  if (needs.size() > 1) needs.emplace_back(NeedName{NeedKind::same_files, 0, {}}, same_files.value());
  std::set<std::string> seen_programs;
  for (const ProgramUse& use : step.programs) {
    NeedName name{NeedKind::program, 0, use.path};
    name.text += '\0';
    name.text += use.library_path;
    if (seen_programs.insert(name.text).second) needs.emplace_back(std::move(name), std::string(use.identity.view()));
  }
  std::sort(needs.begin(), needs.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [name, value] : needs) {
    names.push_back(std::move(name));
    values.push_back(std::move(value));
  }
}

bool guards_environment(const Program& program, const PolicyTable& policies) {
  return !program.is_static && !program.untraced && !program.real_path.empty() && !policies.knows(program.real_path);
}

}  // namespace broker
