// Trees made of real directories, and read back.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include <catch2/catch.hpp>

#include "broker/tree/tree_adder.h"
#include "broker/tree/tree_reader.h"
#include "tests/broker/images/scratch.h"

using namespace broker;
using namespace broker::tree;
using cache::Fault;
namespace fs = std::filesystem;

namespace {

struct Trees {
  scratch::Directory directory;
  cache::FileMemo memo{nullptr};
  cache::BlobStore blobs = *cache::BlobStore::open(directory.at("blobs"));
  View view{memo, blobs};
  Reader reader{blobs};

  Trees() { fs::create_directories(directory.at("in/sub/deep")); }
  void write(const std::string& name, const std::string& text) const { directory.write("in/" + name, text); }
  Added added() {
    auto added = tree::add(directory.at("in"), view, blobs);
    if (!added) FAIL(added.error().message);
    return std::move(*added);
  }
  std::string contents(const cache::Digest& root, const std::string& path) const {
    const auto found = reader.find(root, path);
    if (!found) return found.error().message;
    const File* file = std::get_if<File>(&*found);
    return file ? *blobs.read(file->digest) : "a directory";
  }
  std::string difference(const cache::Digest& from, const cache::Digest& to) const {
    std::string all;
    REQUIRE(reader.difference(from, to, [&](char kind, const std::string& path) { all += kind + (" " + path + "\n"); }));
    return all;
  }
};

std::string listing_of(const std::string& path) {
  return scratch::run("cd " + path + " && find . -printf '%P %y %m %l\\n' | sort && find . -type f | sort | xargs sha256sum").output;
}

}  // namespace

TEST_CASE("a tree that is checked out is the directory that was added") {
  Trees trees;
  trees.write("a", "1\n");
  trees.write("sub/empty", "");
  trees.write("sub/deep/run", "#!/bin/sh\n");
  fs::permissions(trees.directory.at("in/sub/deep/run"), fs::perms::owner_all);
  fs::permissions(trees.directory.at("in/a"), fs::perms::owner_read);
  fs::create_symlink("../a", trees.directory.at("in/sub/up"));
  fs::create_symlink("nowhere", trees.directory.at("in/dangling"));
  fs::create_directory(trees.directory.at("in/nothing"));
  ::chmod(trees.directory.at("in/sub/deep").c_str(), 0555);
  const Added added = trees.added();
  CHECK(added.left_out.empty());
  REQUIRE(trees.reader.check_out(added.digest, trees.directory.at("out")));
  CHECK(listing_of(trees.directory.at("out")) == listing_of(trees.directory.at("in")));
  const auto totals = trees.reader.totals(added.digest);
  CHECK((totals->files == 3 && totals->directories == 4 && totals->symlinks == 2 && totals->bytes == 12));
  for (const char* name : {"in/sub/deep", "out/sub/deep"}) ::chmod(trees.directory.at(name).c_str(), 0755);
}

TEST_CASE("the same contents have the same digest wherever and whenever they are added") {
  Trees one, other;
  for (Trees* each : {&one, &other}) each->write("sub/a", "same");
  ::utimensat(AT_FDCWD, other.directory.at("in/sub/a").c_str(), std::initializer_list<timespec>{{1, 0}, {1, 0}}.begin(), 0);
  CHECK(one.added().digest == other.added().digest);
  other.write("sub/a", "changed");
  CHECK(one.added().digest != other.added().digest);
}

TEST_CASE("what is no file, directory or symbolic link is left out, and said") {
  Trees trees;
  ::mkfifo(trees.directory.at("in/fifo").c_str(), 0600);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{AF_UNIX, {}};
  trees.directory.at("in/socket").copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  ::close(socket);
  trees.write("a", "1");
  ::chmod(trees.directory.at("in/a").c_str(), 04755);
  const Added added = trees.added();
  std::string all;
  for (const LeftOut& one : added.left_out) all += one.path + ": " + one.what + "\n";
  CHECK((all.find("fifo: a FIFO\n") != all.npos && all.find("socket: a socket\n") != all.npos && all.find("a: its set-user-ID bit\n") != all.npos));
  CHECK(added.left_out.size() == 3);
  CHECK(trees.reader.directory(added.digest)->files == std::vector<File>{{"a", cache::digest_of("1"), 1, 0755}});
}

