#include "broker/report/timeline.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include <nlohmann/json.hpp>

namespace broker::report {
namespace {

using nlohmann::json;

Bar bar_of(const json& note, std::int64_t session_began_ns) {
  Bar bar;
  bar.step = note.at("step");
  bar.began_ns = std::max<std::int64_t>(note.at("began_ns").get<std::int64_t>() - session_began_ns, 0);
  bar.ended_ns = bar.began_ns + note.at("took_ns").get<std::int64_t>();
  bar.outcome = note.at("outcome");
  bar.command = note.at("command");
  bar.directory = note.at("directory");
  bar.policy = note.at("policy");
  bar.reasons = note.at("reasons").get<std::vector<std::string>>();
  bar.reason = note.at("reason");
  bar.saved_ns = note.at("saved_ns");
  bar.process = note.at("process");
  bar.status = note.at("status");
  return bar;
}

void put_into_outer_ones(std::vector<Bar>& bars, const json& notes) {
  std::unordered_map<std::uint64_t, std::uint64_t> outer_of;
  for (const json& note : notes) outer_of[note.at("step")] = note.at("outer");
  // A step has a greater number than the one around it.
  std::ranges::sort(bars, {}, &Bar::step);
  std::unordered_map<std::uint64_t, const Bar*> known;
  for (Bar& bar : bars) {
    if (const auto outer = known.find(outer_of[bar.step]); outer != known.end()) {
      bar.began_ns = std::clamp(bar.began_ns, outer->second->began_ns, outer->second->ended_ns);
      bar.ended_ns = std::clamp(bar.ended_ns, bar.began_ns, outer->second->ended_ns);
    }
    known[bar.step] = &bar;
  }
  std::ranges::stable_sort(bars, {}, &Bar::began_ns);
  std::unordered_map<std::uint64_t, std::size_t> places;
  for (std::size_t i = 0; i < bars.size(); ++i) places[bars[i].step] = i;
  for (Bar& bar : bars)
    if (const auto outer = places.find(outer_of[bar.step]); outer != places.end()) bar.outer = outer->second;
}

}  // namespace

Timeline Timeline::of(std::string_view report) {
  const json object = json::parse(report, nullptr, false);
  Timeline line;
  try {
    line.command = object.at("command");
    line.directory = object.at("directory");
    line.began_ns = object.at("began_ns");
    line.took_ns = std::max<std::int64_t>(object.at("ended_ns").get<std::int64_t>() - line.began_ns, 0);
    if (object.at("status").is_number()) line.status = object.at("status");
    line.hits = object.at("hits");
    line.misses = object.at("misses");
    line.not_cacheable = object.at("not_cacheable");
    line.saved_ns = object.at("saved_ns");
    for (const json& note : object.at("notes")) line.bars.push_back(bar_of(note, line.began_ns));
    put_into_outer_ones(line.bars, object.at("notes"));
  } catch (const json::exception&) {
    return {};
  }
  line.lanes = assign_lanes(line.bars);
  return line;
}

std::size_t assign_lanes(std::vector<Bar>& bars) {
  std::vector<std::vector<std::size_t>> lanes;  // of each, the bars that have not ended, the innermost last
  const auto free_until = [&](std::size_t lane, std::int64_t now) {
    while (!lanes[lane].empty() && bars[lanes[lane].back()].ended_ns <= now) lanes[lane].pop_back();
  };
  for (std::size_t i = 0; i < bars.size(); ++i) {
    Bar& bar = bars[i];
    std::size_t lane = lanes.size();
    if (bar.outer != no_bar) {
      const std::size_t outers = bars[bar.outer].lane;
      free_until(outers, bar.began_ns);
      if (!lanes[outers].empty() && lanes[outers].back() == bar.outer) lane = outers;
    }
    for (std::size_t other = 0; other < lanes.size() && lane == lanes.size(); ++other) {
      free_until(other, bar.began_ns);
      if (lanes[other].empty()) lane = other;
    }
    if (lane == lanes.size()) lanes.emplace_back();
    bar.lane = lane;
    bar.depth = lanes[lane].size();
    lanes[lane].push_back(i);
  }
  return lanes.size();
}

std::vector<OnPath> critical_path(const std::vector<Bar>& bars) {
  std::vector<std::vector<std::size_t>> inside(bars.size() + 1);  // the last: what is in no other
  std::int64_t end = 0;
  for (std::size_t i = 0; i < bars.size(); ++i) {
    inside[std::min(bars[i].outer, bars.size())].push_back(i);
    end = std::max(end, bars[i].ended_ns);
  }
  std::vector<OnPath> path;  // from the end to the beginning
  std::vector<std::int64_t> own_ns(bars.size(), 0), first_ns(bars.size(), 0);
  const auto add = [&](std::size_t bar, std::int64_t from, std::int64_t to) {
    if (bar == bars.size() || to <= from) return;
    if (own_ns[bar] == 0) path.push_back({bar, 0});
    own_ns[bar] += to - from;
    first_ns[bar] = from;
  };
  // One at a time, for steps may be nested as deep as they like.
  struct Stretch {
    std::size_t bar;
    std::int64_t from, to;
    bool is_looked_into;
  };
  std::vector<Stretch> waiting{{bars.size(), 0, end, false}};
  while (!waiting.empty()) {
    const Stretch here = waiting.back();
    waiting.pop_back();
    if (here.is_looked_into) {
      add(here.bar, here.from, here.to);
      continue;
    }
    auto& steps = inside[here.bar];
    std::ranges::sort(steps, [&](std::size_t a, std::size_t b) { return bars[a].ended_ns > bars[b].ended_ns; });
    std::vector<Stretch> stretches;
    std::int64_t now = here.to;
    for (const std::size_t step : steps) {
      if (bars[step].ended_ns > now || bars[step].took_ns() == 0) continue;
      stretches.push_back({here.bar, bars[step].ended_ns, now, true});
      stretches.push_back({step, bars[step].began_ns, bars[step].ended_ns, false});
      now = bars[step].began_ns;
    }
    stretches.push_back({here.bar, here.from, now, true});
    waiting.insert(waiting.end(), stretches.rbegin(), stretches.rend());
  }
  for (OnPath& one : path) one.own_ns = own_ns[one.bar];
  std::ranges::stable_sort(path, {}, [&](const OnPath& one) { return first_ns[one.bar]; });
  return path;
}

}  // namespace broker::report
