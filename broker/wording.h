// Numbers, times and reports as people read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

// Among what is told of a command's needs: they are those until it ended.
inline constexpr char not_ended[] = "has not ended with the command";

std::string when_text(std::int64_t when_ns);      // CLOCK_REALTIME; 2026-11-25 07:05:48, local time
std::string duration_text(double seconds);       // 0.02 s, 12.3 s, 4 min 05 s, 2 h 10 min
std::string size_text(std::uint64_t bytes);      // 120 bytes, 4.2 KiB, 1.3 GiB
// A number of bytes: 500M, 1.5GiB, 20 GB, 4096. Powers of 1024 but for KB, MB, GB and TB.
std::optional<std::uint64_t> size_in(std::string_view text);
std::string status_text(int status);             // as wait(2) has it: status 2, signal 9; -1: not seen
std::string count_text(std::uint64_t count, std::string_view one, std::string_view many);  // 1 hit, 2 hits

// What a program was called with may hold anything, a terminal should not get to see it: what is no printable text is a space.
std::string on_one_line(std::string text, std::size_t bytes_max = std::string::npos);

// Why steps were not cacheable, as `vestal stats` counts it: names of files are left out, and a step that is so because of
// one inside it has this reason, for the true one is counted there.
inline constexpr char inner_reason[] = "contains a step that is not cacheable";
std::string reason_class(const std::string& reason);
// The reason of a step, and the command inside it that it comes from, if any.
std::string reason_text(const std::string& reason, const std::string& culprit);

// What the broker reports of a session, as lines that begin with `vestal: `: one for each step if `notes`, and one at the
// end. Empty if `json` is not such a report.
std::string report_lines(const std::string& json, bool notes);

// What the broker tells of a session under way, as one line: 34 done, 20 hits, 2 running, about 0:30 left  gcc -c a.c
std::string progress_text(const std::string& json);

// `; did you mean 'X'?`, or nothing if no choice is near.
std::string suggestion(const std::string& word, const std::vector<std::string>& choices);

}  // namespace broker
