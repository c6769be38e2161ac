#include "broker/session_log.h"

#include <nlohmann/json.hpp>

namespace broker {

using nlohmann::json;

namespace {

constexpr char file_name[] = "/sessions";

}  // namespace

SessionLog::SessionLog(const std::string& cache_directory) : directory_(cache_directory), lines_(cache_directory + file_name, sessions_max) {}

void SessionLog::add(const SessionFacts& facts) {
  json line = {{"session", facts.session},
               {"command", facts.command},
               {"directory", facts.directory},
               {"began_ns", facts.began_ns},
               {"ended_ns", facts.ended_ns},
               {"hits", facts.hits},
               {"misses", facts.misses},
               {"not_cacheable", facts.not_cacheable},
               {"saved_ns", facts.saved_ns},
               {"work_ns", facts.work_ns}};
  if (facts.status) line["status"] = *facts.status;
  const std::lock_guard lock(mutex_);
  lines_.append(line);
  lines_.write_out();
}

std::uint64_t SessionLog::work_of(std::string_view command, std::string_view directory) const {
  const std::lock_guard lock(mutex_);
  const std::vector<SessionFacts> all = read(directory_);
  for (auto one = all.rbegin(); one != all.rend(); ++one)
    if (one->command == command && one->directory == directory && one->status == 0 && one->misses + one->not_cacheable > 0) return one->work_ns;
  return 0;
}

std::vector<SessionFacts> SessionLog::read(const std::string& cache_directory) {
  std::vector<SessionFacts> all;
  LineLog::read(cache_directory + file_name, [&](const json& line) {
    try {
      SessionFacts one;
      one.session = line.at("session");
      one.command = line.at("command");
      one.directory = line.at("directory");
      one.began_ns = line.at("began_ns");
      one.ended_ns = line.at("ended_ns");
      one.hits = line.at("hits");
      one.misses = line.at("misses");
      one.not_cacheable = line.at("not_cacheable");
      one.saved_ns = line.at("saved_ns");
      one.work_ns = line.at("work_ns");
      if (line.contains("status")) one.status = line.at("status").get<std::int32_t>();
      all.push_back(std::move(one));
    } catch (const json::exception&) {
      // written by another version
    }
  });
  if (all.size() > sessions_max) all.erase(all.begin(), all.end() - sessions_max);
  return all;
}

}  // namespace broker
