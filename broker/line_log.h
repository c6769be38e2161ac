// A file of lines, each a JSON object, that grows no further than it may: when
// it has lines_max of them it is renamed to <path>.old, so that between one and
// two times as many are there.
//
// Whoever writes is alone and has a lock of his own; anybody may read.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "cache/base/owned_fd.h"

namespace broker {

class LineLog {
 public:
  LineLog(std::string path, std::size_t lines_max);
  ~LineLog();  // writes what is left to write
  LineLog(const LineLog&) = delete;

  void append(const nlohmann::json& object);
  void write_out();  // all of it can be read then

  // The oldest first; what is no object is left out.
  static void read(const std::string& path, const std::function<void(const nlohmann::json& object)>& take);

 private:
  const std::string path_;
  const std::size_t lines_max_;
  cache::OwnedFd file_;
  std::size_t lines_ = 0;  // in the file and in `unwritten_`
  std::string unwritten_;
};

}  // namespace broker
