// What every fuzz target here defines. A target is one file; it is linked either with libFuzzer or, where there is no
// clang, with replay.cc, which hands it each file of a corpus.
//
// A target that finds something wrong aborts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count);

// Inputs to begin with, real ones: what the code under test is meant to read.
std::vector<std::string> seeds();

namespace fuzz {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "this does not hold: %s\n", what);
  std::abort();
}

// Takes an input apart. What is not there reads as zeros.
class Input {
 public:
  Input(const std::uint8_t* bytes, std::size_t count) : rest_(reinterpret_cast<const char*>(bytes), count) {}
  bool empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// Looks at every byte, so that a view that leads elsewhere is noticed.
inline unsigned touch(std::string_view bytes) {
  unsigned sum = 0;
  for (const char byte : bytes) sum = sum * 31 + static_cast<unsigned char>(byte);
  asm volatile("" : : "r"(sum));
  return sum;
}

}  // namespace fuzz
