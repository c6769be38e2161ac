#include "broker/session.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "broker/event_text.h"
#include "broker/explain.h"
#include "broker/judge.h"
#include "broker/recorder.h"
#include "broker/replay.h"
#include "broker/settings.h"
#include "broker/wording.h"
#include "cache/base/owned_fd.h"

namespace broker {
namespace {

using namespace cache;

constexpr int busy_wait_ms = 10;    // between passes while something goes on
constexpr int idle_wait_ms = 100;
constexpr int processes_look_ms = 50;
// Somebody waits for the end. What has ended by now is still to be known and stored; only what really goes on is given up.
constexpr int hurried_wait_ms = 1, hurried_grace_ms = 80;
constexpr int grace_ms = 300;       // for processes that outlive the command
constexpr std::size_t command_bytes_max = 300;
constexpr std::size_t outputs_told_max = 200;

std::int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

std::int64_t today_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

std::string command_line(const ExecRecord& exec) {
  std::string line;
  for (const std::string& word : exec.arguments) {
    if (!line.empty()) line += ' ';
    line += word;
    if (line.size() > command_bytes_max) {
      line.resize(command_bytes_max);
      return line + "...";
    }
  }
  return line.empty() ? exec.program : line;
}

// Of a step that runs with a name made up for this run nobody expects a hit, and what it does is part of the step around it.
constexpr const char* temporary_reason = "has the name of a temporary file among its arguments";

class RunningSession final : public Session {
 public:
  RunningSession(Parts& parts, const SessionOptions& options, std::unique_ptr<SessionRegion> region)
      : parts_(parts),
        options_(options),
        region_(std::move(region)),
        judge_(parts, *options_.policy_table),
        recipes_(options_.precise || options_.wants_recipes ? std::make_unique<RecipeTable>(parts, *options_.policy_table) : nullptr),
        recorder_(
            parts, options_, [this](Step& step, int slot) { return decide(step, slot); }, [this](int slot) { answer_done(slot); },
            [this](const Step& step, bool stored, const std::string& reason) { finished(step, stored, reason); }, recipes_.get(),
            [this](int slot, std::uint32_t verdict, std::int64_t outdated_ns) {
              if (region_->begin_answer(slot)) region_->answer_time(slot, verdict, outdated_ns);
            }) {
    // What the user did since the last command was not logged.
    parts_.programs->doubt();
    parts_.cache->each_short_key([this](std::uint64_t key) { region_->set_known(key); });
    if (options_.precise) {
      recipes_->each_path([this](std::string_view path) { region_->set_made(path); });
      recipes_->on_outdated = [this](const std::string& path, const std::string& reason) {
        if (events_file_) std::fprintf(events_file_.get(), "%s is outdated: %s\n", path.c_str(), reason.c_str());
      };
      recipes_->on_new_path = [this](std::string_view path) { region_->set_made(path); };
    }
    report_.facts.began_ns = today_ns();
    if (parts_.explanations) report_.facts.session = parts_.explanations->begin_session();
    if (const std::string path = events_path(); !path.empty()) {
      events_file_.reset(std::fopen(path.c_str(), "ae"));
      if (events_file_) ::setlinebuf(events_file_.get());
    }
  }

  const std::string& region_name() const override { return region_->name(); }
  void stop() override {
    stopping_ = true;
    region_->ring_doorbell();
  }
  void hurry() override {
    hurries_ = true;
    region_->ring_doorbell();
  }
  bool top_ended() const override { return top_ended_; }
  SessionProgress progress() const override {
    const std::lock_guard lock(progress_mutex_);
    return progress_;
  }
  const SessionReport& report() const override { return report_; }

