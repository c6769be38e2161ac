#include "broker/session_region.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <unordered_map>
#include <utility>

#include <boost/interprocess/mapped_region.hpp>
#include <boost/interprocess/shared_memory_object.hpp>
#include <fmt/format.h>

#include "broker/futex.h"
#include "broker/log_reader.h"
#include "cache/base/failpoint.h"
#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"

namespace broker {
namespace {

using namespace preload;
using Clock = std::chrono::steady_clock;
namespace interprocess = boost::interprocess;

// A question whose record has not come after this time got lost on the way.
constexpr std::chrono::seconds unheard_max{2};
// So that the table is never searched for long.
constexpr std::uint32_t plans_used_max = plan_count / 8 * 7;

std::string random_hex() {
  std::uint64_t word = 0;
  // Cannot fail for so few bytes.
  while (::getrandom(&word, sizeof word, 0) != sizeof word) {}
  return fmt::format("{:016x}", word);
}

// One read of a file below /proc, which is short.
std::string read_proc(const std::string& path) {
  const cache::OwnedFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[512];
  const ssize_t bytes = file ? ::read(file.get(), text, sizeof text) : -1;
  return std::string(text, bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
}

// A process that nobody has waited for yet is dead too, unless only its first thread has ended.
bool process_is_dead(std::int32_t pid) {
  if (pid <= 0) return true;
  if (::kill(pid, 0) != 0 && errno == ESRCH) return true;
  const std::string status = read_proc(fmt::format("/proc/{}/stat", pid));
  const std::size_t name_end = status.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= status.size()) return false;
  const char state = status[name_end + 2];
  if (state != 'Z' && state != 'X') return false;
  struct stat tasks;
  // "." and ".." and one for each thread
  return ::stat(fmt::format("/proc/{}/task", pid).c_str(), &tasks) != 0 || tasks.st_nlink <= 3;
}

// Makes a file with these contents and returns its name, or nothing.
std::string spill(const std::string& directory, std::string_view bytes) {
  const std::string path = directory + "/leave-" + random_hex();
  if (FAILPOINT("answer_file")) return {};
  const cache::OwnedFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return {};
  if (cache::write_all(file.get(), bytes)) return path;
  ::unlink(path.c_str());
  return {};
}

std::string name_prefix() { return fmt::format("vestal-{}-", ::geteuid()); }

// The memory itself. Its name goes with it. The lock on it says that its broker lives; it needs no process number,
// which may be used again or belong to another process namespace.
class Memory {
 public:
  explicit Memory(const std::string& name)
      : name_(name),
        object_(interprocess::create_only, name.c_str(), interprocess::read_write, interprocess::permissions(0600)) {}
  ~Memory() { interprocess::shared_memory_object::remove(name_.c_str()); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // False if someone who looks for forgotten regions was faster, between the making and the locking.
  bool lock() {
    struct stat status;
    return ::flock(file(), LOCK_EX | LOCK_NB) == 0 && ::fstat(file(), &status) == 0 && status.st_nlink == 1;
  }
  // Pages come when they are touched, and a missing one would kill whoever touches it; so there must be room for all.
  // (Interprocess would have them all made at once.)
  cache::Result<bool> size(std::uint64_t bytes) {
    struct statvfs space;
    if (::fstatvfs(file(), &space) == 0 && space.f_blocks != 0 && space.f_bavail * space.f_frsize < bytes + bytes / 2) {
      return cache::fail(cache::Fault::io, "there is not enough room in /dev/shm");
    }
    if (FAILPOINT("region_size") || ::ftruncate(file(), static_cast<off_t>(bytes)) != 0) {
      return cache::fail(cache::Fault::io, std::string("cannot use /dev/shm: ") + std::strerror(errno));
    }
    return true;
  }
  char* map() {
    if (FAILPOINT("region_map")) throw interprocess::interprocess_exception(interprocess::error_info(errno));
    mapping_ = interprocess::mapped_region(object_, interprocess::read_write);
    ::madvise(mapping_.get_address(), mapping_.get_size(), MADV_DONTDUMP);
    return static_cast<char*>(mapping_.get_address());
  }

 private:
  int file() const { return object_.get_mapping_handle().handle; }
  std::string name_;
  interprocess::shared_memory_object object_;
  interprocess::mapped_region mapping_;
};

class MappedSessionRegion final : public SessionRegion {
 public:
  MappedSessionRegion(std::string name, std::unique_ptr<Memory> memory, const Setup& setup);
  ~MappedSessionRegion() override;

