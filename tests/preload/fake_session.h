// A session without a broker: a region of its own, a thread that plays the
// broker's part just far enough, and real programs under the shim. What they
// log is kept for the tests to look at.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "broker/images/patcher.h"
#include "preload/protocol.h"

namespace fake {

struct Event {
  std::uint64_t position = 0;
  preload::Kind kind = preload::kind_filler;
  int pid = 0, parent_pid = 0, slot = 0, result = 0, arg = 0, arg2 = 0;
  std::string payload, text, text2;

  template <class T>
  T payload_as() const {
    T value{};
    __builtin_memcpy(&value, payload.data(), std::min(sizeof value, payload.size()));
    return value;
  }
  // Of kind_exec: program, directory and arguments.
  std::vector<std::string> words() const;
  // Of kind_exec: variables by name, with their fingerprints.
  std::map<std::string, std::uint64_t> variables() const;
  std::string describe() const;
};

using Environment = std::vector<std::string>;
// This process's own, without what would disturb a test.
Environment plain_environment();

struct Outcome {
  int status = 0;      // as wait(2) tells it
  std::string output;  // of standard output
  std::vector<Event> events;
  double seconds = 0;

  bool exited_with(int code) const;
  std::vector<Event> of(preload::Kind kind) const;
  // The first event of the kind with this text, or nullptr.
  const Event* find(preload::Kind kind, const std::string& text) const;
  bool has(preload::Kind kind, const std::string& text) const { return find(kind, text) != nullptr; }
  std::string log() const;
};

class Session {
 public:
  Session();
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Runs the command under the shim until it is done; what it prints is returned. `arguments[0]` is its
  // absolute path.
  Outcome run(const std::vector<std::string>& arguments,
              const Environment& environment = plain_environment());
  Outcome shell(const std::string& command, const Environment& environment = plain_environment());
  // The same without the shim.
  static Outcome run_plain(const std::vector<std::string>& arguments,
                           const Environment& environment = plain_environment());

  // After a change of what the broker writes only once; run() does it.
  void seal();
  preload::RegionHeader& header() const { return *reinterpret_cast<preload::RegionHeader*>(region_); }
  char* region() const { return region_; }
  const std::string& name() const { return name_; }
  // As if the process that plays the broker had been killed.
  void unlock();
  // The variables exec_calls.cc would add for `program`, for starting it by other means.
  Environment variables_for(const std::string& program);
  // Everything logged since the last call.
  std::vector<Event> take_events();
  void mark_known(std::uint64_t short_key);
  // Off, for speed: records are only counted out.
  bool keeps_events = true;

  // Called for each exec that is asked about, before it is answered; may change the answer.
  std::function<void(const Event&, preload::Slot&)> on_exec;
  // That one is not answered, although it has been taken.
  bool dies_answering = false;
  // Called for each other question.
  std::function<void(const Event&)> on_question;
  // The broker's part is not played: nothing is consumed or answered.
  std::atomic<bool> silent{false};
  // Off: contents stay pending for ever.
  std::atomic<bool> hashes{true};

 private:
  void serve();
  bool serve_once();
  void answer(const Event& event);
  std::uint32_t plan_for(const std::string& program, const std::string& library_path, std::uint64_t key);
  std::uint32_t add_text(const std::string& text);

  std::string name_;
  int file_ = -1;
  char* region_ = nullptr;
  std::uint32_t texts_used_ = 0;
  std::map<std::uint64_t, std::uint32_t> plans_;
  std::vector<Event> events_;
  std::atomic<bool> stopping_{false};
  std::thread broker_;
};

// The shim that was built together with this program.
std::string shim_path();
const broker::images::SystemImages& images();

}  // namespace fake
