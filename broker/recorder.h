// Follows a session's processes by their log and keeps, for each step, what it
// saw and what it changed; when a step is over, makes its record and stores it.
//
// Events come in the order of their positions, in passes. All events of a pass
// happened after the pass before it began: from that follows whether a file's
// contents today are those that a step saw. They are, if the file's ctime is
// older than that moment, or if a process of this session wrote it last and
// nothing later in the pass touches it. What cannot be told so is unknown, and a
// step that needs it is not stored.
//
// One thread, the session's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/path_table.h"
#include "broker/recipe_table.h"
#include "broker/session.h"
#include "broker/session_region.h"
#include "broker/step.h"
#include "cache/base/owned_fd.h"

namespace broker {

// An Event that owns its bytes.
struct KeptEvent {
  Event event;  // views into `bytes`
  std::string bytes;
};

class Recorder {
 public:
  // What a step that asks is told. Called while its exec is handled; the step is complete but for its uses.
  // Returns true if it was answered with "leave": the step is then `replayed` and its uses are filled in.
  using Decide = std::function<bool(Step& step, int slot)>;
  using Done = std::function<void(int slot)>;
  // A step has been finished and merged; for counting. `stored`: as a new run.
  using Finished = std::function<void(const Step& step, bool stored, const std::string& reason)>;

  // A make that asks for the time of a file, in a precise session, is told this verdict.
  using TimeAsked = std::function<void(int slot, std::uint32_t verdict, std::int64_t outdated_ns)>;
  // The recipe table learns of recipes and changes; null if the session is neither precise nor wants them.
  Recorder(Parts& parts, const SessionOptions& options, Decide decide, Done done, Finished finished, RecipeTable* recipes, TimeAsked time_asked);
  ~Recorder();

  void begin_pass();
  void handle_pass(const std::vector<KeptEvent>& events);

  // Looks which processes have gone without a word. Call every now and then.
  void check_processes();
  bool top_gone() const { return top_gone_; }
  bool idle() const { return processes_.empty(); }
  // Steps still open are given up: nothing more is known of their processes.
  void abandon();
  // Those that are not over.
  void each_step(const std::function<void(const Step&)>& visit) const;
  // Everything from here on may be incomplete: spoils all open steps.
  void spoil_all(const std::string& reason);

  // Another process than this one has it, or a directory below it, for its working directory.
  bool is_worked_in(const std::string& directory, std::int32_t but_by);

  const ObservedRecipes& observed_recipes() const { return observed_; }  // options.wants_recipes only

  // For the judge and the replay.
  PathTable& paths() { return paths_; }
  std::optional<cache::Digest> session_digest() const { return session_digest_; }
  // A replay changed this path: what is there now has this digest, if it is a file.
  // `done`: where the log stood after the replay.
  void note_replayed(const Step& step, PathId path, Position at, Position done, const std::optional<cache::Digest>& content);

 private:
  struct Process;
  struct PathState;
  using Descriptors = std::map<std::int32_t, PathId>;

  void handle(const Event& event);
  Process* process_of(const Event& event);
  Process& add_process(std::int32_t pid, Process* parent);
  void end_process(std::int32_t pid, std::optional<std::int32_t> status, Position at);
  void handle_exec(Process* process, const Event& event);
  void handle_exec_failed(Process& process, const Event& event);
  void handle_look(Process& process, const Event& event);
  void handle_process_link(Process& process, const Event& event, const std::string& text);
  void handle_fstat(Process& process, const Event& event);
  void handle_holes(Process& process, const Event& event);
  void handle_open(Process& process, const Event& event);
  void handle_list(Process& process, const Event& event);
  void handle_change(Process& process, const Event& event);
  void note_time_set(Process& process, std::int64_t mtime_ns);
  void handle_rename(Process& process, const Event& event);
  void move_directory(Process& process, PathId from, PathId to, Position at);
  void move_name(Process& process, PathId from, PathId to, const PathFacts& moved, Position at, bool to_nothing);
  void lose_name(Process& process, PathId path, Position at);
  void handle_link(Process& process, const Event& event);
  std::optional<std::string> text_read(Process& process, PathId path, Position at);
  void look_through(Process& process, PathId path, Position at);
  void look_through_shell_text(Process& process, PathId path, Position at, std::string_view told = {});
  void handle_input(Process& process, const Event& event);
  void handle_stream(Process& process, const Event& event);
  void handle_fd(Process& process, const Event& event);
  void handle_clock(Process& process, const Event& event);
  void handle_random(Process& process);

  // Recipes of makefiles, in a precise session.
  struct Recipe;
  struct Make;
  Make* make_of(const Process& process);
  void begin_in_recipe(Step& step, std::int32_t parent_pid);
  void note_by_make(Process& process, const Event& event);
  void end_in_recipe(Step& step, Position at);
  void leave_recipe(const Step& step);  // it was not executed
  void close_recipe(Make& make);
  void record(Recipe& recipe);
  void observe_make(const Make& make);
  void observe_line(Recipe& recipe, const Step& step, Position at);
  static cache::Digest variables_of(const Recipe& recipe);
  void add_what_it_left(const Recipe& recipe, cache::RecipeRun& run);
  MakeContext context_of(Make& make);
  void answer_time(Process& process, const Event& event);
  bool is_being_changed(PathId path) const;

