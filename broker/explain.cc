#include "broker/explain.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>

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

void ExplanationLog::begin_session() {
  const std::lock_guard lock(mutex_);
  append(to_line({{"session", true}}));
}

void ExplanationLog::add(const Explanation& explanation) {
  const std::string line = to_line({{"command", shortened(explanation.command)},
                                    {"directory", shortened(explanation.directory)},
                                    {"when_ns", explanation.when_ns},
                                    {"outcome", static_cast<int>(explanation.outcome)},
                                    {"reasons", shortened(explanation.reasons, reasons_max)},
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

std::vector<Explanation> ExplanationLog::find(std::string_view filter, std::size_t count_max) {
  std::string text;
  {
    const std::lock_guard lock(mutex_);
    write_out();
    text = contents(path_ + ".old") + contents(path_);
  }
  std::vector<std::string_view> lines;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
    lines.push_back(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  std::vector<Explanation> found;
  for (auto line = lines.rbegin(); line != lines.rend() && found.size() < count_max; ++line) {
    const json object = json::parse(*line, nullptr, false);
    if (!object.is_object()) continue;
    if (object.contains("session")) {
      // Of a session without such steps the answer is that there were none, not another session's.
      if (filter.empty()) break;
      continue;
    }
    try {
      Explanation one{.command = object.at("command"),
                      .directory = object.at("directory"),
                      .when_ns = object.at("when_ns"),
                      .outcome = static_cast<Outcome>(object.at("outcome").get<int>()),
                      .reasons = object.at("reasons"),
                      .policy = object.at("policy"),
                      .outputs = object.at("outputs")};
      const bool wanted = filter.empty() ? one.outcome != Outcome::hit
                                         : one.command.find(filter) != std::string::npos ||
                                               std::find(one.outputs.begin(), one.outputs.end(), filter) != one.outputs.end();
      if (wanted) found.push_back(std::move(one));
    } catch (const json::exception&) {
      // written by another version
    }
  }
  return found;
}

}  // namespace broker
