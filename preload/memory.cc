#include "preload/memory.h"

namespace preload {

// Reads whole aligned words, so never beyond the page of the final zero.
size_t length_of(const char* text) {
  const char* at = text;
  while (reinterpret_cast<uintptr_t>(at) % 8 != 0) {
    if (*at == 0) return static_cast<size_t>(at - text);
    ++at;
  }
  for (;; at += 8) {
    uint64_t bytes;
    __builtin_memcpy(&bytes, at, 8);
    const uint64_t zeros = (bytes - 0x0101010101010101) & ~bytes & 0x8080808080808080;
    if (zeros) return static_cast<size_t>(at - text) + static_cast<size_t>(__builtin_ctzll(zeros)) / 8;
  }
}

// Short texts word by word: starting `rep movsb` takes as long as copying 100 bytes.
void copy(void* to, const void* from, size_t count) {
  char* target = static_cast<char*>(to);
  const char* source = static_cast<const char*>(from);
  if (count > 192) {
    asm volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(count) : : "memory");
    return;
  }
  for (; count >= 8; count -= 8, target += 8, source += 8) {
    uint64_t bytes;
    __builtin_memcpy(&bytes, source, 8);
    __builtin_memcpy(target, &bytes, 8);
  }
  for (size_t i = 0; i < count; ++i) target[i] = source[i];
}

bool starts_with(const char* text, const char* start) {
  while (*start)
    if (*text++ != *start++) return false;
  return true;
}

bool equal(const char* left, const char* right) {
  while (*left && *left == *right) ++left, ++right;
  return *left == *right;
}

void TextWriter::put_number(uint64_t value, unsigned base) {
  char digits[24];
  int count = 0;
  do digits[count++] = "0123456789abcdef"[value % base];
  while (value /= base);
  while (count) *at_++ = digits[--count];
}

uint64_t take_number(const char*& text, unsigned base) {
  uint64_t value = 0;
  for (;; ++text) {
    const unsigned char c = static_cast<unsigned char>(*text);
    const unsigned digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
    if (digit >= base) return value;
    value = value * base + digit;
  }
}

}  // namespace preload
