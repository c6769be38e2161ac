// Which system-call sites of an object are patched, and which bytes of each.
//
// A patch is a run of whole instructions, at least five bytes long, that no
// direct jump enters in the middle: their place is taken by a jump to a stub.
// In the usual shape the run is just the `mov $number,%eax` before the call and
// the `syscall` itself stays where it is; otherwise the run holds the call and
// neighbours that mean the same anywhere.
#pragma once

#include <string>
#include <vector>

#include "broker/images/code_survey.h"
#include "broker/images/raw_calls.h"
#include "broker/images/wanted_calls.h"

namespace broker::images {

inline constexpr std::size_t jump_bytes = 5;

struct SitePatch {
  std::uint64_t start = 0;
  std::size_t length = 0;
  std::vector<Instruction> before;  // displaced, to run before the call
  std::vector<Instruction> after;   // displaced, to run after it
  std::uint64_t site_end = 0;       // the address behind the `syscall`
  std::uint64_t resume = 0;         // where the stub goes on
  // Only of a static program's sites: it is not certain that the call gives no child this stack or this memory.
  bool may_share = false;
};

struct SiteSelection {
  std::vector<SitePatch> patches;
  // "0x27274 in exit" for each site whose number is not known and that is not
  // patched.
  std::vector<std::string> unknown;
  // Of a static program with glibc's malloc: where malloc keeps its random mark. 0 if that is not certain.
  std::uint64_t malloc_mark = 0;
};

// An Error names the wanted site that cannot be patched.
Result<SiteSelection> select_sites(const CodeSurvey& survey, const WantedCalls& wanted);

// The same for a static program, of whose functions few or no names are known.
// Every call whose number is not certain is wanted, and so are those that make
// a child sharing memory. An Error names what cannot be patched, or might be a
// call and might be data.
Result<SiteSelection> select_static_sites(const CodeSurvey& survey, const WantedCalls& wanted,
                                          const std::vector<PossibleCall>& possible);

// SiteSelection::malloc_mark of a static program whose calls cannot all be patched.
std::uint64_t find_malloc_mark(const CodeSurvey& survey, const std::vector<PossibleCall>& possible);

// The instructions at the entry of a function to displace for a jump.
Result<std::vector<Instruction>> select_entry(const CodeSurvey& survey, const std::string& function);

}  // namespace broker::images
