// What is known of program files: how to start them traced, and what they are.
//
// A program's identity covers its bytes, its interpreter's if it is a script,
// and every library ld.so starts it with; it changes exactly if another program
// would run. Found out once and kept in the cache (row "p"), then believed as
// long as the file, its libraries and the absences that decided the search are
// what they were. Answers are reused without looking again for `lease_ms`,
// unless forget() says that a path has changed. What was found out of a file
// that had only just been written is good for that time alone.
//
//   row key                            value
//   path, NUL, LD_LIBRARY_PATH         ProgramFindings
//   "A", digest of a file's contents   kind, interpreter, OwnInstructions
//
// Any thread may use it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "broker/images/patcher.h"
#include "broker/program_findings.h"
#include "broker/view.h"
#include "cache/base/result.h"
#include "cache/step_cache.h"

namespace broker {

inline constexpr int lease_ms = 50;

struct Program {
  std::string path;  // as asked for, absolute
  // The file that runs: the path with symlinks resolved; for a script its interpreter's (the last one's).
  // Empty if the file was not looked at.
  std::string real_path;
  std::string script;  // the script's path with symlinks resolved, if it is one
  cache::Digest identity;
  // Plan for the shim, see preload/protocol.h.
  std::string preload;  // closure with the libc image in libc's place, ':' between; of a static program see Plan::preload
  std::string copy;        // runs in place of the file, see ProgramFindings::copied; empty if none does
  bool is_static = false;  // as in ProgramFindings
  bool traps = false;      // the same
  bool untraced = false;
  std::string reason;  // why untraced
  // Not empty: it runs traced, but what it does is not all seen or not the same without its privileges, so
  // that the step is not cacheable. Says why.
  std::string spoils;
  // Where it, or a library that it is linked with, asks the processor for its counter and for random numbers; empty if nowhere.
  std::string counter, random;
  // What is read to start it: itself, its interpreter if it is a script, ld.so with its index, and libraries, as spelled.
  std::vector<std::string> files;
  std::vector<std::string> absences;  // where its libraries were looked for in vain
  PathFacts facts;  // of the file at `path`, symlinks followed, when it was looked at
};

class ProgramTable {
 public:
  // `shim_path`: absolute path of libvestal_shim.so. Images are kept in `image_directory`.
  ProgramTable(cache::StepCache& cache, const View& view, std::string image_directory, std::string shim_path);
  ~ProgramTable();

  // Makes or checks the images of libc and ld.so. If it fails, programs can still be looked up, but all are
  // untraced; the next call tries again. Fault::not_found: there is no libc, and what needs none can be traced all the same. Once it has succeeded, every call gives the same answer, for
  // sessions are built on it; programs with another libc or ld.so than those are untraced.
  cache::Result<images::SystemImages> images();

  // Fault::not_found etc. if there is no such file; anything the kernel would refuse to execute is a Program
  // that is untraced. `library_path` is the value of LD_LIBRARY_PATH.
  cache::Result<std::shared_ptr<const Program>> look_up(const std::string& path,
                                                        const std::string& library_path);

  // As in program_findings.h: of code that a program loads while it runs.
  cache::Result<OwnInstructions> own_instructions(const std::string& path);

  // The contents or the name of this path have changed.
  void forget(const std::string& path);

  // Whatever is known has to be looked at again: others may have been at work.
  void doubt();

  // How many programs had to be looked into, because what was known of them was nothing or no longer so.
  std::uint64_t searches() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace broker
