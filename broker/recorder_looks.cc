// What a step sees of names and files.
#include "broker/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
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

namespace {

PathFacts facts_of(const StatPayload& stat) {
  PathFacts facts = PathFacts::from_mode(stat.mode);
  facts.uid = stat.uid;
  facts.gid = stat.gid;
  facts.links = stat.links;
  facts.bytes = stat.size;
  facts.mtime_ns = stat.mtime_ns;
  facts.device = stat.device;
  facts.inode = stat.inode;
  return facts;
}

// Whether more than mode and owner says who may do what with it.
bool is_guarded(const std::string& path) {
  struct statx info;
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_TYPE, &info) == 0 && info.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) return true;
  return ::lgetxattr(path.c_str(), "system.posix_acl_access", nullptr, 0) > 0;
}

}  // namespace

bool is_kept_by_mount(const std::string& path) {
  struct stat info;
  struct statvfs disk;
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_mode & 0111 && ::statvfs(path.c_str(), &disk) == 0 && disk.f_flag & ST_NOEXEC;
}

// ---- what is seen --------------------------------------------------------------------------------------------------------

void Recorder::observe(Process& process, PathId path, std::uint32_t aspects, const PathFacts& facts, const PathContents& contents, Position at) {
  Step& step = *process.step;
  // It has been told another time, and why.
  if (recipes_ && step.is_make) aspects &= ~std::uint32_t{aspect_times};
  step.observe(path, aspects, facts, contents, at, !step.policy.replaces_outputs);
  if ((aspects & aspect_times) && !step.policy.ignores_listed_directory_times) step.uses[path].times_matter = true;
}

PathId Recorder::resolve(Process& process, std::string_view spelled, bool follow, Position at, bool* complete, bool succeeded) {
  // Links that lead each process somewhere else are not for us to follow, and nobody can say later where they led.
  const auto checked = [&](PathId path) {
    if (leads_by_process(paths_.text(path))) spoil(process, "goes by way of " + paths_.text(path));
    return path;
  };
  const bool is_plain = spelled.find("//") == spelled.npos && spelled.find("/.") == spelled.npos;
  if (is_plain && (spelled.starts_with("/proc/") || spelled.starts_with("/dev/fd/") || spelled.starts_with("/dev/std"))) {
    if (complete) *complete = true;
    return checked(paths_.intern(spelled));
  }
  const Resolution& found = paths_.resolve(process.directory == no_path ? paths_.intern("/") : process.directory, spelled, follow);
  const PathId path = found.path;
  if (complete) *complete = found.complete || succeeded;
  if (succeeded && !found.complete) {
    const std::filesystem::path whole = spelled.starts_with('/') ? std::filesystem::path(spelled)
                                                                 : std::filesystem::path(paths_.text(process.directory)) / spelled;
    return checked(paths_.intern(whole.lexically_normal().native()));
  }
  checked(path);
  if (found.crossed.empty() && found.left.empty()) return path;
  const std::vector<PathId> crossed = found.crossed, left = found.left;  // what follows resolves other names
  PathFacts facts;
  facts.type = FileType::symlink;
  for (const PathId link : crossed) {
    if (touched_later(link, at) && !process.step->owns(link, at)) observe_unknown(process, link);
    PathContents contents;
    contents.target = paths_.link_target(link);
    process.step->observe(link, aspect_type | aspect_target, facts, contents, at, true);
  }
  for (const PathId directory : left) process.step->observe(directory, aspect_type, PathFacts::from_mode(S_IFDIR), {}, at, true);
  return path;
}

void Recorder::observe_absent(Process& process, PathId path, Position at) { observe(process, path, aspect_type, PathFacts{}, {}, at); }

void Recorder::observe_unknown(Process& process, PathId path) { process.step->uses[path].unknown = true; }

