// A session as a trace for Perfetto (ui.perfetto.dev) and chrome://tracing: JSON
// in the trace event format, one complete event for each step, one thread for
// each lane.
#pragma once

#include <string>

#include "broker/report/timeline.h"

namespace broker::report {

std::string trace_text(const Timeline& timeline);

}  // namespace broker::report
