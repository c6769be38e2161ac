// Keeps what is written to a descriptor, and passes it on if that is wanted: a
// pipe in its place, and a process that reads it. What writes sees a pipe.
//
// One thread; between begin() and end() the descriptor belongs to the capture.
#pragma once

#include <sys/types.h>

#include <string>

#include "cache/base/owned_fd.h"
#include "cache/base/result.h"

namespace crude_import {

class Capture {
 public:
  static cache::Result<Capture> begin(int fd, bool passes_on);
  // The descriptor is what it was. What has been written until now; who has inherited the pipe and goes on, is still passed on.
  cache::Result<std::string> end();

 private:
  Capture(int fd, cache::OwnedFd original, cache::OwnedFd kept, pid_t reader)
      : fd_(fd), original_(std::move(original)), kept_(std::move(kept)), reader_(reader) {}
  int fd_;
  cache::OwnedFd original_, kept_;
  pid_t reader_;
};

}  // namespace crude_import