void Recorder::observe_type(Process& process, PathId path, Position at, std::uint32_t extra_aspects, bool is_there) {
  const std::uint32_t aspects = aspect_type | extra_aspects;
  const auto known = process.step->uses.find(path);
  // Known already, unless it has come or gone since.
  const auto agrees = [&](FileType type) { return is_there ? type != FileType::absent : type != FileType::directory; };
  if (known != process.step->uses.end() && (known->second.aspects & aspects) == aspects && agrees(known->second.facts.type)) return;
  if (process.step->owns(path, at)) {
    // What it has only written to has the mode from before.
    if (extra_aspects && !touched_later(path, at, extra_aspects & aspect_mode))
      process.step->observe(path, aspects, parts_.view->look(paths_.text(path)), {}, at, true);
    return;
  }
  // What is there now came later.
  if (touched_later(path, at, extra_aspects & aspect_mode)) return observe_unknown(process, path);
  const PathFacts facts = parts_.view->look(paths_.text(path));
  // Its mode may have been another when it was asked for.
  if (extra_aspects & aspect_mode && facts.type == FileType::regular && facts.ctime_ns >= pass_floor_ns_) return observe_unknown(process, path);
  observe(process, path, aspect_type | extra_aspects, facts, {}, at);
}

void Recorder::observe_failure(Process& process, PathId path, bool complete, int error, Position at) {
  if (error == EACCES || error == EPERM) {
    // Names are made, moved and taken away by leave of their directory.
    const PathId directory = paths_.parent(path);
    if (is_guarded(paths_.text(path)) || is_guarded(paths_.text(directory)))
      return spoil(process, paths_.text(path) + not_for_its_mode);
    if (directory != path) observe_type(process, directory, at, aspect_mode);
    return observe_type(process, path, at, aspect_mode);
  }
  if (!complete || error == ENOENT) {
    if (complete) return observe_absent(process, path, at);
    // A directory on the way is missing, or is something else.
    return observe_type(process, path, at, 0, false);
  }
  switch (error) {
    case EEXIST: case EISDIR: case ENOTDIR: case EINVAL: case ELOOP: return observe_type(process, path, at);
    case ENOTEMPTY: {
      PathContents contents;
      if (step_owns_or_lost(process, path, at)) return;
      // Not empty then; what is there now may have come or gone since.
      if (parts_.view->look(paths_.text(path)).ctime_ns >= pass_floor_ns_) return observe_unknown(process, path);
      if (auto sum = parts_.view->listing(paths_.text(path))) contents.listing = *sum;
      if (contents.listing.value_or(0) == 0) return observe_unknown(process, path);
      std::string except;
      process.step->subtract_own_entries(path, at, paths_, contents, except);
      observe(process, path, aspect_type | aspect_listing, PathFacts::from_mode(S_IFDIR), contents, at);
      process.step->uses[path].except = except;
      return;
    }
    case ENAMETOOLONG: case EROFS: case EXDEV: case EBUSY: case ETXTBSY: return observe_type(process, path, at);
    case EINTR: case EAGAIN: return;
    default: spoil(process, fmt::format("{}: {}", paths_.text(path), std::strerror(error)));
  }
}

bool Recorder::is_written_to(PathId path) const {
  return std::any_of(processes_.begin(), processes_.end(), [&](const auto& each) { return each.second->writes.count(path) > 0; });
}

bool Recorder::is_mapped(PathId path) const {
  std::optional<PathFacts> now;
  for (const auto& [pid, process] : processes_)
    for (const auto& [name, mapped] : process->mapped) {
      if (name == path) return true;
      if (!now) now = parts_.view->look(paths_.text(path));
      if (now->device == mapped.device && now->inode == mapped.inode) return true;
    }
  return false;
}

// The file's facts, with at most one look in a pass at a file whose contents are known in it: whatever is read in this
// pass happened before that look.
PathFacts Recorder::facts_in_pass(PathId path) {
  const auto known = states_.find(path);
  if (known != states_.end() && known->second.digest && known->second.pass == pass_ && !is_written_to(path)) return known->second.facts;
  return parts_.view->look(paths_.text(path));
}

