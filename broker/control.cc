#include "broker/control.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "preload/protocol.h"

namespace broker {
namespace {

using Clock = std::chrono::steady_clock;

cache::Result<bool> gone() { return cache::fail(cache::Fault::not_found, "the broker has gone"); }

// The socket's address; if its path is too long, by way of the open directory.
bool address_in(int directory, const std::string& directory_path, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  std::string path = directory_path + "/" + socket_name;
  if (path.size() >= sizeof address.sun_path) {
    path = "/proc/self/fd/" + std::to_string(directory) + "/" + socket_name;
  }
  if (path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return false;
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return true;
}

int socket_then(int (*act)(int, const sockaddr*, socklen_t), int directory, const std::string& directory_path) {
  sockaddr_un address;
  if (!address_in(directory, directory_path, address)) return -1;
  cache::OwnedFd socket(away_from_standard(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  if (!socket) return -1;
  if (act(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int why = errno;
    socket.reset();
    errno = why;
  }
  return socket.release();
}

cache::Result<bool> send_all(int socket, const void* head, std::size_t head_bytes, std::string_view body) {
  iovec parts[2] = {{const_cast<void*>(head), head_bytes}, {const_cast<char*>(body.data()), body.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  for (std::size_t left = head_bytes + body.size(); left > 0;) {
    const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return gone();
    left -= static_cast<std::size_t>(sent);
    auto done = static_cast<std::size_t>(sent);
    for (iovec& part : parts) {
      const std::size_t of_part = std::min(done, part.iov_len);
      part.iov_base = static_cast<char*>(part.iov_base) + of_part;
      part.iov_len -= of_part;
      done -= of_part;
    }
  }
  return true;
}

class Deadline {
 public:
  explicit Deadline(int timeout_ms) : forever_(timeout_ms < 0), end_(Clock::now() + std::chrono::milliseconds(timeout_ms)) {}
  int left_ms() const {
    if (forever_) return -1;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end_ - Clock::now()).count();
    return left > 0 ? static_cast<int>(left) + 1 : 0;
  }

 private:
  bool forever_;
  Clock::time_point end_;
};

cache::Result<bool> receive_all(int socket, void* to, std::size_t bytes, const Deadline& deadline) {
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t got = ::recv(socket, static_cast<char*>(to) + done, bytes - done, MSG_DONTWAIT);
    if (got > 0) {
      done += static_cast<std::size_t>(got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      return gone();
    } else if (errno == EAGAIN) {
      pollfd waiting{socket, POLLIN, 0};
      if (::poll(&waiting, 1, deadline.left_ms()) == 0) {
        return cache::fail(cache::Fault::io, "the broker does not answer");
      }
    }
  }
  return true;
}

}  // namespace

BuildId BuildId::of_this_program() {
  struct stat status{};
  ::stat("/proc/self/exe", &status);
  return {.bytes = static_cast<std::uint64_t>(status.st_size),
          .mtime_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec,
          .version = preload::protocol_version};
}

int away_from_standard(int fd) {
  if (fd < 0 || fd > 2) return fd;
  const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  ::close(fd);
  return moved;
}

int bind_in(int directory, const std::string& directory_path) {
  ::unlinkat(directory, socket_name, 0);
  const mode_t mask = ::umask(0177);
  const int socket = socket_then(::bind, directory, directory_path);
  ::umask(mask);
  return socket;
}

int connect_in(int directory, const std::string& directory_path) {
  return socket_then(::connect, directory, directory_path);
}

cache::Result<bool> send_request(int socket, RequestKind kind, const BuildId& build, std::string_view body) {
  RequestHead head;
  head.kind = kind;
  head.build = build;
  head.bytes = static_cast<std::uint32_t>(body.size());
  return send_all(socket, &head, sizeof head, body);
}

cache::Result<bool> send_reply(int socket, ReplyStatus status, std::string_view body) {
  ReplyHead head;
  head.status = status;
  head.bytes = static_cast<std::uint32_t>(body.size());
  return send_all(socket, &head, sizeof head, body);
}

cache::Result<Request> receive_request(int socket, int timeout_ms) {
  const Deadline deadline(timeout_ms);
  Request request;
  TRY(receive_all(socket, &request.head, sizeof request.head, deadline));
  if (request.head.magic != control_magic || request.head.bytes > request_bytes_max) {
    return cache::fail(cache::Fault::corrupt, "not a request");
  }
  request.body.resize(request.head.bytes);
  TRY(receive_all(socket, request.body.data(), request.body.size(), deadline));
  return request;
}

cache::Result<Reply> receive_reply(int socket, int timeout_ms) {
  const Deadline deadline(timeout_ms);
  ReplyHead head;
  TRY(receive_all(socket, &head, sizeof head, deadline));
  if (head.magic != control_magic || head.bytes > reply_bytes_max) {
    return cache::fail(cache::Fault::corrupt, "the broker's answer makes no sense");
  }
  Reply reply;
  reply.status = head.status;
  reply.body.resize(head.bytes);
  TRY(receive_all(socket, reply.body.data(), reply.body.size(), deadline));
  return reply;
}

}  // namespace broker
