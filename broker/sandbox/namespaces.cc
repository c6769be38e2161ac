#include "broker/sandbox/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string_view>

#include <fmt/format.h>

#include "broker/sandbox/tree_root.h"
#include "cache/base/owned_fd.h"

namespace broker::sandbox {
namespace {

using cache::fail;
using cache::Fault;
using cache::Result;

tl::unexpected<cache::Error> refused(const std::string& what) {
  const int why = errno;
  return fail(Fault::unsupported, fmt::format("{}: {}", what, std::strerror(why)));
}

Result<bool> write_file(const char* path, const std::string& text) {
  const cache::OwnedFd file(::open(path, O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return refused(path);
  return true;
}

Result<bool> mount_at(const char* type, const std::string& source, const std::string& target, unsigned long flags, const std::string& data = {}) {
  if (::mount(source.c_str(), target.c_str(), type, flags, data.empty() ? nullptr : data.c_str()) == 0) return true;
  return refused(fmt::format("mounting {} at {}", flags & MS_BIND ? source : type, target));
}

Result<bool> make_directory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return true;
  return refused(path);
}

// Those that say nothing of the machine; tty is the user's.
constexpr const char* devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
constexpr std::pair<const char*, const char*> links[] = {
    {"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"}};

Result<bool> fill_dev(const std::string& dev) {
  TRY(mount_at("tmpfs", "tmpfs", dev, MS_NOSUID | MS_NOEXEC, "mode=755"));
  for (const char* name : devices) {
    const std::string path = dev + "/" + name, original = std::string("/dev/") + name;
    if (::access(original.c_str(), F_OK) != 0) continue;
    const cache::OwnedFd place(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
    if (!place) return refused(path);
    TRY(mount_at(nullptr, original, path, MS_BIND));
  }
  for (const auto& [name, target] : links)
    if (::symlink(target, (dev + "/" + name).c_str()) != 0) return refused(dev + "/" + name);
  TRY(make_directory(dev + "/shm", 01777));
  if (::chmod((dev + "/shm").c_str(), 01777) != 0) return refused(dev + "/shm");
  // An instance of its own: the machine's pseudo-terminals have no name in there (Documentation/filesystems/devpts.rst).
  const std::string terminals = dev + "/pts";
  TRY(make_directory(terminals, 0755));
  return mount_at("devpts", "devpts", terminals, MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620");
}

// What /proc tells of the machine, the same for everybody. Formats as in proc(5); one processor that is not known more closely.
constexpr std::pair<const char*, const char*> machine_files[] = {
    {"cpuinfo",
     "processor\t: 0\nvendor_id\t: unknown\ncpu family\t: 6\nmodel\t\t: 0\nmodel name\t: x86-64\nstepping\t: 0\ncpu MHz\t\t: 1000.000\n"
     "cache size\t: 1024 KB\nphysical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\nfpu\t\t: yes\nfpu_exception\t: yes\n"
     "cpuid level\t: 1\nwp\t\t: yes\n"
     "flags\t\t: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ht syscall nx lm\n"
     "bogomips\t: 2000.00\nclflush size\t: 64\ncache_alignment\t: 64\naddress sizes\t: 46 bits physical, 48 bits virtual\n\n"},
    {"loadavg", "0.00 0.00 0.00 1/1 1\n"},
    {"meminfo",
     "MemTotal:        8388608 kB\nMemFree:         8388608 kB\nMemAvailable:    8388608 kB\nBuffers:               0 kB\n"
     "Cached:                0 kB\nSwapCached:            0 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\n"},
    {"uptime", "1.00 1.00\n"},
    {"version", "Linux version 6.1.0 (vestal) #1 SMP\n"},
    {"cmdline", "\n"},
    {"filesystems", "nodev\tproc\nnodev\ttmpfs\nnodev\tdevpts\nnodev\toverlay\n"},
    {"partitions", "major minor  #blocks  name\n\n"},
    {"stat",
     "cpu  0 0 0 100 0 0 0 0 0 0\ncpu0 0 0 0 100 0 0 0 0 0 0\nintr 0\nctxt 0\nbtime 946684800\nprocesses 1\nprocs_running 1\n"
     "procs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n"},
    {"swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"},
};
constexpr const char nothing_file[] = ".nothing", nothing_directory[] = ".none";

Result<bool> write_told(const std::string& path, std::string_view text) {
  const cache::OwnedFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return refused(path);
  const timespec times[] = {{tree_time, 0}, {tree_time, 0}};
  if (::futimens(file.get(), times) != 0) return refused(path);
  return true;
}

// Everything at the top of /proc but processes, the settings in sys, and what is the namespaces' own (sysvipc; net and mounts are links).
Result<bool> fill_proc(const std::string& proc, const std::string& sources) {
  TRY(mount_at("proc", "proc", proc, MS_NOSUID | MS_NODEV | MS_NOEXEC));
  TRY(make_directory(sources, 0755));
  TRY(make_directory(sources + "/" + nothing_directory, 0555));
  TRY(write_told(sources + "/" + nothing_file, {}));
  for (const auto& [name, text] : machine_files) TRY(write_told(sources + "/" + name, text));
  std::error_code error;
  for (auto each = std::filesystem::directory_iterator(proc, error); !error && each != std::filesystem::directory_iterator(); each.increment(error)) {
    const std::string name = each->path().filename().string();
    const auto type = each->symlink_status(error).type();
    if (type == std::filesystem::file_type::directory) {
      if (name[0] >= '0' && name[0] <= '9') continue;
      if (name != "sys" && name != "sysvipc") TRY(mount_at(nullptr, sources + "/" + nothing_directory, each->path(), MS_BIND));
    } else if (type == std::filesystem::file_type::regular) {
      const bool is_told = std::ranges::any_of(machine_files, [&](const auto& file) { return name == file.first; });
      TRY(mount_at(nullptr, sources + "/" + (is_told ? name : nothing_file), each->path(), MS_BIND));
    }
  }
  if (error) return fail(Fault::unsupported, proc + ": " + error.message());
  // Whoever is root outside might change the machine by it.
  const std::string settings = proc + "/sys";
  TRY(mount_at(nullptr, settings, settings, MS_BIND));
  return mount_at(nullptr, settings, settings, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
}

// What is told in place of the kernel's tables (preload/protocol.h): what a sandbox has anywhere, without how it comes to be. A hole is
// none of it, as it is part of the tree for the command. Formats as in proc(5).
Result<bool> tell_mounts(const std::string& root, const std::string& sources) {
  struct Told {
    const char *type, *place;
    int parent;
    const char *options, *own_options;
  };
  constexpr Told told[] = {{"overlay", "/", 0, "rw,nosuid,nodev,relatime", ""},
                           {"tmpfs", "/dev", 1, "rw,nosuid,noexec,relatime", ",mode=755"},
                           {"devpts", "/dev/pts", 2, "rw,nosuid,noexec,relatime", ",mode=620,ptmxmode=666"},
                           {"proc", "/proc", 1, "rw,nosuid,nodev,noexec,relatime", ""}};
  std::string mounts, info, statistics;
  int number = 0;
  for (const Told& each : told) {
    struct stat status {};
    if (::stat((root + each.place).c_str(), &status) != 0) return refused(root + each.place);
    mounts += fmt::format("{0} {1} {0} {2}{3} 0 0\n", each.type, each.place, each.options, each.own_options);
    info += fmt::format("{} {} {}:{} / {} {} - {} {} rw{}\n", ++number, each.parent, major(status.st_dev), minor(status.st_dev), each.place, each.options, each.type,
                        each.type, each.own_options);
    statistics += fmt::format("device {0} mounted on {1} with fstype {0}\n", each.type, each.place);
  }
  TRY(write_told(sources + "/mounts", mounts));
  TRY(write_told(sources + "/mountinfo", info));
  return write_told(sources + "/mountstats", statistics);
}

Result<bool> check_directory(const std::string& mount, const char* name) {
  struct stat status{};
  if (::lstat((mount + name).c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return true;
  return fail(Fault::unsupported, fmt::format("{} of the tree is no directory, and has to be one to run there", name));
}

// What is locked at the mount that the path lies in (mount_namespaces(7)) has to be said again.
unsigned long flags_to_keep(const std::string& path) {
  struct statvfs system {};
  if (::statvfs(path.c_str(), &system) != 0) return 0;
  unsigned long flags = 0;
  for (const auto& [has, flag] : {std::pair<unsigned long, unsigned long>(ST_NOEXEC, MS_NOEXEC), {ST_NOATIME, MS_NOATIME}, {ST_NODIRATIME, MS_NODIRATIME}, {ST_RELATIME, MS_RELATIME}})
    if (system.f_flag & has) flags |= flag;
  return flags;
}

Result<bool> open_hole(const std::string& path, const std::string& mount) {
  const std::string target = mount + path;
  struct stat outside {}, inside {};
  if (::lstat(path.c_str(), &outside) != 0) return refused(path);
  if (::lstat(target.c_str(), &inside) != 0 || S_ISDIR(outside.st_mode) != S_ISDIR(inside.st_mode) || S_ISLNK(inside.st_mode))
    return fail(Fault::invalid, fmt::format("--hole {}: the tree has something else there, or on the way", path));
  TRY(mount_at(nullptr, path, target, MS_BIND));
  return mount_at(nullptr, path, target, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | flags_to_keep(path));
}

Result<bool> make_read_only(const std::string& target) {
  return mount_at(nullptr, target, target, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | flags_to_keep(target));
}

}  // namespace

Result<bool> keep_cache_open() {
  if (::unshare(CLONE_NEWNS) != 0) return refused("mounts of the broker's own");
  return true;
}

Result<bool> close_cache(const Stage& stage) {
  const std::string runtime = runtime_directory;
  for (const std::string& target : {runtime + "/lib", runtime + "/cache/" + stage.blobs, runtime + "/cache/" + stage.images, runtime + "/cache"}) TRY(make_read_only(target));
  return true;
}

Result<bool> give_up_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2]{};
  if (::syscall(SYS_capset, &header, none) != 0) return refused("giving up capabilities");
  return true;
}

int namespace_flags(bool without_network) {
  return CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | (without_network ? CLONE_NEWNET : 0);
}

Result<bool> enter(const Stage& stage) {
  // Where no groups may be set, the map of groups is one's own business (user_namespaces(7)).
  TRY(write_file("/proc/self/setgroups", "deny"));
  TRY(write_file("/proc/self/uid_map", fmt::format("{} {} 1", stage.uid, stage.outer_uid)));
  TRY(write_file("/proc/self/gid_map", fmt::format("{} {} 1", stage.gid, stage.outer_gid)));
  TRY(mount_at(nullptr, "none", "/", MS_REC | MS_PRIVATE));
  // Options of mount(2) end at commas, and the list at colons: of these names none has any.
  if (::chdir(stage.cache_directory.c_str()) != 0) return refused(stage.cache_directory);
  TRY(mount_at("overlay", "overlay", stage.mount, MS_NOSUID | MS_NODEV,
               fmt::format("lowerdir={},upperdir={},workdir={},userxattr", stage.lower, stage.upper, stage.work)));
  for (const char* name : {"/dev", "/proc"}) TRY(check_directory(stage.mount, name));
  const std::string dev = stage.mount + "/dev", runtime = stage.mount + runtime_directory;
  TRY(fill_dev(dev));
  for (const char* inner : {"", "/lib", "/cache"}) TRY(make_directory(runtime + inner, 0755));
  TRY(mount_at(nullptr, stage.library, runtime + "/lib", MS_BIND));
  TRY(mount_at(nullptr, stage.cache, runtime + "/cache", MS_BIND));
  for (const std::string& shared : {stage.blobs, stage.images}) TRY(mount_at(nullptr, shared, runtime + "/cache/" + shared, MS_BIND));
  // Where it stands in the control groups of the machine; a kernel without them has nothing to hide.
  static_cast<void>(::unshare(CLONE_NEWCGROUP));
  TRY(fill_proc(stage.mount + "/proc", runtime + "/proc"));
  TRY(tell_mounts(stage.mount, runtime + "/proc"));
  for (const std::string& hole : stage.holes) TRY(open_hole(hole, stage.mount));
  const timespec times[] = {{tree_time, 0}, {tree_time, 0}};
  if (::utimensat(AT_FDCWD, dev.c_str(), times, 0) != 0) return refused(dev);
  if (!stage.host_name.empty() && ::sethostname(stage.host_name.data(), stage.host_name.size()) != 0) return refused("setting the host's name");
  // pivot_root(2), "pivot_root(".", ".")": the old root lies over the new one until it is taken away.
  if (::chdir(stage.mount.c_str()) != 0) return refused(stage.mount);
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return refused("pivot_root");
  if (::umount2(".", MNT_DETACH) != 0) return refused("leaving the old root");
  if (::chdir("/") != 0) return refused("/");
  if (::chdir(stage.directory.c_str()) != 0) {
    const int why = errno;
    return fail(Fault::not_found, fmt::format("{}: no working directory in the tree: {}", stage.directory, std::strerror(why)));
  }
  return true;
}

}  // namespace broker::sandbox
