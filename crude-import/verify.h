// Whether a command does in its root what it has done on the machine.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "broker/client.h"
#include "cache/base/result.h"
#include "crude-import/command_report.h"

namespace crude_import {

// One run of the command, and what it wrote to the standard streams.
struct Observed {
  int status = 0;  // as wait(2) has it
  std::string output, errors;
  std::string text;  // the session's report, as JSON
  CommandReport report;
};

// Runs the command here. What it writes is passed on, by a pipe.
cache::Result<Observed> observe(char* const* arguments, const broker::CommandOptions& options);

struct Comparison {
  std::vector<std::string> differences;  // for a human; empty: it did the same
  std::set<std::string> missing;         // paths that it looked for in the root in vain, and are there on the machine
};

// Runs the command once more, with `root` for "/", the working directory and the variables of this process, and compares it with the
// first run and with the files that has made.
cache::Result<Comparison> compare_in_root(const std::string& root, char* const* arguments, const broker::CommandOptions& options, const Observed& first);

// Why standard input cannot be given twice; empty if it can.
std::string unrepeatable_input();

}  // namespace crude_import
