#include "broker/tree/directory.h"

#include <catch2/catch.hpp>

using namespace broker::tree;
using cache::digest_of;

namespace {

Directory example() {
  Directory directory;
  directory.files = {{"a", digest_of("1\n"), 2, 0644}, {"exe", digest_of(""), 0, 0755}, {"locked", digest_of("x"), 1, 0400}, {"run", digest_of("x"), 1, 0700}};
  directory.directories = {{"sub", digest_of("sub"), 300}};
  directory.symlinks = {{"up", "../a"}};
  directory.mode = 0750;
  return directory;
}

}  // namespace

TEST_CASE("an empty directory is no bytes, as in the Remote Execution API") {
  CHECK(encode({}).empty());
  CHECK(decode("")->files.empty());
}

TEST_CASE("a directory has the bytes that protobuf gives the message") {
  // protoc --deterministic_output --encode of the message with these fields.
  Directory directory;
  directory.files = {{"a", digest_of("1\n"), 2, 0644}};
  directory.symlinks = {{"up", "../a"}};
  const std::string hash = digest_of("1\n").hex();
  const std::string digest = "\x0a\x40" + hash + "\x10\x02";
  const std::string file = "\x0a\x01" "a\x12" + std::string(1, static_cast<char>(digest.size())) + digest;
  CHECK(encode(directory) == "\x0a" + std::string(1, static_cast<char>(file.size())) + file + "\x1a\x0a\x0a\x02up\x12\x04../a");
}

TEST_CASE("what is decoded encodes to the same bytes") {
  const Directory directory = example();
  const std::string bytes = encode(directory);
  const auto decoded = decode(bytes);
  REQUIRE(decoded);
  CHECK(*decoded == directory);
  CHECK(encode(*decoded) == bytes);
}

TEST_CASE("no other bytes are taken for that directory") {
  const std::string bytes = encode(example());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto cut = decode(std::string_view(bytes).substr(0, i));
    if (cut) CHECK_FALSE(*cut == example());
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      const auto decoded = decode(changed);
      if (decoded) CHECK(encode(*decoded) == changed);
    }
  }
}

TEST_CASE("names that lead elsewhere, names that stand there twice and another order are refused") {
  for (const char* name : {"", ".", "..", "a/b"}) {
    Directory directory;
    directory.files = {{name, digest_of(""), 0, 0644}};
    CHECK_FALSE(decode(encode(directory)));
  }
  Directory twice;
  twice.files = {{"a", digest_of(""), 0, 0644}};
  twice.symlinks = {{"a", "b"}};
  CHECK_FALSE(decode(encode(twice)));
  Directory unordered;
  unordered.symlinks = {{"b", "x"}, {"a", "x"}};
  CHECK(decode(encode(unordered)));  // to encode is not to sort
  unordered.sort();
  CHECK(unordered.symlinks[0].name == "a");
}
