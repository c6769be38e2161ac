// Small programs for the tests of this room, compiled where they are used.
#pragma once

#include <string>

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include "tests/broker/images/scratch.h"

namespace fake {

class Programs {
 public:
  // Returns its path.
  std::string compile(const std::string& name, const std::string& source,
                      const std::string& options = "") const {
    directory_.write(name + ".cc", source);
    const auto built = scratch::run(
        fmt::format("g++ -std=c++20 -O1 -w -pthread -o {0} {0}.cc {1}", directory_.at(name), options));
    INFO(built.output);
    REQUIRE(built.status == 0);
    return directory_.at(name);
  }
  std::string at(const std::string& name) const { return directory_.at(name); }
  std::string write(const std::string& name, const std::string& text) const {
    return directory_.write(name, text);
  }
  const std::string& path() const { return directory_.path(); }

 private:
  scratch::Directory directory_;
};

}  // namespace fake
