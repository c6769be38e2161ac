// Finds out what a program file is and what it runs with, by looking at it, its
// interpreter and, through ld.so, its libraries. Costs some milliseconds, the
// first time more (code is disassembled once for each content); so the answer is
// kept, see program_table.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/program_evidence.h"
#include "broker/view.h"
#include "cache/base/result.h"
#include "cache/digest.h"
#include "cache/step_cache.h"

namespace broker {

// What an ELF file does by instructions of its own, past libc: where, for a human. Empty if nowhere, or only such as is known
// to be harmless.
struct OwnInstructions {
  std::string calls;            // system calls
  std::string counter, random;  // asks the processor: rdtsc; rdrand, rdseed, or std::random_device of libstdc++
};

struct ProgramFindings {
  std::string real_path, script;  // as in Program
  cache::Digest identity;
  bool untraced = false;
  std::string reason;                  // why untraced
  std::string spoils, counter, random; // as in Program
  std::string loader;                  // ld.so, as the program spells it
  std::vector<std::string> libraries;  // in link-map order, libc among them
  bool traps = false;                  // has system calls of its own, which are trapped
  bool copied = false;                 // made by Go: its own calls are patched in a copy, which ld.so loads
  bool is_static = false;              // runs as a copy with the shim inside: it has neither, or its loader is none that vestal knows
  cache::Digest static_digest;         // of real_path's contents
  // What the kernel would put in front of a script's path, argv[0] included. Empty if it is none.
  std::vector<std::string> script_prefix;
  ProgramEvidence evidence;

  // Only what evidence.lasts() for is worth keeping.
  std::string encode() const;
  static std::optional<ProgramFindings> decode(std::string_view bytes);
};

// Fault::not_found or Fault::io if there is no such file or no way to it.
cache::Result<ProgramFindings> find_out(const std::string& path, const std::string& library_path,
                                        const View& view, cache::StepCache& cache);

// Fault::unsupported if it is no library.
cache::Result<OwnInstructions> own_instructions(const std::string& path, const View& view, cache::StepCache& cache);

}  // namespace broker
