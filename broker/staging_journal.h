// Where replays of this broker have private files at the moment, so that the
// next broker of the cache can remove what a killed one has left behind.
//
// Private names are ".vestal-", eight hexadecimal digits that are this broker's
// own, and eight more. The journal is one file in the cache directory: for each
// directory the digits, a blank, its absolute path, and a zero byte, written
// before the first private file is made there. It is empty while no replay is
// under way.
//
// A journal that cannot be written costs nothing but the cleaning. Any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "cache/base/owned_fd.h"

namespace broker {

class StagingJournal {
 public:
  // Of the cache whose lock the caller holds. Removes what the last broker has left behind.
  explicit StagingJournal(const std::string& cache_directory);

  std::uint32_t id() const { return id_; }
  // A replay begins to have private files; then it is about to have some in this directory; it has none any more.
  void begin();
  void note(const std::string& directory);
  void end();

 private:
  static void clean(std::string_view journal);

  const std::uint32_t id_;
  cache::OwnedFd file_;
  std::mutex mutex_;
  int under_way_ = 0;
  bool is_empty_ = true;
};

}  // namespace broker
