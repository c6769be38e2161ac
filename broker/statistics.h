// What `vestal stats` shows, also where no broker runs or nothing can be
// written: after each session the broker leaves it as JSON in
// <cache directory>/statistics. The counters themselves are in the index; only
// the examples are kept nowhere else.
//
// Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace broker {

class Statistics {
 public:
  explicit Statistics(std::string cache_directory);  // takes up the examples that are there

  // A command for each reason, see SessionReport; the first one stays.
  void add_examples(const std::map<std::string, std::string>& examples);
  void clear();

  // JSON: hits, misses, not_cacheable, reasons, examples, sessions, saved_seconds, cache_directory.
  std::string text(const std::map<std::string, std::int64_t>& counters) const;
  void write(const std::map<std::string, std::int64_t>& counters) const;  // if it can be written

  // The bytes of all files that a cache keeps.
  static std::uint64_t cache_bytes(const std::string& cache_directory);
  static constexpr char file_name[] = "statistics";

 private:
  const std::string directory_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> examples_;
};

}  // namespace broker
