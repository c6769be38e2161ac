// Several runs that make one root together: what each of them reported, kept in the
// cache directory until it is asked for by name.
#pragma once

#include <string>
#include <vector>

#include "cache/base/result.h"

namespace crude_import {

struct SessionRun {
  std::string report;     // the session's JSON
  std::string directory;  // where the command ran
};

// Adds the run to those of that name, and returns all, oldest first. <cache>/imports/<name>, one JSON object in a line for each.
// Fault::invalid for a name that is not of letters, digits, '-', '_' and '.'. Processes may do so at once.
cache::Result<bool> check_session_name(const std::string& name);
cache::Result<std::vector<SessionRun>> add_to_session(const std::string& name, const SessionRun& run);

}  // namespace crude_import
