// Leaves behind what running the step would have left.
//
// stage() checks everything and copies every content beside its destination
// under a private name, verified against its digest; until then nothing that
// anyone looks at has changed, and an Error just means "run the program".
// apply() then makes the changes in their recorded order. An observer of one
// path sees old or new, never half.
//
// - A file that was fresh, or does not exist, is renamed into place, but only
//   over a regular file or nothing; one that exists and was opened for writing
//   keeps its mode (unless mode_set) and, if it has several links, another
//   owner or extended attributes, is written in place so that all of that stays.
//   Nothing is made where a default access list would give it another mode. What is already there
//   with the same contents is not copied, only given its mode and time.
//   Anything else at the destination (directory, device, symlink) is an Error
//   of stage().
// - Modification times are "now", in the order in which the step wrote last,
//   unless it set them itself. "Now" is the kernel's: never earlier than a file written
//   before, never later than one written afterwards. Two changes within one tick
//   may get the same time if the kernel has no finer clock for it (before 6.13).
// - Symlinks and hard links are made under a private name and renamed, symlinks
//   also over another symlink. Hard links share the inode of the file named,
//   which is an earlier change or a file that is there.
// - Change::attributes sets the mode if mode_set and the time if times_set. The
//   time becomes "now" if neither is set (a touch), or if `fresh`.
// - A directory that is there already keeps its mode unless mode_set or fresh. New ones
//   get their mode, and directories removed go, when all else is done.
// - Removals of what is not there any more are not errors. A directory to be
//   removed must hold nothing that is not removed as well, and devices are never
//   removed.
//
// Private names (staging_journal.h) are in the destination's
// directory or, if that is still to be made, in the nearest one that is there.
// One thread at a time for each Replay.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "broker/staging_journal.h"
#include "broker/view.h"
#include "cache/base/result.h"
#include "cache/blob_store.h"
#include "cache/record.h"
#include "preload/protocol.h"

namespace broker {

class Replay {
 public:
  // All must outlive it. `log` has room for redo_bytes_max of entries; `slot` is its `slot`. What is written there is for
  // others; nothing is read from it. Without a journal private files stay if this process and the waiting one are killed.
  Replay(const cache::StepResult& result, const cache::BlobStore& blobs, const View& view, preload::RedoLog& log, std::uint32_t slot,
         StagingJournal* journal = nullptr);
  ~Replay();  // removes what was staged and not applied
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  // Fault::corrupt or not_found: a blob is damaged or gone (it has been removed: forget the result).
  // Other faults: the place does not fit.
  cache::Result<bool> stage();
  // After stage() succeeded, once. Writes all changes down and makes them. An Error with "after" some changes means that
  // these were made and others could not be. The program is run then, on what is there by now: right for one that
  // overwrites its outputs, not for one that appends to a file or changes its input in place (docs/limits.md, "Broken off").
  cache::Result<bool> apply();

 private:
  struct Staged;
  class Places;
  cache::Result<bool> stage_change(const cache::Change& change, Staged& staged);
  cache::Result<bool> stage_file(const cache::Change& change, Staged& staged);
  cache::Result<bool> copy_contents(const cache::Change& change, Staged& staged);
  cache::Result<bool> stage_symlink(const cache::Change& change, Staged& staged);
  cache::Result<bool> stage_hard_link(const cache::Change& change, Staged& staged);
  cache::Result<bool> stage_removal(const cache::Change& change, Staged& staged);
  cache::Result<bool> stage_attributes(const cache::Change& change, Staged& staged);

  // What apply() writes down: which entry belongs to which change.
  class Plan;
  // First all contents, modes and times, in the order of times, then all names, in the order of the changes.
  cache::Result<bool> plan_contents(std::size_t number, Plan& plan);
  cache::Result<bool> plan_file(std::size_t number, Plan& plan);
  cache::Result<bool> plan_names(std::size_t number, Plan& plan);
  cache::Result<bool> plan_hard_link(std::size_t number, Plan& plan);
  void plan_directories(Plan& plan);
  cache::Result<bool> make(Plan& plan, preload::RedoEntry& entry, std::size_t number);
  void discard();

  std::vector<cache::Change> changes_;  // those of the result; staging adds the times of what is moved
  const cache::BlobStore& blobs_;
  const View& view_;
  preload::RedoLog& log_;
  const std::uint32_t slot_;
  StagingJournal* const journal_;
  std::unique_ptr<Places> places_;
  std::vector<Staged> staged_;  // one for each change
};

}  // namespace broker
