#include "broker/server.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <list>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/collector.h"
#include "broker/configuration.h"
#include "broker/control.h"
#include "broker/images/elf_file.h"
#include "broker/row_file.h"
#include "broker/session.h"
#include "broker/settings.h"
#include "broker/shim_place.h"
#include "broker/tree/tree_adder.h"
#include "broker/wording.h"
#include "cache/private_directory.h"

namespace broker {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int request_ms_max = 10'000;     // for a client to begin to say what it wants
constexpr int storing_ms_max = 5'000;      // to wait for what the previous command is still storing
constexpr milliseconds place_look{1'000};  // how often an idle broker looks whether its directory is still there
constexpr std::chrono::seconds collector_pause{10};  // without sessions, before the cache is kept within its size
constexpr int acceptors_wanted = 2;        // threads that wait for clients
constexpr int wake_signal = SIGUSR1;       // from our own threads to the first one

// ---- surroundings -----------------------------------------------------------------------------------------------------

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%F %T", &parts);
  return text;
}

// For the unexpected only; nobody reads it unless something is wrong.
class Log {
 public:
  explicit Log(int directory)
      : file_(::openat(directory, "broker.log", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600)) {}
  void line(const std::string& text) {
    struct stat status;
    if (!file_ || ::fstat(file_.get(), &status) != 0) return;
    if (status.st_size > log_bytes_max && ::ftruncate(file_.get(), 0) != 0) return;
    const std::string line = fmt::format("{} [{}] {}\n", now_text(), ::getpid(), text);
    // If it cannot be written, there is nobody left to tell.
    [[maybe_unused]] const ssize_t written = ::write(file_.get(), line.data(), line.size());
  }

