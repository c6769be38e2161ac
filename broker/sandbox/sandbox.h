// Runs a command in a tree: it is "/" for the command, and what the command
// writes goes to a layer of its own, for the tree never changes.
//
// Namespaces (user, mount, process, IPC, host name and, where the network is denied,
// network) are made without any privilege, overlayfs lays the layer over the tree,
// and pivot_root leaves everything else behind: user_namespaces(7),
// mount_namespaces(7), overlayfs with "userxattr" (Linux 5.11).
//
//   /dev    null, zero, full, random, urandom, tty, fd and std*, shm, ptmx and pts with pseudo-terminals of its own; also .vestal, which is how vestal is in there
//   /proc   processes are those of the process namespace, net and sys of the others; cmdline, cpuinfo, filesystems, loadavg, meminfo,
//           partitions, stat, swaps, uptime and version are the same everywhere, and whatever else the kernel has there is empty. Who
//           opens mounts, mountinfo or mountstats of a process reads of /, /dev, /dev/pts and /proc.
//   /tmp    the tree's, or an empty directory
//
// A hole is mounted over what the tree has at its path. What is read there is a need like any other.
//
// The command's session is served by a broker of its own that lives in the sandbox
// (names mean the same for both). Its cache is in <cache>/sandboxes/<n>, and outlives
// it; `n` is the first that nobody uses. Contents go to the blob store of <cache>.
//
// One thread: the process that asks forks.
#pragma once

#include <string>
#include <vector>

#include "broker/client.h"
#include "broker/tree/tree_adder.h"
#include "cache/base/result.h"
#include "cache/digest.h"

namespace broker::sandbox {

struct Wanted {
  cache::Digest tree;
  std::string directory = "/";           // where the command starts, in the tree
  std::vector<std::string> environment;  // all of it, NAME=VALUE each
  std::vector<std::string> holes;  // absolute paths of the machine that are there as well, to be read; no symlink at their end
  // Summary, policies and so on; its on_report is called in another process, so that what it sets there is lost.
  CommandOptions options;
  // Whom the command runs as, for itself; outside it is the user.
  unsigned uid = 1000, gid = 1000;
  unsigned umask = 022;
  bool wants_changes = false;
  bool fixed_addresses = true;  // the kernel places memory alike each time (personality(2), ADDR_NO_RANDOMIZE)
};

struct Ended {
  int status = 0;  // as wait(2) has it
  std::string report;  // the session's, if options.on_report was set
  tree::Added after;    // the tree as the command has left it
  tree::Added changes;  // what is new or changed in it, with wants_changes
  bool changed = false;
};

// What a hermetic run is told: a clock that goes on from tree_time, the same random numbers each time, a fixed host name, no network;
// but for what is chosen otherwise.
SessionPolicies hermetic_policies(const SessionPolicies& chosen);

// `arguments` end with a null pointer; the program is searched for in the PATH of `environment`. Fault::not_found: no such tree, or
// no such directory in it. Fault::unsupported: this machine does not let users do it; says what was refused.
cache::Result<Ended> run(const std::string& cache_directory, char* const* arguments, const Wanted& wanted);

// The caches of sandboxes, which outlive these; absolute.
std::vector<std::string> caches(const std::string& cache_directory);
// Sets what they count to zero (broker/statistics.h). Fault::io: a sandbox that is in use has kept its counters; the others have not.
cache::Result<bool> clear_counters(const std::string& cache_directory);

}  // namespace broker::sandbox
