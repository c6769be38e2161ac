// What a step changes.
#include "broker/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "broker/recorder_state.h"

namespace broker {

using namespace cache;
using namespace preload;

// ---- what is changed -------------------------------------------------------------------------------------------------------

void Recorder::handle_change(Process& process, const Event& event) {
  Step& step = *process.step;
  const Position at = event.position;
  const bool follow = event.kind == kind_chmod || event.kind == kind_chown || event.kind == kind_truncate || event.kind == kind_xattr_set ||
                      (event.kind == kind_utimens && event.arg == 0);
  bool complete = true;
  const PathId path = resolve(process, event.text, follow, at, &complete, event.result >= 0);
  const std::string text = paths_.text(path);
  if (event.result < 0) return observe_failure(process, path, complete, -event.result, at);
  const bool owned = step.owns(path, at);
  const Place place = place_of(text);
  if (place != Place::ordinary) {
    if (event.kind == kind_unlink || event.kind == kind_mkdir || event.kind == kind_symlink || event.kind == kind_mknod || event.kind == kind_rmdir ||
        place == Place::proc_other)
      spoil(process, "changes " + text);
    return;
  }
  switch (event.kind) {
    case kind_mkdir: {
      if (!owned) {
        const bool looked_for = step.uses.count(path) && step.uses[path].aspects;
        observe_absent(process, path, at);
        if (!looked_for && is_temporary(text)) {
          step.uses[path].temporary = true;
          temporary_names_[path] = true;
        }
      }
      // It takes its group, and the bit for that, from the directory it is made in.
      observe_type(process, paths_.parent(path), at, aspect_mode);
      PathUse& use = change(process, path, at);
      if (!owned) use.was_absent = true;
      // It was removed before, and is not the one that may be there next time.
      if (owned) use.mode_set = true;
      use.contents_changed = use.present = use.fresh = true;
      use.made_mode = event.arg & 0777;
      use.entry_type = 4;
      paths_.changed(path, true);
      break;
    }
    case kind_symlink: {
      if (!owned) observe_absent(process, path, at);
      PathUse& use = change(process, path, at);
      if (!owned) use.was_absent = true;
      use.contents_changed = use.present = use.fresh = true;
      use.entry_type = 10;
      paths_.changed(path, true);
      break;
    }
    case kind_mknod: {
      if (!owned) observe_absent(process, path, at);
      PathUse& use = change(process, path, at);
      if (!owned) use.was_absent = true;
      use.contents_changed = use.present = use.fresh = true;
      use.entry_type = entry_type_of(parts_.view->look(text).type);
      break;
    }
    case kind_rmdir: case kind_unlink: {
      if (!owned) {
        const auto known = step.uses.find(path);
        if (known == step.uses.end() || known->second.aspects == 0) {
          const bool directory = event.kind == kind_rmdir;
          PathFacts facts = PathFacts::from_mode(directory ? S_IFDIR : S_IFREG);
          PathContents contents;
          if (directory) contents.listing = 0;
          observe(process, path, aspect_type | (directory ? std::uint32_t{aspect_listing} : 0u), facts, contents, at);
        }
      }
      step.lose_name(path);
      PathUse& use = change(process, path, at);
      use.contents_changed = true;
      use.present = false;
      use.fresh = false;
      use.mode_set = use.times_set = false;
      use.linked_to = no_path;
      paths_.changed(path, event.kind == kind_rmdir);
      break;
    }
    case kind_truncate:
      if (!owned) observe_bytes(process, path, at);
      {
        PathUse& use = change(process, path, at);
        use.contents_changed = use.present = true;
        use.entry_type = 8;
        use.links_when_written = parts_.view->look(text).links;
      }
      break;
    case kind_chmod: case kind_chown: case kind_utimens: {
      if (!owned) {
        const auto known = step.uses.find(path);
        if (known == step.uses.end() || known->second.aspects == 0) {
          PathFacts facts = parts_.view->look(text);
          observe(process, path, aspect_type, facts, {}, at);
        }
      }
      if (event.kind == kind_chown) {
        // Of what the step made anew it is looked at when the result is collected.
        const PathUse& use = step.uses[path];
        const PathFacts now = parts_.view->look(text);
        const bool as_it_was = use.aspects & aspect_mode && use.facts.uid == now.uid && use.facts.gid == now.gid;
        const bool made_for_us = owned && (use.fresh || use.was_absent) && now.gid == ::getegid();
        if (!as_it_was && !made_for_us) spoil(process, "changes the owner of " + text);
        break;
      }
      // Contents that were noted stay what they are.
      PathState& state = states_[path];
      const auto digest = state.digest;
      const auto facts = state.facts;
      const auto pass = state.pass;
      const PathId moved_from = step.uses[path].moved_from;
      PathUse& use = change(process, path, at, true);
      if (event.kind == kind_chmod) use.moved_from = moved_from;
      if (digest) {
        const PathFacts now = parts_.view->look(text);
        if (now.inode == facts.inode && now.bytes == facts.bytes) {
          state.digest = digest;
          state.facts = now;
          state.pass = pass;
        }
      }
      use.attributes_changed = true;
      if (event.kind == kind_chmod) use.mode_set = true;
      if (event.kind == kind_utimens) {
        const auto times = event.payload_as<TimesPayload>();
        use.times_set = times.is_now == 0;
        if (use.times_set) note_time_set(process, times.mtime_ns);
        // Also after a chmod the time is to become now.
        if (!use.contents_changed) use.fresh = !use.times_set;
      }
      break;
    }
    case kind_xattr_set: spoil(process, "sets extended attributes"); break;
    default: break;
  }
}

// A time comes from somewhere, most often from another file.
void Recorder::note_time_set(Process& process, std::int64_t mtime_ns) {
  if (!(process.step->policy.stat_aspects & aspect_times)) return spoil(process, "sets times, and those that it read are no needs");
  // One of a file that the step itself has made is another one next time.
  for (Step* step = process.step; step; step = step->parent)
    if (mtime_ns >= step->floor_ns - tick_ns) step->not_storable("sets the time of a file to one that lies within its run");
}

void Recorder::handle_rename(Process& process, const Event& event) {
  Step& step = *process.step;
  const Position at = event.position;
  bool complete_from = true, complete_to = true;
  const PathId from = resolve(process, event.text, false, at, &complete_from, event.result >= 0);
  const PathId to = resolve(process, event.text2, false, at, &complete_to, event.result >= 0);
  if (event.result < 0) {
    // What was to be moved was there.
    if ((event.result == -EEXIST || event.result == -ENOTEMPTY) && !step.owns(from, at)) observe_type(process, from, at);
    if (event.result == -EEXIST || event.result == -ENOTEMPTY) return observe_failure(process, to, complete_to, -event.result, at);
    if (!complete_to) return observe_failure(process, to, complete_to, -event.result, at);
    if (!step.owns(from, at)) observe_failure(process, from, complete_from, -event.result, at);
    if (event.result != -ENOENT) observe_failure(process, to, complete_to, -event.result, at);
    return;
  }
  if (event.arg & 2 /* RENAME_EXCHANGE */) return spoil(process, "exchanges two files");
  if (paths_.text(from) == paths_.text(to)) return;
  const PathFacts moved = parts_.view->look(paths_.text(to));
  if (moved.type == FileType::directory) return move_directory(process, from, to, at);
  move_name(process, from, to, moved, at, event.arg & 1 /* RENAME_NOREPLACE */);
  const bool moves_link = moved.type == FileType::symlink;
  paths_.changed(from, moves_link);
  paths_.changed(to, moves_link);
}

// Everything below the directory goes with it. It is noted as if each name had been moved by itself: what was needed of
// the old names, what is there now, and last what is gone.
void Recorder::move_directory(Process& process, PathId from, PathId to, Position at) {
  constexpr std::size_t names_max = 10'000;
  const std::string old_root = paths_.text(from), new_root = paths_.text(to);
  std::vector<std::pair<std::string, PathFacts>> names;  // below the root, directories before what is in them
  std::error_code problem;
  for (auto each = std::filesystem::recursive_directory_iterator(new_root, problem); !problem && each != std::filesystem::end(each); each.increment(problem)) {
    if (names.size() == names_max) return spoil(process, "renames a large directory: " + old_root);
    const std::string path = each->path();
    names.emplace_back(path.substr(new_root.size()), parts_.view->look(path));
  }
  if (problem) return spoil(process, "renames a directory: " + old_root);
  Step& step = *process.step;
  auto move_one = [&](const std::string& below, const PathFacts& facts) {
    const PathId old_path = paths_.intern(old_root + below), new_path = paths_.intern(new_root + below);
    if (facts.type != FileType::directory) return move_name(process, old_path, new_path, facts, at, false);
    if (!step.owns(old_path, at)) {
      PathContents contents;
      if (auto sum = parts_.view->listing(new_root + below)) contents.listing = *sum;
      std::string except;
      step.subtract_own_entries(old_path, at, paths_, contents, except);
      observe(process, old_path, aspect_type | aspect_mode | aspect_listing, facts, contents, at);
      step.uses[old_path].except = except;
    }
    const bool owned = step.owns(new_path, at);
    const bool own_time = step.uses[old_path].has_own_time(), set_times = own_time && step.uses[old_path].times_set;
    const PathId moved_from = own_time ? step.uses[old_path].moved_from : old_path;
    PathUse& arrived = change(process, new_path, at);
    if (!owned) arrived.was_absent = true;
    arrived.contents_changed = arrived.present = arrived.fresh = true;
    arrived.entry_type = 4;
    arrived.times_set = set_times;
    arrived.moved_from = moved_from;
  };
  if (!step.owns(to, at)) {
    // It replaces nothing, or a directory that was empty.
    const auto known = step.uses.find(to);
    const bool was_directory = known != step.uses.end() && known->second.aspects && known->second.facts.type == FileType::directory;
    PathContents empty;
    empty.listing = 0;
    if (was_directory) observe(process, to, aspect_type | aspect_listing, PathFacts::from_mode(S_IFDIR), empty, at);
    else if (known == step.uses.end() || known->second.aspects == 0) observe_absent(process, to, at);
  }
  move_one("", parts_.view->look(new_root));
  for (const auto& [below, facts] : names) move_one(below, facts);
  for (auto each = names.rbegin(); each != names.rend(); ++each) lose_name(process, paths_.intern(old_root + each->first), at);
  lose_name(process, from, at);
  paths_.changed(from, true);
  paths_.changed(to, true);
  // Who works in it goes with it.
  for (auto& [pid, other] : processes_) {
    if (other->directory == no_path) continue;
    const std::string& place = paths_.text(other->directory);
    if (place == old_root || place.starts_with(old_root + "/")) other->directory = paths_.intern(new_root + place.substr(old_root.size()));
  }
}

bool Recorder::is_worked_in(const std::string& directory, std::int32_t but_by) {
  return std::ranges::any_of(processes_, [&](const auto& each) {
    if (each.first == but_by || each.second->directory == no_path) return false;
    const std::string& place = paths_.text(each.second->directory);
    return place == directory || place.starts_with(directory + "/");
  });
}

void Recorder::lose_name(Process& process, PathId path, Position at) {
  PathUse& gone = change(process, path, at);
  gone.contents_changed = true;
  gone.present = gone.fresh = gone.mode_set = gone.times_set = false;
}

// What is not a directory has another name now; `moved` is what it is under the new one.
void Recorder::move_name(Process& process, PathId from, PathId to, const PathFacts& moved, Position at, bool to_nothing) {
  Step& step = *process.step;
  const bool own_source = step.owns(from, at);
  if (moved.type == FileType::regular) step.move_old_file(from, moved.links, moved.mode);
  std::optional<Digest> digest;
  PathFacts digest_facts = moved;
  // The contents go with the name: what they are now is what they were.
  if (moved.type == FileType::regular && !touched_later(to, at)) {
    const PathState& old = states_[from];
    if (old.digest && old.facts.inode == moved.inode && old.facts.bytes == moved.bytes && old.facts.mtime_ns == moved.mtime_ns) digest = old.digest;
    else if (own_source) digest.reset();
    else if (auto now = parts_.view->bytes(paths_.text(to), &digest_facts)) digest = *now;
  }
  if (!own_source) {
    PathContents contents;
    contents.bytes = digest;
    if (moved.type == FileType::symlink) {
      if (auto target = parts_.view->target(paths_.text(to))) contents.target = *target;
      observe(process, from, aspect_type | aspect_target, moved, contents, at);
    } else if (digest) {
      observe(process, from, aspect_type | aspect_mode | aspect_bytes, digest_facts, contents, at);
    } else {
      step.uses[from].unknown = true;
      step.uses[from].aspects |= aspect_type;
    }
  }
  const bool target_owned = step.owns(to, at);
  if (to_nothing && !target_owned) observe_absent(process, to, at);
  const auto known = step.uses.find(to);
  const bool target_seen_absent = known != step.uses.end() && known->second.aspects && known->second.facts.type == FileType::absent;
  const bool own_time = step.uses[from].has_own_time(), set_times = own_time && step.uses[from].times_set;
  const bool set_mode = own_source && step.uses[from].mode_set;
  const PathId moved_from = own_time ? step.uses[from].moved_from : from;
  step.lose_name(to);
  PathUse& arrived = change(process, to, at);
  arrived.contents_changed = arrived.present = arrived.fresh = true;
  arrived.entry_type = entry_type_of(moved.type);
  arrived.mode_set = set_mode;
  arrived.times_set = set_times;
  arrived.moved_from = moved_from;
  arrived.linked_to = own_source ? step.uses[from].linked_to : no_path;
  if (!target_owned) arrived.was_absent = target_seen_absent || to_nothing;
  PathState& state = states_[to];
  if (digest) {
    state.facts = parts_.view->look(paths_.text(to));
    state.digest = digest;
    state.pass = pass_;
  }
  lose_name(process, from, at);
}

void Recorder::handle_link(Process& process, const Event& event) {
  Step& step = *process.step;
  const Position at = event.position;
  bool complete_from = true, complete_to = true;
  const bool by_descriptor = event.text.starts_with("/proc/self/fd/");
  const PathId from = by_descriptor ? no_path : resolve(process, event.text, event.arg == 1, at, &complete_from, event.result >= 0);
  const PathId to = resolve(process, event.text2, false, at, &complete_to, event.result >= 0);
  if (event.result < 0) {
    if (from != no_path) observe_failure(process, from, complete_from, event.result == -EEXIST ? EINVAL : -event.result, at);
    if (event.result != -ENOENT || !complete_to) observe_failure(process, to, complete_to, -event.result, at);
    return;
  }
  if (from != no_path) {
    // The new name changed the file's ctime.
    states_[from].last_write = at;
    changed_in_pass_.push_back(from);
    if (!step.owns(from, at)) observe_bytes(process, from, at, true);
  }
  const bool owned = step.owns(to, at);
  if (!owned) observe_absent(process, to, at);
  PathUse& use = change(process, to, at);
  if (!owned) use.was_absent = true;
  use.contents_changed = use.present = use.fresh = true;
  use.entry_type = 8;
  step.give_name(to, from);
}

}  // namespace broker