 private:
  cache::OwnedFd file_;
};

// As much as we may have: the client's shell may have been set up for something small.
void raise_limits() {
  for (const auto limit : {RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_CPU, RLIMIT_AS, RLIMIT_DATA, RLIMIT_NPROC}) {
    rlimit value;
    if (::getrlimit(limit, &value) != 0 || value.rlim_cur == value.rlim_max) continue;
    value.rlim_cur = value.rlim_max;
    ::setrlimit(limit, &value);
  }
}

void tell_ready(int ready_fd, const std::string& text) {
  if (ready_fd < 0) return;
  [[maybe_unused]] const ssize_t written = ::write(ready_fd, text.data(), text.size());
  ::close(ready_fd);
}

// In a sandbox "/" is an overlay whose layers lie where the cache lies, and has another number each time.
std::unique_ptr<cache::FileMemo> open_memo(cache::StepCache& index, const std::string& directory, Peers peers) {
  struct stat root {}, own {};
  if (peers == Peers::have_the_same_mounts || ::stat("/", &root) != 0 || ::stat(directory.c_str(), &own) != 0) return std::make_unique<cache::FileMemo>(&index);
  return std::make_unique<cache::FileMemo>(&index, root.st_dev, own.st_dev);
}

cache::Result<std::unique_ptr<Parts>> open_parts(const std::string& directory, Peers peers, Log& log) {
  auto parts = std::make_unique<Parts>();
  parts->cache_directory = directory;
  parts->shim_path = TRY(find_shim());
  for (const std::string& path : {std::string("/proc/self/exe"), parts->shim_path})
    if (const auto file = images::ElfFile::open(path)) parts->build_ids += file->build_id() + ' ';
  std::string message;
  parts->cache = TRY(cache::StepCache::open(directory + "/index", &message));
  if (!message.empty()) log.line(message);
  parts->blobs = std::make_unique<cache::BlobStore>(TRY(cache::BlobStore::open(directory + "/blobs")));
  TRY(cache::open_private_directory(directory + "/images"));
  parts->memo = open_memo(*parts->cache, directory, peers);
  parts->view = std::make_unique<View>(*parts->memo, *parts->blobs);
  parts->programs =
      std::make_unique<ProgramTable>(*parts->cache, *parts->view, directory + "/images", parts->shim_path);
  parts->explanations = std::make_unique<ExplanationLog>(directory);
  parts->sessions = std::make_unique<SessionLog>(directory);
  parts->statistics = std::make_unique<Statistics>(directory);
  parts->statistics->write(parts->cache->counters());
  parts->staging = std::make_unique<StagingJournal>(directory);
  return parts;
}

// ---- answers in JSON ----------------------------------------------------------------------------------------------------

// Names need not be UTF-8, JSON has to be.
template <class Json>
std::string text_of(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string stats_of(Parts& parts) {
  ordered_json stats = ordered_json::parse(parts.statistics->text(parts.cache->counters()));
  stats["cache_bytes"] = Statistics::cache_bytes(parts.cache_directory);
  return text_of(stats);
}

std::string report_text(const SessionReport& report) {
  ordered_json object;
  const SessionFacts& facts = report.facts;
  object["hits"] = facts.hits;
  object["misses"] = facts.misses;
  object["not_cacheable"] = facts.not_cacheable;
  object["saved_seconds"] = static_cast<double>(facts.saved_ns) / 1e9;
  object["saved_ns"] = facts.saved_ns;
  object["command"] = facts.command;
  object["directory"] = facts.directory;
  object["began_ns"] = facts.began_ns;
  object["ended_ns"] = facts.ended_ns;
  object["status"] = facts.status ? ordered_json(*facts.status) : ordered_json();
  object["reasons"] = report.reasons;
  object["notes"] = ordered_json::array();
  for (const Explanation& note : report.notes) {
    object["notes"].push_back({{"step", note.step}, {"outer", note.outer}, {"outcome", name_of(note.outcome)}, {"command", note.command},
                               {"directory", note.directory}, {"reasons", note.reasons}, {"reason", note.reasons.empty() ? "" : reason_text(note.reasons.front(), note.culprit)},
                               {"policy", note.policy}, {"began_ns", note.began_ns}, {"took_ns", note.took_ns}, {"saved_ns", note.saved_ns},
                               {"process", note.process}, {"status", note.status}});
  }
  if (report.needs) {
    ordered_json paths = ordered_json::array();
    for (const CommandNeeds::Path& one : report.needs->paths)
      paths.push_back({{"path", one.path}, {"read", one.read}, {"listed", one.listed}, {"changed", one.changed}, {"by", one.by}});
    ordered_json programs = ordered_json::array();
    for (const auto& [path, by] : report.needs->programs) programs.push_back({{"path", path}, {"by", by}});
    object["needs"] = {{"paths", std::move(paths)}, {"absent", report.needs->absent}, {"programs", std::move(programs)}, {"made", report.needs->made},
                       {"variables", report.needs->variables}, {"whole_environment", report.needs->whole_environment},
                       {"has_ended", report.needs->has_ended}};
    ordered_json& others = object["needs"]["others"] = ordered_json::array();
    for (const auto& [reason, command] : report.needs->others) others.push_back({{"reason", reason}, {"command", command}});
  }
  // It may be long, and is text already.
  std::string text = text_of(object);
  if (report.recipes) text.insert(text.size() - 1, ",\"recipes\":" + report.recipes->to_json());
  return text;
}

std::string joined(const cache::LastRun& run) {
  std::string command;
  for (const std::string& argument : run.arguments) command += (command.empty() ? "" : " ") + argument;
  return command;
}

// What is known of the steps that made this file, in case the log of explanations has nothing of them any more.
std::string makers_of(Parts& parts, const std::string& path) {
  json answer = json::array();
  for (const cache::Digest& key : parts.cache->makers_of(path)) {
    const auto run = parts.cache->last_run(key);
    if (run) answer.push_back({{"command", joined(*run)}, {"directory", run->directory}, {"when_ns", run->when_ns}});
  }
  return text_of(answer);
}

std::string added_text(const tree::Added& added) {
  ordered_json object{{"digest", added.digest.hex()}, {"bytes", added.bytes}, {"files", added.totals.files}, {"left_out", ordered_json::array()}};
  for (const tree::LeftOut& one : added.left_out) object["left_out"].push_back({{"path", one.path}, {"what", one.what}});
  return text_of(object);
}

std::string collected_text(const Collected& collected) {
  return text_of(ordered_json{{"bytes_before", collected.bytes_before}, {"bytes", collected.bytes}, {"blobs", collected.blobs}, {"trees", collected.trees}, {"results", collected.results}});
}

// ---- the server -----------------------------------------------------------------------------------------------------------

class Server {
 public:
  Server(Parts& parts, cache::OwnedFd listening, int directory, Log& log, Peers peers)
      : parts_(parts), listening_(std::move(listening)), directory_(directory), log_(log), peers_(peers), first_(::pthread_self()) {
    ::fstatat(directory_, socket_name, &socket_, AT_SYMLINK_NOFOLLOW);
  }

  // Until SIGTERM, idleness or a request ends it. Signals are blocked in all threads. Meanwhile, in a pause after sessions, it
  // keeps the cache within its size.
  void run();

 private:
  struct Running {
    Session* session;
    std::int32_t top_pid;
    bool ended() const { return session->top_ended() || (::kill(top_pid, 0) != 0 && errno == ESRCH); }
  };
  // Counts a connection as long as it is served.
  class Busy;

  void ensure_acceptors();
  void accept_clients();
  void serve_client(int client);
  cache::Result<Request> hear(int client);
  void answer(int client, const Request& request, pid_t peer);
  void start_session(int client, const SessionRequest& wanted, std::string_view configuration, pid_t peer);
  void run_session(Session& session, std::int32_t top_pid);
  std::string progress_of(std::string_view top_pid);
  void wait_for_ended_sessions();
  void collect_unasked();
  cache::Result<std::string> take_in(std::string_view body);
  // Whether clients who look for the broker of this directory still find this one.
  bool can_be_found() const;
  bool is_own_socket(int directory, const std::string& path) const;

  Parts& parts_;
  cache::OwnedFd listening_;
  const int directory_;
  struct stat socket_ {};
  Log& log_;
  const Peers peers_;
  const pthread_t first_;
  const BuildId build_ = BuildId::of_this_program();

  std::mutex mutex_;
  std::condition_variable changed_;  // sessions_ or threads_ has got smaller
  std::list<Running> sessions_;
  int threads_ = 0, waiting_threads_ = 0;
  int busy_ = 0;
  Clock::time_point idle_since_ = Clock::now();
  bool has_grown_ = false;     // there were sessions since the cache was last kept within its size
  std::mutex collector_mutex_;
  std::shared_mutex begin_mutex_;  // held, together with others, while a session begins and is not among sessions_ yet
  bool leaving_ = false;       // no new sessions
  bool leave_early_ = false;   // as soon as nothing is under way
};

// The groups by which files are made and judged, as the kernel tells them of a process.
std::string group_line(const std::string& process) {
  std::ifstream status("/proc/" + process + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("Gid:")) return line;
  return {};
}

// What makes names mean something else for that process than for the broker; empty if nothing does.
std::string different_world(pid_t pid, Peers peers) {
  constexpr std::pair<const char*, const char*> worlds[] = {
      {"ns/mnt", "mount namespace"}, {"ns/uts", "namespace of host names"}, {"ns/pid", "process namespace"},
      {"ns/user", "user namespace"}, {"root", "root directory"}};
  for (const auto& [name, words] : worlds) {
    if (peers == Peers::may_have_other_mounts && (name == std::string_view("ns/mnt") || name == std::string_view("root"))) continue;
    struct stat own {}, theirs {};
    if (::stat(fmt::format("/proc/self/{}", name).c_str(), &own) != 0) continue;  // a kernel without it
    if (::stat(fmt::format("/proc/{}/{}", pid, name).c_str(), &theirs) != 0 || own.st_ino != theirs.st_ino || own.st_dev != theirs.st_dev)
      return words;
  }
  // What the broker makes in a replay would belong to its own group.
  if (group_line("self") != group_line(std::to_string(pid))) return "group";
  return {};
}

class Server::Busy {
 public:
  explicit Busy(Server& server) : server_(server) {
    const std::lock_guard lock(server_.mutex_);
    ++server_.busy_;
  }
  ~Busy() {
    const std::lock_guard lock(server_.mutex_);
    server_.idle_since_ = Clock::now();
    if (--server_.busy_ == 0 && (server_.leaving_ || server_.leave_early_)) ::pthread_kill(server_.first_, wake_signal);
  }

 private:
  Server& server_;
};

void Server::run() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, wake_signal}) ::sigaddset(&signals, signal);
  ensure_acceptors();
  const std::chrono::seconds idle_max(idle_seconds());
  std::unique_lock lock(mutex_);
  for (;;) {
    const bool idle = busy_ == 0;
    if (idle && (leaving_ || leave_early_)) break;
    if (idle && has_grown_ && Clock::now() - idle_since_ >= std::min(collector_pause, idle_max)) {
      has_grown_ = false;
      lock.unlock();
      collect_unasked();
      lock.lock();
      continue;
    }
    const auto deadline = (idle ? idle_since_ : Clock::now()) + idle_max;
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now()).count();
    if (idle && (left <= 0 || !can_be_found())) break;
    lock.unlock();
    const auto wait = std::min<std::int64_t>(left, place_look.count());
    const timespec timeout{wait / 1000, wait % 1000 * 1'000'000 + 999'999};
    const int signal = ::sigtimedwait(&signals, nullptr, &timeout);
    lock.lock();
    if (signal > 0 && signal != wake_signal) break;
  }
  leaving_ = true;
  // Who connects from now on finds nobody and starts another broker, which waits for our lock.
  if (is_own_socket(directory_, socket_name)) {
    ::unlinkat(directory_, socket_name, 0);
    ::unlinkat(directory_, "broker.pid", 0);
  }
  ::shutdown(listening_.get(), SHUT_RDWR);
  for (Running& running : sessions_) running.session->stop();
  changed_.wait(lock, [&] { return threads_ == 0; });
}

