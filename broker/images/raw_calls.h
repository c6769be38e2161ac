// Does an object enter the kernel by itself, past libc? Such a program's calls
// would not be seen.
//
// The instructions looked for are syscall (0f 05), sysenter (0f 34) and
// int $0x80 (cd 80). A byte pair is not yet an instruction: cc1 has dozens of
// such pairs inside other instructions. Only an instruction boundary at the
// pair makes it one. In code that no function claims (start-up code, assembly,
// tables) it is less sure where instructions start: every sequence that may be
// meant is tried, and one that leads to the pair is enough. Wrongly suspecting
// a program only costs time.
#pragma once

#include <string>
#include <vector>

#include "broker/images/elf_file.h"

namespace broker::images {

struct PossibleCall {
  std::uint64_t vaddr;
  bool in_function;  // then it is one for certain
  bool is_syscall;   // and not one of the ways of 32-bit programs
};

struct RawCalls {
  std::size_t pairs = 0;   // candidates looked at
  std::size_t count = 0;   // of these, calls
  std::string first;       // the first call, for a human: file and offset
  std::vector<PossibleCall> calls;  // of all code ranges, each ascending
};

RawCalls find_raw_calls(const ElfFile& elf);

}  // namespace broker::images