std::optional<Digest> Recorder::bytes_at(PathId path, Position at, PathFacts* facts, const PathFacts* looked) {
  const std::string& text = paths_.text(path);
  PathState& state = states_[path];
  if (place_of(text) == Place::proc_stable) {
    auto digest = parts_.view->bytes(text, facts);
    return digest ? std::optional(*digest) : std::nullopt;
  }
  if (replaced_about(path, at) || is_mapped(path)) return std::nullopt;
  if (touched_later(path, at)) {
    // Only what was noted before can be told of it now.
    if (state.digest && state.pass + 1 >= pass_ && facts) *facts = state.facts;
    return state.pass + 1 >= pass_ ? state.digest : std::nullopt;
  }
  // What comes through a descriptor that is open is not logged.
  const bool written_to = is_written_to(path);
  if (state.digest && state.pass == pass_ && !written_to) {
    if (facts) *facts = state.facts;
    return state.digest;
  }
  PathFacts now = looked ? *looked : parts_.view->look(text);
  if (written_to && now.ctime_ns >= pass_floor_ns_) return std::nullopt;
  if (state.digest && same_file(now, state.facts)) {
    state.pass = pass_;
    if (facts) *facts = now;
    return state.digest;
  }
  const bool old = now.ctime_ns < pass_floor_ns_;
  if (!old) {
    // It must be as the session's own last write left it, and have no other name by which somebody may have written unseen.
    if (state.last_write == 0 || (now.links > 1 && now.mtime_ns >= pass_floor_ns_)) return std::nullopt;
    if (state.last_write < pass_start_ && !same_file(now, state.after_pass)) return std::nullopt;
  }
  const auto digest = parts_.view->bytes(text, &now);
  if (!digest) return std::nullopt;
  state.facts = now;
  state.digest = *digest;
  state.pass = pass_;
  if (facts) *facts = now;
  return state.digest;
}

void Recorder::observe_bytes(Process& process, PathId path, Position at, bool also_mode, const PathFacts* looked) {
  Step& step = *process.step;
  if (step.owns(path, at)) return;
  PathFacts facts = PathFacts::from_mode(S_IFREG);
  PathContents contents;
  contents.bytes = bytes_at(path, at, &facts, looked);
  observe(process, path, aspect_type | aspect_bytes | (also_mode ? aspect_mode : 0u), facts, contents, at);
  if (!contents.bytes) step.uses[path].unknown = true;
}

// Nothing is to be looked at now: the step made it itself, or what was there has been replaced since.
bool Recorder::step_owns_or_lost(Process& process, PathId path, Position at) {
  if (process.step->owns(path, at)) return true;
  if (!touched_later(path, at)) return false;
  observe_unknown(process, path);
  return true;
}

// Where links in /proc lead.
void Recorder::handle_process_link(Process& process, const Event& event, const std::string& text) {
  // make asks for the name of its terminal (ttyname), to tell the makes it starts.
  const bool of_terminal = text.starts_with("/proc/self/fd/") && event.text2.starts_with("/dev/pts/");
  if (of_terminal && process.step->policy.ignores_terminal_name) {
    process.step->terminal_name = event.text2;
    return;
  }
  // Its own program is part of its key; where its descriptors lead is nobody's.
  if (text != "/proc/self/exe" && text != fmt::format("/proc/{}/exe", process.pid)) spoil(process, "reads " + text);
}

void Recorder::handle_look(Process& process, const Event& event) {
  const bool is_link_call = event.kind == kind_readlink;
  const bool follow = !is_link_call && !(event.kind == kind_look && (event.arg & look_nofollow));
  bool complete = true;
  if (event.text.empty()) return;
  if (is_link_call && event.result >= 0 && event.text.starts_with("/proc/self/fd/")) return handle_process_link(process, event, std::string(event.text));
  const PathId path = resolve(process, event.text, follow, event.position, &complete, event.result >= 0);
  const std::string& text = paths_.text(path);
  if (event.kind == kind_access && event.arg & X_OK && event.result == -EACCES && is_kept_by_mount(text)) return spoil(process, text + not_for_its_mode);
  // Also what it has written itself may have been there before.
  if (event.kind == kind_access && event.arg & X_OK && (event.result == 0 || event.result == -EACCES) && process.step->owns(path, event.position))
    return observe(process, path, aspect_type | aspect_mode, parts_.view->look(text), {}, event.position);
  if (event.result < 0 && !(is_link_call && event.result == -EINVAL))
    return observe_failure(process, path, complete, -event.result, event.position);
  const Place place = place_of(text);
  if (is_link_call) {
    if (place == Place::proc_other) return handle_process_link(process, event, text);
    if (event.result == -EINVAL) return observe_type(process, path, event.position);  // it is no symlink
    PathFacts facts;
    facts.type = FileType::symlink;
    PathContents contents;
    contents.target = std::string(event.text2);
    return observe(process, path, aspect_type | aspect_target, facts, contents, event.position);
  }
  if (!process.step->terminal_name.empty() && text == process.step->terminal_name) return;
  if (event.kind == kind_access) return observe_type(process, path, event.position, event.arg == F_OK ? 0u : aspect_mode);
  if (event.arg & look_xattr && place == Place::ordinary) {
    if (step_owns_or_lost(process, path, event.position)) return;
    PathContents contents;
    const PathFacts now = parts_.view->look(text);
    contents.attributes = parts_.view->attributes(text);
    // It was told that there is none, which may have been before somebody set it.
    if (*contents.attributes != 0 && now.ctime_ns >= pass_floor_ns_) return observe_unknown(process, path);
    return observe(process, path, aspect_type | aspect_attributes, now, contents, event.position);
  }
  if (event.arg & look_no_stat) return observe_type(process, path, event.position);
  if (place == Place::proc_other || place == Place::device || place == Place::terminal || place == Place::null_device || place == Place::random)
    return observe_type(process, path, event.position);
  const auto facts = facts_of(event.payload_as<StatPayload>());
  std::uint32_t aspects = process.step->policy.stat_aspects;
  if (facts.type == FileType::symlink) {
    if (step_owns_or_lost(process, path, event.position)) return;
    PathContents contents;
    if (auto target = parts_.view->target(text)) contents.target = *target;
    return observe(process, path, aspects | aspect_type | aspect_target, facts, contents, event.position);
  }
  observe(process, path, aspects, facts, {}, event.position);
  if (process.step->policy.makes_new_files) process.step->uses[path].was_empty = facts.type == FileType::regular && facts.bytes == 0;
}

