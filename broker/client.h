// The `vestal` process that the user started: it finds the broker, or starts
// it, and becomes the command.
//
// Whatever goes wrong with the cache costs one line on standard error, and the
// command runs all the same. What the command inherits is what it would have
// inherited without vestal: descriptors, signals, limits, umask, children.
//
// One thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/control.h"
#include "broker/report/told_files.h"
#include "broker/session_policies.h"
#include "cache/base/result.h"

namespace broker {

// Exit statuses, as env(1) and the shell have them.
inline constexpr int status_wrong_usage = 2;
inline constexpr int status_own_failure = 125;
inline constexpr int status_not_executable = 126;
inline constexpr int status_not_found = 127;

// An option as the command line has it, by its name in files of configuration (broker/setting_keys.h).
struct SaidOption {
  std::string name, value;
};

struct CommandOptions {
  bool fresh = false;
  bool precise = false;  // as in SessionOptions
  bool verbose = false;  // tell what happened to each step
  bool summary = false;  // one line at the end
  std::vector<SaidOption> said;  // of what is above and the policies
  bool progress = false; // one line meanwhile, if standard error is a terminal
  report::Paths files;   // that the session is to be told in
  std::string configuration;  // encoded files; run_command reads them itself
  SessionPolicies policies{};
  // Absolute: the cache, wherever the user's is. No configuration and no setting of the user's holds then.
  std::string cache_directory;
  bool wants_needs = false, wants_recipes = false;  // "needs", "recipes" are in the session's report
  bool must_be_seen = false;  // the command is not to run where there would be no report
  // Is given the session's report (JSON) when the command has ended with this status (wait(2)), and may return another exit status. Nothing if there is
  // none, unless must_be_seen.
  std::function<std::optional<int>(const std::string& report, int status)> on_report;
  // Of who needs to know what it needed: `wants_needs` and `must_be_seen` as well.
  void need_needs(std::function<std::optional<int>(const std::string& report, int status)> told) {
    wants_needs = must_be_seen = true;
    on_report = std::move(told);
  }
  bool tells() const { return verbose || summary || progress || files.any() || on_report; }
};

// Runs `arguments` (zero-terminated; the first names the program, searched for as execvp does). If nothing is to be told,
// this process becomes the command, so that it returns only if that failed, with the exit status to leave with.
// Otherwise the command is a child, and what it died of this process dies of too.
int run_command(char* const* arguments, const CommandOptions& options);

// Asks the broker, starting it if necessary, and returns the answer: JSON, or nothing. Fault::not_found if there is no cache
// yet; one is made only for what is to be stored.
cache::Result<std::string> ask_broker(RequestKind kind, std::string_view body);
// The same of a broker that runs already; Fault::not_found if there is none.
cache::Result<std::string> ask_running_broker(RequestKind kind, std::string_view body);

// Ends as a child has ended whose status is this (wait(2)), by the same signal too.
[[noreturn]] void end_like(int status);

// A line on standard error: `vestal: <text>`.
void complain(const std::string& text);

}  // namespace broker
