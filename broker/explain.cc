#include "broker/explain.h"

#include <time.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <nlohmann/json.hpp>

#include "broker/session.h"

namespace broker {
namespace {

using nlohmann::json;

// Of one explanation, so that a line stays a line.
constexpr std::size_t text_bytes_max = 2000, reasons_max = 40, outputs_max = 200;

std::string shortened(const std::string& text) {
  return text.size() <= text_bytes_max ? text : text.substr(0, text_bytes_max) + "...";
}

std::vector<std::string> shortened(const std::vector<std::string>& list, std::size_t count_max) {
  std::vector<std::string> some;
  for (const std::string& text : list) {
    if (some.size() == count_max) break;
    some.push_back(shortened(text));
  }
  return some;
}

}  // namespace

ExplanationLog::ExplanationLog(std::string cache_directory) : lines_(std::move(cache_directory) + "/explanations", explanations_max) {}

std::int64_t ExplanationLog::begin_session() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::lock_guard lock(mutex_);
  last_session_ = std::max<std::int64_t>(now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec, last_session_ + 1);
  lines_.append({{"begins", last_session_}});
  return last_session_;
}

void ExplanationLog::add(const Explanation& explanation) {
  const json line = {{"session", explanation.session},
                     {"step", explanation.step},
                     {"outer", explanation.outer},
                     {"command", shortened(explanation.command)},
                     {"directory", shortened(explanation.directory)},
                     {"when_ns", explanation.when_ns},
                     {"began_ns", explanation.began_ns},
                     {"took_ns", explanation.took_ns},
                     {"saved_ns", explanation.saved_ns},
                     {"process", explanation.process},
                     {"status", explanation.status},
                     {"outcome", static_cast<int>(explanation.outcome)},
                     {"reasons", shortened(explanation.reasons, reasons_max)},
                     {"culprit", shortened(explanation.culprit)},
                     {"policy", shortened(explanation.policy)},
                     {"outputs", shortened(explanation.outputs, outputs_max)}};
  const std::lock_guard lock(mutex_);
  lines_.append(line);
}

void ExplanationLog::flush() {
  const std::lock_guard lock(mutex_);
  lines_.write_out();
}

// ---- what is read of it --------------------------------------------------------------------------------------------------

Explanations Explanations::read(const std::string& cache_directory) {
  Explanations all;
  LineLog::read(cache_directory + "/explanations", [&](const json& object) {
    try {
      if (object.contains("begins")) {
        all.last_session = std::max<std::int64_t>(all.last_session, object.at("begins"));
        return;
      }
      Explanation one;
      one.session = object.at("session");
      one.step = object.at("step");
      one.outer = object.at("outer");
      one.command = object.at("command");
      one.directory = object.at("directory");
      one.when_ns = object.at("when_ns");
      one.began_ns = object.value("began_ns", std::int64_t{0});
      one.took_ns = object.value("took_ns", std::uint64_t{0});
      one.saved_ns = object.value("saved_ns", std::uint64_t{0});
      one.process = object.value("process", 0);
      one.status = object.value("status", -1);
      one.outcome = static_cast<Outcome>(object.at("outcome").get<int>());
      one.reasons = object.at("reasons").get<std::vector<std::string>>();
      one.culprit = object.at("culprit");
      one.policy = object.at("policy");
      one.outputs = object.at("outputs").get<std::vector<std::string>>();
      all.steps.push_back(std::move(one));
    } catch (const json::exception&) {
      // written by another version
    }
  });
  return all;
}

void Explanations::take_from_tree(Explanations others) {
  for (Explanation& one : others.steps) {
    one.in_tree = true;
    steps.push_back(std::move(one));
  }
  std::stable_sort(steps.begin(), steps.end(), [](const Explanation& a, const Explanation& b) { return a.session < b.session; });
  last_session = std::max(last_session, others.last_session);
}

std::vector<Explanation> Explanations::of_session(std::int64_t session) const {
  std::vector<Explanation> found;
  for (const Explanation& one : steps)
    if (one.session == session) found.push_back(one);
  return found;
}

std::vector<Explanation> innermost(const std::vector<Explanation>& chosen, const std::vector<Explanation>& session) {
  std::unordered_map<std::uint64_t, std::uint64_t> outer_of;
  for (const Explanation& one : session) outer_of[one.step] = one.outer;
  std::unordered_set<std::uint64_t> around;
  for (const Explanation& one : chosen) {
    std::uint64_t outer = one.outer;
    while (outer != 0 && around.insert(outer).second) {
      const auto next = outer_of.find(outer);
      outer = next == outer_of.end() ? 0 : next->second;
    }
  }
  std::vector<Explanation> found;
  for (const Explanation& one : chosen)
    if (around.count(one.step) == 0) found.push_back(one);
  return found;
}

std::vector<Explanation> Explanations::makers_of(std::string_view path) const {
  const auto makes = [&](const Explanation& one) { return std::find(one.outputs.begin(), one.outputs.end(), path) != one.outputs.end(); };
  const auto last = std::find_if(steps.rbegin(), steps.rend(), makes);
  if (last == steps.rend()) return {};
  const std::vector<Explanation> session = of_session(last->session);
  std::vector<Explanation> found;
  std::copy_if(session.begin(), session.end(), std::back_inserter(found), makes);
  return innermost(found, session);
}

std::vector<Explanation> Explanations::with_text(std::string_view text) const {
  std::vector<Explanation> found;
  std::set<std::tuple<std::string_view, std::string_view, std::string_view>> seen;
  for (auto one = steps.rbegin(); one != steps.rend(); ++one) {
    if (one->command.find(text) == std::string::npos) continue;
    // The same command under other policies is another step.
    const std::string_view last = one->reasons.empty() ? std::string_view() : one->reasons.back();
    const std::string_view policies = last.starts_with(in_session) ? last : std::string_view();
    if (seen.emplace(one->command, one->directory, policies).second) found.push_back(*one);
  }
  return found;
}

}  // namespace broker
