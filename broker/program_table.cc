#include "broker/program_table.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "broker/images/closure.h"
#include "broker/images/static_store.h"
#include "broker/policy_table.h"
#include "broker/program_findings.h"
#include "broker/wanted_calls_table.h"

namespace broker {
namespace {

using cache::fail;
using cache::Fault;
using cache::Result;
using Clock = std::chrono::steady_clock;

constexpr const char* loader_path = "/lib64/ld-linux-x86-64.so.2";
// Programs whose libraries tell which libc the machine's ld.so finds.
constexpr const char* ordinary_programs[] = {"/bin/true", "/bin/sh", "/usr/bin/env"};
// Where it lies in a tree that has none of them. Were it not the one that ld.so finds, programs would be looked into one by one.
constexpr const char* ordinary_places[] = {"/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6",
                                           "/usr/lib64/libc.so.6", "/lib/libc.so.6", "/usr/lib/libc.so.6"};
constexpr std::size_t entries_max = 4096;
constexpr std::size_t watched_max = 1 << 17;

// ld.so takes LD_PRELOAD apart at these.
bool can_be_preloaded(std::string_view path) { return path.find_first_of(": \t\n") == path.npos; }

// Exists only for who looks: another process finds something else behind it, or nothing.
bool is_process_private(const std::string& path) {
  return path.starts_with("/proc/") || path.starts_with("/dev/fd/") || path.starts_with("/memfd:");
}

// A change of name, owner or link count does not make it another file.
bool same_file_and_contents(const PathFacts& a, const PathFacts& b) {
  return a.device == b.device && a.inode == b.inode && a.bytes == b.bytes && a.mtime_ns == b.mtime_ns;
}

struct Entry {
  std::shared_ptr<const Program> program;
  std::shared_ptr<const ProgramFindings> found;
  std::string image;   // of a static program
  PathFacts image_facts;
  bool lasts = false;  // may be believed after its lease, if still_holds() says so
  Clock::time_point checked;
  std::uint64_t generation = 0;

  bool image_is_as_made() const { return image.empty() || look_through(image).identity() == image_facts.identity(); }
};

struct Images {
  images::SystemImages images;
  PathFacts libc, loader;  // the originals, when the images were made
  PathFacts libc_image, loader_image;

  bool files_are_as_made() const {
    return look_through(images.libc_image).identity() == libc_image.identity() &&
           look_through(images.loader_image).identity() == loader_image.identity();
  }
};

Result<std::string> system_libc() {
  for (const char* program : ordinary_programs) {
    const auto closure = images::library_closure(program, "");
    if (!closure) continue;
    const auto libc =
        std::find_if(closure->libraries.begin(), closure->libraries.end(),
                     [](const std::string& library) { return library.ends_with("/libc.so.6"); });
    if (libc != closure->libraries.end()) return *libc;
  }
  for (const char* place : ordinary_places)
    if (look_through(place).type == FileType::regular) return std::string(place);
  return fail(Fault::not_found, "no libc.so.6 found by way of /bin/true, /bin/sh or /usr/bin/env, nor in the usual places");
}

}  // namespace

constexpr std::size_t code_max = 10'000;

struct ProgramTable::State {
  cache::StepCache& cache;
  const View& view;
  const std::string image_directory, shim_path;
  const images::StaticStore static_store;
  std::atomic<std::uint64_t> searches = 0;

  std::mutex images_mutex;  // held while they are made
  std::optional<Result<Images>> images;

  std::mutex mutex;
  std::unordered_map<std::string, Entry> entries;  // path, NUL, library path
  std::unordered_set<std::string> watched;         // what they rest on
  std::uint64_t generation = 0;                    // raised by each change of one of these
  std::unordered_map<std::string, std::pair<cache::FileIdentity, OwnInstructions>> code;  // own_instructions() of files that have not changed since

  State(cache::StepCache& the_cache, const View& the_view, std::string the_directory, std::string the_shim)
      : cache(the_cache),
        view(the_view),
        image_directory(std::move(the_directory)),
        shim_path(std::move(the_shim)),
        static_store(image_directory, shim_path, static_wanted_calls()) {}