TEST_CASE("paths lead through symbolic links, but not out of the tree") {
  Trees trees;
  trees.write("a", "1");
  fs::create_symlink("../../a", trees.directory.at("in/sub/deep/up"));
  fs::create_symlink("/sub/deep", trees.directory.at("in/absolute"));
  fs::create_symlink("../../../etc/passwd", trees.directory.at("in/sub/deep/out"));
  fs::create_symlink("round", trees.directory.at("in/round"));
  const cache::Digest root = trees.added().digest;
  CHECK(trees.contents(root, "/a") == "1");
  CHECK(trees.contents(root, "absolute/up") == "1");
  CHECK(trees.contents(root, "sub/../a") == "1");
  CHECK(trees.contents(root, "sub") == "a directory");
  for (const char* path : {"../a", "sub/deep/out", "sub/../../a"}) CHECK(trees.reader.find(root, path).error().fault == Fault::invalid);
  CHECK(trees.reader.find(root, "round").error().fault == Fault::invalid);
  for (const char* path : {"none", "a/b", "a/"}) CHECK(trees.reader.find(root, path).error().fault == Fault::not_found);
  CHECK(trees.reader.find(cache::digest_of("none"), "a").error().fault == Fault::not_found);
}

TEST_CASE("a difference tells what is added, gone, modified and of another kind") {
  Trees trees;
  trees.write("a", "1");
  trees.write("b", "1");
  trees.write("sub/c", "1");
  const cache::Digest before = trees.added().digest;
  CHECK(trees.difference(before, before).empty());
  trees.write("a", "2");
  fs::remove(trees.directory.at("in/b"));
  fs::create_symlink("a", trees.directory.at("in/b"));
  fs::remove_all(trees.directory.at("in/sub"));
  trees.write("new", "");
  const cache::Digest after = trees.added().digest;
  CHECK(trees.difference(before, after) == "M a\nT b\nA new\nD sub/\nD sub/c\nD sub/deep/\n");
}

TEST_CASE("files that have not changed are not read again") {
  const auto bytes_read = [] {  // proc(5), io: rchar
    std::ifstream io("/proc/self/io");
    std::string word;
    std::uint64_t count = 0;
    io >> word >> count;
    return count;
  };
  Trees trees;
  constexpr std::size_t bytes = 4 << 20;
  trees.write("large", std::string(bytes, 'x'));
  std::this_thread::sleep_for(std::chrono::nanoseconds(2 * cache::settle_ns));
  const cache::Digest before = trees.added().digest;
  trees.write("small", "1");
  const std::uint64_t read_before = bytes_read();
  CHECK(trees.added().digest != before);
  CHECK(bytes_read() - read_before < bytes);
}

TEST_CASE("what cannot be checked out whole is not there at all") {
  Trees trees;
  trees.write("a", "1");
  trees.write("sub/b", "2");
  const cache::Digest root = trees.added().digest;
  fs::create_directory(trees.directory.at("full"));
  trees.directory.write("full/precious", "");
  CHECK(trees.reader.check_out(root, trees.directory.at("full")).error().fault == Fault::invalid);
  CHECK(fs::exists(trees.directory.at("full/precious")));
  trees.blobs.remove(cache::digest_of("2"));
  CHECK_FALSE(trees.reader.check_out(root, trees.directory.at("out")));
  std::string left;
  for (const auto& entry : fs::directory_iterator(trees.directory.path()))
    if (entry.path().filename().string().starts_with("out")) left += entry.path();
  CHECK(left.empty());
}
