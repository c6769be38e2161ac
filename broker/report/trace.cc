#include "broker/report/trace.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/wording.h"

namespace broker::report {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t name_bytes_max = 60;

// Microseconds, as the format has them, without a nanosecond lost.
std::string microseconds(std::int64_t ns) { return fmt::format("{}.{:03}", ns / 1000, ns % 1000); }

std::string text_of(const ordered_json& value) { return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

std::string event_of(const Bar& bar) {
  ordered_json arguments = {{"outcome", bar.outcome}, {"command", bar.command}, {"directory", bar.directory}, {"process", bar.process}};
  if (!bar.reasons.empty()) {
    arguments["reasons"] = bar.reasons;
    arguments["reasons"][0] = bar.reason;
  }
  arguments["ended with"] = status_text(bar.status);
  if (bar.saved_ns > 0) arguments["saved"] = duration_text(static_cast<double>(bar.saved_ns) / 1e9);
  if (!bar.policy.empty()) arguments["policy"] = bar.policy;
  return fmt::format(R"({{"ph":"X","pid":1,"tid":{},"ts":{},"dur":{},"cat":{},"name":{},"args":{}}})", bar.lane + 1, microseconds(bar.began_ns),
                     microseconds(bar.took_ns()), text_of(bar.outcome), text_of(on_one_line(bar.command, name_bytes_max)), text_of(arguments));
}

}  // namespace

std::string trace_text(const Timeline& timeline) {
  std::string text = fmt::format(R"({{"displayTimeUnit":"ms","otherData":{},"traceEvents":[)",
                                 text_of({{"command", timeline.command}, {"directory", timeline.directory}, {"began", when_text(timeline.began_ns)}}));
  text += "\n" + fmt::format(R"({{"ph":"M","pid":1,"name":"process_name","args":{{"name":{}}}}})", text_of("vestal: " + on_one_line(timeline.command, name_bytes_max)));
  for (std::size_t lane = 1; lane <= timeline.lanes; ++lane)
    text += ",\n" + fmt::format(R"({{"ph":"M","pid":1,"tid":{},"name":"thread_name","args":{{"name":"lane {}"}}}})", lane, lane);
  for (const Bar& bar : timeline.bars) text += ",\n" + event_of(bar);
  return text + "\n]}\n";
}

}  // namespace broker::report
