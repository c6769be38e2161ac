// Who answers which call: the functions that calls.def names. Each makes the
// call itself and returns what the program is to get.
#pragma once

#include "preload/kernel.h"
#include "preload/protocol.h"

#pragma GCC visibility push(hidden)

namespace preload {

// dispatch.cc, called by stubs.S.
extern "C" long vestal_dispatch(const Call* call);

// file_calls.cc
long handle_open(const Call& call);
long handle_stat(const Call& call);
long handle_newfstatat(const Call& call);
long handle_statx(const Call& call);
long handle_access(const Call& call);
long handle_readlink(const Call& call);
long handle_list(const Call& call);
long handle_statfs(const Call& call);
long handle_attributes(const Call& call);

// change_calls.cc
// A call that changes what one path names. `directory` and `path` are places of arguments, or AT_CWD; `value`
// that of the argument to log, or NONE.
long change_path(const Call& call, Kind kind, int directory, int path, int value);
// The same for what a descriptor was opened by.
long change_descriptor(const Call& call, Kind kind, int value);
long handle_set_attribute(const Call& call);
long handle_unlink(const Call& call);
long handle_rename(const Call& call);
long handle_link(const Call& call);
long handle_symlink(const Call& call);
long handle_truncate(const Call& call);
long handle_times(const Call& call);
long handle_chdir(const Call& call);

// fd_calls.cc
long handle_read(const Call& call);
long handle_receive_message(const Call& call);
long handle_write(const Call& call);
long handle_write_pieces(const Call& call);
long handle_send_message(const Call& call);
long handle_write_at(const Call& call);
long handle_move_bytes(const Call& call);
long handle_map(const Call& call);
long handle_protect(const Call& call);
long handle_fstat(const Call& call);
long handle_seek(const Call& call);
long handle_control(const Call& call);
long handle_device_control(const Call& call);
long handle_close(const Call& call);
long handle_close_range(const Call& call);
long handle_duplicate(const Call& call);
long handle_pair(const Call& call);
long make_nameless(const Call& call);

// exec_calls.cc
long handle_exec(const Call& call);

// process_calls.cc
long handle_fork(const Call& call);
long handle_exit(const Call& call);
long handle_wait(const Call& call);
void note_usage();  // how much time a process has used was asked for
long handle_signal(const Call& call);
long handle_umask(const Call& call);
long handle_identity(const Call& call);
// getpid and the like.
long handle_number(const Call& call);
long handle_socket_option(const Call& call);
long handle_host(const Call& call);
// Makes the call and, if it succeeds, spoils the process.
long spoiling(const Call& call, const char* what);
long spoiling_either_way(const Call& call, const char* what);
long spoiling_what_follows(const Call& call, const char* what);
long handle_limits(const Call& call);
long handle_attribute(const Call& call);
long handle_prctl(const Call& call);
long handle_seccomp(const Call& call);
// flock, and the locks of fcntl.
long handle_lock(const Call& call);
long handle_io_uring(const Call& call);
long handle_host_change(const Call& call);
// The same if what it gives is a descriptor.
long spoiling_descriptor(const Call& call, const char* what);
long unknown_call(const Call& call);

// clock_calls.cc
long handle_clock(const Call& call);

// fd_calls.cc
// Which of the descriptors that a process was given are ready, as poll and ppoll have told it.
void note_polled(const Call& call);

// wait_calls.cc
long handle_wait_for_events(const Call& call);
long handle_sleep(const Call& call);
long handle_futex(const Call& call);

// random_calls.cc
long handle_random(const Call& call);
// read and its like, from a random device that the session's seed stands for.
long read_seeded(const Call& call);

// network_calls.cc
long handle_connect(const Call& call);
long handle_bind(const Call& call);
long handle_listen(const Call& call);
// 0, or what a process that may not reach this address is told. `bytes` of it are at `address`.
long network_refusal(int fd, const void* address, size_t bytes);

// What stands in for functions of libc: they are called in their place, with their arguments.
extern "C" {
void vestal_hook_system_call();  // stubs.S; see broker/images/stub_writer.h
void vestal_hook_vfork();        // stubs.S
char* vestal_hook_getenv(const char* name);
char* vestal_hook_secure_getenv(const char* name);
int vestal_hook_clock_gettime(int clock, void* time);
int vestal_hook_posix_spawn(int* pid, const char* path, const void* actions, const void* attributes,
                            char* const* arguments, char* const* environment);
int vestal_hook_posix_spawnp(int* pid, const char* file, const void* actions, const void* attributes,
                             char* const* arguments, char* const* environment);
// For the names that shim_start.cc exports.
int vestal_gettimeofday(void* time, void* zone);
long vestal_time(long* seconds);
// In place of the kernel's own in the vDSO, which return -errno. Only under a policy.
int vestal_vdso_clock_gettime(int clock, void* time);
int vestal_vdso_gettimeofday(void* time, void* zone);
long vestal_vdso_time(long* seconds);
long vestal_vdso_getrandom(void* to, size_t bytes, unsigned flags, void* opaque, size_t opaque_bytes);
}

}  // namespace preload

#pragma GCC visibility pop