void Server::collect_unasked() {
  // In a sandbox the blobs are somebody else's.
  const auto bytes_max = cache_bytes_max();
  if (!bytes_max || peers_ == Peers::may_have_other_mounts) return;
  const std::lock_guard lock(collector_mutex_);
  CollectorLimits limits;
  limits.bytes_max = *bytes_max;
  const auto collected = collect(parts_.cache_directory, *parts_.cache, limits);
  if (!collected) log_.line("the cache cannot be kept within its size: " + collected.error().message);
}

bool Server::is_own_socket(int directory, const std::string& path) const {
  struct stat now;
  return ::fstatat(directory, path.c_str(), &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == socket_.st_ino && now.st_dev == socket_.st_dev;
}

bool Server::can_be_found() const { return is_own_socket(AT_FDCWD, parts_.cache_directory + "/" + socket_name); }

void Server::ensure_acceptors() {
  const std::lock_guard lock(mutex_);
  while (waiting_threads_ < acceptors_wanted && !leaving_) {
    try {
      std::thread([this] { accept_clients(); }).detach();
    } catch (const std::system_error& error) {
      return;  // there are others, who come back here
    }
    ++threads_;
    ++waiting_threads_;
  }
}

void Server::accept_clients() {
  for (;;) {
    const int client = ::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    std::unique_lock lock(mutex_);
    if (client < 0) {
      const int why = errno;
      if (leaving_) break;
      lock.unlock();
      // Out of descriptors or memory, which may pass.
      if (why != EINTR && why != ECONNABORTED) std::this_thread::sleep_for(milliseconds(20));
      continue;
    }
    --waiting_threads_;
    lock.unlock();
    {
      const Busy busy(*this);
      try {
        serve_client(client);
      } catch (const std::exception& error) {
        log_.line(std::string("a client could not be served: ") + error.what());
      }
      ::close(client);
    }
    lock.lock();
    if (waiting_threads_ >= acceptors_wanted || leaving_) break;
    ++waiting_threads_;
  }
  // The last words of a thread that nobody joins: afterwards it touches nothing of ours.
  const std::lock_guard lock(mutex_);
  --threads_;
  changed_.notify_all();
}

cache::Result<Request> Server::hear(int client) {
  constexpr int slice_ms = 100;
  pollfd waiting{client, POLLIN, 0};
  // Whoever has nothing to say must keep nobody waiting.
  if (::poll(&waiting, 1, 0) == 0) ensure_acceptors();
  for (int waited_ms = 0; waited_ms < request_ms_max && ::poll(&waiting, 1, slice_ms) == 0; waited_ms += slice_ms) {
    const std::lock_guard lock(mutex_);
    if (leaving_) break;
  }
  return receive_request(client, slice_ms);
}

void Server::serve_client(int client) {
  ucred peer{};
  socklen_t bytes = sizeof peer;
  if (::getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0 || peer.uid != ::geteuid()) return;
  const auto request = hear(client);
  if (request) answer(client, *request, peer.pid);
}

void Server::answer(int client, const Request& request, pid_t peer) {
  if (!(request.head.build == build_)) {
    wait_for_ended_sessions();
    std::unique_lock lock(mutex_);
    leave_early_ = true;
    leaving_ = leaving_ || sessions_.empty();
    const bool leaving = leaving_;
    lock.unlock();
    if (leaving) {
      send_reply(client, ReplyStatus::leaving, {});
    } else {
      send_reply(client, ReplyStatus::refused, "another build of vestal is using the cache at this moment");
    }
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    if (leaving_) {
      send_reply(client, ReplyStatus::leaving, {});
      return;
    }
  }
  switch (request.head.kind) {
    case RequestKind::session: {
      SessionRequest wanted;
      if (request.body.size() < sizeof wanted) break;
      std::memcpy(&wanted, request.body.data(), sizeof wanted);
      return start_session(client, wanted, std::string_view(request.body).substr(sizeof wanted), peer);
    }
    case RequestKind::stats:
      wait_for_ended_sessions();
      send_reply(client, ReplyStatus::done, stats_of(parts_));
      return;
    case RequestKind::clear:
      wait_for_ended_sessions();
      parts_.cache->clear_counters();
      parts_.statistics->clear();
      parts_.statistics->write(parts_.cache->counters());
      send_reply(client, ReplyStatus::done, {});
      return;
    case RequestKind::why:
      wait_for_ended_sessions();
      parts_.explanations->flush();
      send_reply(client, ReplyStatus::done, makers_of(parts_, request.body));
      return;
    case RequestKind::tree_add: {
      if (const std::string other = different_world(peer, peers_); !other.empty()) {
        send_reply(client, ReplyStatus::refused, "the broker of this cache runs in another " + other);
        return;
      }
      // It takes as long as there is to read; others are served meanwhile.
      ensure_acceptors();
      const auto added = tree::add(request.body, *parts_.view, *parts_.blobs, parts_.cache_directory);
      if (added) send_reply(client, ReplyStatus::done, added_text(*added));
      else send_reply(client, ReplyStatus::refused, added.error().message);
      return;
    }
    case RequestKind::collect: {
      CollectRequest wanted;
      if (request.body.size() != sizeof wanted) break;
      std::memcpy(&wanted, request.body.data(), sizeof wanted);
      wait_for_ended_sessions();
      ensure_acceptors();
      const std::lock_guard lock(collector_mutex_);
      const auto collected = collect(parts_.cache_directory, *parts_.cache,
                                     {wanted.bytes_max, std::chrono::seconds(wanted.unused_s), wanted.only_tells != 0});
      if (collected) send_reply(client, ReplyStatus::done, collected_text(*collected));
      else send_reply(client, ReplyStatus::refused, collected.error().message);
      return;
    }
    case RequestKind::check: {
      CheckRequest wanted;
      if (request.body.size() != sizeof wanted) break;
      std::memcpy(&wanted, request.body.data(), sizeof wanted);
      wait_for_ended_sessions();
      ensure_acceptors();
      json damaged = json::array();
      const auto checked = parts_.cache->check(wanted.removes != 0, [&](const std::string& what) { damaged.push_back(what); });
      send_reply(client, ReplyStatus::done, text_of(json{{"rows", checked.rows}, {"damaged", std::move(damaged)}}));
      return;
    }
    case RequestKind::hand_out: {
      wait_for_ended_sessions();
      ensure_acceptors();
      const auto written = hand_out_rows(*parts_.cache, *parts_.blobs, directory_, request.body);
      const auto key = parts_.cache->fingerprint_key();
      send_reply(client, written ? ReplyStatus::done : ReplyStatus::refused, written ? fmt::format("{:016x}{:016x}", key[0], key[1]) : written.error().message);
      return;
    }
    case RequestKind::take_in: {
      wait_for_ended_sessions();
      ensure_acceptors();
      const auto taken = take_in(request.body);
      send_reply(client, taken ? ReplyStatus::done : ReplyStatus::refused, taken ? *taken : taken.error().message);
      return;
    }
    case RequestKind::leave: {
      wait_for_ended_sessions();
      const std::unique_lock begin_lock(begin_mutex_);
      std::unique_lock lock(mutex_);
      leaving_ = leaving_ || sessions_.empty();
      const bool leaving = leaving_;
      lock.unlock();
      send_reply(client, leaving ? ReplyStatus::done : ReplyStatus::refused, leaving ? "" : "a command runs with this cache; try again when it has ended");
      return;
    }
    case RequestKind::progress:
      send_reply(client, ReplyStatus::done, progress_of(request.body));
      return;
    case RequestKind::stop: {
      {
        const std::lock_guard lock(mutex_);
        leaving_ = true;
      }
      send_reply(client, ReplyStatus::done, {});
      return;
    }
  }
  send_reply(client, ReplyStatus::refused, "the broker does not know this request");
}

cache::Result<std::string> Server::take_in(std::string_view body) {
  TakeRequest wanted;
  if (body.size() < sizeof wanted) return cache::fail(cache::Fault::invalid, "the request is broken");
  std::memcpy(&wanted, body.data(), sizeof wanted);
  const std::string name(body.substr(sizeof wanted));
  const std::array<std::uint64_t, 2> key{wanted.fingerprint_key[0], wanted.fingerprint_key[1]};
  const std::unique_lock begin_lock(begin_mutex_);
  if (key != parts_.cache->fingerprint_key()) {
    const std::lock_guard lock(mutex_);
    if (!sessions_.empty()) return cache::fail(cache::Fault::invalid, "a command runs with this cache; try again when it has ended");
    if (parts_.cache->has_results())
      return cache::fail(cache::Fault::invalid, parts_.cache_directory + ": has results of its own, and those of another origin cannot stand beside them; "
                                                "import into an empty cache (`vestal cache clear`, or another VESTAL_DIR)");
    if (!name.empty()) TRY(parts_.cache->set_fingerprint_key(key));
  }
  if (name.empty()) return std::string();
  const std::uint64_t results = TRY(take_in_rows(*parts_.cache, *parts_.blobs, directory_, name));
  return text_of(json{{"results", results}});
}

void Server::start_session(int client, const SessionRequest& wanted, std::string_view configuration, pid_t peer) {
  if (peer != wanted.client_pid) {
    send_reply(client, ReplyStatus::refused, "the broker of this cache runs in another process namespace");
    return;
  }
  if (const std::string other = different_world(wanted.top_pid, peers_); !other.empty()) {
    send_reply(client, ReplyStatus::refused, "the broker of this cache runs in another " + other);
    return;
  }
  wait_for_ended_sessions();
  {
    const std::lock_guard lock(mutex_);
    has_grown_ = true;
  }
  SessionOptions options;
  options.top_pid = wanted.top_pid;
  options.fresh = wanted.fresh != 0;
  options.precise = wanted.precise != 0;
  options.verbose = wanted.verbose != 0;
  options.wants_progress = wanted.wants_progress != 0;
  options.wants_needs = wanted.wants_needs != 0;
  options.wants_recipes = wanted.wants_recipes != 0;
  options.in_tree = peers_ == Peers::may_have_other_mounts;
  auto configured = decode_configuration(configuration).and_then([](const auto& files) { return read_configuration(files); });
  if (!configured) {
    send_reply(client, ReplyStatus::refused, configured.error().message);
    return;
  }
  options.policy_table = std::make_shared<PolicyTable>(std::move(configured->rows));
  options.policies = wanted.policies;
  std::shared_lock begin_lock(begin_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (leaving_) {
      send_reply(client, ReplyStatus::leaving, {});
      return;
    }
  }
  auto session = Session::create(parts_, options);
  if (!session) {
    send_reply(client, ReplyStatus::refused, session.error().message);
    return;
  }
  const auto entry = [&] {
    const std::lock_guard lock(mutex_);
    if (leaving_) (*session)->stop();
    return sessions_.insert(sessions_.end(), Running{session->get(), wanted.top_pid});
  }();
  begin_lock.unlock();
  // A client that has gone before it heard the name leaves a session whose top process is gone: it ends by itself.
  send_reply(client, ReplyStatus::done, (*session)->region_name());
  ensure_acceptors();
  std::string failure;
  try {
    (*session)->run();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  if (!failure.empty()) log_.line("a session has failed: " + failure);
  {
    const std::lock_guard lock(mutex_);
    sessions_.erase(entry);
    changed_.notify_all();
  }
  if (!wanted.wants_report) return;
  if (failure.empty()) {
    send_reply(client, ReplyStatus::done, report_text((*session)->report()));
  } else {
    send_reply(client, ReplyStatus::refused, "the session has failed: " + failure);
  }
}

std::string Server::progress_of(std::string_view bytes) {
  std::int32_t top_pid;
  if (bytes.size() != sizeof top_pid) return {};
  std::memcpy(&top_pid, bytes.data(), sizeof top_pid);
  const std::lock_guard lock(mutex_);
  const auto running = std::ranges::find(sessions_, top_pid, &Running::top_pid);
  if (running == sessions_.end()) return {};
  const SessionProgress progress = running->session->progress();
  ordered_json object{{"done", progress.done}, {"hits", progress.hits}, {"running", progress.running}, {"command", progress.command}};
  if (progress.left_ns) object["left_s"] = *progress.left_ns / 1'000'000'000;
  return text_of(object);
}

void Server::wait_for_ended_sessions() {
  auto none_ended = [this] {
    return std::none_of(sessions_.begin(), sessions_.end(), [](const Running& running) { return running.ended(); });
  };
  std::unique_lock lock(mutex_);
  if (none_ended()) return;
  for (const Running& running : sessions_)
    if (running.ended()) running.session->hurry();
  lock.unlock();
  ensure_acceptors();
  lock.lock();
  changed_.wait_for(lock, milliseconds(storing_ms_max), none_ended);
}

}  // namespace

int serve(const std::string& cache_directory, int ready_fd, Peers peers) {
  ::umask(077);
  ::mallopt(M_ARENA_MAX, 2);  // many threads, of which few do much
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, wake_signal}) ::sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  raise_limits();

  auto give_up = [&](const std::string& why) {
    tell_ready(ready_fd, why);
    return 1;
  };
  const auto directory = cache::open_private_directory(cache_directory);
  if (!directory) return give_up(directory.error().message);
  const cache::OwnedFd lock(
      ::openat(directory->get(), "broker.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock) return give_up(fmt::format("{}: cannot be written: {}", cache_directory, std::strerror(errno)));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return give_up(errno == EWOULDBLOCK ? ready_taken
                                        : fmt::format("{}: cannot be locked: {}", cache_directory, std::strerror(errno)));
  }
  Log log(directory->get());
  try {
    remove_stale_regions();
    // Before there are threads.
    cache::OwnedFd listening(bind_in(directory->get(), cache_directory));
    if (!listening) return give_up(fmt::format("{}: cannot listen there: {}", cache_directory, std::strerror(errno)));
    const auto parts = open_parts(cache_directory, peers, log);
    if (!parts) return give_up(parts.error().message);
    ::listen(listening.get(), SOMAXCONN);
    {
      const cache::OwnedFd pid(::openat(directory->get(), "broker.pid",
                                        O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
      if (pid) ::dprintf(pid.get(), "%d\n", ::getpid());
    }
    [[maybe_unused]] const int moved = ::chdir("/");
    tell_ready(ready_fd, ready_listening);
    ready_fd = -1;
    Server(**parts, std::move(listening), directory->get(), log, peers).run();
    return 0;
  } catch (const std::exception& error) {
    log.line(error.what());
    return give_up(error.what());
  }
}

}  // namespace broker