  Result<Images> make_images() const;  // Fault::not_found: there is no libc
  Result<Images> images_of(const std::string& libc_path) const;
  Result<Images> images_now(bool try_again);
  std::string hindrance(const ProgramFindings& found, const Result<Images>& made, std::string& preload) const;
  std::string static_hindrance(const ProgramFindings& found, Entry& entry, std::string& preload) const;
  void set_copy(const ProgramFindings& found, Entry& entry, Program& program) const;
  void set_program(const std::string& path, Entry& entry);
  void keep(const std::string& key, Entry entry);
  void renew(const std::string& key, const Entry& entry);
  void drop(const std::string& key);
};

// ---- images
// --------------------------------------------------------------------------------------------------------

Result<Images> ProgramTable::State::make_images() const {
  const std::string libc_path = TRY(system_libc());
  return images_of(libc_path).map_error([](cache::Error error) {
    if (error.fault == Fault::not_found) error.fault = Fault::io;
    return error;
  });
}

Result<Images> ProgramTable::State::images_of(const std::string& libc_path) const {
  Images made;
  made.libc = look_through(libc_path);
  made.loader = look_through(loader_path);
  // Not being able to make it shows below.
  ::mkdir(image_directory.c_str(), 0700);
  // Taking libc apart needs several times its size, once: a process of its own pays for it. Whether that went well shows
  // when the images are looked for.
  if (const pid_t maker = ::fork(); maker == 0) {
    const auto built = images::make_system_images(libc_path, loader_path, image_directory, libc_wanted_calls(), loader_wanted_calls());
    ::_exit(built ? 0 : 1);
  } else if (maker > 0) {
    while (::waitpid(maker, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  made.images = TRY(images::make_system_images(libc_path, loader_path, image_directory, libc_wanted_calls(),
                                               loader_wanted_calls()));
  if (!same_file_and_contents(made.libc, look_through(libc_path)) ||
      !same_file_and_contents(made.loader, look_through(loader_path)))
    return fail(Fault::changed, libc_path + " or ld.so was replaced meanwhile");
  if (!can_be_preloaded(made.images.libc_image))
    return fail(Fault::unsupported,
                made.images.libc_image + ": a path with ':' or blanks cannot be preloaded");
  if (!can_be_preloaded(shim_path))
    return fail(Fault::unsupported, shim_path + ": a path with ':' or blanks cannot be preloaded");
  made.libc_image = look_through(made.images.libc_image);
  made.loader_image = look_through(made.images.loader_image);
  return made;
}

Result<Images> ProgramTable::State::images_now(bool try_again) {
  const std::lock_guard lock(images_mutex);
  // Whoever damages or deletes an image would otherwise stop every command until the broker leaves.
  const bool damaged = try_again && images && *images && !(*images)->files_are_as_made();
  if (images && !damaged && (*images || !try_again)) return *images;
  images = make_images();
  // Programs that were untraced for want of images.
  const std::lock_guard entries_lock(mutex);
  entries.clear();
  return *images;
}

// Why the program cannot be traced, or nothing, and then `preload` is set.
std::string ProgramTable::State::hindrance(const ProgramFindings& found, const Result<Images>& made,
                                           std::string& preload) const {
  if (found.untraced) return found.reason;
  if (!made) return "there are no images of libc and ld.so: " + made.error().message;
  const ProgramEvidence::File* const loader = found.evidence.file(found.loader);
  if (!loader || !same_file_and_contents(loader->facts, made->loader))
    return found.loader + ": not the ld.so vestal knows";
  bool has_libc = false, all_can = true;
  for (const std::string& library : found.libraries) {
    const ProgramEvidence::File* const file = found.evidence.file(library);
    const bool is_libc = file && same_file_and_contents(file->facts, made->libc);
    if (!is_libc && library.ends_with("/libc.so.6")) return library + ": not the libc vestal knows";
    has_libc = has_libc || is_libc;
    all_can = all_can && (is_libc || can_be_preloaded(library));
    if (!preload.empty()) preload += ':';
    preload += is_libc ? made->images.libc_image : library;
  }
  if (!has_libc) return found.real_path + ": runs without libc";
  if (!all_can) preload = made->images.libc_image;
  return {};
}

// The same for a static program.
std::string ProgramTable::State::static_hindrance(const ProgramFindings& found, Entry& entry, std::string& preload) const {
  // Not being able to make it shows in the store.
  ::mkdir(image_directory.c_str(), 0700);
  auto image = static_store.image_of(found.real_path, found.static_digest.hex());
  if (!image) return image.error().message;
  preload = *image + '\n' + found.real_path;
  for (const std::string& word : found.script_prefix) preload += '\n' + word;
  const auto lines = static_cast<std::size_t>(std::count(preload.begin(), preload.end(), '\n'));
  if (lines != 1 + found.script_prefix.size()) return found.real_path + ": a path with a line break";
  entry.image = *image;
  entry.image_facts = look_through(*image);
  return {};
}

// Without a copy, or as the interpreter of a script, it runs as it is.
void ProgramTable::State::set_copy(const ProgramFindings& found, Entry& entry, Program& program) const {
  const std::string calls = found.real_path + ": has system calls of Go's, which are not trapped";
  if (!found.script_prefix.empty()) {
    if (program.spoils.empty()) program.spoils = calls;
    return;
  }
  const auto copy = static_store.image_of(found.real_path, found.static_digest.hex(), images::StaticStore::Kind::linked);
  if (!copy || copy->find('\n') != copy->npos || found.real_path.find('\n') != found.real_path.npos) {
    if (program.spoils.empty()) program.spoils = copy ? calls : calls + "; " + copy.error().message;
    return;
  }
  program.copy = entry.image = *copy;
  entry.image_facts = look_through(*copy);
}

void ProgramTable::State::set_program(const std::string& path, Entry& entry) {
  const ProgramFindings& found = *entry.found;
  entry.image.clear();
  auto program = std::make_shared<Program>();
  program->path = path;
  program->real_path = found.real_path;
  program->script = found.script;
  program->identity = found.identity;
  program->spoils = found.spoils;
  program->counter = found.counter;
  program->random = found.random;
  for (const ProgramEvidence::File& file : found.evidence.files()) program->files.push_back(file.path);
  program->absences = found.evidence.absences();
  program->is_static = found.is_static;
  program->traps = found.traps;
  if (found.is_static && !found.untraced) {
    program->reason = static_hindrance(found, entry, program->preload);
  } else {
    const Result<Images> made = images_now(false);
    program->reason = hindrance(found, made, program->preload);
    // Another ld.so or libc than the machine's own, which may have none.
    if (!program->reason.empty() && !found.untraced && (made || made.error().fault == Fault::not_found)) {
      program->is_static = true;
      program->reason = static_hindrance(found, entry, program->preload);
    }
    if (program->reason.empty() && found.copied && !program->is_static) set_copy(found, entry, *program);
  }
  program->untraced = !program->reason.empty();
  if (program->untraced) program->preload.clear();
  const ProgramEvidence::File* const file = found.evidence.file(path);
  program->facts = file ? file->facts : look_through(path);
  entry.program = std::move(program);
}

// ---- looking up
// ----------------------------------------------------------------------------------------------------

void ProgramTable::State::keep(const std::string& key, Entry entry) {
  std::vector<std::string> paths = entry.found->evidence.watched_paths();
  {
    const std::lock_guard lock(mutex);
    if (entries.size() >= entries_max || watched.size() >= watched_max) {
      entries.clear();
      watched.clear();
    }
    watched.insert(std::make_move_iterator(paths.begin()), std::make_move_iterator(paths.end()));
  }
  // forget() was not heard until now.
  if (!entry.found->evidence.is_untouched()) entry.checked = {};
  const std::lock_guard lock(mutex);
  entries.insert_or_assign(key, std::move(entry));
}

// Gives the entry another lease, unless it has been replaced meanwhile.
void ProgramTable::State::renew(const std::string& key, const Entry& entry) {
  const std::lock_guard lock(mutex);
  const auto found = entries.find(key);
  if (found == entries.end() || found->second.found != entry.found) return;
  found->second.checked = entry.checked;
  found->second.generation = entry.generation;
}

void ProgramTable::State::drop(const std::string& key) {
  const std::lock_guard lock(mutex);
  entries.erase(key);
}

ProgramTable::ProgramTable(cache::StepCache& cache, const View& view, std::string image_directory,
                           std::string shim_path)
    : state_(std::make_unique<State>(cache, view, std::move(image_directory), std::move(shim_path))) {}

ProgramTable::~ProgramTable() = default;

Result<images::SystemImages> ProgramTable::images() {
  return state_->images_now(true).map([](const Images& made) { return made.images; });
}

std::uint64_t ProgramTable::searches() const { return state_->searches; }

void ProgramTable::forget(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  if (state_->watched.contains(path)) ++state_->generation;
}

void ProgramTable::doubt() {
  const std::lock_guard lock(state_->mutex);
  ++state_->generation;
}

Result<OwnInstructions> ProgramTable::own_instructions(const std::string& path) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t asked_ns = now.tv_sec * 1'000'000'000 + now.tv_nsec;
  const cache::FileIdentity identity = look_through(path).identity();
  {
    const std::lock_guard lock(state_->mutex);
    const auto known = state_->code.find(path);
    if (known != state_->code.end() && known->second.first == identity) return known->second.second;
  }
  OwnInstructions own = TRY(broker::own_instructions(path, state_->view, state_->cache));
  const std::lock_guard lock(state_->mutex);
  if (state_->code.size() >= code_max) state_->code.clear();
  // Only if it is still the file that was asked for, and has not been changed so lately that its times do not tell.
  const bool is_settled = identity.ctime_ns + cache::settle_ns < asked_ns && identity.mtime_ns + cache::settle_ns < asked_ns;
  if (is_settled && look_through(path).identity() == identity) state_->code.insert_or_assign(path, std::pair(identity, own));
  return own;
}

Result<std::shared_ptr<const Program>> ProgramTable::look_up(const std::string& path,
                                                             const std::string& library_path) {
  if (!path.starts_with('/') || path.find('\0') != path.npos)
    return fail(Fault::invalid, path + ": not an absolute path");
  if (is_process_private(path)) {
    Program program;
    program.path = path;
    program.untraced = true;
    program.reason = path + ": another file for each process";
    return std::make_shared<const Program>(std::move(program));
  }
  std::string key;
  key.reserve(path.size() + 1 + library_path.size());
  key.append(path).append(1, '\0').append(library_path);

  Entry entry;
  {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->entries.find(key);
    const auto now = Clock::now();
    if (found != state_->entries.end()) {
      const bool leased = now - found->second.checked < std::chrono::milliseconds(lease_ms);
      if (leased && found->second.generation == state_->generation) return found->second.program;
      entry = found->second;
    }
    // From before anything is looked at.
    entry.checked = now;
    entry.generation = state_->generation;
  }

  std::optional<ProgramFindings> known;
  if (entry.lasts) {
    const ProgramEvidence& evidence = entry.found->evidence;
    if (evidence.lasts() && evidence.is_untouched() && entry.image_is_as_made()) {
      state_->renew(key, entry);
      return entry.program;
    }
    known = *entry.found;
  } else if (!entry.found) {
    if (const auto row = state_->cache.program_row(key)) known = ProgramFindings::decode(*row);
  }
  bool is_news = false;
  entry.lasts = true;
  if (!known || !known->evidence.still_holds(state_->view, &is_news)) {
    ++state_->searches;
    auto found = find_out(path, library_path, state_->view, state_->cache);
    if (!found) {
      state_->drop(key);
      return tl::unexpected(std::move(found.error()));
    }
    known = std::move(*found);
    is_news = true;
    entry.lasts = known->evidence.lasts();
  }
  if (is_news && known->evidence.lasts()) state_->cache.set_program_row(key, known->encode());
  entry.found = std::make_shared<const ProgramFindings>(std::move(*known));
  state_->set_program(path, entry);
  const auto program = entry.program;
  state_->keep(key, std::move(entry));
  return program;
}

}  // namespace broker
