#include "preload/log_ring.h"

namespace preload {
namespace {

constexpr uint64_t ring_bytes = uint64_t{ring_units} * unit_bytes;
// Until everything before `end` fits.
bool wait_for_room(uint64_t end) {
  RegionHeader& region = header();
  Patience patience;
  ring_doorbell();
  __atomic_add_fetch(&region.tail_waiters, 1, __ATOMIC_SEQ_CST);
  bool room = false;
  for (;;) {
    const uint32_t bell = __atomic_load_n(&region.tail_bell, __ATOMIC_SEQ_CST);
    room = end <= __atomic_load_n(&region.tail, __ATOMIC_SEQ_CST) + ring_units;
    if (room || load(region.state) != region_live) break;
    futex_wait(&region.tail_bell, bell, Patience::step_ms);
    if (patience.is_over()) {
      give_up_session();
      break;
    }
  }
  __atomic_sub_fetch(&region.tail_waiters, 1, __ATOMIC_SEQ_CST);
  return room;
}

}  // namespace

void sign(RecordHead& head) {
  head.pid = state.pid;
  head.parent_pid = 0;
  if (load(vestal_vfork_depth) == 0) return;
  head.pid = own_pid();
  if (head.pid != state.pid) head.parent_pid = static_cast<int32_t>(kernel(__NR_getppid));
}

bool broker_lives() {
  if (kernel(__NR_kill, header().broker_pid, 0) == -ESRCH) return false;
  // A process that nobody waits for is there for ever. But its lock on the region goes with the last of its threads.
  char path[region_path_bytes_max];
  const char* name = state.region + header().region_name;
  if (length_of(name) >= sizeof path - sizeof region_directory) return true;
  TextWriter writer(path);
  writer.put(region_directory);
  writer.put(name);
  writer.end();
  const int file = static_cast<int>(kernel(__NR_open, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file < 0) return true;
  constexpr int shared = 1, at_once = 4;  // LOCK_SH, LOCK_NB
  const bool lives = kernel(__NR_flock, file, shared | at_once) == -EWOULDBLOCK;
  kernel(__NR_close, file);
  return lives;
}

bool Patience::is_over() {
  const uint64_t now = now_ms();
  if (now < next_ms_) return false;
  next_ms_ = now + step_ms;
  late_ = now - start_ms_ > answer_ms_max;
  return late_ || !broker_lives();
}

void ring_doorbell() {
  RegionHeader& region = header();
  __atomic_add_fetch(&region.doorbell, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&region.broker_asleep, __ATOMIC_SEQ_CST) != 0) futex_wake_all(&region.doorbell);
}

bool LogWriter::reserve(uint64_t bytes) {
  RegionHeader& region = header();
  if (load(region.state) != region_live) {
    detach();
    return false;
  }
  units_ = static_cast<uint32_t>(align_up(bytes, unit_bytes) / unit_bytes);
  position_ = __atomic_fetch_add(&region.head, units_, __ATOMIC_SEQ_CST);
  offset_ = 0;
  if (position_ + units_ > load(region.tail) + ring_units && !wait_for_room(position_ + units_)) {
    detach();
    return false;
  }
  // A page that is first read is mapped together with its neighbours; one that is first written is not.
  (void)*const_cast<const volatile uint64_t*>(
      reinterpret_cast<uint64_t*>(state.region + ring_at + position_ % ring_units * unit_bytes));
  return true;
}

bool LogWriter::put(const void* bytes, uint64_t count) {
  if (count > uint64_t{units_} * unit_bytes - offset_) return false;
  char* ring = state.region + ring_at;
  const uint64_t at = (position_ % ring_units * unit_bytes + offset_) % ring_bytes;
  const uint64_t first = ring_bytes - at < count ? ring_bytes - at : count;
  copy(ring + at, bytes, first);
  if (__builtin_expect(first < count, 0)) copy(ring, static_cast<const char*>(bytes) + first, count - first);
  offset_ += count;
  return true;
}

bool LogWriter::put(const Text& text) {
  if (text.directory_bytes && !put(text.directory, text.directory_bytes)) return false;
  return (!text.slash || put("/", 1)) && put(text.name, text.name_bytes);
}

void LogWriter::commit(RecordHead& head) {
  head.units = units_;
  seek(sizeof head.stamp);
  put(&head.pid, sizeof head - sizeof head.stamp);
  uint64_t* stamp = reinterpret_cast<uint64_t*>(state.region + ring_at + position_ % ring_units * unit_bytes);
  store(*stamp, stamp_of(position_));
  // The next record is likely to be ours, and the broker has had its place in its own cache.
  __builtin_prefetch(reinterpret_cast<char*>(stamp) + units_ * unit_bytes, 1);
  __builtin_prefetch(reinterpret_cast<char*>(stamp) + units_ * unit_bytes + 64, 1);
  RegionHeader& region = header();
  if (position_ - load(region.tail) > ring_units / 2 && load(region.broker_asleep) != 0) ring_doorbell();
}

void append(const LogRecord& record) {
  RecordHead head;
  sign(head);
  head.kind = record.kind;
  head.slot = record.slot;
  head.result = record.result;
  head.arg = record.arg;
  head.arg2 = record.arg2;
  head.payload_bytes = record.payload_bytes;
  head.text_bytes = record.text.bytes();
  head.text2_bytes = record.text2.bytes();
  LogWriter writer;
  if (!writer.reserve(sizeof head + head.payload_bytes + head.text_bytes + head.text2_bytes)) return;
  writer.seek(sizeof head);
  writer.put(record.payload, record.payload_bytes);
  writer.put(record.text);
  if (head.text2_bytes) writer.put(record.text2);
  writer.commit(head);
}

namespace {

void spoil(const char* what, SpoilReach reach) {
  LogRecord record;
  record.kind = kind_spoil;
  record.arg = reach;
  record.text = Text::of(what);
  append(record);
}

}  // namespace

void spoil(const char* what) { spoil(what, spoils_step); }
void spoil_what_follows(const char* what) { spoil(what, spoils_what_follows); }
void spoil_session(const char* what) { spoil(what, spoils_session); }

}  // namespace preload
