// What a file is to the kernel when it is executed or loaded, and whether its
// system calls can all be seen. An answer depends on the file alone and may be
// kept as long as the file does not change.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cache/base/result.h"

namespace broker::images {

enum class Kind {
  dynamic_glibc,   // asks for glibc's ld.so: the shim can be preloaded
  static_program,  // an x86-64 program without interpreter
  foreign,         // another machine, class or loader
  shared_object,   // an x86-64 library
  script,          // starts with #!
  not_a_program,   // the kernel would answer ENOEXEC
};

const char* name_of(Kind kind);

struct ElfAnalysis {
  Kind kind = Kind::not_a_program;
  // A program's loader as PT_INTERP spells it, or a script's interpreter.
  std::string interpreter;
  // The one argument of a script's #! line; empty if it has none.
  std::string script_argument;
  // It has system calls of its own, or code that may be some.
  bool raw_syscalls = false;
  // Where it asks the processor for its time-stamp counter and for random numbers, for a human; empty if nowhere.
  std::string counter, random;
  // Its run time is Go's, which begins random numbers with what the kernel gives every program.
  bool go = false;
  // Its constructors run before those of all other objects (DF_1_INITFIRST).
  bool first = false;
  // It gives its user other rights: set-user-ID, set-group-ID, capabilities.
  bool privileged = false;
  // For a human, if anything above stands in the way of tracing; else empty.
  std::string reason;
  std::string build_id;  // lower-case hex, empty if it has none
  std::string soname;
  std::vector<std::string> needed;
};

class ElfFile;
// Whether its run time is Go's.
bool is_go(const ElfFile& elf);

// An Error only if the file cannot be read, or is an ELF file with
// contradictory headers.
cache::Result<ElfAnalysis> analyse(const std::string& path);

// A file's first line as the kernel (5.x and later) takes it apart, given its
// first 256 bytes or fewer. Kind::not_a_program if the kernel would not.
ElfAnalysis parse_script(std::string_view head);

}  // namespace broker::images
