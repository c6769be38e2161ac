// A set of wanted calls like the real one, for the tests of the images.
#pragma once

#include <sys/syscall.h>

#include "broker/images/patcher.h"

namespace wishes {

inline const char* const libc = "/lib/x86_64-linux-gnu/libc.so.6";
inline const char* const loader = "/lib64/ld-linux-x86-64.so.2";

inline broker::images::WantedCalls for_libc() {
  broker::images::WantedCalls wanted;
  for (const int number :
       {SYS_read, SYS_write, SYS_close, SYS_open, SYS_openat, SYS_stat, SYS_lstat, SYS_newfstatat, SYS_statx, SYS_access,
        SYS_faccessat, SYS_faccessat2, SYS_readlink, SYS_readlinkat, SYS_getdents, SYS_getdents64, SYS_getcwd, SYS_chdir,
        SYS_mkdir, SYS_rmdir, SYS_unlink, SYS_unlinkat, SYS_rename, SYS_renameat2, SYS_execve, SYS_mmap, SYS_exit_group, SYS_exit})
    wanted.numbers.set(static_cast<std::size_t>(number));
  wanted.only_within = {{SYS_clone, {"_Fork"}}, {SYS_getrandom, {"getrandom", "getentropy"}}};
  wanted.unknown_within = {"syscall", "_exit"};
  wanted.functions = {"getenv", "secure_getenv", "clock_gettime"};
  return wanted;
}

inline broker::images::WantedCalls for_loader() {
  broker::images::WantedCalls wanted;
  for (const int number : {SYS_open, SYS_openat, SYS_stat, SYS_newfstatat, SYS_access, SYS_readlink, SYS_getcwd, SYS_getdents64})
    wanted.numbers.set(static_cast<std::size_t>(number));
  return wanted;
}

inline cache::Result<broker::images::SystemImages> images_in(const std::string& directory) {
  return broker::images::make_system_images(libc, loader, directory, for_libc(), for_loader());
}

}  // namespace wishes
