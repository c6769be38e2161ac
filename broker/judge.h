// Decides between hit and miss: takes today's values of the needs kept under a
// step's key and looks whether they name a result. It looks and changes nothing.
//
// Within one pass over the log a path is looked at once, however many steps name
// it. One thread, the session's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker/difference.h"
#include "broker/program_table.h"
#include "broker/session.h"
#include "broker/step.h"
#include "broker/view.h"
#include "cache/record.h"

namespace broker {

// Of a step whose key nothing was kept under.
inline constexpr const char* unknown_command_reason = "no result of this command with this program in this directory was known";

struct Verdict {
  std::optional<cache::StepResult> result;  // a hit
  cache::NeedSet names;                     // of the hit
  cache::NeedValues values;
  cache::Digest need_set, values_digest;
  std::vector<std::string> reasons;  // a miss: what differs from the last run, for a human; what explains most comes first
};

// What a descriptor of the process that asks leads to; it waits for the answer, so that it is still there. Empty: nothing that has a name.
std::string name_of_descriptor(const ExecRecord& exec, const preload::FdPayload& fd);

class Judge {
 public:
  Judge(Parts& parts, const PolicyTable& policies) : parts_(parts), policies_(policies) {}

  void begin_pass();
  // What is at this path is not what it was when it was looked at.
  void forget(const std::string& path);

  // Leaves out the need sets in `tried`: what they led to could not be replayed.
  Verdict decide(const Step& step, const std::vector<cache::Digest>& tried = {});
  // The facts behind a path need's value, as decide() saw them.
  const std::pair<PathFacts, PathContents>& observed(const cache::NeedName& need);
  // Of paths and programs, which are the same for every step.
  cache::NeedValues values_today(const cache::NeedSet& names) { return values_today(Step(), names); }
  // The same as decide() says of a miss, for a step that was not asked about.
  std::vector<std::string> why_not(const Step& step);

 private:
  std::string value_today(const Step& step, const cache::NeedName& need, SameFiles& same_files);
  EntryChanges entry_changes_of(const cache::NeedSet& names, const cache::LastRun& last, std::size_t index, const std::string& now) const;
  bool reads_its_output(const Step& step, const cache::NeedSet& names);
  cache::NeedValues values_today(const Step& step, const cache::NeedSet& names);

  struct Look {
    std::uint32_t aspects = 0;
    PathFacts facts;
    PathContents contents;
  };
  Parts& parts_;
  const PolicyTable& policies_;
  std::unordered_map<std::string, std::pair<PathFacts, PathContents>> looks_;  // by aspects and need text
};

}  // namespace broker
