// vestal doctor [--json]
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/cache_place.h"
#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/doctor/child.h"
#include "broker/doctor/machine.h"
#include "broker/doctor/trial_cache.h"
#include "broker/doctor/user_cache.h"

namespace broker::cli {
namespace {

using doctor::Finding;
using doctor::Findings;
using nlohmann::ordered_json;
using Status = Finding::Status;

const char* name_of(Status status) {
  switch (status) {
    case Status::ok: return "ok";
    case Status::skipped: return "skipped";
    case Status::warning: return "warning";
    case Status::failed: return "failed";
  }
  return "";
}

// Returns whether a trial cache may be made there.
bool check_cache(Findings& findings, const std::string& place, const std::string& max_size) {
  const std::size_t first = findings.size();
  findings.push_back(doctor::check_cache_directory(place));
  findings.push_back(doctor::check_space(place, max_size));
  const bool is_good = findings[first].status != Status::failed && findings[first + 1].status != Status::failed;
  findings.push_back(doctor::check_broker(place));
  return is_good;
}

Findings check_all() {
  const doctor::EndLater end_later;
  Findings findings;
  std::string max_size;
  findings.push_back(doctor::check_configuration(max_size));
  const auto place = cache_place();
  // What configuration is to blame for has been told.
  if (!place && findings[0].status == Status::ok) findings.push_back({Status::failed, "cache directory", place.error().message, "set VESTAL_DIR"});
  const bool is_good = place && check_cache(findings, *place, max_size);
  findings.push_back(doctor::check_shared_memory());
  findings.push_back(doctor::check_shim());
  const auto trial = doctor::TrialCache::open(is_good ? doctor::place_above(*place) : "");
  if (!trial) {
    findings.push_back({Status::failed, "programs", "there is no place to try any: " + trial.error().message, "set TMPDIR to a directory that can be written"});
    return findings;
  }
  findings.push_back(doctor::check_dynamic_programs(*trial));
  findings.push_back(doctor::check_static_programs(*trial));
  findings.push_back(doctor::check_trees(*trial));
  findings.push_back(doctor::check_landlock(*trial));
  findings.push_back(doctor::check_shared_blocks(*trial));
  return findings;
}

std::string on_one_line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

void print(const Findings& findings) {
  for (const Finding& finding : findings)
    fmt::print("{:<8} {:<17} {}\n", name_of(finding.status), finding.name, on_one_line(finding.found + (finding.advice.empty() ? "" : " -- " + finding.advice)));
}

void print_object(const Findings& findings) {
  ordered_json all{{"checks", ordered_json::array()}};
  for (const Finding& finding : findings) {
    ordered_json one{{"name", finding.name}, {"status", name_of(finding.status)}, {"found", finding.found}};
    if (!finding.advice.empty()) one["advice"] = finding.advice;
    all["checks"].push_back(std::move(one));
  }
  fmt::print("{}\n", all.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

int examine(const CommandOptions&, char* const* arguments) {
  bool as_object = false;
  Options accepted("vestal doctor [--json]",
                   "Checks whether vestal works on this machine, with this cache directory and configuration, and says what to do where it does not. "
                   "1 if something that every command needs has failed. Programs are tried in a cache of their own, which is removed.");
  accepted.flag("--json", as_object, "As one JSON object");
  if (const int status = accepted.parse(words_of(arguments)); status >= 0) return status;
  const Findings findings = check_all();
  if (as_object) print_object(findings);
  else print(findings);
  return std::ranges::count(findings, Status::failed, &Finding::status) > 0 ? 1 : 0;
}

const Subcommand doctor_subcommand("doctor", "[--json]", "Check whether vestal works on this machine, and say what to do where not", examine);

}  // namespace
}  // namespace broker::cli
