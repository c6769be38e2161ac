#include "cache/digest.h"

#include <catch2/catch.hpp>

using namespace cache;

TEST_CASE("a digest is the SHA-256 of the standard's examples") {
  CHECK(digest_of("").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(digest_of("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(digest_of(std::string(1'000'000, 'a')).hex() ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("bytes hashed in parts have the digest of the whole") {
  Hasher hasher;
  hasher.add("a");
  hasher.add("");
  hasher.add("bc");
  Hasher moved = std::move(hasher);
  CHECK(moved.finish() == digest_of("abc"));
}

TEST_CASE("pieces divided elsewhere have another digest") {
  const auto digest_of_pieces = [](std::string_view first, std::string_view second) {
    Hasher hasher;
    hasher.add_piece(first);
    hasher.add_piece(second);
    return hasher.finish();
  };
  CHECK(digest_of_pieces("ab", "c") == digest_of_pieces("ab", "c"));
  CHECK(digest_of_pieces("ab", "c") != digest_of_pieces("a", "bc"));
  CHECK(digest_of_pieces("", "abc") != digest_of_pieces("abc", ""));
  // Nor can a piece's contents look like the border between two.
  for (const char length : {0, 1}) {
    const std::string border = std::string(1, length) + std::string(7, '\0');
    CHECK(digest_of_pieces("a" + border + "b", "c") != digest_of_pieces("a", "b" + border + "c"));
  }
}

TEST_CASE("a digest comes back from its bytes and its text, and from nothing else") {
  const Digest digest = digest_of("abc");
  CHECK(Digest::from_bytes(digest.view()) == digest);
  CHECK(Digest::from_hex(digest.hex()) == digest);
  CHECK_FALSE(Digest::from_bytes(digest.view().substr(1)));
  CHECK_FALSE(Digest::from_bytes(std::string(digest.view()) + "x"));
  CHECK_FALSE(Digest::from_hex(digest.hex().substr(1)));
  CHECK_FALSE(Digest::from_hex(digest.hex() + "00"));
  CHECK_FALSE(Digest::from_hex(std::string(64, 'g')));
  CHECK_FALSE(Digest::from_hex(std::string(64, 'A')));
}
