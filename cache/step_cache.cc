#include "cache/step_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "cache/base/failpoint.h"
#include "cache/base/owned_fd.h"
#include "cache/private_directory.h"
#include "cache/sealed_bytes.h"
#include "cache/step_cache_state.h"

// Rows, beside those that hold an encoding of cache/record.h:
//
//   "k", "o", "t"   digests, 32 bytes each
//   "s"        empty; the short key is 64 bits, big-endian
//   "m"        sealed 'm': inode, bytes, mtime_ns, ctime_ns, 64 bits each, digest; the key is device and
//   inode "p"        sealed 'p': what the broker gave "c"        decimal number "v"        sealed 'v':
//   format_version 32, fingerprint key 2 * 64

namespace cache {
namespace {

// Raised when rows change their meaning; encodings have record_version.
constexpr std::uint32_t format_version = 1;

constexpr std::size_t known_sets_max = 1 << 14;
constexpr std::size_t decoded_bytes_max = 2 << 20;
constexpr std::chrono::seconds counters_interval{1};

// ---- keys and small values ---------------------------------------------------------------------------

std::string key(char letter, std::string_view name) { return std::string(1, letter).append(name); }
std::string key(char letter, const Digest& digest) { return key(letter, digest.view()); }
std::string result_key(const Digest& step_key, const Digest& need_set, const Digest& values) {
  return key('r', step_key).append(need_set.view()).append(values.view());
}

template <std::size_t size>
std::string number_key(char letter, const std::array<std::uint64_t, size>& numbers) {
  std::string text(1, letter);
  for (const std::uint64_t number : numbers) {
    for (int shift = 56; shift >= 0; shift -= 8) text += static_cast<char>(number >> shift);
  }
  return text;
}

std::optional<std::uint64_t> number_of(std::string_view bytes) {
  if (bytes.size() != 8) return std::nullopt;
  std::uint64_t number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

std::size_t memory_of(const NeedSet& names) {
  std::size_t bytes = names.size() * sizeof(NeedName);
  for (const NeedName& name : names) bytes += name.text.capacity() + 1;
  return bytes;
}

}  // namespace

// ---- opening -----------------------------------------------------------------------------------------

Result<bool> StepCache::State::begin() {
  if (::getrandom(fingerprint_key.data(), sizeof fingerprint_key, 0) != sizeof fingerprint_key) {
    return fail(Fault::io, std::string("no random numbers: ") + std::strerror(errno));
  }
  return write_version();
}

Result<bool> StepCache::State::write_version() {
  SealedWriter writer('v');
  writer.number(format_version);
  for (const std::uint64_t word : fingerprint_key) writer.number(word);
  leveldb::WriteBatch batch;
  batch.Put("v", std::move(writer).seal());
  const leveldb::Status status = database.write(batch);
  if (!status.ok()) return fail(Fault::io, database.directory + ": " + status.ToString());
  return true;
}

Result<bool> StepCache::State::open(const std::string& directory) {
  const auto unusable = [&](const leveldb::Status& status) {
    const bool damaged = status.IsCorruption() || status.IsInvalidArgument();
    return fail(damaged ? Fault::corrupt : Fault::io, directory + ": " + status.ToString());
  };
  leveldb::Status status = database.open(directory);
  if (!status.ok()) return unusable(status);
  if (::access(database.marker().c_str(), F_OK) == 0) return fail(Fault::corrupt, directory + ": is damaged");
  std::string row;
  status = database.get("v", &row);
  if (status.IsNotFound()) {
    if (!database.empty()) return fail(Fault::corrupt, directory + ": has no version");
    return begin();
  }
  if (!status.ok()) return unusable(status);
  SealedReader reader = TRY(SealedReader::open(row, 'v', directory));
  const auto version = reader.number<std::uint32_t>();
  for (std::uint64_t& word : fingerprint_key) word = reader.number<std::uint64_t>();
  if (version != format_version) {
    return fail(Fault::unsupported, directory + " was written by another version of vestal");
  }
  if (!reader.finished()) return reader.damaged();
  database.each('c', [&](std::string_view name, std::string_view value) {
    counters.emplace(name, std::strtoll(std::string(value).c_str(), nullptr, 10));
  });
  return true;
}

namespace {

// Gives the directory another name, which is returned.
Result<std::string> move_aside(const std::string& directory) {
  for (int number = 1;; ++number) {
    const std::string name = directory + ".aside-" + std::to_string(number);
    if (::renameat2(AT_FDCWD, directory.c_str(), AT_FDCWD, name.c_str(), RENAME_NOREPLACE) == 0) return name;
    if (errno != EEXIST) {
      return fail(Fault::io, directory + ": cannot be moved aside: " + std::strerror(errno) + "; remove it");
    }
  }
}

// Opens the directory and waits until no other process is about to open, or move aside, the cache in it.
Result<OwnedFd> lock_to_open(const std::string& directory) {
  for (;;) {
    OwnedFd opened = TRY(open_private_directory(directory));
    while (::flock(opened.get(), LOCK_EX) != 0) {
      if (errno != EINTR) return fail(Fault::io, directory + ": cannot be locked: " + std::strerror(errno));
    }
    struct stat here, there;
    const bool same = ::fstat(opened.get(), &here) == 0 && ::stat(directory.c_str(), &there) == 0 &&
                      here.st_dev == there.st_dev && here.st_ino == there.st_ino;
    if (same) return opened;
  }
}

}  // namespace

Result<std::unique_ptr<StepCache>> StepCache::open(const std::string& spelled, std::string* message) {
  std::string directory = spelled;
  while (directory.size() > 1 && directory.back() == '/') directory.pop_back();
  if (message) message->clear();
  for (bool again = false;; again = true) {
    const OwnedFd lock = TRY(lock_to_open(directory));
    auto state = std::make_unique<State>();
    const Result<bool> opened = state->open(directory);
    if (opened) return std::unique_ptr<StepCache>(new StepCache(std::move(state)));
    if (opened.error().fault == Fault::io || again) return fail(Fault::io, opened.error().message);
    state.reset();
    const std::string aside = TRY(move_aside(directory));
    if (message) {
      *message = opened.error().message + "; it is now " + aside +
                 ", which you may remove, and a new cache has been begun";
    }
  }
}

StepCache::StepCache(std::unique_ptr<State> state) : state_(std::move(state)) {}

StepCache::~StepCache() {
  const std::lock_guard lock(state_->counter_mutex);
  state_->write_counters();
}

std::array<std::uint64_t, 2> StepCache::fingerprint_key() const { return state_->fingerprint_key; }

// ---- looking up --------------------------------------------------------------------------------------

template <class Thing>
std::optional<Thing> StepCache::State::read(const std::string& key,
                                            Result<Thing> (*decode)(std::string_view)) {
  const auto row = database.read(key);
  if (!row) return std::nullopt;
  auto thing = decode(*row);
  if (thing) return *std::move(thing);
  database.remove(key);
  return std::nullopt;
}

void StepCache::State::hold(const Digest& digest, const NeedSet& names) {
  if (known_sets.size() >= known_sets_max) known_sets.clear();
  known_sets.insert(digest);
  const std::size_t bytes = memory_of(names);
  if (bytes > decoded_bytes_max / 4 || decoded.count(digest)) return;
  // A build asks for the same few sets over and over; which of the others stay matters little.
  if (decoded_bytes + bytes > decoded_bytes_max) {
    decoded.clear();
    decoded_bytes = 0;
  }
  decoded.emplace(digest, names);
  decoded_bytes += bytes;
}

void StepCache::State::let_go(const Digest& digest) {
  known_sets.erase(digest);
  const auto found = decoded.find(digest);
  if (found == decoded.end()) return;
  decoded_bytes -= memory_of(found->second);
  decoded.erase(found);
}

std::vector<Digest> StepCache::need_sets(const Digest& step_key) {
  return digests_in(state_->database.read(key('k', step_key)).value_or(""), need_sets_max);
}

std::optional<NeedSet> StepCache::need_set(const Digest& digest) {
  std::uint64_t drops = 0;
  {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->decoded.find(digest);
    if (found != state_->decoded.end()) return found->second;
    drops = state_->drops;
  }
  auto names = state_->read(key('n', digest), decode_need_set);
  const std::lock_guard lock(state_->mutex);
  if (names && drops == state_->drops)
    state_->hold(digest, *names);
  else
    state_->let_go(digest);
  return names;
}

std::optional<StepResult> StepCache::result(const Digest& step_key, const Digest& need_set,
                                            const Digest& values) {
  return state_->read(result_key(step_key, need_set, values), decode_step_result);
}

std::optional<LastRun> StepCache::last_run(const Digest& step_key) {
  return state_->read(key('l', step_key), decode_last_run);
}

std::vector<Digest> StepCache::makers_of(const std::string& path) {
  return digests_in(state_->database.read(key('o', path)).value_or(""), makers_max);
}

void StepCache::each_short_key(const std::function<void(std::uint64_t)>& visit) {
  state_->database.each('s', [&](std::string_view name, std::string_view) {
    if (const auto short_key = number_of(name)) visit(*short_key);
  });
}

void StepCache::each_last_run(const std::function<void(const Digest& step_key, const LastRun&)>& visit) {
  state_->database.each('l', [&](std::string_view name, std::string_view row) {
    const auto step_key = Digest::from_bytes(name);
    const auto run = decode_last_run(row);
    if (step_key && run) visit(*step_key, *run);
  });
}

// ---- storing -----------------------------------------------------------------------------------------

namespace {

// The note of a run tells of the names and values it is stored with, whatever its maker put there.
std::string encode_with(const LastRun& run, const Digest& need_set, const NeedValues& values) {
  if (run.need_set == need_set && run.values == values) return encode(run);
  LastRun mended = run;
  mended.need_set = need_set;
  mended.values = values;
  return encode(mended);
}

// Adds the row of a need set unless it is there, for it is the largest of all.
void put_need_set(Database& database, const std::unordered_set<Digest>& known_sets,
                  leveldb::WriteBatch& batch, const Digest& digest, const std::string& row) {
  if (known_sets.count(digest) || database.read(key('n', digest)) == row) return;
  batch.Put(key('n', digest), row);
}

bool is_made(const Change& change) {
  return change.what == Change::What::file || change.what == Change::What::hard_link ||
         change.what == Change::What::symlink;
}

}  // namespace

Result<bool> StepCache::store(const Digest& step_key, std::uint64_t short_key, const NeedSet& names,
                              const NeedValues& values, const StepResult& result, const LastRun& run) {
  assert(names.size() == values.size());
  const std::string names_row = encode(names);
  const Digest set = digest_of(names_row);
  leveldb::WriteBatch batch;
  batch.Put(result_key(step_key, set, digest_of(values)), encode(result));
  batch.Put(number_key<1>('s', {short_key}), {});
  batch.Put(key('l', step_key), encode_with(run, set, values));

  const std::lock_guard lock(state_->mutex);
  Database& database = state_->database;
  put_need_set(database, state_->known_sets, batch, set, names_row);
  const auto put_in_front = [&](const std::string& row_key, const Digest& first, std::size_t count_max) {
    const std::string before = database.read(row_key).value_or(""),
                      after = in_front(first, before, count_max);
    if (after != before) batch.Put(row_key, after);
  };
  put_in_front(key('k', step_key), set, need_sets_max);
  for (const Change& change : result.changes) {
    if (is_made(change)) put_in_front(key('o', change.path), step_key, makers_max);
  }
  const leveldb::Status status = database.write(batch);
  if (!status.ok()) {
    return fail(Fault::io, database.directory + ": a step cannot be remembered: " + status.ToString());
  }
  state_->hold(set, names);
  return true;
}

void StepCache::note_run(const Digest& step_key, const NeedSet& names, const LastRun& run) {
  const std::string names_row = encode(names);
  const Digest set = digest_of(names_row);
  leveldb::WriteBatch batch;
  batch.Put(key('l', step_key), encode_with(run, set, run.values));
  const std::lock_guard lock(state_->mutex);
  put_need_set(state_->database, state_->known_sets, batch, set, names_row);
  if (state_->database.write(batch).ok()) state_->hold(set, names);
}

Result<bool> StepCache::store_recipe(const Digest& name, const RecipeRun& run) {
  leveldb::WriteBatch batch;
  batch.Put(key('j', name), encode(run));
  const std::lock_guard lock(state_->mutex);
  Database& database = state_->database;
  std::unordered_map<std::string, std::string> rows;  // of recipes_of(), as they will be
  std::unordered_set<Digest> replaced;
  for (const Change& change : run.changes) {
    const std::string row_key = key('t', change.path);
    const std::vector<Digest> before = digests_in(database.read(row_key).value_or(""), recipes_max);
    std::string row;
    bool comes_later = false;
    for (const Digest& each : before) {
      comes_later = comes_later || each == name;
      const auto other = change.path == run.target && !comes_later ? recipe(each) : std::nullopt;
      const bool is_same = other && other->target == run.target && other->directory == run.directory && other->level == run.level;
      if (comes_later || is_same || (is_made(change) && change.fresh)) replaced.insert(each);
      else row += each.view();
    }
    replaced.erase(name);
    row += name.view();
    if (row.size() > 32 * recipes_max) row.erase(0, row.size() - 32 * recipes_max);
    rows[change.path] = row;
    batch.Put(row_key, row);
  }
  for (const Digest& each : replaced) {
    const auto old = recipe(each);
    const bool is_of_some = old && std::ranges::any_of(old->changes, [&](const Change& change) {
      const auto known = rows.find(change.path);
      const std::string row = known != rows.end() ? known->second : database.read(key('t', change.path)).value_or("");
      return std::ranges::count(digests_in(row, recipes_max), each) > 0;
    });
    if (!is_of_some) batch.Delete(key('j', each));
  }
  const leveldb::Status status = database.write(batch);
  if (!status.ok()) return fail(Fault::io, database.directory + ": a recipe cannot be remembered: " + status.ToString());
  return true;
}

std::optional<RecipeRun> StepCache::recipe(const Digest& name) { return state_->read(key('j', name), decode_recipe_run); }

std::vector<Digest> StepCache::recipes_of(const std::string& path) {
  return digests_in(state_->database.read(key('t', path)).value_or(""), recipes_max);
}

void StepCache::each_path_of_recipes(const std::function<void(std::string_view path)>& visit) {
  state_->database.each('t', [&](std::string_view path, std::string_view) { visit(path); });
}

void StepCache::forget_result(const Digest& step_key, const Digest& need_set, const Digest& values) {
  state_->database.remove(result_key(step_key, need_set, values));
}

std::uint64_t StepCache::drop_results(const std::function<bool(const StepResult&)>& is_to_go) {
  constexpr std::size_t batch_bytes_max = 1 << 20;
  const std::lock_guard lock(state_->mutex);
  Database& database = state_->database;
  leveldb::WriteBatch batch;
  const auto remove = [&](const std::string& row_key) {
    batch.Delete(row_key);
    if (batch.ApproximateSize() < batch_bytes_max) return;
    database.write(batch);
    batch.Clear();
  };
  // Results first: what is left of a step whose result is gone is no more than a miss.
  std::uint64_t dropped = 0;
  std::unordered_set<Digest> steps, sets;
  database.each('r', [&](std::string_view name, std::string_view row) {
    const auto step_key = Digest::from_bytes(name.substr(0, 32)), set = Digest::from_bytes(name.substr(32, 32));
    const auto result = decode_step_result(row);
    if (step_key && set && result && !is_to_go(*result)) {
      steps.insert(*step_key);
      sets.insert(*set);
      return;
    }
    ++dropped;
    remove(key('r', name));
  });
  std::unordered_set<Digest> gone;
  database.each('k', [&](std::string_view name, std::string_view) {
    const auto step_key = Digest::from_bytes(name);
    if (step_key && steps.contains(*step_key)) return;
    remove(key('k', name));
    remove(key('l', name));
    if (step_key) gone.insert(*step_key);
  });
  database.each('l', [&](std::string_view name, std::string_view row) {
    const auto step_key = Digest::from_bytes(name);
    const auto run = decode_last_run(row);
    if (run && step_key && !gone.contains(*step_key)) sets.insert(run->need_set);
  });
  database.each('n', [&](std::string_view name, std::string_view) {
    const auto set = Digest::from_bytes(name);
    if (set && sets.contains(*set)) return;
    remove(key('n', name));
    if (set) state_->let_go(*set);
  });
  database.each('o', [&](std::string_view name, std::string_view row) {
    const auto makers = digests_in(row, makers_max);
    if (std::ranges::all_of(makers, [&](const Digest& maker) { return gone.contains(maker); })) remove(key('o', name));
  });
  database.write(batch);
  ++state_->drops;
  return dropped;
}

// ---- what others keep here ---------------------------------------------------------------------------

std::optional<std::string> StepCache::program_row(std::string_view identity) {
  const std::string row_key = key('p', identity);
  const auto row = state_->database.read(row_key);
  if (!row) return std::nullopt;
  auto reader = SealedReader::open(*row, 'p', "what is known of a program");
  if (reader) {
    const std::string_view value = reader->text();
    if (reader->finished()) return std::string(value);
  }
  state_->database.remove(row_key);
  return std::nullopt;
}

void StepCache::set_program_row(std::string_view identity, std::string_view value) {
  SealedWriter writer('p');
  writer.text(value);
  leveldb::WriteBatch batch;
  batch.Put(key('p', identity), std::move(writer).seal());
  state_->database.write(batch);
}

std::optional<std::pair<FileIdentity, Digest>> StepCache::memo_row(std::uint64_t device,
                                                                   std::uint64_t inode) {
  const std::string row_key = number_key<2>('m', {device, inode});
  const auto row = state_->database.read(row_key);
  if (!row) return std::nullopt;
  auto reader = SealedReader::open(*row, 'm', "the memo of a file");
  if (reader) {
    FileIdentity file;
    for (std::uint64_t* number : {&file.device, &file.inode, &file.bytes})
      *number = reader->number<std::uint64_t>();
    for (std::int64_t* time : {&file.mtime_ns, &file.ctime_ns}) *time = reader->number<std::int64_t>();
    const Digest digest = reader->digest();
    if (reader->finished()) return std::pair(file, digest);
  }
  state_->database.remove(row_key);
  return std::nullopt;
}

void StepCache::set_memo_row(const FileIdentity& file, const Digest& digest) {
  SealedWriter writer('m');
  for (const std::uint64_t number : {file.device, file.inode, file.bytes}) writer.number(number);
  for (const std::int64_t time : {file.mtime_ns, file.ctime_ns}) writer.number(time);
  writer.digest(digest);
  leveldb::WriteBatch batch;
  batch.Put(number_key<2>('m', {file.device, file.inode}), std::move(writer).seal());
  state_->database.write(batch);
}

// ---- counters ----------------------------------------------------------------------------------------

// With counter_mutex held. What cannot be written is tried again with the next change.
void StepCache::State::write_counters() {
  if (changed_counters.empty()) return;
  leveldb::WriteBatch batch;
  for (const std::string& name : changed_counters) batch.Put(key('c', name), std::to_string(counters[name]));
  if (database.write(batch).ok()) changed_counters.clear();
  counters_written = std::chrono::steady_clock::now();
}

void StepCache::add_to_counter(const std::string& name, std::int64_t amount) {
  const std::lock_guard lock(state_->counter_mutex);
  state_->counters[name] += amount;
  state_->changed_counters.insert(name);
  if (std::chrono::steady_clock::now() - state_->counters_written >= counters_interval)
    state_->write_counters();
}

std::map<std::string, std::int64_t> StepCache::counters() {
  const std::lock_guard lock(state_->counter_mutex);
  state_->write_counters();
  return state_->counters;
}

void StepCache::clear_counters() {
  const std::lock_guard lock(state_->counter_mutex);
  leveldb::WriteBatch batch;
  for (const auto& counter : state_->counters) batch.Delete(key('c', counter.first));
  state_->database.write(batch);
  state_->counters.clear();
  state_->changed_counters.clear();
}

}  // namespace cache