namespace {

// Whether it could have a hole: a block of zeros.
bool may_have_holes(const std::string& path) {
  constexpr std::size_t block = 512;  // of no file system is it smaller
  constexpr char zeros[block] = {};
  std::ifstream file(path, std::ios::binary);
  char bytes[64 * block];
  do {
    file.read(bytes, sizeof bytes);
    const auto count = static_cast<std::size_t>(file.gcount());
    for (std::size_t at = 0; at < count; at += block)
      if (std::memcmp(bytes + at, zeros, std::min(block, count - at)) == 0) return true;
  } while (file);
  return !file.eof();
}

}  // namespace

// That a file has no holes follows from its bytes if nowhere in it are enough zeros; otherwise nobody needs to know it again.
void Recorder::handle_holes(Process& process, const Event& event) {
  constexpr std::uint64_t bytes_max = 256 << 20;
  const PathId path = paths_.intern(event.text);
  const std::string& text = paths_.text(path);
  if (process.step->owns(path, event.position)) return;
  if (event.arg == 0 && !touched_later(path, event.position) && parts_.view->look(text).bytes <= bytes_max && !may_have_holes(text)) return;
  spoil(process, "asks where " + text + " has holes");
}

void Recorder::handle_fstat(Process& process, const Event& event) {
  if (process.step->policy.ignores_fstat) return;
  const auto facts = facts_of(event.payload_as<StatPayload>());
  if (facts.type != FileType::regular && facts.type != FileType::directory) return;
  const auto known = process.fds ? process.fds->find(event.arg) : Descriptors::iterator{};
  if (!process.fds || known == process.fds->end()) return spoil(process, "asked about a file of unknown origin");
  const PathId path = known->second;
  if (path == no_path || process.step->owns(path, event.position)) return;
  const Place place = place_of(paths_.text(path));
  if (place != Place::ordinary) return;
  observe(process, path, process.step->policy.stat_aspects, facts, {}, event.position);
}

