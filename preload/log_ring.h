// Appending to the session's log; see protocol.h for its layout.
//
// A record is reserved, filled and committed. In between nothing must happen
// that can stop this thread for good. If the session has gone, or goes while
// there is no room, nothing is written and the process is detached.
#pragma once

#include "preload/memory.h"
#include "preload/state.h"

#pragma GCC visibility push(hidden)

namespace preload {

// One text in up to two parts, with a slash between them where it is wanted.
struct Text {
  const char* directory = nullptr;
  uint32_t directory_bytes = 0;
  bool slash = false;
  const char* name = nullptr;
  uint32_t name_bytes = 0;

  static Text of(const char* text, size_t bytes) {
    return {nullptr, 0, false, text, static_cast<uint32_t>(bytes)};
  }
  static Text of(const char* text) { return of(text, length_of(text)); }
  uint32_t bytes() const { return directory_bytes + slash + name_bytes; }
};

class LogWriter {
 public:
  // A record of so many bytes, head included. False: there is no session any more.
  bool reserve(uint64_t bytes);
  // Where the next put() writes.
  void seek(uint64_t offset) { offset_ = offset; }
  uint64_t offset() const { return offset_; }
  // False if that is more than was reserved; then nothing is written.
  bool put(const void* bytes, uint64_t count);
  bool put(const Text& text);
  // Fills in stamp and units; the record exists from now on. Wakes the broker if the log is filling up.
  void commit(RecordHead& head);

 private:
  uint64_t position_ = 0;
  uint64_t offset_ = 0;
  uint32_t units_ = 0;
};

// A record to be. Texts are copied when it is appended.
struct LogRecord {
  Kind kind = kind_filler;
  int32_t result = 0;
  int32_t arg = 0;
  int32_t arg2 = 0;
  uint16_t slot = 0;  // as in RecordHead
  const void* payload = nullptr;
  uint32_t payload_bytes = 0;
  Text text;
  Text text2;
};
void append(const LogRecord& record);

// Something happened that the log cannot describe.
void spoil(const char* what);
// The same, and so is all that the process executes from now on.
void spoil_what_follows(const char* what);
// And so is all that anybody executes in this session from now on.
void spoil_session(const char* what);

// `value` as the payload of a record.
template <class Payload>
void append(LogRecord record, const Payload& value) {
  record.payload = &value;
  record.payload_bytes = sizeof value;
  append(record);
}

// Fills in whose record it is.
void sign(RecordHead& head);

void ring_doorbell();
bool broker_lives();

// How long somebody waits for the broker. Signals may end each single wait early, so time is looked at, not
// counted.
class Patience {
 public:
  static constexpr int step_ms = 20;
  // Whether to give up; looks only every step_ms.
  bool is_over();
  bool answer_is_late() const { return late_; }

 private:
  uint64_t start_ms_ = now_ms();
  uint64_t next_ms_ = start_ms_ + step_ms;
  bool late_ = false;
};

}  // namespace preload

#pragma GCC visibility pop
