#include "broker/report/page.h"

#include <algorithm>
#include <map>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/report/page_data.h"
#include "broker/wording.h"
#include "cache/digest.h"

namespace broker::report {
namespace {

using nlohmann::json;

constexpr std::size_t slowest_shown = 20, path_shown = 30, reasons_shown = 100, examples_shown = 3;

double seconds(std::int64_t ns) { return static_cast<double>(ns) / 1e9; }

std::string time_text(std::int64_t ns) { return ns < 1'000'000'000 ? fmt::format("{:.0f} ms", static_cast<double>(ns) / 1e6) : duration_text(seconds(ns)); }

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char byte : text) {
    switch (byte) {
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '&': safe += "&amp;"; break;
      case '"': safe += "&quot;"; break;
      case '\'': safe += "&#39;"; break;
      default: safe += static_cast<unsigned char>(byte) < ' ' && byte != '\n' && byte != '\t' ? ' ' : byte;
    }
  }
  return safe;
}

std::string base64(std::string_view bytes) {
  constexpr char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const auto byte = [&](std::size_t i) { return at + i < bytes.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at + i])) : 0u; };
    const std::uint32_t three = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (std::size_t i = 0; i < 4; ++i) text += at + i > bytes.size() ? '=' : letters[three >> (18 - 6 * i) & 63];
  }
  return text;
}

// As a word of a class, and for the eye: colour is never the only sign.
std::string class_of(const std::string& outcome) { return outcome == "hit" ? "hit" : outcome == "miss" ? "miss" : "other"; }
std::string badge(const std::string& outcome) { return fmt::format(R"(<span class="badge {}">{}</span>)", class_of(outcome), escaped(outcome)); }

std::string code(const std::string& text) { return "<code>" + escaped(text) + "</code>"; }

// What the script draws. In a script element nothing is markup but what begins with '<'.
std::string data_of(const Timeline& timeline) {
  std::vector<std::size_t> drawn(timeline.bars.size());
  std::iota(drawn.begin(), drawn.end(), std::size_t{0});
  if (drawn.size() > bars_drawn_max) {
    std::ranges::nth_element(drawn, drawn.begin() + bars_drawn_max, [&](std::size_t a, std::size_t b) { return timeline.bars[a].took_ns() > timeline.bars[b].took_ns(); });
    drawn.resize(bars_drawn_max);
    std::ranges::sort(drawn);
  }
  json bars = json::array();
  for (const std::size_t at : drawn) {
    const Bar& bar = timeline.bars[at];
    bars.push_back({bar.lane, bar.depth, bar.began_ns / 1000, bar.took_ns() / 1000, bar.outcome, bar.command, bar.reason, bar.directory, bar.saved_ns / 1000, status_text(bar.status)});
  }
  std::string text = json{{"took", timeline.took_ns / 1000}, {"lanes", timeline.lanes}, {"bars", std::move(bars)}}.dump(-1, ' ', false, json::error_handler_t::replace);
  for (std::size_t at = 0; (at = text.find('<', at)) != text.npos;) text.replace(at, 1, "\\u003c");
  return text;
}