void Recorder::handle_open(Process& process, const Event& event) {
  Step& step = *process.step;
  const int flags = event.arg;
  const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
  const bool exclusive = (flags & O_CREAT) && (flags & O_EXCL);
  const bool follow = !(flags & O_NOFOLLOW) && !exclusive;
  bool complete = true;
  const PathId path = resolve(process, event.text, follow, event.position, &complete, event.result >= 0);
  const std::string text = paths_.text(path);
  const Position at = event.position;
  if (event.result == -ENXIO && text == "/dev/tty") {
    step.descriptors[controlling_terminal] |= fd_asked_kind;
    return;
  }
  if (event.result < 0) {
    observe_failure(process, path, complete, -event.result, at);
    // Who wants to read it looks for an input: that it makes a file of that name later is another matter.
    const auto use = step.uses.find(path);
    if (!writes && !(flags & (O_CREAT | O_PATH | O_DIRECTORY)) && use != step.uses.end() && !step.owns(path, at)) use->second.strict = true;
    return;
  }
  if (!process.fds) process.fds = std::make_shared<Descriptors>();
  if (process.fds.use_count() > 1) process.fds = std::make_shared<Descriptors>(*process.fds);
  (*process.fds)[event.result] = (flags & O_TMPFILE) == O_TMPFILE ? no_path : path;
  if ((flags & O_TMPFILE) == O_TMPFILE) return;
  if (path == step.script) step.script = no_path;
  // Python runs texts of others before the script: sitecustomize, .pth.
  const bool is_text = text.ends_with(".py") || text.ends_with(".pyc") || text.ends_with(".pth");
  if (step.policy.is_python && is_text && !text.starts_with(python_library)) step.script = no_path;

  switch (place_of(text)) {
    case Place::ordinary: case Place::proc_stable: break;
    case Place::null_device: return observe_type(process, path, at);
    case Place::random:
      // They come from the session's seed.
      if (options_.policies.random != random_real) return observe_type(process, path, at);
      return handle_random(process);
    case Place::terminal: return spoil(process, "uses the terminal");
    case Place::device: return spoil(process, "uses the device " + text);
    case Place::proc_other:
      // Where its own memory lies: some look for the end of their stack.
      if ((text == "/proc/self/maps" || text == fmt::format("/proc/{}/maps", process.pid)) &&
          step.policy.ignores_memory_map && event.text == "/proc/self/maps" &&
          std::none_of(step.exec.arguments.begin(), step.exec.arguments.end(), [](const auto& word) { return word.find("/proc") != word.npos; }))
        return;
      // In a tree that is told without anything of the machine (preload/protocol.h).
      if (options_.in_tree && !writes && (text == "/proc/mounts" || text == "/proc/self/mounts" || text == fmt::format("/proc/{}/mounts", process.pid))) return;
      // Its arguments are part of its key.
      if (event.text == "/proc/self/cmdline") return;
      if ((flags & O_DIRECTORY) == 0) spoil(process, "reads " + text);
      return;
  }
  if (flags & O_PATH) return observe_type(process, path, at);
  if (flags & O_DIRECTORY) {
    process.listings[path] = {};
    process.listings[path].complete = true;  // until something is read
    PathFacts facts = PathFacts::from_mode(S_IFDIR);
    return observe(process, path, aspect_type, facts, {}, at);
  }
  if (!writes && !(flags & O_CREAT)) {
    const PathFacts facts = facts_in_pass(path);
    if (facts.type == FileType::directory) {
      process.listings[path] = {};
      process.listings[path].complete = true;
      return observe(process, path, aspect_type, facts, {}, at);
    }
    if (facts.type == FileType::fifo || facts.type == FileType::socket) {
      if (!step.owns(path, at)) spoil(process, "reads from " + text);
      return;
    }
    if (facts.type == FileType::character_device || facts.type == FileType::block_device) return spoil(process, "uses the device " + text);
    look_through(process, path, at);
    return observe_bytes(process, path, at, false, &facts);
  }

  // From here on the file is made or written.
  const PathFacts now = parts_.view->look(text);
  if (now.type == FileType::character_device || now.type == FileType::block_device) return spoil(process, "writes to the device " + text);
  if (now.type == FileType::fifo || now.type == FileType::socket) {
    if (!step.owns(path, at)) spoil(process, "writes to " + text);
    return;
  }
  const bool owned = step.owns(path, at);
  PathState& state = states_[path];
  const auto before = step.uses.find(path);
  const bool seen_absent = before != step.uses.end() && before->second.aspects && before->second.facts.type == FileType::absent;
  bool was_absent = false;
  if (exclusive) {
    was_absent = true;
    if (!owned) {
      const bool looked_for = before != step.uses.end() && before->second.aspects;
      observe_absent(process, path, at);
      if (!looked_for && is_temporary(text)) {
        step.uses[path].temporary = true;
        temporary_names_[path] = true;
      }
    }
  } else if (!owned && !(flags & O_TRUNC)) {
    // Appended to or changed in part: what was there before counts. The shim has had it kept if there was something.
    if (state.digest && state.pass + 1 >= pass_) {
      PathContents contents;
      contents.bytes = state.digest;
      observe(process, path, aspect_type | aspect_bytes, state.facts, contents, at);
    } else if (flags & O_CREAT && state.seen_existing <= state.last_write) {
      observe_absent(process, path, at);
      was_absent = true;
    } else {
      step.uses[path].unknown = true;
    }
    // Also a program that replaces what it writes keeps what it adds to.
    step.uses[path].strict = true;
  } else if (!owned && !(flags & O_CREAT)) {
    observe(process, path, aspect_type, PathFacts::from_mode(S_IFREG), {}, at);
  }
  const bool own_removed = owned && !step.uses[path].present;
  // Maps, listings and lists of dependencies are only written, and whatever is there is kept.
  const bool removes_old = step.policy.makes_new_files && (flags & O_ACCMODE) == O_RDWR;
  const bool untouched = now.type == FileType::regular && !touched_later(path, at);
  if (owned && !own_removed && !exclusive && untouched && step.uses[path].inode && step.uses[path].inode != now.inode)
    step.spoil(text + " was replaced from outside while the step ran");
  PathUse& use = change(process, path, at);
  if (!owned) use.was_absent = was_absent || seen_absent;
  if (!owned) use.found_there = event.arg2 & open_found_it ? 1 : 0;
  use.fresh = (owned && use.fresh) || exclusive || own_removed || (removes_old && !use.was_empty);
  use.new_unless_empty = use.new_unless_empty || removes_old;
  use.contents_changed = true;
  use.linked_to = no_path;
  use.present = true;
  use.entry_type = 8;
  use.times_set = false;
  use.inode = untouched ? now.inode : 0;
  use.links_when_written = event.arg2 & open_has_other_names ? 2 : 1;
  if ((flags & O_CREAT) && use.creation_mode < 0) use.creation_mode = event.arg2 & 07777;
  process.writes[path] = flags & O_CLOEXEC;
}

