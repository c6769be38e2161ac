// A step under way: what it has observed and changed so far.
//
// Everything is kept with the position of its event, so that "before it changed
// it itself" is decided by order. When a step is over it is merged into the step
// that started it: what the inner step needed is a need of the outer one, unless
// the outer one had made it before; what the inner one changed, both changed.
//
// One thread, the session's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/path_table.h"
#include "broker/policy.h"
#include "broker/process_numbers.h"
#include "broker/program_table.h"
#include "broker/view.h"
#include "cache/record.h"
#include "preload/protocol.h"

namespace broker {

class PolicyTable;

using Position = std::uint64_t;
inline constexpr Position never = ~Position{0};
// Times of files may be late by as much: a tick of the kernel's clock.
inline constexpr std::int64_t tick_ns = 10'000'000;

// Two names with the same one are names of one file.
using FileNumber = std::pair<std::uint64_t, std::uint64_t>;  // device, inode

// What a step saw of one path before changing it, and that it changed it.
struct PathUse {
  std::uint32_t aspects = 0;
  PathFacts facts;
  PathContents contents;
  Position observed_first = never;
  bool times_matter = false;  // somebody looked at the times who does not just use them to know whether to list again
  bool strict = false;    // some observer cares whether its own outputs were there before
  bool unknown = false;   // an aspect could not be told: it changed while in use
  std::string except;     // aspect_listing: names left out, each followed by '/'
  std::optional<FileNumber> shared;  // a regular file that had other names as well

  Position changed_at = never;     // contents: made, removed, written, replaced
  Position attributes_at = never;  // mode or times
  std::uint32_t order = 0;         // of the first change, within the step
  bool contents_changed = false;   // made, removed, written or replaced: nothing seen from then on is a need
  bool attributes_changed = false; // mode or times only
  bool was_absent = false;         // known not to have existed before the step made it
  bool fresh = false, mode_set = false, times_set = false;
  bool single_name = false;        // taken away after it was written where it was: it must not have had another name,
  std::int32_t moved_mode = -1;    // and if it was moved, must have had this mode; -1: does not matter
  bool new_unless_empty = false;   // written by who removes what is there before, unless it is empty
  bool was_empty = false;          // what such a program has found
  bool temporary = false;          // made under a name of its own that nobody looked for before
  PathId linked_to = no_path;      // made as another name of this file
  PathId moved_from = no_path;     // was moved from here, as it was before the step, and kept its time
  std::int32_t creation_mode = -1; // the mode the file gets if the step has to make it; -1: not known
  std::int32_t made_mode = -1;     // of a directory: permission bits it was made with; -1: not known
  std::int8_t found_there = -1;    // by who opened it first to write: 0 if it was not; -1: not known
  bool present = false;            // after the latest change
  std::uint32_t links_when_written = 1;  // in place: how many names the file had; 2 may be more
  std::uint64_t inode = 0;         // present: of the file as the step itself last opened it to write; 0: not known
  std::uint8_t entry_type = 0;     // present: d_type
  // Whether it was there before does not matter to anybody who looked.
  bool replaceable() const;
  bool changed() const { return changed_at != never || attributes_at != never; }
  // Not the one it had before the step.
  bool has_own_time() const { return contents_changed || (attributes_changed && (times_set || fresh)); }
};

// How the process that asked describes a step before it runs.
struct ExecRecord {
  std::string program;  // absolute, as executed
  std::string directory;
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::uint64_t>> variables;  // name, fingerprint; sorted by name
  std::string library_path;
  std::vector<preload::FdPayload> fds;
  std::uint32_t umask = 0;
  std::uint32_t flags = 0;
  std::uint64_t short_key = 0;
  std::uint64_t random_start = 0;  // as in preload::ExecPayload
  std::uint64_t ignored_signals = 0, blocked_signals = 0;
  std::uint64_t last_command_at = 0;  // place among the variables of `_`
  std::string names_value;  // of all names of variables, see environment_names_value()
  std::int32_t pid = 0;
  bool has_terminal = false;  // a controlling one, /dev/tty

