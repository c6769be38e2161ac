// Results of calls by what they were asked and what they looked at. Spec: 9.2, 9.3, 9.6.
//
//   row                          value
//   "k" key                      digests of its sets of looks, the latest first, at most sets_max
//   "n" digest                   set of looks: places and aspects
//   "r" digest of key, set, and  result
//       what the set is today
//
// A set is kept once, whoever has it. A row that cannot be decoded is none. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/digest.h"
#include "cache/rows.h"
#include "sdl/aspects.h"
#include "sdl/model.h"
#include "sdl/origins.h"
#include "sdl/running_calls.h"
#include "sdl/value.h"
#include "sdl/value_code.h"

namespace sdl {

// What came of a call.
struct CallResult {
  Value value;
  std::string printed;
  std::uint32_t height = 0;  // how many calls were one inside the other
  std::uint64_t steps = 0;
};

class CallCache {
 public:
  static constexpr std::size_t sets_max = 8;

  struct Options {
    std::string salt;  // what results depend on and no value says
    bool caches_functions = true;
    bool adds = true;  // results that are not known yet
    // A call of a function is kept if it has cost as much, in steps, not counting what is kept or was found by itself.
    std::uint64_t worth_keeping = 32;
    std::function<void(std::string_view line)> trace;  // one line for each call that is looked up
  };
  CallCache(cache::Rows& rows, TextStore& texts, ModelLoader& models, Options options);

  Origins& origins() { return origins_; }
  const Options& options() const { return options_; }
  RunningCalls& running() { return running_; }
  void trace(std::string_view outcome, std::string_view name) const;

  // ---- keys; nothing: the call cannot have one
  std::optional<cache::Digest> model_key(const Value& model);
  std::optional<cache::Digest> function_key(const Value& function, const std::vector<Value>& arguments,
                                            const std::vector<std::uint8_t>& aspects_in_key);
  // Of a model as the whole build: with all that it could look at.
  std::optional<cache::Digest> build_key(const Value& model, const Value& dot);

  // `roots` have the origins of the call's surroundings, whose recording is `around`; what the result
  // rests on is noted there.
  std::optional<CallResult> look_up(const cache::Digest& key, const std::vector<Value>& roots, Recording* around);
  // False: it cannot be found by others.
  bool store(const cache::Digest& key, Recording& recording, const CallResult& result);
  // By the key alone.
  std::optional<CallResult> look_up_build(const cache::Digest& key, const std::vector<Value>& roots);
  void store_build(const cache::Digest& key, Recording& recording, const CallResult& result);

  struct Counts {
    std::atomic<std::uint64_t> builds_found = 0, found = 0, missed = 0, stored = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Dependency {
    Way way;
    Aspect aspect;
  };
  using Set = std::vector<Dependency>;

  std::vector<cache::Digest> sets_of(const cache::Digest& key);
  std::shared_ptr<const Set> set(const cache::Digest& digest);
  std::optional<cache::Digest> today(const Set& set, const std::vector<Value>& roots);
  std::optional<cache::Digest> digest_of(const Dependency& dependency, const std::vector<Value>& roots);
  void pass_on(const Set& set, const std::vector<Value>& roots, Recording* around);
  std::optional<CallResult> take(std::string_view row_key, const std::vector<Value>& roots);
  void put(std::string_view key, std::string_view row);

  cache::Rows& rows_;
  TextStore& texts_;
  const Options options_;
  Origins origins_;
  RunningCalls running_;
  Aspects aspects_;
  Counts counts_;
  std::mutex changing_;  // for rows that are read to be written changed
  std::mutex mutex_;     // of what follows
  std::unordered_map<cache::Digest, std::shared_ptr<const Set>> known_sets_;
  std::uint64_t bytes_left_;
};

}  // namespace sdl
