#include "broker/control.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <thread>

#include "tests/broker/images/scratch.h"

namespace {

using namespace broker;
using cache::Fault;
using cache::OwnedFd;

struct Pair {
  OwnedFd here, there;
  Pair() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    here.reset(ends[0]);
    there.reset(ends[1]);
  }
};

}  // namespace

TEST_CASE("a request arrives as it was sent") {
  Pair pair;
  const BuildId build{.bytes = 1, .mtime_ns = 2, .version = 3};
  REQUIRE(send_request(pair.here.get(), RequestKind::why, build, "src/a.o"));
  const auto request = receive_request(pair.there.get(), 1000);
  REQUIRE(request);
  CHECK(request->head.kind == RequestKind::why);
  CHECK(request->head.build == build);
  CHECK(request->body == "src/a.o");
}

TEST_CASE("a reply of many megabytes arrives whole") {
  Pair pair;
  const std::string body(5'000'000, 'r');
  std::thread sending([&] { send_reply(pair.there.get(), ReplyStatus::refused, body); });
  const auto reply = receive_reply(pair.here.get(), 10'000);
  sending.join();
  REQUIRE(reply);
  CHECK(reply->status == ReplyStatus::refused);
  CHECK(reply->body == body);
}

TEST_CASE("silence is given up in time, an end is noticed at once, and neither raises a signal") {
  Pair pair;
  const auto start = std::chrono::steady_clock::now();
  const auto nothing = receive_reply(pair.here.get(), 50);
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().fault == Fault::io);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
  REQUIRE(::write(pair.there.get(), "half a head", 11) == 11);
  pair.there.reset();
  const auto ended = receive_reply(pair.here.get(), -1);
  REQUIRE_FALSE(ended);
  CHECK(ended.error().fault == Fault::not_found);
  CHECK_FALSE(send_request(pair.here.get(), RequestKind::stop, {}, std::string(1 << 20, 'x')));
}

TEST_CASE("nonsense is refused before it is believed") {
  Pair pair;
  RequestHead head;
  SECTION("not ours") { head.magic = 1; }
  SECTION("too long") { head.bytes = request_bytes_max + 1; }
  REQUIRE(::write(pair.here.get(), &head, sizeof head) == sizeof head);
  const auto request = receive_request(pair.there.get(), 1000);
  REQUIRE_FALSE(request);
  CHECK(request.error().fault == Fault::corrupt);
}

TEST_CASE("a socket is for its owner alone, replaces a stale one, and may have a path of any length") {
  const scratch::Directory place;
  const std::string& top = place.path();
  std::string path = top;
  SECTION("short") {}
  SECTION("long") {
    for (int i = 0; i < 10; ++i) path += "/a-directory-with-quite-a-long-name";
    std::filesystem::create_directories(path);
  }
  const OwnedFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY));
  CHECK(connect_in(directory.get(), path) == -1);
  OwnedFd stale(bind_in(directory.get(), path));
  stale.reset();
  OwnedFd bound(bind_in(directory.get(), path));
  REQUIRE(bound);
  struct stat status;
  REQUIRE(::fstatat(directory.get(), socket_name, &status, AT_SYMLINK_NOFOLLOW) == 0);
  CHECK(S_ISSOCK(status.st_mode));
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(connect_in(directory.get(), path) == -1);
  REQUIRE(::listen(bound.get(), 5) == 0);
  CHECK(OwnedFd(connect_in(directory.get(), path)));
}

TEST_CASE("descriptors are kept away from the user's standard ones") {
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  CHECK(away_from_standard(fd) == fd);
  ::close(fd);
  CHECK(away_from_standard(-1) == -1);
  const int kept = ::dup(0);
  ::close(0);
  const OwnedFd moved(away_from_standard(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  CHECK(moved.get() > 2);
  CHECK((::fcntl(moved.get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(::fcntl(0, F_GETFD) == -1);
  if (kept >= 0) {
    ::dup2(kept, 0);
    ::close(kept);
  }
}
