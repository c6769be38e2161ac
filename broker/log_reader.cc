#include "broker/log_reader.h"

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "broker/futex.h"

namespace broker {
namespace {

using namespace preload;
using Clock = std::chrono::steady_clock;

// Records waiting for a place in the ring stand behind it. More of them than this cannot be.
constexpr std::uint64_t backlog_units_max = 1 << 24;
// The tail is raised in steps, for each raise costs a fence and takes a cache line from the shims.
constexpr std::uint64_t unpublished_units_max = 512;

// What `kind` says its payload is, and whether this record may do without: then zeros stand in for it.
struct Demand {
  std::size_t bytes = 0;
  bool optional = false;
};
constexpr char zeros[sizeof(ExecPayload)] = {};

Demand demand_of(const RecordHead& head) {
  switch (head.kind) {
    case kind_exec: return {sizeof(ExecPayload)};
    case kind_look: return {sizeof(StatPayload), head.result != 0 || (head.arg & look_no_stat) != 0};
    case kind_fstat: return {sizeof(StatPayload), head.result < 0};
    case kind_list: return {sizeof(ListPayload), head.result < 0};
    case kind_utimens: return {sizeof(TimesPayload), head.result < 0};
    case kind_stream:
    case kind_fd_kind:
    case kind_fd_read:
    case kind_fd_position: return {sizeof(FdPayload)};
    default: return {};
  }
}

// Whether `text` is what ExecPayload promises: strings and fingerprints, as many as it says, and nothing else.
bool is_exec_text(const ExecPayload& exec, std::string_view text) {
  auto skip_string = [&] {
    const std::size_t end = text.find('\0');
    if (end == std::string_view::npos) return false;
    text.remove_prefix(end + 1);
    return true;
  };
  if (exec.fd_count > inherited_fd_max) return false;
  if (!skip_string() || !skip_string()) return false;
  if (exec.flags & exec_too_big) return true;
  for (std::uint32_t i = 0; i < exec.argument_count; ++i) {
    if (!skip_string()) return false;
  }
  for (std::uint32_t i = 0; i < exec.variable_count; ++i) {
    if (text.size() < sizeof(std::uint64_t)) return false;
    text.remove_prefix(sizeof(std::uint64_t));
    if (!skip_string()) return false;
  }
  if (exec.flags & exec_has_library_path && !skip_string()) return false;
  return text.empty();
}

void nap(std::chrono::microseconds time) {
  const timespec wanted{0, static_cast<long>(time.count()) * 1000};
  ::nanosleep(&wanted, nullptr);
}

}  // namespace

LogReader::LogReader(char* region)
    : header_(*reinterpret_cast<RegionHeader*>(region)),
      ring_(region + ring_at),
      copy_(std::make_unique_for_overwrite<char[]>(std::size_t{record_units_max} * unit_bytes)) {}

std::uint64_t& LogReader::stamp_at(std::uint64_t position) const {
  return *reinterpret_cast<std::uint64_t*>(ring_ + position % ring_units * unit_bytes);
}

bool LogReader::complete(std::uint64_t position) const {
  return shared(stamp_at(position)).load(std::memory_order_acquire) == stamp_of(position);
}

void LogReader::begin_pass() {
  const std::uint64_t head = shared(header_.head).load(std::memory_order_seq_cst);
  if (head < pass_position_ || head - position_ > backlog_units_max) broken_ = true;
  if (broken_) {
    broken_told_ = false;
    return;
  }
  pass_position_ = head;
}

bool LogReader::next_event(Event& event) {
  event = Event{};
  if (broken_) {
    event.lost = true;
    return !std::exchange(broken_told_, true);
  }
  while (position_ < pass_position_) {
    if (std::exchange(lost_, false)) {
      event.lost = true;
      return true;
    }
    if (!complete(position_)) {
      publish_tail();
      if (!wait_until_complete(position_)) {
        const std::uint64_t hole = position_;
        skip();
        if (!overdue_) overdue_ = std::make_unique<std::bitset<ring_units>>();
        for (std::uint64_t unit = hole; unit < position_; ++unit) overdue_->set(unit % ring_units);
        lost_ = false;
        event.lost = true;
        return true;
      }
    }
    event.position = position_;
    std::uint32_t units;
    const bool copied = copy_record(units);
    if (doubtful(position_, copied ? units : 1)) {
      skip();
      event.lost = true;
      return true;
    }
    if (!copied) {
      std::memcpy(&event.pid, copy_.get() + offsetof(RecordHead, pid), sizeof event.pid);
      event.malformed = true;
      skip();
      lost_ = true;
      return true;
    }
    check_record(units, event);
    consume(units);
    if (event.kind != kind_filler || event.malformed) return true;
    event = Event{};
  }
  if (std::exchange(lost_, false)) {
    event.lost = true;
    return true;
  }
  publish_tail();
  return false;
}

bool LogReader::wait_until_complete(std::uint64_t position) const {
  for (int round = 0; round < 200; ++round) {
    if (complete(position)) return true;
    __builtin_ia32_pause();
  }
  // The writer has been interrupted, or is no more.
  const auto deadline = Clock::now() + std::chrono::milliseconds(hole_ms_max);
  std::chrono::microseconds pause{20};
  ::sched_yield();
  while (!complete(position)) {
    if (Clock::now() >= deadline) return complete(position);
    nap(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(1000));
  }
  return true;
}

bool LogReader::doubtful(std::uint64_t position, std::uint64_t units) const {
  for (std::uint64_t unit = position; overdue_ && unit < position + units; ++unit) {
    if (overdue_->test(unit % ring_units)) return true;
  }
  return false;
}

void LogReader::skip() {
  // Nothing behind the ring's size can have been written yet.
  const std::uint64_t limit = std::min(pass_position_, position_ + ring_units);
  std::uint64_t next = position_ + 1;
  while (next < limit && !complete(next)) ++next;
  consume(next - position_);
  publish_tail();
}

void LogReader::consume(std::uint64_t units) {
  for (std::uint64_t end = position_ + units; position_ < end; ++position_) {
    shared(stamp_at(position_)).store(0, std::memory_order_relaxed);
  }
  if (position_ - published_ >= unpublished_units_max) publish_tail();
}

void LogReader::publish_tail() {
  if (published_ == position_) return;
  published_ = position_;
  // A shim counts itself among the waiters before it looks at the tail for the last time; so either it sees this tail
  // or it is seen here.
  shared(header_.tail).store(position_, std::memory_order_seq_cst);
  if (shared(header_.tail_waiters).load(std::memory_order_seq_cst) == 0) return;
  shared(header_.tail_bell).fetch_add(1, std::memory_order_seq_cst);
  futex_wake_all(header_.tail_bell);
}

bool LogReader::copy_record(std::uint32_t& units) {
  const std::uint64_t first = position_ % ring_units;
  std::memcpy(copy_.get(), ring_ + first * unit_bytes, unit_bytes);
  std::memcpy(&units, copy_.get() + offsetof(RecordHead, units), sizeof units);
  if (units == 0 || units > record_units_max || units > pass_position_ - position_) return false;
  const std::uint64_t before_end = std::min<std::uint64_t>(units, ring_units - first);
  std::memcpy(copy_.get() + unit_bytes, ring_ + (first + 1) * unit_bytes, (before_end - 1) * unit_bytes);
  std::memcpy(copy_.get() + before_end * unit_bytes, ring_, (units - before_end) * unit_bytes);
  // A record that claims the places of others is caught by their stamps.
  for (std::uint32_t unit = 1; unit < units; ++unit) {
    std::uint64_t word;
    std::memcpy(&word, copy_.get() + unit * unit_bytes, sizeof word);
    if (word == stamp_of(position_ + unit)) return false;
  }
  return true;
}

void LogReader::check_record(std::uint32_t units, Event& event) const {
  RecordHead head{};
  std::memcpy(&head, copy_.get(), std::min<std::size_t>(sizeof head, units * unit_bytes));
  event.kind = static_cast<Kind>(head.kind);
  event.pid = head.pid;
  if (head.kind == kind_filler) return;

  event.malformed = true;  // until all of this has been found in order
  if (head.kind > kind_flush || head.pid <= 0 || head.slot > slot_count) return;
  event.slot = static_cast<std::int32_t>(head.slot) - 1;
  const std::uint64_t bytes = std::uint64_t{units} * unit_bytes;
  const std::uint64_t used = sizeof head + std::uint64_t{head.payload_bytes} + head.text_bytes + head.text2_bytes;
  if (used > bytes || head.payload_bytes % 8 != 0) return;
  const char* payload = copy_.get() + sizeof head;
  event.payload = {payload, head.payload_bytes};
  event.text = {payload + head.payload_bytes, head.text_bytes};
  event.text2 = {event.text.data() + head.text_bytes, head.text2_bytes};

  const Demand demand = demand_of(head);
  if (event.payload.size() < demand.bytes) {
    if (!demand.optional) return;
    event.payload = {zeros, demand.bytes};
  }
  if (head.kind == kind_exec) {
    if (!is_exec_text(event.payload_as<ExecPayload>(), event.text)) return;
  } else if (head.kind == kind_stream) {
    if (event.text.size() > stream_bytes_max) return;
  } else if (event.text.find('\0') != std::string_view::npos) {
    return;
  }
  if (event.text2.find('\0') != std::string_view::npos) return;

  event.result = head.result;
  event.arg = head.arg;
  event.arg2 = head.arg2;
  event.parent_pid = std::max(head.parent_pid, 0);
  event.malformed = false;
}

}  // namespace broker
