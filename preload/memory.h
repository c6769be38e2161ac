// Texts and bytes without libc. Texts end with a zero.
#pragma once

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

namespace preload {

// Functions of their own, not copies at each place: the less text, the fewer pages each process maps of it.
size_t length_of(const char* text);
void copy(void* to, const void* from, size_t count);
bool starts_with(const char* text, const char* start);
bool equal(const char* left, const char* right);

// Writes numbers and texts one behind the other.
class TextWriter {
 public:
  explicit TextWriter(char* at) : start_(at), at_(at) {}
  void put(const char* text, size_t bytes) {
    copy(at_, text, bytes);
    at_ += bytes;
  }
  void put(const char* text) { put(text, length_of(text)); }
  void put_number(uint64_t value, unsigned base = 10);
  void end() { *at_ = 0; }
  size_t bytes() const { return static_cast<size_t>(at_ - start_); }

 private:
  char* start_;
  char* at_;
};

// The number at `text`, which is moved behind it.
uint64_t take_number(const char*& text, unsigned base);

}  // namespace preload

#pragma GCC visibility pop
