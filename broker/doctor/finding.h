// What one check of `vestal doctor` has found.
#pragma once

#include <string>
#include <vector>

namespace broker::doctor {

struct Finding {
  enum class Status {
    ok,
    skipped,  // there was nothing to try it with
    warning,  // something that not everybody needs does not work
    failed,   // commands run without the cache, or not at all
  };
  Status status = Status::ok;
  std::string name;    // of the check
  std::string found;
  std::string advice;  // empty if ok
};
using Findings = std::vector<Finding>;

}  // namespace broker::doctor
