// The index of the cache: which results are known, under which needs.
//
// For a step key a few need sets are kept, newest first. The values that the
// names of a set have today name the result, so a look-up costs one read per
// set and there is no limit on how many versions of the inputs are remembered.
//
//   row                          value
//   "k" step key                 digests of its need sets, newest first, at most need_sets_max
//   "n" digest                   need set
//   "r" step key, set, values    result
//   "l" step key                 last run
//   "o" path                     step keys that made this file, newest first, at most 8
//   "j" digest                   last run of a recipe
//   "t" path                     names of the recipes that made or changed this file, see store_recipe()
//   "s" short key                nothing; its presence says that a step of this short key is known
//   "m" device, inode            file memo
//   "p" program identity         what the broker found out about a program file (opaque here)
//   "c" name                     counter
//   "v"                          format version and the fingerprint key of this cache
//
// A row that cannot be decoded counts as absent and is removed. Any thread may
// use it; one process per directory (LevelDB holds a lock).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/result.h"
#include "cache/digest.h"
#include "cache/file_memo.h"
#include "cache/record.h"

namespace cache {

class StepCache {
 public:
  static constexpr std::size_t need_sets_max = 8;

  // Creates the directory. A cache of another format version or a damaged one is
  // moved aside (its name gets a suffix) and a new one begun: `message` then says so.
  // Fault::io if another process has it or nothing can be written.
  static Result<std::unique_ptr<StepCache>> open(const std::string& directory, std::string* message);
  ~StepCache();

  // Two random words made when the cache was, for fingerprints of environment values.
  std::array<std::uint64_t, 2> fingerprint_key() const;

  std::vector<Digest> need_sets(const Digest& step_key);
  std::optional<NeedSet> need_set(const Digest& digest);
  std::optional<StepResult> result(const Digest& step_key, const Digest& need_set, const Digest& values);
  std::optional<LastRun> last_run(const Digest& step_key);
  std::vector<Digest> makers_of(const std::string& path);

  // Makes a run known, atomically: need set, result, short key, last run, makers.
  // An Error means that nothing of it is known.
  Result<bool> store(const Digest& step_key, std::uint64_t short_key, const NeedSet& names, const NeedValues& values,
                     const StepResult& result, const LastRun& run);
  // Only the last run of a step that was not stored.
  void note_run(const Digest& step_key, const NeedSet& names, const LastRun& run);
  void forget_result(const Digest& step_key, const Digest& need_set, const Digest& values);

  // Removes results, and all that is known of steps of which no result is left. Returns how many results it was. Who stores
  // waits meanwhile.
  std::uint64_t drop_results(const std::function<bool(const StepResult&)>& is_to_go);

  // ---- for those who look after a cache, or carry its steps into another one (cache/step_transfer.cc) ----

  // Looks whether every row can be decoded. Each one that cannot is told, by a name for people, and removed if `removes`.
  struct Checked {
    std::uint64_t rows = 0, damaged = 0;
  };
  Checked check(bool removes, const std::function<void(const std::string& what)>& tell);

  // Rows "k", "n", "r", "l", "o" and "s". Only of steps that have a result that `keeps` is true of.
  using Row = std::pair<std::string_view, std::string_view>;
  void each_row_of_steps(const std::function<bool(const StepResult&)>& keeps, const std::function<void(const Row&)>& visit);
  // What is wrong with a row that is said to be one of these, in itself. Fills in the result if it is one.
  static Result<bool> check_row(const Row& row, std::optional<StepResult>* result = nullptr);
  // Adds rows that have been checked. What is here already stays, unless it is a result that `is_worse` is true of; lists have what is here
  // in front. Returns how many results are new.
  Result<std::uint64_t> add_rows(const std::vector<Row>& rows, const std::function<bool(const StepResult&)>& is_worse);
  bool has_results();
  // Fingerprints in results are made with the key, so only a cache without results can take another one.
  Result<bool> set_fingerprint_key(const std::array<std::uint64_t, 2>& key);

  // The last run of a recipe, under a name that its caller makes; it takes the place of the one before of that name. Each
  // path has a list of those that made or changed it, in order: a run is the last one in the lists of what it changed, those
  // that had followed it there are not in them any more, nor are those before it where it has made the file anew. A run
  // that is in no list is forgotten.
  static constexpr std::size_t recipes_max = 16;  // in a list; earlier ones are left out
  Result<bool> store_recipe(const Digest& name, const RecipeRun& run);
  std::optional<RecipeRun> recipe(const Digest& name);
  std::vector<Digest> recipes_of(const std::string& path);
  void each_path_of_recipes(const std::function<void(std::string_view path)>& visit);

  void each_short_key(const std::function<void(std::uint64_t)>& visit);
  void each_last_run(const std::function<void(const Digest& step_key, const LastRun&)>& visit);

  std::optional<std::string> program_row(std::string_view identity);
  void set_program_row(std::string_view identity, std::string_view value);

  void add_to_counter(const std::string& name, std::int64_t amount);
  std::map<std::string, std::int64_t> counters();
  void clear_counters();

 private:
  friend class FileMemo;
  std::optional<std::pair<FileIdentity, Digest>> memo_row(std::uint64_t device, std::uint64_t inode);
  void set_memo_row(const FileIdentity& file, const Digest& digest);

  struct State;
  explicit StepCache(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cache
