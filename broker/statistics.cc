#include "broker/statistics.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "cache/base/owned_fd.h"

namespace broker {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t examples_max = 1000;

std::int64_t value_of(const std::map<std::string, std::int64_t>& counters, const char* name) {
  const auto found = counters.find(name);
  return found == counters.end() ? 0 : found->second;
}

}  // namespace

Statistics::Statistics(std::string cache_directory) : directory_(std::move(cache_directory)) {
  std::ifstream file(directory_ + "/" + file_name, std::ios::binary);
  const auto before = ordered_json::parse(file, nullptr, false);
  if (!before.is_object() || !before.contains("examples") || !before["examples"].is_object()) return;
  for (const auto& [reason, command] : before["examples"].items())
    if (command.is_string()) examples_.emplace(reason, command);
}

void Statistics::add_examples(const std::map<std::string, std::string>& examples) {
  const std::lock_guard lock(mutex_);
  if (examples_.size() < examples_max) examples_.insert(examples.begin(), examples.end());
}

void Statistics::clear() {
  const std::lock_guard lock(mutex_);
  examples_.clear();
}

std::string Statistics::text(const std::map<std::string, std::int64_t>& counters) const {
  constexpr std::string_view reason_prefix = "reason:";
  const std::lock_guard lock(mutex_);
  ordered_json reasons = ordered_json::object(), examples = ordered_json::object();
  for (const auto& [name, count] : counters) {
    if (!name.starts_with(reason_prefix)) continue;
    const std::string reason = name.substr(reason_prefix.size());
    reasons[reason] = count;
    if (const auto example = examples_.find(reason); example != examples_.end()) examples[reason] = example->second;
  }
  ordered_json all;
  for (const char* name : {"hits", "misses", "not_cacheable"}) all[name] = value_of(counters, name);
  all["reasons"] = std::move(reasons);
  all["examples"] = std::move(examples);
  all["sessions"] = value_of(counters, "sessions");
  all["saved_seconds"] = static_cast<double>(value_of(counters, "saved_ns")) / 1e9;
  all["cache_directory"] = directory_;
  // Names need not be UTF-8, JSON has to be.
  return all.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

void Statistics::write(const std::map<std::string, std::int64_t>& counters) const {
  const std::string all = text(counters) + "\n";
  const std::string path = directory_ + "/" + file_name, made = path + ".new";
  const std::lock_guard lock(mutex_);
  cache::OwnedFd file(::open(made.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  const bool whole = file && ::write(file.get(), all.data(), all.size()) == static_cast<ssize_t>(all.size());
  if (!whole || std::rename(made.c_str(), path.c_str()) != 0) ::unlink(made.c_str());
}

std::uint64_t Statistics::cache_bytes(const std::string& cache_directory) {
  std::uint64_t bytes = 0;
  for (const char* part : {"/blobs", "/index"}) {
    std::error_code error;
    for (auto at = std::filesystem::recursive_directory_iterator(cache_directory + part, error);
         !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
      std::error_code unknown;
      const auto size = at->is_regular_file(unknown) ? at->file_size(unknown) : 0;
      if (!unknown) bytes += size;
    }
  }
  return bytes;
}

}  // namespace broker
