#include "broker/doctor/trial_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/client.h"
#include "broker/control.h"
#include "broker/doctor/child.h"
#include "broker/sandbox/sandbox.h"
#include "broker/view.h"
#include "broker/wording.h"
#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"
#include "cache/blob_store.h"
#include "cache/file_memo.h"
#include "cache/remove_directory.h"

namespace broker::doctor {
namespace {

using cache::fail;
using cache::Fault;
using cache::OwnedFd;
using cache::Result;
using nlohmann::json;

constexpr int leave_ms_max = 2'000;

// Should nobody be left to ask the broker to leave.
constexpr char idle_s[] = "5";

struct Session {
  std::string failure;  // empty: the command has run, and was seen
  std::string out, outcome, reason;
};

std::string first_line(const std::string& text) {
  std::string line = text.substr(0, text.find('\n'));
  for (const std::string_view prefix : {"vestal: ", "not run, for nobody would see what it needs: "})
    if (line.starts_with(prefix)) line.erase(0, prefix.size());
  return line;
}

std::string failure_of(const Told& told) {
  if (!told.ended) return "it does not end";
  if (!told.err.empty()) return first_line(told.err);
  return WIFSIGNALED(told.status) ? fmt::format("it was killed by signal {}", WTERMSIG(told.status)) : fmt::format("its exit status is {}", WEXITSTATUS(told.status));
}

Session run_session(const std::string& cache_directory, const std::vector<std::string>& command) {
  const Told told = in_child([&](int words) {
    for (const char* variable : {"VESTAL_EVENTS", "VESTAL_MAX_SIZE"}) ::unsetenv(variable);
    ::setenv("VESTAL_IDLE", idle_s, 1);
    CommandOptions options;
    options.cache_directory = cache_directory;
    options.must_be_seen = true;
    options.verbose = true;  // with each step's outcome
    options.on_report = [words](const std::string& report, int status) -> std::optional<int> {
      cache::write_all(words, report);
      return WIFEXITED(status) ? WEXITSTATUS(status) : status_own_failure;
    };
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    return run_command(arguments.data(), options);
  });
  Session session;
  session.out = told.out;
  if (!told.ended || told.status != 0) {
    session.failure = failure_of(told);
    return session;
  }
  // What ld.so has to say of a shim or an image that it does not take.
  const std::string complaint = told.err.empty() || told.err.starts_with("vestal: ") ? "" : first_line(told.err);
  try {
    const json report = json::parse(told.words);
    const json& notes = report.at("notes");
    // A command that nobody has seen is none of the steps.
    if (notes.size() != 1) {
      session.failure = complaint.empty() ? "nothing was seen of it" : complaint;
    } else {
      session.outcome = notes[0].at("outcome");
      session.reason = complaint.empty() ? notes[0].at("reason").get<std::string>() : complaint;
    }
  } catch (const json::exception&) {
    session.failure = told.words.empty() ? failure_of(told) : "its broker's report cannot be read";
  }
  return session;
}

bool write_file(const std::string& path, const std::string& text) {
  const OwnedFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  return file && cache::write_all(file.get(), text);
}

// Asks the broker of this directory to leave, if there is one, and waits until it has; one that does not is killed. The lock that it holds
// as long as it lives is ours then, so that none begins any more.
OwnedFd end_broker(const std::string& path) {
  const OwnedFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  OwnedFd lock(directory ? ::openat(directory.get(), "broker.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1);
  // One that has only just begun cannot be asked yet.
  for (int waited_ms = 0; lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && waited_ms < leave_ms_max; waited_ms += 10) {
    const OwnedFd connection(connect_in(directory.get(), path));
    ucred peer{};
    socklen_t bytes = sizeof peer;
    const bool is_there = connection && ::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 && peer.uid == ::geteuid();
    const OwnedFd process(is_there && peer.pid > 0 ? static_cast<int>(::syscall(SYS_pidfd_open, peer.pid, 0u)) : -1);
    if (!process) {
      const timespec pause{0, 10'000'000};
      ::nanosleep(&pause, nullptr);
      continue;
    }
    if (send_request(connection.get(), RequestKind::stop, BuildId::of_this_program(), {})) static_cast<void>(receive_reply(connection.get(), leave_ms_max));
    pollfd waiting{process.get(), POLLIN, 0};
    if (::poll(&waiting, 1, leave_ms_max) > 0) continue;
    ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0u);
    ::poll(&waiting, 1, leave_ms_max);
  }
  return lock;
}

// A tree with one empty directory; what a sandbox has besides is its own.
Result<cache::Digest> add_small_tree(const std::string& directory, const std::string& cache_directory) {
  if (::mkdir(directory.c_str(), 0755) != 0 || ::mkdir((directory + "/home").c_str(), 0755) != 0) return fail(Fault::io, directory + ": " + std::strerror(errno));
  cache::BlobStore blobs = TRY(cache::BlobStore::open(cache_directory + "/blobs"));
  cache::FileMemo memo(nullptr);
  const View view(memo, blobs);
  return TRY(tree::add(directory, view, blobs)).digest;
}

}  // namespace

Result<TrialCache> TrialCache::open(const std::string& folder) {
  const char* const temporary = ::getenv("TMPDIR");
  std::string name = (!folder.empty() ? folder : temporary && *temporary == '/' ? temporary : "/tmp") + "/vestal-doctor-XXXXXX";
  if (!::mkdtemp(name.data())) return fail(Fault::io, name + ": " + std::strerror(errno));
  TrialCache trial(name);
  if (::mkdir(trial.cache().c_str(), 0700) != 0) return fail(Fault::io, trial.cache() + ": " + std::strerror(errno));
  return trial;
}

TrialCache::TrialCache(TrialCache&& other) noexcept : directory_(std::exchange(other.directory_, {})) {}

TrialCache::~TrialCache() {
  if (directory_.empty()) return;
  const OwnedFd lock = end_broker(cache());
  if (const std::error_code why = cache::remove_directory(directory_)) complain(fmt::format("{} cannot be removed: {}", directory_, why.message()));
}

Finding TrialCache::try_command(const std::string& name, std::vector<std::string> command) const {
  constexpr char before[] = "before\n", after[] = "behind\n";  // of one length
  const std::string path = directory_ + "/text";
  const std::string shown = fmt::format("{}", fmt::join(command, " "));
  command.push_back(path);
  const auto broken = [&](const std::string& found) {
    return Finding{Finding::Status::failed, name, shown + ": " + found, "until that is put right no such program is cached; if no other line says why, please report it"};
  };
  struct Round {
    const char *text, *outcome, *when;
  };
  for (const Round& round : {Round{before, "miss", "the first time"}, {before, "hit", "the second time"}, {after, "miss", "after its file has changed"}}) {
    if (std::strcmp(round.outcome, "miss") == 0 && !write_file(path, round.text)) return broken(fmt::format("{}: {}", path, std::strerror(errno)));
    const Session session = run_session(cache(), command);
    if (!session.failure.empty()) return broken(fmt::format("{}: {}", round.when, session.failure));
    if (session.out != round.text) return broken(fmt::format("{} its output is wrong", round.when));
    if (session.outcome != round.outcome)
      return broken(fmt::format("{} a {} was expected, and it was {}{}", round.when, round.outcome, session.outcome, session.reason.empty() ? "" : ": " + session.reason));
  }
  return {Finding::Status::ok, name, shown + ": runs, is replayed, and runs again after its file has changed", {}};
}

std::string TrialCache::enter_sandbox() const {
  const Told told = in_child([&](int words) {
    // There is no such program, which is found out inside.
    char command[] = "/vestal-doctor";
    char* const arguments[] = {command, nullptr};
    const auto ended = add_small_tree(directory_ + "/tree", cache()).and_then([&](const cache::Digest& tree) {
      sandbox::Wanted wanted;
      wanted.tree = tree;
      wanted.options.policies = sandbox::hermetic_policies({});
      return sandbox::run(cache(), arguments, wanted);
    });
    if (!ended) cache::write_all(words, ended.error().message);
    else if (!WIFEXITED(ended->status) || WEXITSTATUS(ended->status) != status_not_found) cache::write_all(words, "its command ends in a way that none should");
    return 0;
  });
  if (!told.words.empty()) return told.words;
  return told.ended && told.status == 0 ? "" : failure_of(told);
}

}  // namespace broker::doctor
