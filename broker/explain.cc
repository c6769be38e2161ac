#include "broker/explain.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <nlohmann/json.hpp>

#include "broker/session.h"

namespace broker {
namespace {

using nlohmann::json;

constexpr std::size_t unwritten_bytes_max = 16 << 10;
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

// Names need not be UTF-8, JSON has to be.
std::string to_line(const json& object) { return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::size_t count_lines(const std::string& path) {
  const std::string text = contents(path);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

ExplanationLog::ExplanationLog(std::string cache_directory) : path_(std::move(cache_directory) + "/explanations") {
  lines_ = count_lines(path_);
}

ExplanationLog::~ExplanationLog() { write_out(); }

std::int64_t ExplanationLog::begin_session() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::lock_guard lock(mutex_);
  last_session_ = std::max<std::int64_t>(now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec, last_session_ + 1);
  append(to_line({{"begins", last_session_}}));
  return last_session_;
}

void ExplanationLog::add(const Explanation& explanation) {
  const std::string line = to_line({{"session", explanation.session},
                                    {"step", explanation.step},
                                    {"outer", explanation.outer},
                                    {"command", shortened(explanation.command)},
                                    {"directory", shortened(explanation.directory)},
                                    {"when_ns", explanation.when_ns},
                                    {"outcome", static_cast<int>(explanation.outcome)},
                                    {"reasons", shortened(explanation.reasons, reasons_max)},
                                    {"culprit", shortened(explanation.culprit)},
                                    {"policy", shortened(explanation.policy)},
                                    {"outputs", shortened(explanation.outputs, outputs_max)}});
  const std::lock_guard lock(mutex_);
  append(line);
}

void ExplanationLog::append(std::string line) {
  if (lines_ >= explanations_max) {
    write_out();
    file_.reset();
    std::rename(path_.c_str(), (path_ + ".old").c_str());
    lines_ = 0;
  }
  unwritten_ += line;
  ++lines_;
  if (unwritten_.size() >= unwritten_bytes_max) write_out();
}

void ExplanationLog::write_out() {
  if (!file_) file_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
  // A full disk costs explanations, nothing else.
  if (file_ && !unwritten_.empty() && ::write(file_.get(), unwritten_.data(), unwritten_.size()) < 0) file_.reset();
  unwritten_.clear();
}

void ExplanationLog::flush() {
  const std::lock_guard lock(mutex_);
  write_out();
}

// ---- what is read of it --------------------------------------------------------------------------------------------------

Explanations Explanations::read(const std::string& cache_directory) {
  const std::string path = cache_directory + "/explanations";
  const std::string text = contents(path + ".old") + contents(path);
  Explanations all;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
    const json object = json::parse(rest.substr(0, end), nullptr, false);
    rest.remove_prefix(end + 1);
    if (!object.is_object()) continue;
    try {
      if (object.contains("begins")) {
        all.last_session = std::max<std::int64_t>(all.last_session, object.at("begins"));
        continue;
      }
      Explanation one;
      one.session = object.at("session");
      one.step = object.at("step");
      one.outer = object.at("outer");
      one.command = object.at("command");
      one.directory = object.at("directory");
      one.when_ns = object.at("when_ns");
      one.outcome = static_cast<Outcome>(object.at("outcome").get<int>());
      one.reasons = object.at("reasons").get<std::vector<std::string>>();
      one.culprit = object.at("culprit");
      one.policy = object.at("policy");
      one.outputs = object.at("outputs").get<std::vector<std::string>>();
      all.steps.push_back(std::move(one));
    } catch (const json::exception&) {
      // written by another version
    }
  }
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
