// The files in which a command's session is told: --trace, --report.
//
// That they can be written to is seen before the command runs; what goes wrong
// later costs a line on standard error.
#pragma once

#include <string>

#include "cache/base/owned_fd.h"
#include "cache/base/result.h"

namespace broker::report {

struct Paths {
  std::string trace, page;  // empty: not asked for
  bool any() const { return !trace.empty() || !page.empty(); }
};

class ToldFiles {
 public:
  // Makes files that are not there; leaves the contents of those that are, until they are written.
  static cache::Result<ToldFiles> open(const Paths& paths);
  void write(const std::string& report) const;  // JSON, with its notes

 private:
  Paths paths_;
  cache::OwnedFd trace_, page_;
};

}  // namespace broker::report