std::string fact(std::string_view name, const std::string& value) { return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", name, value); }

std::string facts_of(const Timeline& timeline) {
  std::string text = "<dl class=\"facts\">\n";
  text += fact("Began", when_text(timeline.began_ns)) + fact("Took", time_text(timeline.took_ns)) + fact("Ended with", status_text(timeline.status));
  text += fact("Hits", fmt::format(R"(<span class="badge hit">{}</span>)", timeline.hits));
  text += fact("Misses", fmt::format(R"(<span class="badge miss">{}</span>)", timeline.misses));
  text += fact("Not cacheable", fmt::format(R"(<span class="badge other">{}</span>)", timeline.not_cacheable));
  text += fact("Saved", time_text(static_cast<std::int64_t>(timeline.saved_ns)));
  return text + "</dl>\n";
}

// Each outcome and class of reasons once, the most frequent first.
std::string reasons_of(const Timeline& timeline) {
  std::map<std::pair<std::string, std::string>, std::vector<const Bar*>> all;
  for (const Bar& bar : timeline.bars)
    if (!bar.reason.empty()) all[{bar.outcome, bar.reason.starts_with("inside it `") ? inner_reason : reason_class(bar.reason)}].push_back(&bar);
  if (all.empty()) return "<p class=\"quiet\">Every step was a hit.</p>\n";
  std::vector<std::pair<std::pair<std::string, std::string>, std::vector<const Bar*>>> sorted(all.begin(), all.end());
  std::ranges::stable_sort(sorted, [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
  std::string text = "<table id=\"reasons\"><thead><tr><th class=\"number\">Steps</th><th class=\"kind\">Outcome</th><th>Reason</th><th>Commands</th></tr></thead><tbody>\n";
  for (std::size_t i = 0; i < sorted.size() && i < reasons_shown; ++i) {
    const auto& [kind, bars] = sorted[i];
    text += fmt::format("<tr><td class=\"number\">{}</td><td>{}</td><td>{}</td><td>", bars.size(), badge(kind.first), escaped(bars.size() == 1 ? bars[0]->reason : kind.second));
    for (std::size_t one = 0; one < bars.size() && one < examples_shown; ++one) text += code(bars[one]->command);
    if (bars.size() > examples_shown) text += fmt::format("<span class=\"quiet\">and {} more</span>", bars.size() - examples_shown);
    text += "</td></tr>\n";
  }
  return text + "</tbody></table>\n";
}

std::string row_of(const Bar& bar, std::int64_t shown_ns) {
  const std::string why = bar.reason.empty() ? std::string() : fmt::format("<span class=\"quiet\">{}</span>", escaped(bar.reason));
  return fmt::format("<tr><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td><td>{}{}</td></tr>\n", time_text(shown_ns),
                     time_text(bar.began_ns), badge(bar.outcome), code(bar.command), why);
}

std::string table_of(std::string_view name, std::string_view time, const std::string& rows) {
  return fmt::format("<table id=\"{}\"><thead><tr><th class=\"number\">{}</th><th class=\"number\">Began after</th><th class=\"kind\">Outcome</th><th>Command</th></tr></thead><tbody>\n{}</tbody></table>\n", name, time, rows);
}

// Without those inside it, for else the outermost ones would be all there is.
std::string slowest_of(const Timeline& timeline) {
  std::vector<const Bar*> inner;
  std::vector<bool> has_inner(timeline.bars.size(), false);
  for (const Bar& bar : timeline.bars)
    if (bar.outer != no_bar) has_inner[bar.outer] = true;
  for (std::size_t i = 0; i < timeline.bars.size(); ++i)
    if (!has_inner[i]) inner.push_back(&timeline.bars[i]);
  std::ranges::stable_sort(inner, [](const Bar* a, const Bar* b) { return a->took_ns() > b->took_ns(); });
  std::string rows;
  for (std::size_t i = 0; i < inner.size() && i < slowest_shown; ++i) rows += row_of(*inner[i], inner[i]->took_ns());
  return table_of("slowest", "Took", rows);
}

std::string path_of(const Timeline& timeline) {
  std::vector<OnPath> path = critical_path(timeline.bars);
  std::vector<std::int64_t> times;
  for (const OnPath& one : path) times.push_back(one.own_ns);
  std::ranges::sort(times, std::greater());
  const std::int64_t shortest_ns = times.size() > path_shown ? times[path_shown - 1] : 0;
  std::string rows;
  std::int64_t left_ns = 0;
  std::size_t shown = 0, left = 0;
  for (const OnPath& one : path) {
    if (one.own_ns >= shortest_ns && shown < path_shown) {
      rows += row_of(timeline.bars[one.bar], one.own_ns);
      ++shown;
    } else {
      left_ns += one.own_ns;
      ++left;
    }
  }
  if (left > 0) rows += fmt::format("<tr><td class=\"number\">{}</td><td></td><td></td><td class=\"quiet\">{}</td></tr>\n", time_text(left_ns), count_text(left, "shorter one", "shorter ones"));
  return table_of("path", "Own time", rows);
}

}  // namespace

std::string page_text(const Timeline& timeline) {
  const std::string_view script = vestal_report_js;
  const std::string title = escaped(on_one_line(timeline.command, 200));
  const std::size_t left_out = timeline.bars.size() - std::min(timeline.bars.size(), bars_drawn_max);
  std::string text = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{} - vestal</title>\n<style>\n{}</style>\n</head>\n<body>\n",
      base64(cache::digest_of(script).view()), title, vestal_report_css);
  text += fmt::format("<header>\n<h1>{}</h1>\n<p class=\"quiet\">in {}</p>\n{}</header>\n", code(timeline.command), code(timeline.directory), facts_of(timeline));
  text += fmt::format("<section>\n<h2>Timeline</h2>\n"
      "<p class=\"tools\"><span class=\"badge hit\">hit</span><span class=\"badge miss\">miss</span><span class=\"badge other\">not cacheable</span>"
      "<span class=\"quiet\">{} in {}{}</span><span class=\"buttons\"><button type=\"button\" id=\"closer\" title=\"closer (+)\">+</button>"
      "<button type=\"button\" id=\"farther\" title=\"farther (-)\">&minus;</button><button type=\"button\" id=\"all\" title=\"all of it (0)\">All</button></span></p>\n"
      "<div id=\"frame\"><canvas id=\"timeline\" tabindex=\"0\" role=\"img\" aria-label=\"When each step ran. The tables below say the same in words.\"></canvas></div>\n"
      "<p id=\"told\" aria-live=\"polite\">Point at a step to see what it was; drag to move, Ctrl and the wheel to zoom, a double click to fill the width with a step.</p>\n"
      "<noscript><p>The timeline is drawn by a script; the tables need none.</p></noscript>\n</section>\n",
      count_text(timeline.bars.size(), "step", "steps"), count_text(timeline.lanes, "lane", "lanes"),
      left_out > 0 ? fmt::format("; the {} shortest are not drawn", left_out) : "");
  text += "<section>\n<h2>Why steps were not hits</h2>\n" + reasons_of(timeline) + "</section>\n";
  text += "<section>\n<h2>What took the time</h2>\n<p class=\"quiet\">From the end back to the beginning: the step that ended last, then the one that ended last before it began. "
          "A build that is to be faster needs a shorter one of these.</p>\n" + path_of(timeline) + "</section>\n";
  text += "<section>\n<h2>Slowest steps</h2>\n<p class=\"quiet\">Of those that have no other inside them.</p>\n" + slowest_of(timeline) + "</section>\n";
  text += "<script type=\"application/json\" id=\"data\">" + data_of(timeline) + "</script>\n<script>" + std::string(script) + "</script>\n</body>\n</html>\n";
  return text;
}

}  // namespace broker::report