  std::optional<std::uint64_t> variable(std::string_view name) const;
  const preload::FdPayload* fd(std::uint32_t number) const;
  // The inherited descriptor that is the same stream as `what`, preferably of the same number.
  const preload::FdPayload* same_stream(const preload::FdPayload& what) const;
  // It was given a descriptor by which it can write to some file, and to this one. A program may find out that what it
  // reads is what it writes to (cat says so), which no need tells.
  bool may_write_to_files() const;
  bool may_write_to(std::uint64_t device, std::uint64_t inode) const;
};

// By the name of its file.
bool is_make(std::string_view program);
// In a precise session make prints and runs what does not hold, which is not what it has printed and run the last time.
inline constexpr const char* told_what_holds = "runs make, which is told what holds";

inline constexpr const char* reads_its_output_reason = "looks at a file that it was given to write to";

struct ProgramUse {
  std::string path, library_path;
  cache::Digest identity;  // with the policy rows for it
  PathId file = no_path;  // that runs, symlinks followed
  Position at = 0;
};

// A regular file that a step was given open, and has read or asked about.
struct InheritedFile {
  std::int64_t offset = 0;  // where it stood
  cache::Digest contents;
  std::uint32_t aspects = 0;  // what fstat has told besides, for `facts`: mode, links, times
  PathFacts facts;
  PathId path = no_path;
  Position at = 0;
};

struct Step {
  Step* parent = nullptr;
  std::uint64_t number = 0;
  ExecRecord exec;
  std::shared_ptr<const Program> program;  // null if it could not be looked up
  cache::Digest identity;                  // of the program, with the policy rows for it
  PathId file = no_path;                   // exec.program with symlinks followed
  Policy policy;
  bool is_make = false;
  std::string text;  // a shell's: what it runs, if short
  bool tells_input = false;    // a shell whose log has what it reads itself
  bool runs_input = false;     // a shell that runs what it reads from its standard input; `text` is the latest of it
  PathId script = no_path;     // an interpreter's, as long as it has not opened it
  std::string before_script;   // what it did by then that would count later
  std::optional<cache::Digest> key;
  Position began = 0;
  std::int64_t began_ns = 0;  // CLOCK_MONOTONIC, when the record was read
  std::int64_t executed_ns = 0;  // CLOCK_REALTIME, just before its program was executed

  // Life.
  std::int32_t main_pid = 0;
  bool started = false;     // the shim has reported in
  bool main_ended = false;
  bool end_was_seen = false;  // of the first process: `status` is its
  std::int32_t status = 0;
  std::int64_t floor_ns = 0;     // CLOCK_REALTIME: it did not begin before
  std::int64_t ended_ns = 0;     // CLOCK_REALTIME of the last end of a process in it that is known; 0: none
  std::uint32_t processes = 0;   // live, and in this step itself
  std::uint32_t open_steps = 0;  // inner ones not over yet

  // What it saw and did.
  std::unordered_map<PathId, PathUse> uses;
  std::set<PathId> named_again;  // files that it has given another name
  std::string terminal_name;     // that make has asked for
  std::uint32_t change_count = 0;
  std::set<std::string, std::less<>> variables;  // names asked for
  bool whole_environment = false;
  bool guards_environment = false;  // its processes say whether that is so
  std::map<std::uint32_t, std::uint32_t> descriptors;  // fd -> FdQuestions asked
  std::map<std::uint32_t, InheritedFile> inherited_files;  // by descriptor
  ProcessNumbers numbers;  // that processes in it were told, who may show them; of inner steps that were kept none
  std::vector<ProgramUse> programs;  // of inner steps
  std::vector<cache::StreamPiece> streams;
  std::uint64_t stream_bytes = 0;
  std::map<std::uint32_t, std::int64_t> positions;

  // Why it cannot be stored. `spoils` holds for every step around it as well, `unstorable` for itself alone.
  std::string spoils, unstorable;
  std::string spoiled_by;  // the command inside it that did it first; empty: itself
  bool replayed = false;
  std::uint64_t saved_ns = 0;  // replayed: what the run took

