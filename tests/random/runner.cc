#include "tests/random/runner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "cache/base/owned_fd.h"

namespace random_builds {
namespace {

using cache::OwnedFd;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds build_time_max{60};
// Longer than the kernel's clock ticks, so that what is written after a build is newer than what the build wrote.
constexpr std::chrono::milliseconds tick{12};

struct Channel {
  OwnedFd write_end, read_end;  // a file has no read_end until it is read
  std::string* text = nullptr;
};

Channel channel(bool is_pipe, const std::string& file, std::string* text) {
  Channel made;
  made.text = text;
  if (is_pipe) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
    made.read_end.reset(ends[0]);
    made.write_end.reset(ends[1]);
  } else {
    made.write_end.reset(open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    made.read_end.reset(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  }
  return made;
}

// Whether the end has come.
bool take(Channel& from) {
  char piece[16384];
  const ssize_t size = read(from.read_end.get(), piece, sizeof piece);
  if (size <= 0) return true;
  from.text->append(piece, static_cast<std::size_t>(size));
  return false;
}

// Reads what comes until everybody has closed their ends. False if that takes too long.
bool take_all(std::vector<Channel>& channels, Clock::time_point end) {
  std::vector<pollfd> open;
  std::vector<Channel*> whose;
  for (Channel& one : channels) open.push_back({one.read_end.get(), POLLIN, 0}), whose.push_back(&one);
  while (!open.empty()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0 || poll(open.data(), open.size(), static_cast<int>(left)) < 0) return false;
    for (std::size_t i = open.size(); i-- > 0;)
      if (open[i].revents && take(*whose[i])) {
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
        whose.erase(whose.begin() + static_cast<std::ptrdiff_t>(i));
      }
  }
  return true;
}

[[noreturn]] void become_shell(const std::string& text, const std::string& directory, const Place& place, int output, int error) {
  setpgid(0, 0);
  const OwnedFd null(open("/dev/null", O_RDONLY));
  dup2(null.get(), 0);
  dup2(output, 1);
  dup2(error, 2);
  umask(022);
  if (chdir(directory.c_str()) != 0) _exit(126);
  std::vector<std::string> variables = place.variables;
  for (const char* name : {"PATH", "HOME"})
    if (const char* value = std::getenv(name)) variables.push_back(std::string(name) + "=" + value);
  variables.push_back("LC_ALL=C");
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  execle("/bin/sh", "sh", "-c", text.c_str(), nullptr, environment.data());
  _exit(127);
}

int wait_until(pid_t child, Clock::time_point end) {
  for (int status = 0;;) {
    if (waitpid(child, &status, WNOHANG) == child) return status;
    if (Clock::now() > end) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(-child, SIGKILL);
  waitpid(child, nullptr, 0);
  return -1;
}

std::string without_own_words(const std::string& text) {
  std::string kept;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    if (text.compare(at, 8, "vestal: ") != 0) kept += text.substr(at, end - at);
    at = end;
  }
  return kept;
}

std::string streams_difference(const char* name, const std::string& plain, const std::string& tool) {
  if (plain == tool) return {};
  return std::string("  ") + name + "\n    plain: " + quoted(plain.substr(0, 2000)) + "\n    tool:  " + quoted(tool.substr(0, 2000)) + "\n";
}

}  // namespace

int run_shell(const std::string& text, const std::string& directory, const Place& place, Streams streams, Outcome* outcome) {
  const Clock::time_point end = Clock::now() + build_time_max;
  std::vector<Channel> channels;
  const bool is_pipe = streams == Streams::two_pipes || streams == Streams::one_pipe;
  const bool is_one = streams == Streams::one_pipe || streams == Streams::one_file;
  if (outcome) {
    channels.push_back(channel(is_pipe, place.top + "/output", &outcome->output));
    if (!is_one) channels.push_back(channel(is_pipe, place.top + "/error", &outcome->error));
  }
  const pid_t child = fork();
  if (child < 0) std::abort();
  if (child == 0) {
    const OwnedFd null(open("/dev/null", O_WRONLY | O_CLOEXEC));
    const int output = outcome ? channels.front().write_end.get() : null.get();
    become_shell(text, directory, place, output, outcome ? channels.back().write_end.get() : null.get());
  }
  setpgid(child, child);
  for (Channel& one : channels) one.write_end.reset();
  bool in_time = true;
  if (is_pipe) in_time = take_all(channels, end);
  int status = wait_until(child, in_time ? end : Clock::now());
  if (!is_pipe)
    for (Channel& one : channels)
      while (!take(one)) continue;
  if (!in_time) status = -1;
  return status;
}

std::vector<Outcome> played(const Scenario& scenario, const Place& place, const std::string& tool, const BeforeBuild& before_build) {
  const std::string tree = place.top + "/t";
  mkdir(place.top.c_str(), 0755);
  remove_tree(tree);
  mkdir(tree.c_str(), 0755);
  run_shell(fill_text(scenario), tree, place, Streams::two_files, nullptr);
  std::vector<Outcome> outcomes;
  for (std::size_t round = 0; round <= scenario.rounds.size(); ++round) {
    std::this_thread::sleep_for(tick);
    const std::string text = round_text(scenario, round, tool);
    if (before_build) before_build(tree, text);
    Outcome& outcome = outcomes.emplace_back();
    outcome.status = run_shell(text, tree, place, scenario.streams, &outcome);
    outcome.tree = tree_of(tree);
  }
  remove_tree(tree);
  return outcomes;
}

std::string difference(const std::vector<Outcome>& plain, const std::vector<Outcome>& tool, bool ignore_words) {
  for (std::size_t i = 0; i < plain.size() && i < tool.size(); ++i) {
    const auto heard = [&](const std::string& text) { return ignore_words ? without_own_words(text) : text; };
    std::string text;
    if (tool[i].status == -1)
      text = "  it did not end\n";
    else if (plain[i].status != tool[i].status)
      text = "  status\n    plain: " + std::to_string(plain[i].status) + "\n    tool:  " + std::to_string(tool[i].status) + "\n";
    text += streams_difference("output", plain[i].output, heard(tool[i].output));
    text += streams_difference("error", plain[i].error, heard(tool[i].error));
    if (plain[i].tree != tool[i].tree) text += "  tree\n" + differences(plain[i].tree, tool[i].tree);
    if (!text.empty()) return "build " + std::to_string(i + 1) + " of " + std::to_string(plain.size()) + "\n" + text;
  }
  return {};
}

}  // namespace random_builds
