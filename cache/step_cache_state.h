// What is behind cache/step_cache.h: its LevelDB, and what is held in memory. Only for the sources that implement it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cache/level_database.h"
#include "cache/step_cache.h"

namespace cache {

inline constexpr std::size_t makers_max = 8;

inline std::vector<Digest> digests_in(std::string_view bytes, std::size_t count_max) {
  std::vector<Digest> digests;
  for (; bytes.size() >= 32 && digests.size() < count_max; bytes.remove_prefix(32)) {
    digests.push_back(*Digest::from_bytes(bytes.substr(0, 32)));
  }
  return digests;
}

inline std::string in_front(const Digest& first, std::string_view row, std::size_t count_max) {
  std::string moved(first.view());
  std::size_t count = 1;
  for (const Digest& digest : digests_in(row, count_max)) {
    if (digest != first && count++ < count_max) moved += digest.view();
  }
  return moved;
}

struct StepCache::State {
  Database database;
  std::array<std::uint64_t, 2> fingerprint_key{};

  // For reading rows to write them changed, and for need sets held in memory.
  std::mutex mutex;
  std::unordered_set<Digest> known_sets;  // some of those that are stored
  std::unordered_map<Digest, NeedSet> decoded;
  std::size_t decoded_bytes = 0;
  std::uint64_t drops = 0;  // how often need sets were removed

  std::mutex counter_mutex;
  std::map<std::string, std::int64_t> counters;
  std::unordered_set<std::string> changed_counters;
  std::chrono::steady_clock::time_point counters_written{};

  // Why the cache cannot be used as it is; with an Error whose fault is `io`, neither can another be begun.
  Result<bool> open(const std::string& directory);
  Result<bool> begin();
  Result<bool> write_version();  // with the fingerprint key

  void hold(const Digest& digest, const NeedSet& names);
  void let_go(const Digest& digest);
  void write_counters();
  template <class Thing>
  std::optional<Thing> read(const std::string& key, Result<Thing> (*decode)(std::string_view));
};

}  // namespace cache