  void spoil(std::string reason, std::string by = {}) {
    if (!spoils.empty()) return;
    spoils = std::move(reason);
    spoiled_by = std::move(by);
  }
  // Code that it runs asks the processor, here or there (as in Program). Nobody sees whether it does, nor what it is told.
  void spoil_by_processor(const std::string& counter, const std::string& random);
  void not_storable(std::string reason) {
    if (unstorable.empty()) unstorable = std::move(reason);
  }

  // Adds an observation made at `at` by a program with this policy. False if it contradicts an earlier one.
  bool observe(PathId path, std::uint32_t aspects, const PathFacts& facts, const PathContents& contents, Position at, bool strict);
  // `attributes`: of mode or times alone.
  PathUse& change(PathId path, Position at, bool attributes = false);
  // Moves a file that may be older than the step, and has `links` names and this mode. Replayed, the file is made anew: its
  // other names would be left with the old one, so there must be none, and if it was written where it was, a file that was
  // there must have had the mode that one made has. Holds for the steps around as well.
  void move_old_file(PathId path, std::uint32_t links, std::uint32_t mode);
  // This file, which the step moves or takes away, must have had no other name.
  void require_single_name(PathId path, std::uint32_t links);
  // `to`, changed already, is another name of `from`.
  void give_name(PathId to, PathId from);
  // Takes a name away. What the step, or one around it, had written into the file before is left under its other names.
  void lose_name(PathId path);
  // Wrote to the inherited descriptor `fd`.
  void add_stream(std::uint32_t fd, std::string_view bytes);
  // Looked at a path of its own that was there before the step under another name: what that name tells of it counts.
  void note_look_at_own(PathUse& use, std::uint32_t aspects, const PathFacts& facts);
  // Takes what the step itself changed in a directory out of a listing: names that it may have replaced are left out on
  // both sides (`except`), names that are known to be its own are only subtracted.
  void subtract_own_entries(PathId directory, Position at, PathTable& paths, PathContents& contents, std::string& except) const;
  // True if the step itself had made or replaced the path before `at`.
  bool owns(PathId path, Position at) const;
};

// Program and first arguments, as short as a name; and the file that runs, if it is called otherwise.
std::string brief_command(const ExecRecord& exec);

// Adds what an inner step saw and did to the step around it.
void merge_into(Step& outer, const Step& inner, PathTable& paths);

// The names and values of what the step needed, sorted. Leaves out what only its own temporary files were about.
// `problem` is set if some value is not known.
void collect_needs(const Step& step, const PathTable& paths, cache::NeedSet& names, cache::NeedValues& values, std::string& problem);

// A number that no descriptor has, for the controlling terminal.
inline constexpr std::uint32_t controlling_terminal = 1000;

// Values of needs that do not come from the file system; shared with the judge.
std::string environment_value(const ExecRecord& exec, std::string_view name);
std::string environment_names_value(const ExecRecord& exec);
// Of the names of variables in the order in which they were given, which who walks them can tell.
std::string value_of_names(const std::vector<std::pair<std::string, std::uint64_t>>& variables);
std::string descriptor_value(const ExecRecord& exec, std::uint32_t fd, std::uint32_t questions);
// Of NeedKind::same_files: the groups of names of one file, each name followed by NUL, each group by one more.
class SameFiles {
 public:
  // Of a path need: whether its aspects tell which file it is (stat does, access does not).
  static bool is_told_by(std::uint32_t aspects);
  void add(FileNumber file, const std::string& path) { names_[file].insert(path); }
  std::string value() const;

 private:
  std::map<FileNumber, std::set<std::string>> names_;
};
// `aspects` are those of the need, for `facts`. The contents are at offset 8 of it.
std::string inherited_file_value(std::int64_t offset, const cache::Digest& contents, std::uint32_t aspects, const PathFacts& facts);

// Whether the shim in it can tell how it looks at variables, and no policy row does.
bool guards_environment(const Program& program, const PolicyTable& policies);

}  // namespace broker
