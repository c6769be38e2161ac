// What `vestal` and its broker say to each other, over the socket in the cache
// directory: a request, a reply, and after some requests a second reply.
//
//   Request   RequestHead, then `bytes` bytes that depend on the kind
//   Reply     ReplyHead, then `bytes` bytes: the answer or, if refused, a sentence
//
//   kind      request's bytes    reply
//   session   SessionRequest,    the region's name; at the session's end, if asked for, its report as JSON
//             configuration (broker/configuration.h)
//   stats                        JSON
//   clear                        nothing: counters have been set to zero
//   why       a path             all explanations are in their file; JSON: list of the commands that made the path
//   tree_add  a directory        JSON: digest, bytes, what was counted, what was left out (broker/tree/tree_adder.h)
//   collect   CollectRequest     JSON: what was removed (broker/collector.h)
//   check     CheckRequest       JSON: which rows of the index are damaged
//   hand_out  a file's name      the key of fingerprints in hex; the rows of steps are in that file of the cache directory (broker/row_file.h)
//   take_in   TakeRequest, a     JSON: how many results are new; the rows of that file of the cache directory have been added. Without
//             file's name        a name: nothing, and refused if that fails for what is in the cache
//   leave     nothing            nothing: the broker leaves; refused if there are sessions
//   progress  int32_t, the       JSON: how far its session is; nothing if there is none or nobody has asked for that
//             top process
//   stop                         nothing: the broker leaves after its sessions
//
// The heads stay as they are for ever, for a broker may meet a client of another
// build. It does not serve it: shims and broker have to be of one build.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "cache/base/owned_fd.h"
#include "cache/base/result.h"
#include "preload/protocol.h"

namespace broker {

// Two programs with the same are taken for the same program.
struct BuildId {
  std::uint64_t bytes = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t version = 0;  // of the region's layout
  bool operator==(const BuildId&) const = default;
  static BuildId of_this_program();
};

enum class RequestKind : std::uint32_t { session = 1, stats = 2, clear = 3, why = 4, stop = 5, tree_add = 6, collect = 7, check = 8, hand_out = 9, take_in = 10, leave = 11, progress = 12 };
enum class ReplyStatus : std::uint32_t {
  done = 0,
  refused = 1,  // and asking again would not help
  leaving = 2,  // this broker is about to end; start another
};

inline constexpr std::uint32_t control_magic = 0x6c747376;  // "vstl"
inline constexpr std::uint32_t request_bytes_max = 1 << 20;
inline constexpr std::uint32_t reply_bytes_max = 256 << 20;

struct RequestHead {
  std::uint32_t magic = control_magic;
  RequestKind kind = RequestKind::stats;
  BuildId build;
  std::uint32_t bytes = 0;
  std::uint32_t unused = 0;
};
static_assert(sizeof(RequestHead) == 40);

struct ReplyHead {
  std::uint32_t magic = control_magic;
  ReplyStatus status = ReplyStatus::done;
  std::uint32_t bytes = 0;
  std::uint32_t unused = 0;
};
static_assert(sizeof(ReplyHead) == 16);

struct SessionRequest {
  std::int32_t client_pid = 0;  // as the client knows it: another number here means another process namespace
  std::int32_t top_pid = 0;     // the process that becomes the command
  std::uint32_t fresh = 0, precise = 0, verbose = 0, wants_report = 0, wants_needs = 0, wants_recipes = 0, wants_progress = 0;
  preload::SessionPolicies policies{};
};

struct CollectRequest {
  std::uint64_t bytes_max = 0, unused_s = 0;
  std::uint32_t only_tells = 0, unused = 0;
};

struct CheckRequest {
  std::uint32_t removes = 0, unused = 0;
};

struct TakeRequest {
  std::uint64_t fingerprint_key[2] = {};  // that of the rows
};

struct Request {
  RequestHead head;
  std::string body;
};
struct Reply {
  ReplyStatus status = ReplyStatus::done;
  std::string body;
};

// A stream socket, bound to or connected with `broker.sock` in the open directory. -1 and errno if that fails.
// Numbers 0 to 2 are never used, even if they are free. What is bound does not listen yet, is for its owner alone, and
// replaces what was there. bind_in changes the umask for a moment: there must be no other thread.
int bind_in(int directory, const std::string& directory_path);
int connect_in(int directory, const std::string& directory_path);
inline constexpr char socket_name[] = "broker.sock";

// Moves a descriptor behind those that belong to the user. -1 stays -1.
int away_from_standard(int fd);

// Each message goes out in one piece and never raises SIGPIPE. `timeout_ms` is for the whole message; less than 0 is
// for ever. Fault::not_found: the other side has gone.
cache::Result<bool> send_request(int socket, RequestKind kind, const BuildId& build, std::string_view body);
cache::Result<bool> send_reply(int socket, ReplyStatus status, std::string_view body);
cache::Result<Request> receive_request(int socket, int timeout_ms);
cache::Result<Reply> receive_reply(int socket, int timeout_ms);

}  // namespace broker
