// Of cache/step_cache.h, what is for all rows at once: to look whether they are sound, to hand them out, and to take those
// of another cache in.
#include <algorithm>
#include <cstring>
#include <utility>

#include "cache/sealed_bytes.h"
#include "cache/step_cache.h"
#include "cache/step_cache_state.h"

namespace cache {
namespace {

constexpr std::size_t batch_bytes_max = 1 << 20;

bool is_path(std::string_view path) {
  if (!path.starts_with('/') || path.find('\0') != path.npos) return false;
  return path.find("/../") == path.npos && !path.ends_with("/..");
}

bool is_list(std::string_view row, std::size_t count_max) { return !row.empty() && row.size() % 32 == 0 && row.size() / 32 <= count_max; }

template <class Thing>
Result<bool> decodes(const Result<Thing>& thing) {
  if (!thing) return tl::unexpected(thing.error());
  return true;
}

Result<bool> is_sealed(std::string_view row, char tag, std::string_view what) { return decodes(SealedReader::open(row, tag, what)); }

// What a row is about, for people.
std::string name_of(std::string_view key) {
  switch (key[0]) {
    case 'k': return "the need sets of a step";
    case 'n': return "a need set";
    case 'r': return "a result";
    case 'l': return "the last run of a step";
    case 'o': return "the makers of " + std::string(key.substr(1));
    case 's': return "the short key of a step";
    case 'j': return "a recipe";
    case 't': return "the recipes of " + std::string(key.substr(1));
    case 'm': return "the memo of a file";
    case 'p': return "what is known of a program";
  }
  return "a row";
}

Result<bool> check_any_row(const StepCache::Row& row) {
  const auto& [key, value] = row;
  const auto fits = [](bool holds) -> Result<bool> {
    if (!holds) return fail(Fault::corrupt, "is damaged");
    return true;
  };
  switch (key[0]) {
    case 'j': {
      if (key.size() != 33) return fits(false);
      return decodes(decode_recipe_run(value));
    }
    case 't': return fits(is_path(key.substr(1)) && is_list(value, StepCache::recipes_max));
    case 'm': return is_sealed(value, 'm', "the memo of a file");
    case 'p': return is_sealed(value, 'p', "what is known of a program");
    case 'v': return is_sealed(value, 'v', "the version");
    case 'c': return fits(!value.empty() && value.find_first_not_of("-0123456789") == value.npos);
  }
  return StepCache::check_row(row);
}

}  // namespace

Result<bool> StepCache::check_row(const Row& row, std::optional<StepResult>* result) {
  const auto& [key, value] = row;
  if (result) result->reset();
  bool fits = false;
  switch (key.empty() ? '\0' : key[0]) {
    case 'k': fits = key.size() == 33 && is_list(value, need_sets_max); break;
    case 'n': {
      TRY(decode_need_set(value));
      fits = digest_of(value).view() == key.substr(1);
      break;
    }
    case 'r': {
      StepResult decoded = TRY(decode_step_result(value));
      fits = key.size() == 97 && std::ranges::all_of(decoded.changes, [](const Change& change) {
        return is_path(change.path) && (change.what != Change::What::hard_link || is_path(change.text)) && (change.moved_from.empty() || is_path(change.moved_from));
      });
      if (result) *result = std::move(decoded);
      break;
    }
    case 'l': {
      TRY(decode_last_run(value));
      fits = key.size() == 33;
      break;
    }
    case 'o': fits = is_path(key.substr(1)) && is_list(value, makers_max); break;
    case 's': fits = key.size() == 9 && value.empty(); break;
  }
  if (!fits) return fail(Fault::corrupt, "a row that makes no sense");
  return true;
}

StepCache::Checked StepCache::check(bool removes, const std::function<void(const std::string& what)>& tell) {
  Checked checked;
  const std::lock_guard lock(state_->mutex);
  Database& database = state_->database;
  leveldb::ReadOptions options;
  options.verify_checksums = true;
  options.fill_cache = false;
  const std::unique_ptr<leveldb::Iterator> row(database.rows->NewIterator(options));
  for (row->SeekToFirst(); row->Valid(); row->Next()) {
    ++checked.rows;
    const std::string_view key(row->key().data(), row->key().size()), value(row->value().data(), row->value().size());
    if (!key.empty() && check_any_row({key, value})) continue;
    ++checked.damaged;
    tell(key.empty() ? "a row without a name" : name_of(key));
    if (!removes) continue;
    database.remove(std::string(key));
    if (const auto set = key.starts_with('n') ? Digest::from_bytes(key.substr(1)) : std::nullopt) state_->let_go(*set);
  }
  if (removes && checked.damaged > 0) ++state_->drops;
  if (row->status().ok()) return checked;
  // What cannot be read cannot be removed either: the next broker begins another index.
  ++checked.damaged;
  tell(row->status().ToString());
  if (removes && row->status().IsCorruption()) OwnedFd(::open(database.marker().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  return checked;
}

void StepCache::each_row_of_steps(const std::function<bool(const StepResult&)>& keeps, const std::function<void(const Row&)>& visit) {
  Database& database = state_->database;
  std::unordered_set<Digest> steps, sets;
  const auto pass = [&](char letter, const auto& is_wanted) {
    std::string name;
    database.each(letter, [&](std::string_view rest, std::string_view value) {
      name.assign(1, letter).append(rest);
      const Row row(name, value);
      if (is_wanted(row)) visit(row);
    });
  };
  const auto is_of_step = [&](const Row& row) {
    const auto step = Digest::from_bytes(row.first.substr(1));
    return step && steps.contains(*step) && check_row(row);
  };
  pass('r', [&](const Row& row) {
    std::optional<StepResult> result;
    if (!check_row(row, &result) || !keeps(*result)) return false;
    steps.insert(*Digest::from_bytes(row.first.substr(1, 32)));
    sets.insert(*Digest::from_bytes(row.first.substr(33, 32)));
    return true;
  });
  pass('k', is_of_step);
  pass('l', [&](const Row& row) {
    if (!is_of_step(row)) return false;
    sets.insert(decode_last_run(row.second)->need_set);
    return true;
  });
  pass('n', [&](const Row& row) {
    const auto set = Digest::from_bytes(row.first.substr(1));
    return set && sets.contains(*set) && check_row(row);
  });
  pass('o', [&](const Row& row) {
    return check_row(row) && std::ranges::any_of(digests_in(row.second, makers_max), [&](const Digest& maker) { return steps.contains(maker); });
  });
  pass('s', [&](const Row& row) { return check_row(row).has_value(); });
}

Result<std::uint64_t> StepCache::add_rows(const std::vector<Row>& rows, const std::function<bool(const StepResult&)>& is_worse) {
  const std::lock_guard lock(state_->mutex);
  Database& database = state_->database;
  leveldb::WriteBatch batch;
  std::uint64_t results = 0;
  const auto write = [&]() -> Result<bool> {
    const leveldb::Status status = database.write(batch);
    batch.Clear();
    if (!status.ok()) return fail(Fault::io, database.directory + ": steps cannot be remembered: " + status.ToString());
    return true;
  };
  // Results come last: without them the rest says nothing.
  for (const bool is_last : {false, true}) {
    for (const auto& [key, value] : rows) {
      if (key.starts_with('r') != is_last) continue;
      const std::string name(key);
      const auto before = database.read(name);
      std::string after(value);
      if (before && (key[0] == 'k' || key[0] == 'o')) {
        const std::size_t count_max = key[0] == 'k' ? need_sets_max : makers_max;
        const std::vector<Digest> own = digests_in(*before, count_max);
        for (auto each = own.rbegin(); each != own.rend(); ++each) after = in_front(*each, after, count_max);
        if (after == *before) continue;
      } else if (before && is_last) {
        const auto own = decode_step_result(*before);
        if (own && !is_worse(*own)) continue;
      } else if (before && check_row({key, *before})) {
        continue;
      }
      results += is_last;
      batch.Put(name, after);
      if (batch.ApproximateSize() >= batch_bytes_max) TRY(write());
    }
    TRY(write());
  }
  return results;
}

bool StepCache::has_results() {
  bool has = false;
  for (const char letter : {'r', 'j'}) {
    const std::unique_ptr<leveldb::Iterator> row(state_->database.rows->NewIterator({}));
    row->Seek({&letter, 1});
    has = has || (row->Valid() && row->key().starts_with({&letter, 1}));
  }
  return has;
}

Result<bool> StepCache::set_fingerprint_key(const std::array<std::uint64_t, 2>& key) {
  if (key == state_->fingerprint_key) return true;
  if (has_results()) return fail(Fault::invalid, state_->database.directory + ": has results of its own, made with another key");
  const auto before = std::exchange(state_->fingerprint_key, key);
  if (auto written = state_->write_version(); !written) {
    state_->fingerprint_key = before;
    return written;
  }
  return true;
}

}  // namespace cache
