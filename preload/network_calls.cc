// Sockets and whom they reach. Whatever comes from the other side is not known
// beforehand, so that a step that reaches one is not cached; being told that
// there is nobody is an answer like another. So is what the session's policy
// refuses: it is refused every time.
#include "preload/handlers.h"
#include "preload/log_ring.h"
#include "preload/paths.h"
#include "preload/policies.h"

namespace preload {
namespace {

constexpr char network_words[] = "used the network or a socket";
constexpr uint16_t family_unspecified = 0, family_unix = 1, family_ip4 = 2, family_ip6 = 10;

struct UnixAddress {
  uint16_t family;
  char path[108];
};

// The path is of so many bytes; in the kernel's eyes a zero ends it, but need not be there.
struct UnixPath {
  char text[sizeof UnixAddress::path + 1];
  size_t bytes;

  UnixPath(const UnixAddress& address, size_t address_bytes) : bytes(address_bytes - sizeof address.family) {
    if (bytes > sizeof address.path) bytes = sizeof address.path;
    copy(text, address.path, bytes);
    text[bytes] = 0;
  }
  bool abstract() const { return text[0] == 0; }
  // Names the socket that is there now; 0: there is none.
  uint64_t key() const {
    if (abstract()) return quick_hash(text, bytes, family_unix) | 1;
    struct stat info;
    if (stat_at(AT_FDCWD, text, info, 0) < 0 || (info.st_mode & S_IFMT) != S_IFSOCK) return 0;
    return mix(info.st_dev, info.st_ino) | 1;
  }
};

int family_of(int fd) {
  int family = -1, bytes = sizeof family;
  constexpr int level_socket = 1, option_domain = 39;
  return kernel(__NR_getsockopt, fd, level_socket, option_domain, &family, &bytes) < 0 ? -1 : family;
}

bool was_bound_here(uint64_t key) {
  for (const uint64_t& bound : header().bound_sockets)
    if (load(bound) == key) return true;
  return false;
}

bool is_listed(const char* address, uint16_t family, size_t bytes) {
  PolicyAddress wanted{};
  __builtin_memcpy(&wanted.port, address + 2, sizeof wanted.port);
  if (family == family_ip6) {
    if (bytes < 24) return false;
    copy(wanted.address, address + 8, 16);
  } else {
    if (bytes < 8) return false;
    wanted.address[10] = wanted.address[11] = 0xff;
    copy(wanted.address + 12, address + 4, 4);
  }
  const SessionPolicies& chosen = header().policies;
  for (uint32_t i = 0; i < chosen.address_count && i < policy_address_count; ++i) {
    const PolicyAddress& each = chosen.addresses[i];
    bool same = each.port == wanted.port;
    for (int at = 0; same && at < 16; ++at) same = each.address[at] == wanted.address[at];
    if (same) return true;
  }
  return false;
}

void note_bound(int fd) {
  UnixAddress address{};
  int bytes = sizeof address;
  if (kernel(__NR_getsockname, fd, &address, &bytes) < 0 || bytes <= static_cast<int>(sizeof address.family)) return;
  const uint64_t key = UnixPath(address, static_cast<size_t>(bytes)).key();
  const uint32_t at = __atomic_fetch_add(&header().bound_count, 1, __ATOMIC_RELAXED);
  if (key) store(header().bound_sockets[at % bound_socket_count], key);
}

}  // namespace

long network_refusal(int fd, const void* address, size_t bytes) {
  if (!(state.policies & policy_network)) return 0;
  const int family = family_of(fd);
  const char* at = static_cast<const char*>(address);
  if (family < 0 || bytes < sizeof(uint16_t) || !readable(at)) return 0;  // the kernel has its own words for that
  if (family == family_unix) {
    if (bytes <= sizeof(uint16_t)) return 0;
    const uint64_t key = UnixPath(*static_cast<const UnixAddress*>(address), bytes).key();
    return key == 0 || was_bound_here(key) ? 0 : -ECONNREFUSED;
  }
  uint16_t wanted;
  __builtin_memcpy(&wanted, at, sizeof wanted);
  if (wanted == family_unspecified) wanted = static_cast<uint16_t>(family);  // as sendto takes it
  const bool internet = wanted == family_ip4 || wanted == family_ip6;
  return internet && is_listed(at, wanted, bytes) ? 0 : -ENETUNREACH;
}

// A daemon that is not there (nscd, syslog) is a fact about a name. One that is there can say anything.
long handle_connect(const Call& call) {
  const UnixAddress* address = call.pointer<const UnixAddress>(1);
  const size_t bytes = static_cast<size_t>(call.arguments[2]);
  const long refusal = network_refusal(call.fd(0), address, bytes);
  if (refusal == -ENETUNREACH) return refusal;
  const long result = refusal ? refusal : native(call);
  const bool refused = result == -ENOENT || result == -ECONNREFUSED;
  if (refused && address->family == family_unix && bytes > sizeof address->family) {
    const UnixPath path(*address, bytes);
    // An abstract name is nobody's need: if the policy refuses it, it does so each time.
    if (path.abstract() && refusal) return result;
    if (!path.abstract()) {
      LogRecord record;
      if (result == -ENOENT)
        record.kind = kind_look, record.result = -ENOENT;
      else
        record.kind = kind_access;
      const NamedPath named(AT_FDCWD, path.text);
      if (named.repeats(mix(record.kind << 8, static_cast<uint64_t>(record.result)))) return result;
      record.text = named.text;
      append(record);
      return result;
    }
  }
  if (result != -EFAULT && result != -EBADF && result != -ENOTSOCK) spoil(network_words);
  return result;
}

long handle_bind(const Call& call) {
  const bool governed = state.policies & policy_network;
  const bool own_name = governed && family_of(call.fd(0)) == family_unix;
  if (governed && !own_name) {
    const long refusal = network_refusal(call.fd(0), call.pointer<void>(1), static_cast<size_t>(call.arguments[2]));
    if (refusal) return refusal;
  }
  const long result = spoiling(call, network_words);
  if (result == 0 && own_name) note_bound(call.fd(0));
  return result;
}

// On a socket that is not bound, listening makes up an address.
long handle_listen(const Call& call) {
  const int fd = call.fd(0);
  if (state.policies & policy_network) {
    const int family = family_of(fd);
    char address[28] = {};
    int bytes = sizeof address;
    const bool internet = family == family_ip4 || family == family_ip6;
    if (internet && kernel(__NR_getsockname, fd, address, &bytes) == 0 && address[2] == 0 && address[3] == 0)
      return -ENETUNREACH;
  }
  return spoiling(call, network_words);
}

}  // namespace preload
