// The common shape of everything the cache room writes and must be able to
// trust when it reads it again:
//
//   offset  bytes
//   0       1      tag: which kind of thing this is
//   1       1      record_version
//   2       n      its fields, one after the other
//   2 + n   8      the first bytes of the SHA-256 of all before
//
// Numbers are little-endian and of fixed size. A text is its length in 32 bits
// and its bytes; a list is its count in 32 bits and its items. There is one way
// to write a thing, so equal things have equal bytes.
//
// LevelDB has checksums too, but does not look at them when it compacts.
#pragma once

#include <cassert>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "cache/base/result.h"
#include "cache/digest.h"
#include "cache/record.h"

namespace cache {

class SealedWriter {
 public:
  explicit SealedWriter(char tag) : bytes_{tag, static_cast<char>(record_version)} {}

  template <class T>
  void number(T value) {
    static_assert(std::is_integral_v<T>);
    auto rest = static_cast<std::make_unsigned_t<T>>(value);
    char raw[sizeof(T)];
    for (char& byte : raw) {
      byte = static_cast<char>(rest);
      if constexpr (sizeof(T) > 1) rest >>= 8;
    }
    bytes_.append(raw, sizeof raw);
  }
  void count(std::size_t items) {
    assert(items <= std::numeric_limits<std::uint32_t>::max());
    number(static_cast<std::uint32_t>(items));
  }
  void text(std::string_view text) {
    count(text.size());
    bytes_ += text;
  }
  void digest(const Digest& digest) { bytes_ += digest.view(); }
  void reserve(std::size_t bytes) { bytes_.reserve(bytes); }

  std::string seal() && {
    bytes_ += digest_of(bytes_).view().substr(0, 8);
    return std::move(bytes_);
  }
  // For what is only hashed and never read back.
  Digest digest_of_all() const { return digest_of(bytes_); }

 private:
  std::string bytes_;
};

// Reads fields in the order in which they were written. What is not there reads
// as zero or empty, and then finished() is false; so whoever reads looks once,
// at the end. Texts point into the bytes that were opened.
class SealedReader {
 public:
  // `what` names the thing in messages.
  static Result<SealedReader> open(std::string_view bytes, char tag, std::string_view what) {
    constexpr std::size_t head = 2, seal = 8;
    if (bytes.size() < head + seal || bytes[0] != tag) return damaged(what);
    if (bytes[1] != static_cast<char>(record_version)) {
      return fail(Fault::unsupported, std::string(what) + " was written by another version of vestal");
    }
    const std::string_view sealed = bytes.substr(0, bytes.size() - seal);
    if (digest_of(sealed).view().substr(0, seal) != bytes.substr(sealed.size())) return damaged(what);
    return SealedReader(sealed.substr(head), what);
  }

  template <class T>
  T number() {
    static_assert(std::is_integral_v<T>);
    std::make_unsigned_t<T> value = 0;
    const std::string_view raw = take(sizeof(T));
    for (std::size_t at = 0; at < raw.size(); ++at) {
      value = static_cast<decltype(value)>(
          value | static_cast<decltype(value)>(static_cast<unsigned char>(raw[at])) << 8 * at);
    }
    return static_cast<T>(value);
  }
  // Of items of at least `item_bytes_min` each, so that a forged count cannot ask for more memory than there
  // are bytes to fill it.
  std::size_t count(std::size_t item_bytes_min) {
    const std::size_t items = number<std::uint32_t>();
    expect(items <= rest_.size() / item_bytes_min);
    return failed_ ? 0 : items;
  }
  std::string_view text() { return take(number<std::uint32_t>()); }
  Digest digest() { return Digest::from_bytes(take(32)).value_or(Digest{}); }

  // What must be so in anything that was written properly.
  void expect(bool holds) { failed_ = failed_ || !holds; }

  // Everything was there and nothing is left over.
  bool finished() const { return !failed_ && rest_.empty(); }
  tl::unexpected<Error> damaged() const { return damaged(what_); }

 private:
  SealedReader(std::string_view rest, std::string_view what) : rest_(rest), what_(what) {}
  static tl::unexpected<Error> damaged(std::string_view what) {
    return fail(Fault::corrupt, std::string(what) + " is damaged");
  }
  std::string_view take(std::size_t bytes) {
    expect(bytes <= rest_.size());
    if (failed_) return {};
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }

  std::string_view rest_, what_;
  bool failed_ = false;
};

}  // namespace cache
