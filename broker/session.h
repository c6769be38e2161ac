// One `vestal ...` command: its region, its thread, and what came of it.
//
// The thread drains the log, answers questions and stores records until the top
// process and every traced process is gone. Nothing in here may fail the user's
// build: whatever goes wrong, processes are told to run.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "broker/explain.h"
#include "broker/observed_recipes.h"
#include "broker/policy_table.h"
#include "broker/program_table.h"
#include "broker/session_log.h"
#include "broker/session_policies.h"
#include "broker/session_region.h"
#include "broker/staging_journal.h"
#include "broker/statistics.h"
#include "broker/view.h"
#include "cache/blob_store.h"
#include "cache/file_memo.h"
#include "cache/step_cache.h"

namespace broker {

// What all sessions of a broker share. Outlives them.
struct Parts {
  std::string cache_directory;
  std::unique_ptr<cache::StepCache> cache;
  std::unique_ptr<cache::BlobStore> blobs;
  std::unique_ptr<cache::FileMemo> memo;
  std::unique_ptr<View> view;
  std::unique_ptr<ProgramTable> programs;
  std::unique_ptr<ExplanationLog> explanations;
  std::unique_ptr<SessionLog> sessions;      // may be null
  std::unique_ptr<Statistics> statistics;    // may be null
  std::unique_ptr<StagingJournal> staging;  // may be null
  std::string shim_path;
  // Of broker and shim, in lower-case hex; part of every step's key. What another build has recorded, it may have recorded wrongly.
  std::string build_ids;
};

struct SessionOptions {
  std::int32_t top_pid = 0;  // the process that becomes the command
  bool fresh = false;        // run and record everything, replay nothing
  bool precise = false;      // make is told whether files still hold, see broker/recipe_table.h
  bool verbose = false;      // keep a note of each step
  bool wants_progress = false;  // see Session::progress()
  bool wants_needs = false;  // report what the command needed
  bool wants_recipes = false;  // report what the lines of recipes have read and written
  bool in_tree = false;      // in a sandbox (broker/sandbox/sandbox.h)
  std::shared_ptr<const PolicyTable> policy_table = std::make_shared<PolicyTable>();  // of this session alone
  SessionPolicies policies{};
};

enum class Outcome { hit, miss, not_cacheable };
const char* name_of(Outcome outcome);  // "not cacheable"

// What the command has found that was there before it: of the outermost step, whether or not it could be stored.
struct CommandNeeds {
  struct Path {
    std::string path;  // absolute, symlinks in front of its end followed
    bool read = false;    // its contents, its target, or that it was executed; else somebody looked whether and how it is there
    bool listed = false;  // its names
    bool changed = false; // the command has changed it since
    std::string by;       // the command line of who looked first
  };
  std::vector<Path> paths;
  std::vector<std::string> absent;    // looked for in vain
  // Files that executed programs are started with, as spelled, and the command line of the first one.
  std::map<std::string, std::string> programs;
  std::vector<std::string> made;      // made, written or replaced, and there at the end
  std::set<std::string> variables;    // asked for by name
  bool whole_environment = false;
  bool has_ended = false;             // with all that it has started
  // What spoilt steps, and the command of the one that did it: what is not among the needs.
  std::vector<std::pair<std::string, std::string>> others;
};

struct SessionReport {
  SessionFacts facts;
  std::map<std::string, std::uint64_t> reasons;  // of not cacheable steps, without names of files
  std::map<std::string, std::string> examples;   // a command for each reason
  std::vector<Explanation> notes;                // verbose only, in order of their end; without outputs
  std::optional<CommandNeeds> needs;             // wants_needs only
  std::optional<ObservedRecipes> recipes;        // wants_recipes only
};

// Of a session under way.
struct SessionProgress {
  std::uint64_t done = 0, hits = 0, running = 0;  // steps; running: those with no other one running inside
  std::string command;  // of them, that begun last
  std::optional<std::int64_t> left_ns;  // if it takes what it took the last time, less what was found
};

class Session {
 public:
  // An Error: no region could be made; the command is then to run without vestal.
  static cache::Result<std::unique_ptr<Session>> create(Parts& parts, const SessionOptions& options);
  virtual ~Session() = default;

  virtual const std::string& region_name() const = 0;
  // The body of the session's thread. Returns when the session is over: top process gone and its log processed.
  virtual void run() = 0;
  // Asks run() to return soon although processes may still live; they go on untraced. Any thread.
  virtual void stop() = 0;
  // Somebody waits for what it still has to store: those that outlive the top process are not waited for
  // as long. Any thread.
  virtual void hurry() = 0;
  // The top process is gone (run() may still be storing). Any thread.
  virtual bool top_ended() const = 0;
  // wants_progress only; a moment old. Any thread.
  virtual SessionProgress progress() const = 0;
  // After run() has returned. Counters of the cache (`vestal stats`) have been raised by then.
  virtual const SessionReport& report() const = 0;
};

}  // namespace broker