  void run() override {
    std::int64_t looked_ms = now_ms(), ended_ms = 0;
    int quiet_passes = 0;
    while (!stopping_) {
      region_->wait(hurries_ ? hurried_wait_ms : quiet_passes > 20 ? idle_wait_ms : busy_wait_ms);
      quiet_passes = pass() ? 0 : quiet_passes + 1;
      const std::int64_t now = now_ms();
      if (now - looked_ms >= processes_look_ms || hurries_) {
        looked_ms = now;
        if (options_.wants_progress) note_progress();
        // What a process logged before it went is read before it is missed.
        pass();
        recorder_.check_processes();
        region_->reclaim_slots();
      }
      if (!recorder_.top_gone()) continue;
      top_ended_ = true;
      if (ended_ms == 0) ended_ms = now;
      if (recorder_.idle() || now - ended_ms > (hurries_ ? hurried_grace_ms : grace_ms)) break;
    }
    pass();
    // Something of the command goes on without it. What it has needed so far is known.
    if (options_.wants_needs)
      recorder_.each_step([this](const Step& step) {
        note_needs(step, true);
        report_.needs->others.emplace_back(not_ended, command_line(step.exec));
      });
    recorder_.each_step([this](const Step& step) { note_command(step); });
    recorder_.abandon();
    if (options_.wants_recipes) {
      report_.recipes = recorder_.observed_recipes();
      report_.recipes->compilations = std::move(compilations_);
    }
    for (Explanation& note : report_.notes)
      for (auto outer = part_of_.find(note.outer); outer != part_of_.end(); outer = part_of_.find(note.outer)) note.outer = outer->second;
    top_ended_ = true;
    if (report_.facts.ended_ns == 0) report_.facts.ended_ns = today_ns();
    count();
    if (parts_.sessions) parts_.sessions->add(report_.facts);
    if (parts_.explanations) parts_.explanations->flush();
  }

 private:
  // Everything that is in the log now. Whether there was anything.
  bool pass() {
    region_->begin_pass();
    recorder_.begin_pass();
    judge_.begin_pass();
    std::vector<KeptEvent> events;
    Event event;
    while (region_->next_event(event)) keep(events, event);
    for (KeptEvent& kept : events) {
      std::string_view rest = kept.bytes;
      for (std::string_view Event::*part : {&Event::payload, &Event::text, &Event::text2}) {
        const std::size_t bytes = (kept.event.*part).size();
        kept.event.*part = rest.substr(0, bytes);
        rest.remove_prefix(bytes);
      }
    }
    if (events_file_)
      for (const KeptEvent& kept : events) std::fprintf(events_file_.get(), "%s\n", text_of(kept.event).c_str());
    if (!events.empty()) recorder_.handle_pass(events);
    region_->end_pass();
    return !events.empty();
  }

  static void keep(std::vector<KeptEvent>& events, const Event& event) {
    KeptEvent& kept = events.emplace_back();
    kept.event = event;
    kept.bytes.reserve(event.payload.size() + event.text.size() + event.text2.size());
    kept.bytes += event.payload;
    kept.bytes += event.text;
    kept.bytes += event.text2;
    // The views are set when all are there: a short string lies within the object, which the vector may still move.
  }

  std::uint32_t plan_of(const Step& step) {
    if (!step.program || step.program->untraced) return preload::plan_count;
    const Program& program = *step.program;
    const auto known = plans_.find(step.program.get());
    if (known != plans_.end()) return known->second.second;
    preload::Plan plan{};
    plan.key = preload::plan_key(step.exec.program.data(), step.exec.program.size(), step.exec.library_path.data(), step.exec.library_path.size());
    plan.device = program.facts.device;
    plan.inode = program.facts.inode;
    plan.size = program.facts.bytes;
    plan.mtime_ns = program.facts.mtime_ns;
    plan.flags = options_.policy_table->always_ignores_fstat(program.real_path) ? preload::plan_skip_fstat : 0u;
    if (options_.policy_table->may_have_script(program.real_path)) plan.flags |= preload::plan_every_look;
    if (options_.policy_table->may_be_shell(program.real_path)) plan.flags |= preload::plan_tells_input;
    if (program.is_static) plan.flags |= preload::plan_static;
    else if (!program.copy.empty()) plan.flags |= preload::plan_copy;
    else if (program.traps) plan.flags |= preload::plan_traps;
    if (guards_environment(program, *options_.policy_table)) plan.flags |= preload::plan_guards_environment;
    if (recipes_ && step.is_make) plan.flags |= preload::plan_is_watched | (options_.precise ? preload::plan_asks_times : 0u);
    const std::uint32_t index = region_->publish_plan(plan, program.copy.empty() ? program.preload : program.copy + '\n' + program.real_path + '\n' + program.preload);
    plans_[step.program.get()] = {step.program, index};
    return index;
  }

