// The broker: one process for each cache directory, started by the first client
// that finds none and gone when it has had nothing to do for a while.
//
// In the cache directory it keeps
//   broker.lock   locked as long as it lives; so there is never a second one
//   broker.sock   where it listens, see broker/control.h
//   broker.pid    its process number, for whoever wants to look or to end it
//   broker.log    what went wrong and nobody could be told; at most log_bytes_max
//   index/ blobs/ images/ explanations sessions statistics   the cache
//
// If its directory or socket is removed, it leaves as soon as it has no session.
// SIGTERM ends it: sessions stop, their processes go on untraced.
//
//   VESTAL_IDLE   seconds without sessions and connections after which it leaves, see broker/settings.h
//   VESTAL_SHIM   the shim; default ../lib/vestal/libvestal_shim.so from where the program really lies
#pragma once

#include <string>

namespace broker {

inline constexpr long log_bytes_max = 1 << 20;

// What serve() writes to `ready_fd`, once, before it closes it: this word when it listens, `ready_taken` if another
// broker has this directory, or else a sentence that says why there will be no broker.
inline constexpr char ready_listening[] = "listening";
inline constexpr char ready_taken[] = "taken";

// Serves until there is nothing left to do; returns the exit status of the process, whose only business this is. The
// caller has detached it from everything but `ready_fd`, which may be -1.
// Clients in another mount namespace see other files, and are refused, unless whoever starts the broker knows that they do not.
enum class Peers { have_the_same_mounts, may_have_other_mounts };
int serve(const std::string& cache_directory, int ready_fd, Peers peers = Peers::have_the_same_mounts);

}  // namespace broker
