#include "broker/line_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace broker {
namespace {

using nlohmann::json;

constexpr std::size_t unwritten_bytes_max = 16 << 10;

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::size_t count_lines(const std::string& path) {
  const std::string text = contents(path);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

LineLog::LineLog(std::string path, std::size_t lines_max) : path_(std::move(path)), lines_max_(lines_max), lines_(count_lines(path_)) {}

LineLog::~LineLog() { write_out(); }

void LineLog::append(const json& object) {
  if (lines_ >= lines_max_) {
    write_out();
    file_.reset();
    std::rename(path_.c_str(), (path_ + ".old").c_str());
    lines_ = 0;
  }
  // Names need not be UTF-8, JSON has to be.
  unwritten_ += object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  ++lines_;
  if (unwritten_.size() >= unwritten_bytes_max) write_out();
}

void LineLog::write_out() {
  if (!file_) file_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
  // A full disk costs lines, nothing else.
  if (file_ && !unwritten_.empty() && ::write(file_.get(), unwritten_.data(), unwritten_.size()) < 0) file_.reset();
  unwritten_.clear();
}

void LineLog::read(const std::string& path, const std::function<void(const json& object)>& take) {
  const std::string text = contents(path + ".old") + contents(path);
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
    const json object = json::parse(rest.substr(0, end), nullptr, false);
    rest.remove_prefix(end + 1);
    if (object.is_object()) take(object);
  }
}

}  // namespace broker