  // The path of an event for a step, after noting the symlinks crossed.
  // If the call `succeeded`, the directories were there then, even if they are gone now.
  PathId resolve(Process& process, std::string_view spelled, bool follow, Position at, bool* complete = nullptr, bool succeeded = false);
  void observe_type(Process& process, PathId path, Position at, std::uint32_t extra_aspects = 0, bool is_there = true);
  void observe_unknown(Process& process, PathId path);
  bool step_owns_or_lost(Process& process, PathId path, Position at);
  void observe_failure(Process& process, PathId path, bool complete, int error, Position at);
  void observe_absent(Process& process, PathId path, Position at);
  void observe_what_runs(Process& process, Position at);
  void observe_missing_interpreter(Process& process, PathId path, Position at);
  // `looked`: what a look in this pass has told already.
  void observe_bytes(Process& process, PathId path, Position at, bool also_mode = false, const PathFacts* looked = nullptr);
  void observe(Process& process, PathId path, std::uint32_t aspects, const PathFacts& facts, const PathContents& contents, Position at);
  PathUse& change(Process& process, PathId path, Position at, bool attributes = false);
  void spoil_others_that_made(PathId path, const Step& changer);
  void note_inherited(Step& step, const preload::FdPayload& given, PathId path, Position at, std::uint64_t inode, std::uint32_t aspects = 0);
  bool is_written_to(PathId path) const;
  bool is_mapped(PathId path) const;
  void end_mappings(Process& process, Position at);
  PathFacts facts_in_pass(PathId path);
  std::optional<cache::Digest> bytes_at(PathId path, Position at, PathFacts* facts, const PathFacts* looked = nullptr);
  // In this pass. `attributes`: also if only mode or owner were changed.
  bool touched_later(PathId path, Position at, bool attributes = false);
  bool replaced_about(PathId path, Position at) const;
  std::string_view led_to(const Event& event);

  void step_ended(Step* step, Position at);
  bool is_within(std::int32_t pid, const Step& step) const;
  void finish(Step& step, Position at);
  bool verify_observations(Step& step);
  void observe_leave_to_make_names(Step& step, Position at);
  bool reads_its_output(const Step& step) const;
  struct Changed {
    PathId path;
    const PathUse* use;
    PathFacts facts;
    std::pair<std::uint64_t, std::uint64_t> inode() const { return {facts.device, facts.inode}; }
  };
  std::vector<Changed> changes_of(const Step& step);
  bool collect_result(Step& step, Position at, cache::StepResult& result, std::string& problem);
  void spoil_if_numbers_show(Step& step, Position at);
  bool store(Step& step, Position at, std::string& reason);
  void spoil(Process& process, const std::string& reason);

  Parts& parts_;
  SessionOptions options_;
  Decide decide_;
  Done done_;
  Finished finished_;
  RecipeTable* const recipes_;
  TimeAsked time_asked_;
  ObservedRecipes observed_;
  std::string recipes_spoilt_;  // why nothing is known any more of what make does
  std::unordered_map<std::uint64_t, std::shared_ptr<Make>> makes_;  // by number of the step
  std::set<std::uint64_t> is_read_by_make_;  // the same, of those whose output make reads
  std::unordered_map<std::uint64_t, std::shared_ptr<Recipe>> recipe_of_;  // the same; of those that make has started
  PathTable paths_;
  std::optional<cache::Digest> session_digest_;
  std::uint32_t uid_ = 0;
  bool has_terminal_ = false;
  std::int32_t terminal_session_ = 0;  // who is in it has the terminal

  std::unordered_map<std::int32_t, std::unique_ptr<Process>> processes_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Step>> steps_;
  std::set<std::pair<std::int32_t, std::int32_t>> ended_unconfirmed_;  // parent and child: gone before the parent told of it
  std::uint64_t next_step_ = 1;
  bool top_seen_ = false, top_gone_ = false;
  bool top_suspected_ = false;
  cache::OwnedFd top_process_;  // a pidfd, for the number may be used again

  std::unordered_map<PathId, PathState> states_;
  std::uint32_t pass_ = 0;
  std::int64_t pass_floor_ns_ = 0, next_floor_ns_ = 0;  // CLOCK_REALTIME: when the pass before, and this one, began
  // Events of the pass that change what a name is, by hash of the last component.
  struct Touch {
    Position at;
    std::int32_t pid;
    std::string_view text;
    bool only_attributes;  // mode or owner
  };
  std::unordered_multimap<std::uint64_t, Touch> touches_;
  std::unordered_map<PathId, bool> temporary_names_;
  std::string session_spoils_;  // why nothing that begins from now on can be cached
  std::vector<PathId> changed_in_pass_;
  Position pass_start_ = 0;  // of this pass's first event
  std::int64_t looked_again_ns_ = 0;
};


}  // namespace broker
