// A cache of its own to try things with. The user's is left as it is: nothing of it is looked up, nothing is added.
//
//   <folder>/vestal-doctor-XXXXXX/   `folder` is the user's cache directory, or the nearest above it, so that its file system is
//                                    what is tried; if empty, $TMPDIR or /tmp
//     cache/                         with a broker that leaves with the TrialCache, or when it has been idle for seconds
//
// One thread.
#pragma once

#include <string>

#include "broker/doctor/finding.h"
#include "cache/base/result.h"

namespace broker::doctor {

class TrialCache {
 public:
  static cache::Result<TrialCache> open(const std::string& folder);
  TrialCache(TrialCache&& other) noexcept;
  TrialCache& operator=(TrialCache&&) = delete;
  ~TrialCache();

  const std::string& directory() const { return directory_; }
  std::string cache() const { return directory_ + "/cache"; }

  // Runs the command, whose last word is a file that it is to print, in three sessions: it has to be a miss, then a hit, and after the
  // file has been changed a miss again, with the right output each time.
  Finding try_command(const std::string& name, std::vector<std::string> command) const;
  // An empty sandbox (broker/sandbox/sandbox.h) is entered. Nothing: it works; else what was refused.
  std::string enter_sandbox() const;

 private:
  explicit TrialCache(std::string directory) : directory_(std::move(directory)) {}
  std::string directory_;
};

}  // namespace broker::doctor
