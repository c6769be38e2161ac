#include "preload/state.h"

#include "preload/env_guard.h"
#include "preload/memory.h"
#include "preload/policies.h"

namespace preload {

// Not among what is zeroed at start, which would be one more mapping. Its first page is one that ld.so writes
// to anyway.
__attribute__((section(".data"))) constinit State state{};
extern "C" {
__attribute__((section(".data"))) constinit uint32_t vestal_vfork_depth = 0;
__attribute__((section(".data"))) constinit void* vestal_original_vfork = nullptr;
__attribute__((section(".data"))) constinit uint32_t vestal_small_stacks = 0;
}

void begin_vfork() { __atomic_add_fetch(&vestal_vfork_depth, 1, __ATOMIC_SEQ_CST); }

void end_vfork() { __atomic_sub_fetch(&vestal_vfork_depth, 1, __ATOMIC_SEQ_CST); }

void became_child(int parent) {
  if (state.trap_from) trap_this_thread();
  guard_as_child();
  store(vestal_vfork_depth, 0u);
  state.parent_pid = parent;
  state.pid = own_pid();
  state.children_forked = 0;
  state.clock.asker = 0;
  for (uint8_t& fd_class : state.fd_classes)
    if (fd_class == fd_own) fd_class = fd_own_elsewhere;
}

bool is_only_thread() {
  struct stat tasks {};
  constexpr uint64_t links_of_one = 3;  // ".", "..", and the thread
  return stat_at(AT_FDCWD, "/proc/self/task", tasks, 0) == 0 && tasks.st_nlink == links_of_one;
}

char* map_session(const char* path) {
  const int file = static_cast<int>(kernel(__NR_open, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (file < 0) return nullptr;
  struct stat info;
  long place = -EINVAL;
  if (stat_descriptor(file, info) == 0 && info.st_size >= static_cast<long>(region_bytes))
    place = kernel(__NR_mmap, nullptr, region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  kernel(__NR_close, file);
  if (place < 0 && place > -4096) return nullptr;
  const RegionHeader& region = *reinterpret_cast<const RegionHeader*>(place);
  if (region.magic == region_magic && region.version == protocol_version &&
      region.region_bytes == region_bytes && load(region.state) == region_live &&
      region.constants_check == constants_check_of(region))
    return reinterpret_cast<char*>(place);
  kernel(__NR_munmap, place, region_bytes);
  return nullptr;
}

bool join_session(const char* value) {
  const char* end = value;
  while (*end && *end != ':') ++end;
  char path[region_path_bytes_max];
  const size_t name_bytes = static_cast<size_t>(end - value);
  if (*end != ':' || name_bytes == 0 || name_bytes > sizeof path - sizeof region_directory) return false;
  TextWriter writer(path);
  writer.put(region_directory);
  writer.put(value, name_bytes);
  writer.end();
  state.region = map_session(path);
  if (!state.region) return false;
  const char* at = end + 1;
  state.umask = static_cast<uint32_t>(take_number(at, 8));
  if (*at == ':') state.plan_flags = static_cast<uint32_t>(take_number(++at, 16));
  load_policies(*at == ':' ? take_number(++at, 16) : 0);
  state.pid = own_pid();
  state.parent_pid = static_cast<int32_t>(kernel(__NR_getppid));
  return true;
}

void give_up_session() {
  exchange_if<uint32_t>(header().state, region_live, region_gone);
  futex_wake_all(&header().state);
  detach();
}

void set_class(int fd, FdClass fd_class) {
  if (static_cast<unsigned>(fd) >= fd_count_max || in_vfork_child()) return;
  __atomic_store_n(&state.fd_classes[fd], fd_class, __ATOMIC_RELAXED);
}

bool seen(uint64_t key) {
  if (is_marked(key)) return true;
  mark(key);
  return false;
}

bool is_marked(uint64_t key) {
  return __atomic_load_n(&state.seen_keys[key % seen_count], __ATOMIC_RELAXED) == (key | 1);
}

void mark(uint64_t key) {
  if (!in_vfork_child()) __atomic_store_n(&state.seen_keys[key % seen_count], key | 1, __ATOMIC_RELAXED);
}

void mark_pending(uint32_t index, bool written) {
  uint32_t& place = pending_table()[index];
  const uint32_t before = load(place);
  const uint32_t now = load(header().epoch) | (before & pending_written) | (written ? pending_written : 0);
  if (before != now) store(place, now);
}

}  // namespace preload
