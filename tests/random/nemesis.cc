#include "tests/random/nemesis.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>

#include "cache/base/owned_fd.h"

namespace random_builds {
namespace {

namespace fs = std::filesystem;
using std::chrono::microseconds;

std::vector<std::string> files_below(const fs::path& directory) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator at(directory, error), end; !error && at != end; at.increment(error))
    if (at->is_regular_file(error)) files.push_back(at->path());
  return files;
}

// The processes that work in a tree: of the build and nothing else, for nobody else is there.
std::vector<pid_t> processes_in(const std::string& tree) {
  std::vector<pid_t> processes;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    const fs::path where = fs::read_symlink(entry.path() / "cwd", error);
    if (!error && where.string().starts_with(tree)) processes.push_back(std::stoi(name));
  }
  return processes;
}

}  // namespace

std::optional<Nemesis> nemesis_named(const std::string& name) {
  static const std::map<std::string, Nemesis> names = {
      {"kill-broker", Nemesis::kill_broker}, {"kill-step", Nemesis::kill_step},   {"two-builds", Nemesis::two_builds},
      {"flip-byte", Nemesis::flip_byte},     {"clock-jump", Nemesis::clock_jump}, {"full-disk", Nemesis::full_disk}};
  const auto found = names.find(name);
  if (found == names.end()) return std::nullopt;
  return found->second;
}

void Disturber::before_build(const std::string& tree, const std::string& text) {
  if (kind_ == Nemesis::kill_broker && dice_.chance(60)) kill_broker_soon();
  if (kind_ == Nemesis::kill_step && dice_.chance(60)) run_and_kill_a_step(tree, text);
  if (kind_ == Nemesis::flip_byte && dice_.chance(60)) flip_a_byte();
}

void Disturber::kill_broker_soon() {
  thread_ = std::jthread([this, delay = microseconds(dice_.below(40000))] {
    std::this_thread::sleep_for(delay);
    int pid = 0;
    std::ifstream(cache_ + "/broker.pid") >> pid;
    std::error_code error;
    // The number may be of another process by now.
    if (pid > 1 && fs::read_symlink("/proc/" + std::to_string(pid) + "/exe", error).filename() == "vestal") kill(pid, SIGKILL);
  });
}

void Disturber::run_and_kill_a_step(const std::string& tree, const std::string& text) {
  const std::string saved = place_.top + "/saved";
  run_shell("cp -a t saved", place_.top, place_, Streams::two_files, nullptr);
  {
    const std::jthread killer([&, delay = microseconds(dice_.below(40000)), which = dice_.below(1000)] {
      std::this_thread::sleep_for(delay);
      const std::vector<pid_t> processes = processes_in(tree);
      if (!processes.empty()) kill(processes[which % processes.size()], SIGKILL);
    });
    run_shell(text, tree, place_, Streams::two_files, nullptr);
  }
  // What the dead one had started may still be at work.
  for (std::vector<pid_t> left; !(left = processes_in(tree)).empty(); std::this_thread::sleep_for(microseconds(1000)))
    for (const pid_t process : left) kill(process, SIGKILL);
  remove_tree(tree);
  std::error_code error;
  fs::rename(saved, tree, error);
}

void Disturber::flip_a_byte() {
  std::vector<std::string> files = files_below(cache_ + "/blobs");
  for (const std::string& file : files_below(cache_ + "/index")) files.push_back(file);
  if (files.empty()) return;
  const std::string& file = dice_.pick(files);
  struct stat facts;
  if (stat(file.c_str(), &facts) != 0 || facts.st_size == 0) return;
  const auto offset = static_cast<off_t>(dice_.below(static_cast<std::size_t>(facts.st_size)));
  chmod(file.c_str(), facts.st_mode | 0200);
  const cache::OwnedFd open_file(open(file.c_str(), O_RDWR | O_CLOEXEC));
  char byte;
  if (pread(open_file.get(), &byte, 1, offset) != 1) return;
  byte = static_cast<char>(byte ^ (1 << dice_.below(8)));
  if (pwrite(open_file.get(), &byte, 1, offset) != 1) return;
  chmod(file.c_str(), facts.st_mode);
}

}  // namespace random_builds