// What a step leaves is looked at when it is over. If another one that runs at the same time changes it, nobody can say what
// is whose, and a run without the other would leave something else.
void Recorder::spoil_others_that_made(PathId path, const Step& changer) {
  for (const auto& [number, step] : steps_) {
    const auto use = step->uses.find(path);
    if (use == step->uses.end() || !use->second.contents_changed) continue;
    const Step* around = &changer;
    while (around && around != step.get()) around = around->parent;
    if (!around) step->spoil(fmt::format("{} was changed by another step while it ran", paths_.text(path)));
  }
}

PathUse& Recorder::change(Process& process, PathId path, Position at, bool attributes) {
  Step& step = *process.step;
  spoil_others_that_made(path, step);
  if (recipes_) recipes_->changed();
  PathState& state = states_[path];
  state.last_write = at;
  changed_in_pass_.push_back(path);
  state.digest.reset();
  state.pass = 0;
  parts_.programs->forget(paths_.text(path));
  const PathId directory = paths_.parent(path);
  if (!step.owns(directory, at + 1)) {
    const auto known = step.uses.find(directory);
    if (known == step.uses.end() || known->second.aspects == 0)
      step.observe(directory, aspect_type, PathFacts::from_mode(S_IFDIR), {}, at, true);
  }
  PathUse& use = step.change(path, at, attributes);
  use.moved_from = no_path;
  return use;
}

void Recorder::handle_list(Process& process, const Event& event) {
  const PathId path = paths_.intern(event.text);
  const Place place = place_of(event.text);
  if (place == Place::proc_other || event.text == "/proc") {
    // The list of one's own descriptors is closed over by the descriptors recorded at exec; others vary.
    if (!event.text.starts_with("/proc/self/fd") && event.text != fmt::format("/proc/{}/fd", process.pid)) spoil(process, "reads " + std::string(event.text));
    return;
  }
  Process::Listing& listing = process.listings[path];
  if (event.result < 0) return spoil(process, "could not read the directory " + std::string(event.text));
  if (event.result > 0) {
    if (listing.complete) listing = {};
    const auto part = event.payload_as<ListPayload>();
    if (listing.first == 0) listing.first = event.position;
    listing.sum += part.sum;
    return;
  }
  if (listing.first == 0) listing.first = event.position;
  PathContents contents;
  contents.listing = listing.sum;
  const Position first = listing.first;
  listing = {};
  listing.complete = true;
  Step& step = *process.step;
  if (step.owns(path, first)) return;
  std::string except;
  step.subtract_own_entries(path, first, paths_, contents, except);
  const auto known = step.uses.find(path);
  if (known != step.uses.end() && (known->second.aspects & aspect_listing)) return;
  PathFacts facts = PathFacts::from_mode(S_IFDIR);
  observe(process, path, aspect_type | aspect_listing, facts, contents, first);
  step.uses[path].except = except;
}

}  // namespace broker