  bool decide(Step& step, int slot) {
    std::vector<std::string> reasons;
    const bool may_ask = step.key && step.spoils.empty() && step.unstorable.empty() && step.program && !step.program->untraced;
    if (may_ask && !options_.fresh) {
      // Two results may fit what is there today and differ in what may be overwritten.
      for (std::vector<Digest> tried;;) {
        const Verdict verdict = judge_.decide(step, tried);
        if (!verdict.result) {
          if (tried.empty()) reasons = verdict.reasons;
          break;
        }
        // Kept in a session that was not precise.
        const auto runs_make = [](const NeedName& need) { return need.kind == NeedKind::program && is_make(std::string_view(need.text).substr(0, need.text.find('\0'))); };
        if (recipes_ && std::ranges::any_of(verdict.names, runs_make)) {
          reasons = {told_what_holds};
          break;
        }
        switch (replay(step, slot, verdict, reasons)) {
          case Replayed::yes: return true;
          case Replayed::answered: return false;
          case Replayed::no: break;
        }
        tried.push_back(verdict.need_set);
      }
    }
    asked_[step.number] = std::move(reasons);
    if (slot < 0) return false;
    if (region_->begin_answer(slot)) region_->answer_run(slot, plan_of(step));
    return false;
  }

  // Whether what the result writes to descriptors can be written: to a pipe whose reader goes away, or a full disk, the
  // program itself has to write, for what it and those around it do then is not in the record.
  static bool streams_fit(const Step& step, const StepResult& result) {
    // Two descriptors may be one pipe.
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::pair<const preload::FdPayload*, std::uint64_t>> streams;
    for (const StreamPiece& piece : result.streams) {
      const preload::FdPayload* what = step.exec.fd(piece.fd);
      if (!what || (what->kind != preload::fd_pipe && what->kind != preload::fd_regular)) continue;
      auto& stream = streams[{what->device, what->inode}];
      stream.first = what;
      stream.second += piece.bytes.size();
    }
    for (const auto& [inode, stream] : streams) {
      const auto& [what, count] = stream;
      // The process that asks waits for the answer, so its descriptor is still there.
      const OwnedFd file(::open(fmt::format("/proc/{}/fd/{}", step.exec.pid, what->fd).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
      if (!file) return false;  // ENXIO: nobody reads from the pipe
      if (what->kind == preload::fd_pipe) {
        int waiting = 0;
        const int room = ::fcntl(file.get(), F_GETPIPE_SZ);
        if (room < 0 || ::ioctl(file.get(), FIONREAD, &waiting) != 0) return false;
        if (count + static_cast<std::uint64_t>(waiting) > static_cast<std::uint64_t>(room)) return false;
        continue;
      }
      struct statvfs disk {};
      rlimit size{};
      if (::fstatvfs(file.get(), &disk) != 0 || ::prlimit(step.exec.pid, RLIMIT_FSIZE, nullptr, &size) != 0) return false;
      const std::uint64_t offset = static_cast<std::uint64_t>(what->offset);
      if (count > disk.f_bavail * std::uint64_t{disk.f_frsize} || offset + count > size.rlim_cur) return false;
    }
    return true;
  }

  // When it ran these were files of their own.
  bool writes_what_it_needs(const Verdict& verdict) {
    std::map<FileNumber, std::string_view> written;  // where they are, with other names
    for (const Change& change : verdict.result->changes) {
      const bool in_place = (change.what == Change::What::file && !change.fresh) || change.what == Change::What::attributes;
      const PathFacts facts = in_place ? parts_.view->look(change.path) : PathFacts{};
      if (facts.type == FileType::regular && facts.links > 1 && !written.emplace(FileNumber(facts.device, facts.inode), change.path).second) return true;
    }
    return !written.empty() && std::ranges::any_of(verdict.names, [&](const NeedName& need) {
      if (need.kind != NeedKind::path || need.detail & aspect_replaceable) return false;
      const PathFacts& facts = judge_.observed(need).first;
      const auto file = written.find(FileNumber(facts.device, facts.inode));
      return facts.type == FileType::regular && file != written.end() && file->second != need.text;
    });
  }

  enum class Replayed { yes, no, answered };  // answered: the program has been told to run, or nobody waits for an answer

  Replayed replay(Step& step, int slot, const Verdict& verdict, std::vector<std::string>& reasons) {
    if (slot < 0) return Replayed::answered;
    // Its mode is what it was, but not how its file system is mounted.
    if (::faccessat(AT_FDCWD, step.exec.program.c_str(), X_OK, AT_EACCESS) != 0) {
      reasons = {"its program may not be executed"};
      return Replayed::no;
    }
    if (!streams_fit(step, *verdict.result)) {
      reasons = {"its output might not have been taken: a pipe without room for it or without a reader, or a full disk"};
      return Replayed::no;
    }
    // Moved by a program it is the same one; a replay makes it anew.
    const auto is_worked_in = [&](const Change& change) {
      return change.what == Change::What::removed && recorder_.is_worked_in(change.path, step.exec.pid);
    };
    if (std::ranges::any_of(verdict.result->changes, is_worked_in)) {
      reasons = {"a process works in a directory that it moves or removes"};
      return Replayed::no;
    }
    if (writes_what_it_needs(verdict)) {
      reasons = {"a file that it writes has another name today, and that is one that it looks at or writes to as well"};
      return Replayed::no;
    }
    Replay replay(*verdict.result, *parts_.blobs, *parts_.view, region_->redo_log(), SessionRegion::redo_slot(slot), parts_.staging.get());
    const auto staged = replay.stage();
    if (!staged) {
      if (staged.error().fault == Fault::corrupt || staged.error().fault == Fault::not_found)
        parts_.cache->forget_result(*step.key, verdict.need_set, verdict.values_digest);
      reasons = {staged.error().message};
      return Replayed::no;
    }
    std::string pieces;
    for (const StreamPiece& piece : verdict.result->streams) {
      const preload::StreamPiece head{piece.fd, static_cast<std::uint32_t>(piece.bytes.size())};
      pieces.append(reinterpret_cast<const char*>(&head), sizeof head);
      pieces += piece.bytes;
      pieces.resize(preload::align_up(pieces.size(), 8));
    }
    std::vector<std::pair<std::int32_t, std::int64_t>> positions;
    for (const FilePosition& position : verdict.result->positions) positions.emplace_back(position.fd, position.offset);
    // Whatever may fail comes before the first change.
    auto leave = region_->prepare_leave(verdict.result->status, std::move(pieces), positions, parts_.cache_directory);
    if (!leave) {
      reasons = {"its recorded output could not be handed over"};
      return Replayed::no;
    }
    std::set<std::string> found_there;  // what is written into where it is
    for (const Change& change : verdict.result->changes)
      if (change.what == Change::What::file && !change.fresh && parts_.view->look(change.path).type == FileType::regular) found_there.insert(change.path);
    if (!region_->begin_answer(slot)) return Replayed::answered;
    region_->write_leave(slot, *leave);
    if (const auto applied = replay.apply(); !applied) {
      region_->answer_run(slot, plan_of(step));
      asked_[step.number] = {applied.error().message};
      return Replayed::answered;
    }
    fill_in(step, verdict, found_there);
    region_->answer_leave(slot, std::move(*leave));
    return Replayed::yes;
  }

  // What a replayed step would have seen and done, for the steps around it.
  void fill_in(Step& step, const Verdict& verdict, const std::set<std::string>& found_there) {
    PathTable& paths = recorder_.paths();
    const Position done = region_->head();
    step.replayed = true;
    step.started = true;
    step.saved_ns = verdict.result->wall_ns;
    step.variables.clear();
    step.whole_environment = false;
    for (const NeedName& need : verdict.names) {
      const std::size_t end = need.text.find('\0');
      const std::string text = need.text.substr(0, end);
      switch (need.kind) {
        case NeedKind::path: {
          const auto& [facts, contents] = judge_.observed(need);
          const bool replaceable = need.detail & aspect_replaceable;
          const PathId path = paths.intern(text);
          step.observe(path, replaceable ? std::uint32_t{aspect_type} : need.detail, facts, contents, step.began, !replaceable);
          if (replaceable && need.detail & aspect_size) {
            step.uses[path].new_unless_empty = true;
            step.uses[path].was_empty = facts.type == FileType::regular && facts.bytes == 0;
          }
          if (need.detail & aspect_listing && end != need.text.npos) step.uses[path].except = need.text.substr(end + 1);
          break;
        }
        case NeedKind::same_files: break;  // the facts of the paths tell
        case NeedKind::environment: step.variables.insert(text); break;
        case NeedKind::environment_names: step.whole_environment = true; break;
        case NeedKind::descriptor: step.descriptors[static_cast<std::uint32_t>(std::stoul(text))] |= need.detail; break;
        case NeedKind::inherited_file: {
          const auto fd = static_cast<std::uint32_t>(std::stoul(text));
          const std::size_t at = static_cast<std::size_t>(&need - verdict.names.data());
          const std::string& value = verdict.values[at];
          const auto* described = step.exec.fd(fd);
          if (!described || value.size() < 8 + 32) break;
          InheritedFile file{described->offset, *Digest::from_bytes(std::string_view(value).substr(8, 32)), need.detail, {}, no_path, step.began};
          if (const std::string name = name_of_descriptor(step.exec, *described); need.detail != 0 && !name.empty()) {
            file.path = paths.intern(name);
            file.facts = parts_.view->look(name);
          }
          step.inherited_files.emplace(fd, std::move(file));
          break;
        }
        case NeedKind::program: {
          const std::string library_path = end == need.text.npos ? std::string() : need.text.substr(end + 1);
          if (const auto program = parts_.programs->look_up(text, library_path))
            step.programs.push_back({text, library_path, options_.policy_table->with_rows((*program)->identity, (*program)->real_path), paths.resolve(paths.intern("/"), text, true).path, step.began});
          break;
        }
      }
    }
    for (const NeedName& need : verdict.names) {
      const auto is_of_it = [&](const Change& change) { return change.what == Change::What::removed && change.path == need.text; };
      if (need.kind == NeedKind::path && need.detail & aspect_links && std::ranges::any_of(verdict.result->changes, is_of_it))
        step.move_old_file(paths.intern(need.text), 1, judge_.observed(need).first.mode);
    }
    for (const Change& change : verdict.result->changes) {
      const PathId path = paths.intern(change.path);
      const bool was_absent = step.uses.count(path) && step.uses[path].aspects && step.uses[path].facts.type == FileType::absent;
      if (change.what == Change::What::removed || change.fresh) step.lose_name(path);
      PathUse& use = step.change(path, step.began, change.what == Change::What::attributes);
      use.was_absent = was_absent;
      use.fresh = change.fresh;
      use.mode_set = change.mode_set;
      use.times_set = change.times_set;
      use.moved_from = change.moved_from.empty() ? no_path : paths.intern(change.moved_from);
      use.present = change.what != Change::What::removed;
      use.contents_changed = change.what != Change::What::attributes;
      use.attributes_changed = change.what == Change::What::attributes;
      if (change.what == Change::What::hard_link) step.give_name(path, paths.intern(change.text));
      if (change.what == Change::What::file) {
        use.creation_mode = static_cast<std::int32_t>(change.mode);
        if (change.what == Change::What::directory) use.made_mode = static_cast<std::int32_t>(change.mode & 0777);
        use.links_when_written = parts_.view->look(change.path).links;
        if (!change.fresh) use.found_there = found_there.count(change.path) ? 1 : 0;
      }
      switch (change.what) {
        case Change::What::directory: use.entry_type = 4; break;
        case Change::What::symlink: use.entry_type = 10; break;
        default: use.entry_type = 8; break;
      }
      recorder_.note_replayed(step, path, step.began, done, change.what == Change::What::file ? std::optional(change.content) : std::nullopt);
      judge_.forget(change.path);
      parts_.programs->forget(change.path);
    }
    for (const StreamPiece& piece : verdict.result->streams) {
      const preload::FdPayload* what = step.exec.fd(piece.fd);
      if (!what || what->kind == preload::fd_null) continue;
      preload::FdPayload looked_for = *what;
      for (Step* outer = step.parent; outer; outer = outer->parent) {
        const preload::FdPayload* same = outer->exec.same_stream(looked_for);
        if (!same) break;
        outer->add_stream(same->fd, piece.bytes);
        looked_for.fd = same->fd;
      }
    }
    for (const FilePosition& position : verdict.result->positions) step.positions[position.fd] = position.offset;
  }

  void answer_done(int slot) {
    if (region_->begin_answer(slot)) region_->answer_done(slot);
  }

  void note_progress() {
    SessionProgress now;
    const SessionFacts& facts = report_.facts;
    now.done = facts.hits + facts.misses + facts.not_cacheable;
    now.hits = facts.hits;
    const std::int64_t today = today_ns();
    std::uint64_t work_ns = facts.work_ns, latest = 0;
    recorder_.each_step([&](const Step& step) {
      if (!step.parent && !expected_work_ns_ && parts_.sessions) expected_work_ns_ = parts_.sessions->work_of(command_line(step.exec), step.exec.directory);
      if (step.open_steps > 0) return;
      ++now.running;
      work_ns += static_cast<std::uint64_t>(std::max<std::int64_t>(today - step.executed_ns, 0));
      if (step.number < latest) return;
      latest = step.number;
      now.command = command_line(step.exec);
    });
    if (const std::uint64_t expected_ns = expected_work_ns_.value_or(0); work_ns > 0 && work_ns < expected_ns)
      now.left_ns = static_cast<std::int64_t>(static_cast<double>(today - facts.began_ns) * static_cast<double>(expected_ns - work_ns) / static_cast<double>(work_ns));
    const std::lock_guard lock(progress_mutex_);
    progress_ = std::move(now);
  }

  // What the session is called by, and how it ended, says the command itself, and what it has become.
  void note_command(const Step& step) {
    if (step.main_pid != options_.top_pid) return;
    if (!step.parent) {
      report_.facts.command = command_line(step.exec);
      report_.facts.directory = step.exec.directory;
    }
    if (!step.main_ended) return;
    if (step.end_was_seen) report_.facts.status = step.status;
    report_.facts.ended_ns = std::max(report_.facts.ended_ns, step.ended_ns);
  }

  // Each step by itself, without those inside it. Those that run at once may take longer together than the one around them.
  void note_work(const Step& step, std::uint64_t took_ns) {
    std::uint64_t inside_ns = 0;
    if (const auto inside = work_inside_.find(step.number); inside != work_inside_.end()) {
      inside_ns = inside->second;
      work_inside_.erase(inside);
    }
    report_.facts.work_ns += took_ns - std::min(took_ns, inside_ns);
    if (step.parent) work_inside_[step.parent->number] += took_ns;
  }

  void finished(const Step& step, bool stored, const std::string& reason) {
    note_command(step);
    // Who was ended by a signal has said nothing of it.
    const bool has_said_when = step.ended_ns != 0 && step.end_was_seen && !WIFSIGNALED(step.status);
    const std::int64_t ended_ns = has_said_when ? step.ended_ns : today_ns();
    const auto took_ns = static_cast<std::uint64_t>(std::max<std::int64_t>(ended_ns - step.executed_ns, 0));
    note_work(step, step.replayed ? step.saved_ns : took_ns);
    std::vector<std::string> reasons;
    std::string culprit;
    if (const auto asked = asked_.find(step.number); asked != asked_.end()) {
      reasons = std::move(asked->second);
      asked_.erase(asked);
    }
    if (options_.wants_needs) note_needs(step);
    if (options_.wants_recipes) note_compilations(step);
    Outcome outcome = Outcome::not_cacheable;
    if (step.replayed) {
      outcome = Outcome::hit;
      ++report_.facts.hits;
      report_.facts.saved_ns += step.saved_ns;
      reasons.clear();
    } else if (stored) {
      outcome = Outcome::miss;
      ++report_.facts.misses;
      region_->set_known(step.exec.short_key);
      if (options_.fresh) reasons = {"run with --fresh"};
      else if (reasons.empty()) reasons = {unknown_command_reason};
    } else {
      if (reason == temporary_reason) {
        if (options_.verbose) part_of_[step.number] = step.parent ? step.parent->number : 0;
        return;
      }
      ++report_.facts.not_cacheable;
      if (reason == step.spoils) culprit = step.spoiled_by;
      count_reason(step, culprit.empty() ? reason_class(reason) : inner_reason);
      reasons.insert(reasons.begin(), reason);
    }
    Explanation explanation;
    explanation.session = report_.facts.session;
    explanation.step = step.number;
    explanation.outer = step.parent ? step.parent->number : 0;
    explanation.command = command_line(step.exec);
    explanation.culprit = culprit;
    explanation.directory = step.exec.directory;
    explanation.when_ns = today_ns();
    explanation.began_ns = step.executed_ns;
    explanation.took_ns = took_ns;
    explanation.saved_ns = step.saved_ns;
    explanation.process = step.main_pid;
    explanation.status = step.end_was_seen ? step.status : -1;
    explanation.outcome = outcome;
    explanation.reasons = std::move(reasons);
    explanation.policy = row_text(step.policy);
    if (options_.verbose) report_.notes.push_back(explanation);
    if (!parts_.explanations) return;
    if (outcome != Outcome::hit && any_chosen(options_.policies)) explanation.reasons.push_back(std::string(in_session) + text_of(options_.policies));
    for (const auto& [path, use] : step.uses) {
      if (!use.contents_changed || !use.present || explanation.outputs.size() == outputs_told_max || is_told_inside(path, step)) continue;
      explanation.outputs.push_back(recorder_.paths().text(path));
      told_[path] = step.number;
    }
    if (step.parent) outer_of_[step.number] = step.parent->number;
    parts_.explanations->add(explanation);
  }

  void note_compilations(const Step& step) {
    if (is_compiler_driver(step.exec.program)) {
      compilations_.push_back({step.exec.program, step.exec.directory, step.exec.arguments});
    } else if (step.replayed) {
      for (const auto& [path, use] : step.uses)
        if (use.contents_changed && use.present)
          if (auto run = compilation_of(recorder_.paths().text(path))) compilations_.push_back({std::move(run->program), std::move(run->directory), std::move(run->arguments)});
    }
  }

  // Of the compilations that have made a file of this name, the last one that has made it as it is.
  std::optional<cache::LastRun> compilation_of(const std::string& path) {
    std::optional<cache::LastRun> newest;
    for (const Digest& key : parts_.cache->makers_of(path)) {
      auto run = parts_.cache->last_run(key);
      if (!run || !is_compiler_driver(run->program)) continue;
      const auto result = parts_.cache->result(key, run->need_set, digest_of(run->values));
      const auto made = parts_.view->bytes(path);
      if (result && made && std::ranges::any_of(result->changes, [&](const cache::Change& change) { return change.path == path && change.content == *made; })) return run;
      if (!newest) newest = std::move(run);
    }
    return newest;
  }

  // Those of a step inside another one are that one's too, if it has ended.
  void note_needs(const Step& step, bool has_not_ended = false) {
    if (!report_.needs) report_.needs.emplace();
    CommandNeeds& needs = *report_.needs;
    const std::string command = brief_command(step.exec);
    if (step.program) {
      for (const std::string& file : step.program->files) note_first(program_users_[file], step.began, command);
      program_absences_.insert(step.program->absences.begin(), step.program->absences.end());
    }
    for (const auto& [path, use] : step.uses)
      if (use.aspects != 0 || use.unknown) note_first(path_users_[path], use.observed_first, command);
    if (!step.spoils.empty() && step.spoiled_by.empty()) needs.others.emplace_back(step.spoils, command_line(step.exec));
    if (step.parent && !has_not_ended) return;
    needs.has_ended = !has_not_ended;
    for (const auto& [file, user] : program_users_) needs.programs[file] = user.command;
    needs.absent.assign(program_absences_.begin(), program_absences_.end());
    for (const auto& [path, use] : step.uses) {
      const std::string& text = recorder_.paths().text(path);
      if (use.contents_changed && use.present) needs.made.push_back(text);
      if (use.aspects == 0) {
        // Looked at, and written to before anybody knew what was there: needed all the same.
        if (use.unknown && !use.fresh && !use.was_absent && parts_.view->look(text).type != FileType::absent)
          needs.paths.push_back({text, true, false, use.changed(), path_users_[path].command});
        continue;
      }
      if (use.facts.type == FileType::absent || use.facts.type == FileType::error) {
        needs.absent.push_back(text);
      } else if (!use.replaceable() || use.aspects & aspect_bytes) {
        needs.paths.push_back({text, (use.aspects & (aspect_bytes | aspect_target)) != 0, (use.aspects & aspect_listing) != 0, use.changed(), path_users_[path].command});
      }
    }
    needs.variables.insert(step.variables.begin(), step.variables.end());
    needs.whole_environment = needs.whole_environment || step.whole_environment;
  }

  // Steps inside end before those around them, to which their looks belong as well.
  struct User { Position position = never; std::string command; };
  static void note_first(User& user, Position position, const std::string& command) {
    if (position < user.position || user.command.empty()) user = {position, command};
  }

  // An output of a step inside this one has been told of that one.
  bool is_told_inside(PathId path, const Step& step) const {
    const auto told = told_.find(path);
    if (told == told_.end()) return false;
    for (auto outer = outer_of_.find(told->second); outer != outer_of_.end(); outer = outer_of_.find(outer->second))
      if (outer->second == step.number) return true;
    return false;
  }

  void count_reason(const Step& step, const std::string& reason) {
    ++report_.reasons[reason];
    report_.examples.try_emplace(reason, brief_command(step.exec));
  }

  void count() {
    StepCache& cache = *parts_.cache;
    cache.add_to_counter("sessions", 1);
    cache.add_to_counter("hits", static_cast<std::int64_t>(report_.facts.hits));
    cache.add_to_counter("misses", static_cast<std::int64_t>(report_.facts.misses));
    cache.add_to_counter("not_cacheable", static_cast<std::int64_t>(report_.facts.not_cacheable));
    cache.add_to_counter("saved_ns", static_cast<std::int64_t>(report_.facts.saved_ns));
    for (const auto& [reason, times] : report_.reasons) cache.add_to_counter("reason:" + reason, static_cast<std::int64_t>(times));
    if (!parts_.statistics) return;
    parts_.statistics->add_examples(report_.examples);
    parts_.statistics->write(cache.counters());
  }

  Parts& parts_;
  const SessionOptions options_;
  std::unique_ptr<SessionRegion> region_;
  Judge judge_;
  std::unique_ptr<RecipeTable> recipes_;  // precise only
  Recorder recorder_;
  SessionReport report_;
  std::vector<ObservedRecipes::Compilation> compilations_;  // wants_recipes only
  std::unordered_map<const Program*, std::pair<std::shared_ptr<const Program>, std::uint32_t>> plans_;
  std::unordered_map<std::uint64_t, std::vector<std::string>> asked_;  // by step number: why it was no hit
  std::unordered_map<std::uint64_t, std::uint64_t> work_inside_;  // by step number: what the steps directly inside it take
  std::unordered_map<std::uint64_t, std::uint64_t> part_of_;  // verbose only: steps that are told of as a part of this one
  std::unordered_map<PathId, std::uint64_t> told_;  // number of the step whose explanation names this output
  std::unordered_map<std::uint64_t, std::uint64_t> outer_of_;  // of finished steps
  std::map<std::string, User> program_users_;  // wants_needs only
  std::set<std::string> program_absences_;      // the same
  std::unordered_map<PathId, User> path_users_;
  struct CloseFile { void operator()(std::FILE* file) const { std::fclose(file); } };
  std::unique_ptr<std::FILE, CloseFile> events_file_;
  std::optional<std::uint64_t> expected_work_ns_;  // wants_progress only; 0: not known
  mutable std::mutex progress_mutex_;
  SessionProgress progress_;
  std::atomic<bool> stopping_ = false, hurries_ = false, top_ended_ = false;
};

}  // namespace

const char* name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::hit: return "hit";
    case Outcome::miss: return "miss";
    case Outcome::not_cacheable: break;
  }
  return "not cacheable";
}

Result<std::unique_ptr<Session>> Session::create(Parts& parts, const SessionOptions& options) {
  SessionRegion::Setup setup;
  setup.shim_path = parts.shim_path;
  auto images = parts.programs->images();
  // A tree may have static programs alone.
  if (!images && images.error().fault != Fault::not_found) return tl::unexpected(std::move(images.error()));
  if (images) setup.images = std::move(*images);
  const auto key = parts.cache->fingerprint_key();
  setup.fingerprint_key[0] = key[0];
  setup.fingerprint_key[1] = key[1];
  setup.top_pid = options.top_pid;
  setup.session_flags = (options.fresh ? preload::session_fresh : 0u) | (options.in_tree ? preload::session_in_tree : 0u);
  setup.policies = options.policies;
  if (options.precise) {
    setup.session_flags |= preload::session_precise;
    // A file from the future is warned of.
    constexpr std::int64_t second_ns = 1'000'000'000;
    setup.precise.holds_ns = today_ns() - 2 * second_ns;
    setup.precise.sources_ns = setup.precise.holds_ns - second_ns;
  }
  auto region = TRY(SessionRegion::create(setup));
  return std::make_unique<RunningSession>(parts, options, std::move(region));
}

}  // namespace broker
