// A session as one HTML file that needs nothing else: facts, a timeline of its
// steps, why they were no hits, the slowest ones, what the session waited for.
//
// Whatever comes from the build stands in it as text. Nothing is fetched, and a
// policy in the page lets no script run but its own.
#pragma once

#include <string>

#include "broker/report/timeline.h"

namespace broker::report {

// So many bars are drawn at most, the longest ones; the tables are of all steps.
inline constexpr std::size_t bars_drawn_max = 20'000;

std::string page_text(const Timeline& timeline);

}  // namespace broker::report