  const std::string& name() const override { return name_; }
  void begin_pass() override;
  bool next_event(Event& event) override;
  void end_pass() override;
  std::uint64_t pass_position() const override { return reader_.pass_position(); }
  std::uint64_t head() const override;
  void wait(int ms) override;
  void ring_doorbell() override;
  void set_known(std::uint64_t short_key) override;
  void set_made(std::string_view path) override { set_known(made_name_key(path.data(), path.size())); }
  std::uint32_t publish_plan(const Plan& plan, const std::string& preload_text) override;
  bool begin_answer(int slot) override;
  void answer_run(int slot, std::uint32_t plan_index) override;
  void answer_time(int slot, std::uint32_t verdict, std::int64_t outdated_ns) override;
  std::optional<LeaveAnswer> prepare_leave(std::int32_t status, std::string pieces,
                                           const std::vector<std::pair<std::int32_t, std::int64_t>>& positions,
                                           const std::string& spill_directory) override;
  void write_leave(int index, const LeaveAnswer& leave) override;
  RedoLog& redo_log() override { return *at<RedoLog>(redo_at); }
  void answer_leave(int index, LeaveAnswer leave) override;
  void answer_done(int slot) override { answer_run(slot, plan_count); }
  void reclaim_slots() override;

 private:
  template <class T>
  T* at(std::uint64_t offset) const { return reinterpret_cast<T*>(region_ + offset); }
  RegionHeader& header() const { return *at<RegionHeader>(0); }
  Slot& slot(int index) const { return at<Slot>(slots_at)[index]; }
  bool turn(int index, std::uint32_t from, std::uint32_t to);
  void publish_answer(int index);
  // Frees the asker of a question that will never be answered otherwise.
  void dismiss(int index);
  // The text's offset, or 0 if there is no room.
  std::uint32_t text(const std::string& text);

