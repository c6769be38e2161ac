#include "tests/preload/fake_session.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <stdexcept>

#include <fmt/format.h>

#include "broker/images/closure.h"
#include "broker/wanted_calls_table.h"
#include "preload/client.h"
#include "tests/broker/images/scratch.h"

namespace fake {
namespace {

using namespace preload;

std::mutex events_mutex;

void wake(std::uint32_t* word) { ::syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }

template <class T>
T load(const T& place) {
  return __atomic_load_n(&place, __ATOMIC_SEQ_CST);
}
template <class T>
void store(T& place, T value) {
  __atomic_store_n(&place, value, __ATOMIC_SEQ_CST);
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

// The file whose libraries the program loads: itself or its interpreter.
std::string loaded_file(const std::string& program) {
  std::ifstream file(program, std::ios::binary);
  std::string line;
  std::getline(file, line);
  if (line.rfind("#!", 0) != 0) return program;
  const std::size_t start = line.find_first_not_of(" \t", 2);
  const std::size_t end = line.find_first_of(" \t", start);
  return loaded_file(line.substr(start, end == line.npos ? end : end - start));
}

// Starts a child that calls `become`, and collects what it prints.
Outcome collect(const std::function<void(int go)>& become, const std::function<void(pid_t)>& prepare) {
  int output[2], go[2];
  if (::pipe2(output, O_CLOEXEC) || ::pipe2(go, O_CLOEXEC)) throw std::runtime_error("pipe");
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(output[1], 1);
    char byte;
    if (::read(go[0], &byte, 1) != 1) ::_exit(99);
    become(go[0]);
    ::_exit(98);
  }
  ::close(output[1]);
  ::close(go[0]);
  prepare(child);
  (void)!::write(go[1], "g", 1);
  ::close(go[1]);
  Outcome outcome;
  char buffer[65536];
  for (;;) {
    const ssize_t count = ::read(output[0], buffer, sizeof buffer);
    if (count <= 0) break;
    outcome.output.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(output[0]);
  ::waitpid(child, &outcome.status, 0);
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return outcome;
}

}  // namespace

std::string shim_path() {
  const auto own = std::filesystem::read_symlink("/proc/self/exe");
  return (own.parent_path().parent_path() / "lib/vestal/libvestal_shim.so").string();
}

const broker::images::SystemImages& images() {
  static const scratch::Directory directory;
  static const broker::images::SystemImages made = [] {
    auto result = broker::images::make_system_images(
        "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2", directory.path(),
        broker::libc_wanted_calls(), broker::loader_wanted_calls());
    if (!result) throw std::runtime_error(result.error().message);
    return *result;
  }();
  return made;
}

std::vector<std::string> Event::words() const {
  const auto exec = payload_as<ExecPayload>();
  std::vector<std::string> result;
  const char* at = text.c_str();
  for (std::uint32_t i = 0; i < exec.argument_count + 2; ++i) {
    result.emplace_back(at);
    at += result.back().size() + 1;
  }
  return result;
}

std::map<std::string, std::uint64_t> Event::variables() const {
  const auto exec = payload_as<ExecPayload>();
  std::map<std::string, std::uint64_t> result;
  const char* at = text.c_str();
  for (const std::string& word : words()) at += word.size() + 1;
  for (std::uint32_t i = 0; i < exec.variable_count; ++i) {
    std::uint64_t print;
    std::memcpy(&print, at, sizeof print);
    const std::string name = at + sizeof print;
    at += sizeof print + name.size() + 1;
    result[name] = print;
  }
  return result;
}

std::string Event::describe() const {
  static const char* const names[] = {
      "filler",    "exec",     "exec_failed", "started",     "forked",   "forked_child", "exited", "reaped",
      "signalled", "look",     "fstat",       "access",      "open",     "readlink",     "list",   "chdir",
      "mkdir",     "rmdir",    "unlink",      "rename",      "link",     "symlink",      "chmod",  "chown",
      "utimens",   "truncate", "mknod",       "xattr_set",   "getenv",   "clock",        "random", "spoil", "altered",
      "stream",    "fd_kind",  "fd_read",     "fd_position", "input",    "code",         "closed", "preserve", "flush"};
  std::string shown = kind == kind_exec ? words().front() : text.substr(0, 200);
  for (char& c : shown)
    if (c < ' ' || c == 0x7f) c = '.';
  return fmt::format("{:7} {:<12} result {} arg {:#x}{} '{}' '{}'", pid,
                     kind < std::size(names) ? names[kind] : "?", result, arg, slot ? " asks" : "", shown,
                     text2);
}

Environment plain_environment() {
  Environment result;
  for (char** variable = environ; *variable; ++variable) {
    const std::string text = *variable;
    if (text.rfind("LD_", 0) == 0 || text.rfind("VESTAL", 0) == 0 || text.rfind("MAKE", 0) == 0 ||
        text.rfind("_=", 0) == 0)
      continue;
    result.push_back(text);
  }
  return result;
}

bool Outcome::exited_with(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }

std::vector<Event> Outcome::of(Kind kind) const {
  std::vector<Event> result;
  for (const Event& event : events)
    if (event.kind == kind) result.push_back(event);
  return result;
}

const Event* Outcome::find(Kind kind, const std::string& text) const {
  for (const Event& event : events)
    if (event.kind == kind && (kind == kind_exec ? event.words().front() : event.text) == text) return &event;
  return nullptr;
}

std::string Outcome::log() const {
  std::string result = output.substr(0, 2000) + "\n";
  for (const Event& event : events) result += event.describe() + "\n";
  return result;
}

Session::Session() {
  static std::atomic<int> count{0};
  name_ = fmt::format("vestal-test-{}-{}", ::getpid(), ++count);
  const int file = ::open(("/dev/shm/" + name_).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0 || ::posix_fallocate(file, 0, static_cast<off_t>(region_bytes)) != 0)
    throw std::runtime_error("no region");
  region_ = static_cast<char*>(::mmap(nullptr, region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  file_ = file;
  ::flock(file_, LOCK_EX);
  const auto& system = images();
  RegionHeader& region = header();
  region.magic = region_magic;
  region.version = protocol_version;
  region.region_bytes = region_bytes;
  region.broker_pid = ::getpid();
  region.fingerprint_key[0] = 17;
  region.fingerprint_key[1] = 4;
  region.shim_path = add_text(shim_path());
  region.libc_image_path = add_text(system.libc_image);
  region.loader_image_path = add_text(system.loader_image);
  region.region_name = add_text(name_);
  region.libc_slots = system.libc_slots;
  for (std::size_t i = 0; i < hook_slot_count; ++i) region.libc_originals[i] = system.originals[i];
  region.loader_text_offset = system.loader_text_offset;
  region.loader_text_vaddr = system.loader_text_vaddr;
  region.loader_text_size = system.loader_text_size;
  region.loader_slot = system.loader_slot;
  seal();
  region.epoch = 1;
  store<std::uint32_t>(region.state, region_live);
  broker_ = std::thread([this] { serve(); });
}

void Session::seal() { header().constants_check = constants_check_of(header()); }

void Session::unlock() {
  // Children between fork and exec have it open too.
  if (file_ >= 0) ::flock(file_, LOCK_UN), ::close(file_);
  file_ = -1;
}

Session::~Session() {
  store<std::uint32_t>(header().state, region_gone);
  stopping_ = true;
  broker_.join();
  unlock();
  ::unlink(("/dev/shm/" + name_).c_str());
  ::munmap(region_, region_bytes);
}

std::uint32_t Session::add_text(const std::string& text) {
  const std::uint32_t offset = static_cast<std::uint32_t>(texts_at) + texts_used_;
  if (texts_used_ + text.size() + 1 > texts_bytes) throw std::runtime_error("too many texts");
  std::memcpy(region_ + offset, text.c_str(), text.size() + 1);
  texts_used_ += static_cast<std::uint32_t>(text.size() + 1);
  return offset;
}

std::uint32_t Session::plan_for(const std::string& program, const std::string& library_path,
                                std::uint64_t key) {
  struct stat info;
  if (::stat(program.c_str(), &info) != 0) return plan_count;
  const auto known = plans_.find(key);
  Plan* table = reinterpret_cast<Plan*>(region_ + plans_at);
  if (known != plans_.end() && table[known->second].inode == info.st_ino) return known->second;
  Plan plan{};
  plan.device = info.st_dev;
  plan.inode = info.st_ino;
  plan.size = static_cast<std::uint64_t>(info.st_size);
  plan.mtime_ns = std::int64_t{info.st_mtim.tv_sec} * 1000000000 + info.st_mtim.tv_nsec;
  std::string preload;
  bool has_libc = false;
  if (const auto closure = broker::images::library_closure(loaded_file(program), library_path)) {
    for (const std::string& library : closure->libraries) {
      const bool libc = std::filesystem::equivalent(library, images().libc_path);
      has_libc |= libc;
      preload += (preload.empty() ? "" : ":") + (libc ? images().libc_image : library);
    }
  }
  if (!has_libc) plan.flags = plan_untraced;
  plan.preload = add_text(preload);
  std::uint32_t index = key % plan_count;
  while (table[index].key != 0 && table[index].key != key) index = (index + 1) % plan_count;
  table[index] = plan;
  __atomic_store_n(&table[index].key, key, __ATOMIC_RELEASE);
  plans_[key] = index;
  return index;
}

void Session::answer(const Event& event) {
  Slot& slot = reinterpret_cast<Slot*>(region_ + slots_at)[event.slot - 1];
  std::uint32_t claimed = slot_claimed;
  if (!__atomic_compare_exchange_n(&slot.state, &claimed, slot_answering, false, __ATOMIC_SEQ_CST,
                                   __ATOMIC_SEQ_CST))
    return;
  slot.verdict = verdict_run;
  slot.plan = plan_count;
  slot.text_bytes = slot.in_file = slot.position_count = 0;
  slot.status = 0;
  if (event.kind == kind_exec) {
    const std::string program = event.words().front();
    std::string library_path;
    if (event.payload_as<ExecPayload>().flags & exec_has_library_path)
      library_path = event.text.c_str() + event.text.rfind('\0', event.text.size() - 2) + 1;
    slot.plan = plan_for(program, library_path,
                         plan_key(program.data(), program.size(), library_path.data(), library_path.size()));
    if (on_exec) on_exec(event, slot);
  } else if (on_question) {
    on_question(event);
  }
  if (dies_answering) return;
  store<std::uint32_t>(slot.state, slot_answered);
  wake(&slot.state);
}

bool Session::serve_once() {
  RegionHeader& region = header();
  const char* ring = region_ + ring_at;
  store(region.epoch, region.epoch + 1);
  const std::uint64_t end = load(region.head);
  std::uint64_t position = load(region.tail);
  bool any = false;
  while (position < end) {
    RecordHead head;
    auto read = [&](std::uint64_t at, void* to, std::uint64_t count) {
      for (std::uint64_t i = 0; i < count; ++i)
        static_cast<char*>(to)[i] =
            ring[(position % ring_units * unit_bytes + at + i) % (std::uint64_t{ring_units} * unit_bytes)];
    };
    const auto* stamp = reinterpret_cast<const std::uint64_t*>(ring + position % ring_units * unit_bytes);
    if (__atomic_load_n(stamp, __ATOMIC_ACQUIRE) != stamp_of(position)) break;
    read(0, &head, sizeof head);
    any = true;
    if (keeps_events || head.slot) {
      Event event;
      event.position = position;
      event.kind = static_cast<Kind>(head.kind);
      event.pid = head.pid;
      event.parent_pid = head.parent_pid;
      event.slot = head.slot;
      event.result = head.result;
      event.arg = head.arg;
      event.arg2 = head.arg2;
      event.payload.resize(head.payload_bytes);
      event.text.resize(head.text_bytes);
      event.text2.resize(head.text2_bytes);
      read(sizeof head, event.payload.data(), head.payload_bytes);
      read(sizeof head + head.payload_bytes, event.text.data(), head.text_bytes);
      read(sizeof head + head.payload_bytes + head.text_bytes, event.text2.data(), head.text2_bytes);
      if (head.slot) answer(event);
      if (keeps_events) {
        const std::lock_guard lock(events_mutex);
        events_.push_back(std::move(event));
      }
    }
    position += head.units;
    store(region.tail, position);
    __atomic_add_fetch(&region.tail_bell, 1, __ATOMIC_SEQ_CST);
    if (load(region.tail_waiters)) wake(&region.tail_bell);
  }
  if (hashes) store(region.hashed_epoch, region.epoch);
  return any;
}

void Session::serve() {
  RegionHeader& region = header();
  while (!stopping_) {
    const std::uint32_t bell = load(region.doorbell);
    if (!silent) serve_once();
    store(region.broker_asleep, 1u);
    const timespec limit{0, 2000000};
    ::syscall(SYS_futex, &region.doorbell, FUTEX_WAIT, bell, &limit, nullptr, 0);
    store(region.broker_asleep, 0u);
  }
}

std::vector<Event> Session::take_events() {
  // What was logged before is read before long.
  const std::uint64_t head = load(header().head);
  for (int i = 0; i < 500 && !silent && load(header().tail) < head; ++i) ::usleep(2000);
  const std::lock_guard lock(events_mutex);
  return std::move(events_);
}

void Session::mark_known(std::uint64_t short_key) {
  const std::uint64_t bit = short_key % known_bits;
  region_[known_at + bit / 8] = static_cast<char>(region_[known_at + bit / 8] | 1 << bit % 8);
}

Environment Session::variables_for(const std::string& program) {
  const std::uint32_t index = plan_for(program, "", plan_key(program.data(), program.size(), "", 0));
  const Plan& plan = reinterpret_cast<const Plan*>(region_ + plans_at)[index];
  return {fmt::format("LD_PRELOAD={}:{}", shim_path(), region_ + plan.preload),
          fmt::format("VESTAL_REGION={}:22:0", name_)};
}

Outcome Session::run(const std::vector<std::string>& arguments, const Environment& environment) {
  take_events();
  const auto argv = pointers(arguments), envp = pointers(environment);
  bool usable;
  Outcome outcome = collect(
      [&](int) {
        const int result = become_command(name_.c_str(), argv[0], argv.data(), envp.data(), &usable);
        if (!usable) ::_exit(97);
        ::_exit(-result == ENOENT ? 96 : 95);
      },
      [&](pid_t child) { header().top_pid = child, seal(); });
  outcome.events = take_events();
  return outcome;
}

Outcome Session::shell(const std::string& command, const Environment& environment) {
  return run({"/bin/sh", "-c", command}, environment);
}

Outcome Session::run_plain(const std::vector<std::string>& arguments, const Environment& environment) {
  const auto argv = pointers(arguments), envp = pointers(environment);
  return collect([&](int) { ::execve(argv[0], argv.data(), envp.data()); }, [](pid_t) {});
}

}  // namespace fake
