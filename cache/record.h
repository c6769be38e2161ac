// What the cache knows of a step: what it needed, and what it left behind.
//
// A NeedName says which fact about the world was observed; its value, a byte
// string, says what the fact was. Whoever evaluates names (the broker's view)
// gives equal strings exactly if the step could not tell the difference. A
// NeedSet is the sorted names of one run without their values; runs that
// observed the same names share it.
//
// Encodings are canonical: equal things have equal bytes, and decoding accepts
// nothing else. Every encoding starts with a tag and record_version, and ends
// with the first eight bytes of the SHA-256 of what is before, so that any
// flipped bit is noticed (Fault::corrupt) and any other version is refused
// (Fault::unsupported).
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/result.h"
#include "cache/digest.h"

namespace cache {

inline constexpr std::uint8_t record_version = 3;

enum class NeedKind : std::uint8_t {
  path = 1,         // text: absolute path, no symlink in front of the last component; detail: Aspects
  environment = 2,  // text: name of a variable
  environment_names = 3,  // the set of names of all variables
  program = 4,      // text: absolute path of a program file, NUL, LD_LIBRARY_PATH; the program with its libraries
  descriptor = 5,   // text: decimal number; detail: preload::FdQuestion
  inherited_file = 6,  // text: decimal number of a descriptor; offset and contents of the regular file behind it; detail: Aspects, what else
  same_files = 7,   // which of the paths of the set are names of one file
};

// What a call revealed of a path. Bits of NeedName::detail.
enum Aspect : std::uint32_t {
  aspect_type = 1,      // absent, regular, directory, symlink, ...; or the errno that looking gives
  aspect_mode = 2,      // permission bits, uid, gid
  aspect_size = 4,
  aspect_links = 8,
  aspect_times = 16,    // mtime in ns
  aspect_bytes = 32,    // SHA-256 of the contents
  aspect_target = 64,   // of a symlink
  aspect_listing = 128, // sum over entries of preload::entry_hash
  aspect_attributes = 512,   // which extended attributes there are; their values are never a need
  aspect_replaceable = 256,  // only whether it is absent or a regular file: 1, anything else: 0; with aspect_links a file
                             // counts only if it has no other name, with aspect_size only if it is not empty, with
                             // aspect_mode only if it is the user's own and its permissions are those of expected_mode()
};

// Stands in the upper half of the detail that has aspect_replaceable and aspect_mode.
constexpr std::uint32_t with_expected_mode(std::uint32_t aspects, std::uint32_t mode) { return aspects | aspect_mode | (mode & 07777) << 16; }
constexpr std::uint32_t expected_mode(std::uint32_t aspects) { return aspects >> 16 & 07777; }

struct NeedName {
  NeedKind kind = NeedKind::path;
  std::uint32_t detail = 0;
  std::string text;
  auto operator<=>(const NeedName&) const = default;
};

using NeedSet = std::vector<NeedName>;         // sorted, without repetition
using NeedValues = std::vector<std::string>;   // one for each name, in the same order

Digest digest_of(const NeedSet& names);
Digest digest_of(const NeedValues& values);

// One difference a step made in the file system, as it is at the step's end.
struct Change {
  enum class What : std::uint8_t {
    file = 1,       // regular file with these contents
    directory = 2,  // exists, with this mode; its entries are changes of their own
    symlink = 3,    // text: its target
    hard_link = 4,  // text: path of an earlier Change::file that shares its inode
    removed = 5,    // no longer there
    attributes = 6, // existed before and kept its contents; mode and times only
  };
  What what = What::file;
  std::string path;
  std::string text;
  Digest content;           // file
  std::uint64_t bytes = 0;  // file
  std::uint32_t mode = 0;   // permission bits, set-id and sticky included; file, directory, attributes
  // The step removed or renamed over what was there, or made the file exclusively: the file is a new inode with
  // just this mode. Otherwise it was opened for writing: what exists keeps its mode and its hard links.
  bool fresh = false;
  bool mode_set = false;    // by chmod, so it holds for a file that existed as well
  bool times_set = false;   // by the step itself, to mtime_ns
  std::int64_t mtime_ns = 0;  // if not times_set: its place in the order of times, the same for equal ones; 0 if all differ in the order of the changes
  // Not empty: what is there was moved from here as it was before the step, and has the time that had.
  std::string moved_from;
  bool operator==(const Change&) const = default;
};

struct StreamPiece {
  std::uint32_t fd = 0;
  std::string bytes;
  bool operator==(const StreamPiece&) const = default;
};

struct FilePosition {
  std::uint32_t fd = 0;
  std::int64_t offset = 0;
  bool operator==(const FilePosition&) const = default;
};

struct StepResult {
  std::vector<Change> changes;       // in the order of their first happening
  std::vector<StreamPiece> streams;  // in order; neighbours have different fds
  std::vector<FilePosition> positions;
  std::int32_t status = 0;           // as wait(2) reports it
  std::uint64_t wall_ns = 0;         // what the run took
  bool operator==(const StepResult&) const = default;
};

// The last run of a step, kept to explain why the next one is not a hit.
struct LastRun {
  std::string program;               // path
  std::vector<std::string> arguments;
  std::string directory;
  Digest need_set;
  NeedValues values;
  std::string not_stored;            // why nothing was stored; empty if it was
  std::int64_t when_ns = 0;          // CLOCK_REALTIME
  bool operator==(const LastRun&) const = default;
};

// What a recipe of a makefile did when it ran last: all its lines, with what make itself had started to expand them, as
// one. Kept to tell whether it would do the same today.
struct RecipeRun {
  std::string target;       // what make looked at when the recipe was over, and the recipe had made; empty: nothing
  std::string directory;    // of make
  std::uint32_t level = 0;  // how many other makes were around that make
  Digest command;           // of what its lines have executed
  Digest variables;         // of those that this has looked at
  // Of all that says what the recipe is: makefiles, arguments, variables. Several if it was the same with other ones.
  std::vector<Digest> contexts;
  std::vector<std::pair<std::string, Digest>> listings;  // directories that make has listed, and the names in them that its patterns may find
  NeedSet names;            // paths and programs only
  NeedValues values;
  std::vector<Change> changes;  // `fresh` says that what was there before did not matter
  std::string problem;      // why nobody can tell; empty: it can be told
  std::int64_t when_ns = 0; // CLOCK_REALTIME
  bool operator==(const RecipeRun&) const = default;
};

std::string encode(const NeedSet& names);
std::string encode(const StepResult& result);
std::string encode(const LastRun& run);
std::string encode(const RecipeRun& run);
Result<NeedSet> decode_need_set(std::string_view bytes);
Result<StepResult> decode_step_result(std::string_view bytes);
Result<LastRun> decode_last_run(std::string_view bytes);
Result<RecipeRun> decode_recipe_run(std::string_view bytes);

}  // namespace cache
