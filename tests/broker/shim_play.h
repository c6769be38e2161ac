// What a shim does to a session region, in a few lines that can also do it wrong.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "broker/futex.h"
#include "preload/protocol.h"

namespace shim_play {

using namespace preload;
using broker::shared;

struct Record {
  Kind kind = kind_look;
  std::int32_t pid = 1;
  int slot = -1;
  std::int32_t result = -2, arg = 0;
  std::string payload = {}, text = {}, text2 = {};
};

template <class T>
std::string bytes_of(const T& value) { return std::string(reinterpret_cast<const char*>(&value), sizeof value); }

class Shim {
 public:
  explicit Shim(const std::string& region_name) {
    const int file = ::open(("/dev/shm/" + region_name).c_str(), O_RDWR | O_CLOEXEC);
    memory_ = static_cast<char*>(::mmap(nullptr, region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    ::close(file);
  }
  ~Shim() { ::munmap(memory_, region_bytes); }
  Shim(const Shim&) = delete;
  Shim& operator=(const Shim&) = delete;

  RegionHeader& header() { return *reinterpret_cast<RegionHeader*>(memory_); }
  Slot& slot(int index) { return reinterpret_cast<Slot*>(memory_ + slots_at)[index]; }
  const Plan* plans() { return reinterpret_cast<const Plan*>(memory_ + plans_at); }
  const char* text(std::uint32_t offset) { return memory_ + offset; }
  bool known(std::uint64_t key) { return memory_[known_at + key % known_bits / 8] >> key % 8 & 1; }

  std::uint64_t reserve(std::uint32_t units) { return shared(header().head).fetch_add(units); }
  // False: there is still no room after ten times as long as a hole may last.
  bool wait_for_room(std::uint64_t end) {
    RegionHeader& head = header();
    if (end <= shared(head.tail).load() + ring_units) return true;
    bool room = false;
    shared(head.tail_waiters).fetch_add(1);
    ring_bell();
    for (unsigned round = 0; round < hole_ms_max / 10 && !room; ++round) {
      const std::uint32_t bell = shared(head.tail_bell).load();
      room = end <= shared(head.tail).load() + ring_units;
      if (!room) broker::futex_wait(head.tail_bell, bell, 100);
    }
    shared(head.tail_waiters).fetch_sub(1);
    return room;
  }
  void write(std::uint64_t position, std::uint64_t offset, const void* bytes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      memory_[ring_at + (position * unit_bytes + offset + i) % (std::uint64_t{ring_units} * unit_bytes)] =
          static_cast<const char*>(bytes)[i];
    }
  }
  void stamp(std::uint64_t position) {
    auto& word = *reinterpret_cast<std::uint64_t*>(memory_ + ring_at + position % ring_units * unit_bytes);
    shared(word).store(stamp_of(position), std::memory_order_release);
  }
  static std::uint32_t units_of(const Record& record) {
    const std::uint64_t bytes = sizeof(RecordHead) + record.payload.size() + record.text.size() + record.text2.size();
    return static_cast<std::uint32_t>(align_up(bytes, unit_bytes) / unit_bytes);
  }
  static RecordHead head_of(const Record& record) {
    RecordHead head{};
    head.pid = record.pid;
    head.kind = record.kind;
    head.slot = static_cast<std::uint16_t>(record.slot + 1);
    head.units = units_of(record);
    head.result = record.result;
    head.arg = record.arg;
    head.payload_bytes = static_cast<std::uint32_t>(record.payload.size());
    head.text_bytes = static_cast<std::uint32_t>(record.text.size());
    head.text2_bytes = static_cast<std::uint32_t>(record.text2.size());
    return head;
  }
  void fill(std::uint64_t position, const RecordHead& head, const std::string& body) {
    write(position, 8, reinterpret_cast<const char*>(&head) + 8, sizeof head - 8);
    write(position, sizeof head, body.data(), body.size());
  }
  std::uint64_t log(const Record& record, const std::function<void(RecordHead&)>& spoil = {}) {
    const std::uint64_t position = reserve(units_of(record));
    if (!wait_for_room(position + units_of(record))) ::abort();
    RecordHead head = head_of(record);
    if (spoil) spoil(head);
    fill(position, head, record.payload + record.text + record.text2);
    stamp(position);
    return position;
  }
  void ring_bell() {
    shared(header().doorbell).fetch_add(1);
    if (shared(header().broker_asleep).load()) broker::futex_wake_all(header().doorbell);
  }

  int claim(std::int32_t pid) {
    for (int index = 0; index < static_cast<int>(slot_count); ++index) {
      using StateAndOwner [[gnu::may_alias]] = std::uint64_t;
      auto both = shared(reinterpret_cast<StateAndOwner&>(slot(index)));
      StateAndOwner before = both.load();
      if (static_cast<std::uint32_t>(before) != slot_free) continue;
      if (both.compare_exchange_strong(before, slot_claimed | std::uint64_t{static_cast<std::uint32_t>(pid)} << 32)) return index;
    }
    return -1;
  }
  bool give_up(int index) {
    std::uint32_t expected = slot_claimed;
    return shared(slot(index).state).compare_exchange_strong(expected, slot_abandoned);
  }
  bool wait_for_answer(int index, int ms_max = 5000) {
    for (int waited = 0; waited < ms_max; waited += 10) {
      const std::uint32_t state = shared(slot(index).state).load(std::memory_order_acquire);
      if (state == slot_answered) return true;
      broker::futex_wait(slot(index).state, state, 10);
    }
    return false;
  }
  void release(int index) { shared(slot(index).state).store(slot_free, std::memory_order_release); }

 private:
  char* memory_;
};

// Runs `act` in a child process, which then exits, or is killed if `act` does not return.
class Process {
 public:
  explicit Process(const std::function<void()>& act) : pid_(::fork()) {
    if (pid_ != 0) return;
    act();
    ::_exit(0);
  }
  ~Process() { wait(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  pid_t pid() const { return pid_; }
  int wait() {
    int status = -1;
    if (!waited_) ::waitpid(pid_, &status, 0);
    waited_ = true;
    return status;
  }

 private:
  pid_t pid_;
  bool waited_ = false;
};

}  // namespace shim_play