  std::string name_;
  std::unique_ptr<Memory> memory_;
  char* region_;
  static constexpr std::uint64_t ring_ahead_bytes = 512 << 10, ring_step_bytes = 64 << 10;
  void make_ring_ready(std::uint64_t end);
  std::uint64_t ready_bytes_ = 0;  // of the ring, from its start
  LogReader reader_;
  std::uint32_t epoch_ = 1;  // 0 in the table of pending contents says "never"
  std::uint32_t bell_seen_ = 0;
  std::unordered_map<std::string, std::uint32_t> texts_;
  std::uint64_t texts_used_ = 0;
  std::unordered_map<std::uint64_t, std::uint32_t> plans_;  // index by key
  // Since when a slot has been seen claimed without its record having come. Zero: not seen.
  std::array<Clock::time_point, slot_count> unheard_{};
  std::array<bool, slot_count> heard_{};  // its record has been handed out and not been answered
};

MappedSessionRegion::MappedSessionRegion(std::string name, std::unique_ptr<Memory> memory, const Setup& setup)
    : name_(std::move(name)), memory_(std::move(memory)), region_(memory_->map()), reader_(region_) {
  RegionHeader& head = header();
  text({});  // so that no text has the offset 0
  head.version = protocol_version;
  head.session_flags = setup.session_flags;
  head.policies = setup.policies;
  head.precise = setup.precise;
  head.region_bytes = preload::region_bytes;
  head.broker_pid = ::getpid();
  head.top_pid = setup.top_pid;
  std::copy_n(setup.fingerprint_key, 2, head.fingerprint_key);
  head.shim_path = text(setup.shim_path);
  head.libc_image_path = text(setup.images.libc_image);
  head.loader_image_path = text(setup.images.loader_image);
  head.region_name = text(name_);
  head.libc_slots = setup.images.libc_slots;
  static_assert(images::hook_slot_count == preload::hook_slot_count);
  std::copy(setup.images.originals.begin(), setup.images.originals.end(), head.libc_originals);
  head.loader_text_offset = setup.images.loader_text_offset;
  head.loader_text_vaddr = setup.images.loader_text_vaddr;
  head.loader_text_size = setup.images.loader_text_size;
  head.loader_slot = setup.images.loader_slot;
  head.constants_check = constants_check_of(head);
  head.epoch = epoch_;
  make_ring_ready(ring_ahead_bytes);
  shared(head.state).store(region_live, std::memory_order_relaxed);
  shared(head.magic).store(region_magic, std::memory_order_release);
}

// A page of the log that is there already costs a shim a tenth of one that the kernel has to make first.
void MappedSessionRegion::make_ring_ready(std::uint64_t end) {
  constexpr std::uint64_t ring_bytes = std::uint64_t{ring_units} * unit_bytes;
  end = std::min(align_up(end, ring_step_bytes), ring_bytes);
  if (ready_bytes_ >= end) return;
#ifdef MADV_POPULATE_WRITE
  ::madvise(region_ + ring_at + ready_bytes_, end - ready_bytes_, MADV_POPULATE_WRITE);
#endif
  ready_bytes_ = end;
}

MappedSessionRegion::~MappedSessionRegion() {
  RegionHeader& head = header();
  shared(head.state).store(region_gone, std::memory_order_seq_cst);
  futex_wake_all(head.state);
  shared(head.tail_bell).fetch_add(1);
  futex_wake_all(head.tail_bell);
  // Whose question is still on its way notices by itself; looking at every slot would make memory of all of them.
  for (int index = 0; index < static_cast<int>(slot_count); ++index) {
    if (heard_[index]) dismiss(index);
  }
}

// ---- the log --------------------------------------------------------------------------------------------------------

void MappedSessionRegion::begin_pass() {
  shared(header().epoch).store(++epoch_, std::memory_order_seq_cst);
  reader_.begin_pass();
  make_ring_ready(reader_.pass_position() * unit_bytes + ring_ahead_bytes);
  // Nothing can be learnt from this log any more, so nobody needs to write to it.
  if (reader_.broken() && shared(header().state).exchange(region_gone) != region_gone) futex_wake_all(header().state);
}

bool MappedSessionRegion::next_event(Event& event) {
  if (!reader_.next_event(event)) return false;
  if (event.lost || event.slot < 0) return true;
  if (event.malformed) {
    dismiss(event.slot);
    return true;
  }
  // Who has given up may have left the slot to another; then this is not a question any more.
  if (shared(slot(event.slot).owner).load(std::memory_order_relaxed) == event.pid) {
    heard_[event.slot] = true;
    unheard_[event.slot] = {};
  } else {
    event.slot = -1;
  }
  return true;
}

void MappedSessionRegion::end_pass() {
  if (reader_.broken() || !reader_.at_end()) return;
  // A shim reads the epoch after it has logged; so only what was noted under an earlier epoch has surely been seen.
  shared(header().hashed_epoch).store(epoch_ - 1, std::memory_order_release);
}

void MappedSessionRegion::wait(int ms) {
  RegionHeader& head = header();
  auto bell = shared(head.doorbell);
  auto something_to_do = [&] {
    const std::uint64_t backlog = shared(head.head).load(std::memory_order_relaxed) - reader_.position();
    return bell.load(std::memory_order_seq_cst) != bell_seen_ || (backlog > ring_units / 2 && !reader_.broken());
  };
  if (ms > 0 && !something_to_do()) {
    // Who rings raises the bell first and then looks here; so either it sees a sleeper, or the sleeper its bell.
    shared(head.broker_asleep).store(1, std::memory_order_seq_cst);
    if (!something_to_do()) futex_wait(head.doorbell, bell_seen_, ms);
    shared(head.broker_asleep).store(0, std::memory_order_seq_cst);
  }
  bell_seen_ = bell.load(std::memory_order_seq_cst);
}

void MappedSessionRegion::ring_doorbell() {
  shared(header().doorbell).fetch_add(1, std::memory_order_seq_cst);
  if (shared(header().broker_asleep).load(std::memory_order_seq_cst)) futex_wake_all(header().doorbell);
}

// ---- what shims are told beforehand -----------------------------------------------------------------------------------

void MappedSessionRegion::set_known(std::uint64_t short_key) {
  const std::uint32_t bit = short_key % known_bits;
  auto& byte = at<std::uint8_t>(known_at)[bit / 8];
  shared(byte).fetch_or(static_cast<std::uint8_t>(1 << bit % 8), std::memory_order_release);
}

std::uint32_t MappedSessionRegion::text(const std::string& text) {
  if (const auto known = texts_.find(text); known != texts_.end()) return known->second;
  if (text.size() >= texts_bytes - texts_used_) return 0;
  const auto offset = static_cast<std::uint32_t>(texts_at + texts_used_);
  std::memcpy(region_ + offset, text.c_str(), text.size() + 1);
  texts_used_ += text.size() + 1;
  texts_.emplace(text, offset);
  return offset;
}

std::uint32_t MappedSessionRegion::publish_plan(const Plan& plan, const std::string& preload_text) {
  assert(plan.key != 0);
  Plan entry = plan;
  entry.preload = text(preload_text);
  if (entry.preload == 0) return plan_count;
  Plan* const table = at<Plan>(plans_at);
  std::uint32_t index;
  if (const auto known = plans_.find(plan.key); known != plans_.end()) {
    index = known->second;
    if (std::memcmp(&table[index], &entry, sizeof entry) == 0) return index;
    // Who looks now finds no plan and asks.
    shared(table[index].key).store(0, std::memory_order_seq_cst);
  } else {
    if (plans_.size() >= plans_used_max) return plan_count;
    index = plan.key % plan_count;
    while (shared(table[index].key).load(std::memory_order_relaxed) != 0) index = (index + 1) % plan_count;
    plans_.emplace(plan.key, index);
  }
  table[index].device = entry.device;
  table[index].inode = entry.inode;
  table[index].size = entry.size;
  table[index].mtime_ns = entry.mtime_ns;
  // In one piece: who found the old key may still be reading, and must not pair one plan's text with another's flags.
  static_assert(offsetof(Plan, preload) % 8 == 0 && offsetof(Plan, flags) == offsetof(Plan, preload) + 4);
  using Pair [[gnu::may_alias]] = std::uint64_t;
  __atomic_store_n(reinterpret_cast<Pair*>(&table[index].preload), entry.preload | std::uint64_t{entry.flags} << 32,
                   __ATOMIC_RELEASE);
  shared(table[index].key).store(entry.key, std::memory_order_release);
  return index;
}

std::uint64_t MappedSessionRegion::head() const {
  return shared(header().head).load(std::memory_order_seq_cst);
}

// ---- questions --------------------------------------------------------------------------------------------------------

bool MappedSessionRegion::turn(int index, std::uint32_t from, std::uint32_t to) {
  return shared(slot(index).state).compare_exchange_strong(from, to, std::memory_order_acq_rel);
}

bool MappedSessionRegion::begin_answer(int index) {
  if (index < 0 || index >= static_cast<int>(slot_count)) return false;
  heard_[index] = false;
  if (turn(index, slot_claimed, slot_answering)) return true;
  turn(index, slot_abandoned, slot_free);
  return false;
}

void MappedSessionRegion::publish_answer(int index) {
  shared(slot(index).state).store(slot_answered, std::memory_order_release);
  futex_wake_all(slot(index).state);
}

void MappedSessionRegion::answer_time(int index, std::uint32_t verdict, std::int64_t outdated_ns) {
  Slot& answer = slot(index);
  answer.verdict = verdict;
  answer.plan = plan_count;
  answer.text_bytes = answer.in_file = answer.position_count = 0;
  answer.positions[0].offset = outdated_ns;
  publish_answer(index);
}

void MappedSessionRegion::answer_run(int index, std::uint32_t plan_index) {
  shared(redo_log().slot).store(0, std::memory_order_seq_cst);
  Slot& answer = slot(index);
  answer.verdict = verdict_run;
  answer.plan = std::min(plan_index, plan_count);
  answer.text_bytes = answer.in_file = answer.position_count = 0;
  publish_answer(index);
}

std::optional<LeaveAnswer> MappedSessionRegion::prepare_leave(std::int32_t status, std::string pieces,
                                                              const std::vector<std::pair<std::int32_t, std::int64_t>>& positions,
                                                              const std::string& spill_directory) {
  if (positions.size() > std::extent_v<decltype(Slot::positions)>) return std::nullopt;
  LeaveAnswer leave;
  leave.status = status;
  leave.positions = positions;
  if (pieces.size() <= slot_text_bytes) {
    leave.text = std::move(pieces);
    return leave;
  }
  leave.text = spill(spill_directory, pieces);
  leave.in_file = !leave.text.empty();
  if (!leave.in_file || leave.text.size() >= slot_text_bytes) return std::nullopt;
  return leave;
}

void MappedSessionRegion::write_leave(int index, const LeaveAnswer& leave) {
  Slot& answer = slot(index);
  answer.verdict = verdict_leave;
  answer.plan = plan_count;
  answer.status = leave.status;
  answer.in_file = leave.in_file;
  answer.text_bytes = static_cast<std::uint32_t>(leave.text.size());
  std::memcpy(answer.text, leave.text.data(), leave.text.size());
  if (leave.in_file) answer.text[leave.text.size()] = '\0';
  answer.position_count = static_cast<std::uint32_t>(leave.positions.size());
  for (std::size_t i = 0; i < leave.positions.size(); ++i) answer.positions[i] = {leave.positions[i].first, 0, leave.positions[i].second};
}

void MappedSessionRegion::answer_leave(int index, LeaveAnswer leave) {
  leave.in_file = false;
  (void)FAILPOINT("answer_leave");
  publish_answer(index);
  // Only now: whoever waited would not know of the changes otherwise.
  shared(redo_log().slot).store(0, std::memory_order_seq_cst);
}

void MappedSessionRegion::dismiss(int index) {
  if (turn(index, slot_claimed, slot_answering)) {
    answer_run(index, plan_count);
  } else {
    turn(index, slot_abandoned, slot_free);
  }
}

void MappedSessionRegion::reclaim_slots() {
  const auto now = Clock::now();
  for (int index = 0; index < static_cast<int>(slot_count); ++index) {
    Slot& asked = slot(index);
    const std::uint32_t state = shared(asked.state).load(std::memory_order_acquire);
    if (state == slot_free) {
      unheard_[index] = {};
      continue;
    }
    if (state != slot_answering && process_is_dead(shared(asked.owner).load(std::memory_order_relaxed))) {
      turn(index, state, slot_free);
      heard_[index] = false;
      unheard_[index] = {};
      continue;
    }
    // The record that asks has been lost, if it does not come although everything has been read.
    const bool all_read = shared(header().head).load(std::memory_order_acquire) == reader_.position();
    if (state == slot_abandoned && all_read && !heard_[index]) turn(index, slot_abandoned, slot_free);
    if (state != slot_claimed || heard_[index]) continue;
    if (unheard_[index] == Clock::time_point{}) {
      unheard_[index] = now;
    } else if (now - unheard_[index] > unheard_max && all_read) {
      dismiss(index);
      unheard_[index] = {};
    }
  }
}

}  // namespace

LeaveAnswer::LeaveAnswer(LeaveAnswer&& other) noexcept
    : status(other.status), text(std::move(other.text)), in_file(std::exchange(other.in_file, false)), positions(std::move(other.positions)) {}

LeaveAnswer::~LeaveAnswer() {
  if (in_file) ::unlink(text.c_str());
}

cache::Result<std::unique_ptr<SessionRegion>> SessionRegion::create(const Setup& setup) {
  try {
    for (int attempt = 0; attempt < 3; ++attempt) {
      const std::string name = fmt::format("{}{}-{}", name_prefix(), ::getpid(), random_hex());
      auto memory = std::make_unique<Memory>(name);
      if (!memory->lock()) continue;
      TRY(memory->size(preload::region_bytes));
      return std::make_unique<MappedSessionRegion>(name, std::move(memory), setup);
    }
    return cache::fail(cache::Fault::io, "cannot keep a region in /dev/shm");
  } catch (const interprocess::interprocess_exception& error) {
    return cache::fail(cache::Fault::io, std::string("cannot make a region in /dev/shm: ") +
                                             std::strerror(error.get_native_error()));
  }
}

namespace {

// Of a region whose broker is dead: whether a process is about to make the rest of a replay's changes.
bool is_being_redone(int file) {
  preload::RegionHeader head;
  preload::RedoLog log;
  preload::Slot slot;
  auto read = [&](void* to, std::size_t bytes, std::uint64_t at) {
    return ::pread(file, to, bytes, static_cast<off_t>(at)) == static_cast<ssize_t>(bytes);
  };
  if (!read(&head, sizeof head, 0) || head.magic != preload::region_magic || head.version != preload::protocol_version) return false;
  if (!read(&log, sizeof log, preload::redo_at) || log.slot == 0 || log.slot > preload::slot_count || !log.committed) return false;
  if (!read(&slot, sizeof slot, preload::slots_at + (log.slot - 1) * sizeof slot)) return false;
  return slot.state == preload::slot_answering && log.done < log.end && !process_is_dead(slot.owner);
}

}  // namespace

void remove_stale_regions() {
  DIR* const directory = ::opendir("/dev/shm");
  if (!directory) return;
  const std::string prefix = name_prefix();
  while (const dirent* entry = ::readdir(directory)) {
    if (!std::string_view(entry->d_name).starts_with(prefix)) continue;
    const cache::OwnedFd file(
        ::openat(::dirfd(directory), entry->d_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status;
    if (!file || ::fstat(file.get(), &status) != 0 || status.st_uid != ::geteuid() || !S_ISREG(status.st_mode)) continue;
    // Shared, for shims look whether it is locked as well.
    if (::flock(file.get(), LOCK_SH | LOCK_NB) != 0) continue;
    ::unlinkat(::dirfd(directory), entry->d_name, 0);
    // The files from which the changes are made look like files that nobody needs any more. A shim notices its broker's
    // death within 20 ms; one that has been stopped is not waited for.
    for (int waited_ms = 0; waited_ms < 1000 && is_being_redone(file.get()); waited_ms += 5) ::usleep(5000);
  }
  ::closedir(directory);
}

}  // namespace broker
