#include "broker/doctor/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "broker/doctor/child.h"
#include "broker/images/elf_file.h"
#include "broker/program_search.h"
#include "broker/shim_place.h"
#include "broker/wording.h"
#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"
#include "preload/protocol.h"

namespace broker::doctor {
namespace {

using cache::OwnedFd;
using Status = Finding::Status;

constexpr char memory_directory[] = "/dev/shm";

bool is_static(const std::string& program) {
  const auto file = images::ElfFile::open(program);
  return file && file->interpreter().empty();
}

// Where this process has a shim itself.
bool is_in_session() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (line.find("/libvestal_shim.so") != line.npos) return true;
  return false;
}
constexpr char in_session[] = "not tried, for this is a session of vestal already, and one in another caches nothing";

// Empty if it cannot be read.
std::string kernel_setting(const char* path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text);
  return text;
}

// Why users may not have namespaces, as kernels and distributions say it.
std::string advice_on_namespaces() {
  constexpr struct {
    const char *path, *value, *advice;
  } known[] = {{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"},
               {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl kernel.apparmor_restrict_unprivileged_userns=0"},
               {"/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=1000"}};
  for (const auto& each : known)
    if (kernel_setting(each.path) == each.value) return std::string("let root say `") + each.advice + "`";
  return "in a container, allow it user namespaces and mounts; overlays need Linux 5.11 and a cache on a file system that is no overlay itself";
}

}  // namespace

Finding check_shared_memory() {
  Finding finding{Status::ok, "shared memory", {}, "mount a tmpfs there, of 64 MiB or more that you may write to (of a container: --shm-size, --tmpfs /dev/shm)"};
  const auto failed = [&](const std::string& what) {
    finding.status = Status::failed;
    finding.found = fmt::format("{}: {}", memory_directory, what);
    return finding;
  };
  struct statvfs space {};
  if (::statvfs(memory_directory, &space) != 0) return failed(std::strerror(errno));
  const std::string name = fmt::format("/vestal-doctor-{}-{}", ::geteuid(), ::getpid());
  const OwnedFd memory(::shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!memory) return failed(std::strerror(errno));
  ::shm_unlink(name.c_str());
  if (::ftruncate(memory.get(), preload::region_bytes) != 0) return failed(std::strerror(errno));
  const std::uint64_t wanted = preload::region_bytes + preload::region_bytes / 2, free = std::uint64_t{space.f_bavail} * space.f_frsize;
  // A file system without a limit says 0.
  if (space.f_blocks != 0 && free < wanted) return failed(fmt::format("{} are free, and each session wants {}", size_text(free), size_text(wanted)));
  finding.found = space.f_blocks == 0 ? fmt::format("{} has no limit", memory_directory)
                                      : fmt::format("{} has {}, {} of it free", memory_directory, size_text(std::uint64_t{space.f_blocks} * space.f_frsize), size_text(free));
  finding.advice.clear();
  return finding;
}

Finding check_shim() {
  constexpr char advice[] = "install vestal again, or set VESTAL_SHIM to where it is";
  const auto shim = find_shim();
  if (!shim) return {Status::failed, "shim", shim.error().message, advice};
  if (const auto file = images::ElfFile::open(*shim); !file) return {Status::failed, "shim", file.error().message, advice};
  return {Status::ok, "shim", *shim, {}};
}

Finding check_dynamic_programs(const TrialCache& trial) {
  if (is_in_session()) return {Status::skipped, "dynamic programs", in_session, {}};
  for (const char* program : {"/bin/cat", "/usr/bin/cat", "cat"})
    if (const FoundProgram found = find_program(program); found.error == 0 && !is_static(found.path)) return trial.try_command("dynamic programs", {found.path});
  return {Status::skipped, "dynamic programs", "there is no cat that is one", {}};
}

Finding check_static_programs(const TrialCache& trial) {
  if (is_in_session()) return {Status::skipped, "static programs", in_session, {}};
  if (const FoundProgram found = find_program("busybox"); found.error == 0 && is_static(found.path)) return trial.try_command("static programs", {found.path, "cat"});
  return {Status::skipped, "static programs", "there is no static busybox to try", {}};
}

Finding check_trees(const TrialCache& trial) {
  const std::string refused = trial.enter_sandbox();
  if (refused.empty()) return {Status::ok, "trees", "user namespaces and overlays are there", {}};
  return {Status::warning, "trees", refused + "; `vestal run --tree`, `vestal build` with tools and `import --verify` do not work", advice_on_namespaces()};
}

Finding check_landlock(const TrialCache& trial) {
  const std::string path = trial.directory() + "/closed";
  const Told told = in_child([&](int words) {
    landlock_ruleset_attr rights{};
    rights.handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG;
    const OwnedFd rules(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &rights, sizeof rights, 0)));
    if (!rules || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) {
      const int why = errno;
      cache::write_all(words, why == ENOSYS ? "this kernel has none" : why == EOPNOTSUPP ? "this kernel has it, but it is off" : std::strerror(why));
    } else if (const OwnedFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)); file) {
      cache::write_all(words, "it lets files be written all the same");
    }
    return 0;
  });
  if (told.ended && told.status == 0 && told.words.empty()) return {Status::ok, "Landlock", "keeps processes from writing files", {}};
  return {Status::warning, "Landlock", told.words + "; when `vestal make --check` reads makefiles once more, recipe lines with + may write files",
          "Linux 5.13 or later with landlock in its list of security modules (boot option lsm=)"};
}

Finding check_shared_blocks(const TrialCache& trial) {
  const OwnedFd from(::open((trial.directory() + "/blocks").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const OwnedFd to(::open((trial.directory() + "/same").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const bool is_shared = from && to && cache::write_all(from.get(), "text") && ::ioctl(to.get(), FICLONE, from.get()) == 0;
  return {Status::ok, "shared blocks", is_shared ? "files that are replayed have their blocks in common with the cache" : "not on this file system; contents are copied", {}};
}

}  // namespace broker::doctor
