// The session region as the broker sees it: made here, read here, and trusted
// in nothing. See preload/protocol.h for what is where.
//
// What a shim wrote is copied once and checked before anyone looks at it: every
// length is bounded by its record, a record that contradicts itself is an
// Event::malformed (which spoils whoever wrote it). The only file that includes
// Boost.Interprocess.
//
// One thread, the session's; only ring_doorbell() may be called by others.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <optional>
#include <utility>
#include <vector>

#include "broker/images/patcher.h"
#include "cache/base/result.h"
#include "preload/protocol.h"

namespace broker {

// One record of the log, checked. Views point into the reader's own copy and
// last until the next call of next_event().
struct Event {
  std::uint64_t position = 0;
  preload::Kind kind = preload::kind_filler;
  std::int32_t pid = 0;
  std::int32_t slot = -1;  // question slot, or -1
  std::int32_t result = 0, arg = 0, arg2 = 0;
  std::int32_t parent_pid = 0;  // RecordHead::parent_pid
  bool malformed = false;  // only position and pid mean anything
  bool lost = false;       // stands for records that were never completed; nothing else means anything
  std::string_view payload;  // at least as long as its kind demands
  std::string_view text, text2;

  template <class T>
  T payload_as() const {
    T value;
    __builtin_memcpy(&value, payload.data(), sizeof value);
    return value;
  }
};

// Made by prepare_leave(). The file goes with it unless a shim was told of it, who removes it then.
struct LeaveAnswer {
  std::int32_t status = 0;
  std::string text;          // pieces, or the file's name
  bool in_file = false;
  std::vector<std::pair<std::int32_t, std::int64_t>> positions;

  LeaveAnswer() = default;
  LeaveAnswer(LeaveAnswer&& other) noexcept;
  LeaveAnswer& operator=(LeaveAnswer&&) = delete;
  ~LeaveAnswer();
};


class SessionRegion {
 public:
  struct Setup {
    std::string shim_path;
    images::SystemImages images;  // empty paths if there are none
    std::uint64_t fingerprint_key[2] = {};
    std::int32_t top_pid = 0;
    std::uint32_t session_flags = 0;
    preload::SessionPolicies policies{};
    preload::PreciseTimes precise{};
  };
  // A new region with a random name, mode 0600, made exclusively.
  static cache::Result<std::unique_ptr<SessionRegion>> create(const Setup& setup);
  virtual ~SessionRegion() = default;  // marks the region as gone, wakes everyone, removes the name

  virtual const std::string& name() const = 0;  // below /dev/shm, without a slash

  // Starts a pass: raises the epoch. Events of records reserved before this call are then returned by next_event().
  virtual void begin_pass() = 0;
  // The next record of this pass, or false at its end. A record still being written is waited for, up to hole_ms_max.
  virtual bool next_event(Event& event) = 0;
  // Everything of this pass has been hashed: publishes hashed_epoch.
  virtual void end_pass() = 0;
  // Position at the last begin_pass(): events with a smaller position happened before that call.
  virtual std::uint64_t pass_position() const = 0;
  // Where the log stands: whatever has been logged so far has a smaller position.
  virtual std::uint64_t head() const = 0;

  // Sleeps until the doorbell rings, at most `ms`. Returns at once if there is something to do.
  virtual void wait(int ms) = 0;
  virtual void ring_doorbell() = 0;

  virtual void set_known(std::uint64_t short_key) = 0;
  virtual void set_made(std::string_view path) = 0;  // by a recipe, see preload::made_name_key()
  // Makes a plan known to the shims and returns its index, or plan_count if the table is full. An older entry with the
  // same key is replaced.
  virtual std::uint32_t publish_plan(const preload::Plan& plan, const std::string& preload_text) = 0;

  // Takes the question: false if the shim has given up, and then it must not be answered (nor anything replayed).
  virtual bool begin_answer(int slot) = 0;
  virtual void answer_run(int slot, std::uint32_t plan_index) = 0;
  virtual void answer_time(int slot, std::uint32_t verdict, std::int64_t outdated_ns) = 0;  // of a file; preload::Verdict
  // What a process is to leave as. `pieces` in the form of preload::StreamPiece; if too long for the slot they go to a file made
  // in `spill_directory`. Nothing if they cannot be kept there, or if there are too many positions.
  virtual std::optional<LeaveAnswer> prepare_leave(std::int32_t status, std::string pieces,
                                                   const std::vector<std::pair<std::int32_t, std::int64_t>>& positions,
                                                   const std::string& spill_directory) = 0;
  // Writes all of it but that it is the answer, which is what answer_leave() says. In between the changes are made. If that
  // fails: answer_run().
  virtual void write_leave(int slot, const LeaveAnswer& leave) = 0;
  virtual void answer_leave(int slot, LeaveAnswer leave) = 0;
  // From which whoever waits goes on if this process is killed over a replay; an answer says that it is not needed any more.
  virtual preload::RedoLog& redo_log() = 0;
  static std::uint32_t redo_slot(int slot) { return static_cast<std::uint32_t>(slot) + 1; }
  // For kind_preserve and kind_flush.
  virtual void answer_done(int slot) = 0;
  // Frees slots whose owner is dead.
  virtual void reclaim_slots() = 0;
};

// Removes regions below /dev/shm that this user's dead brokers left behind.
void remove_stale_regions();

}  // namespace broker
