// What does an object do by instructions of its own, past libc? Does it enter
// the kernel, or ask the processor for its time-stamp counter or for random
// numbers? Neither would be seen.
//
// The instructions looked for are syscall (0f 05), sysenter (0f 34) and
// int $0x80 (cd 80); rdtsc (0f 31) and rdtscp (0f 01 f9); rdrand and rdseed
// (0f c7 /6 and /7 of a register). A byte pair is not yet an instruction: cc1 has dozens of
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
  std::size_t pairs = 0;   // candidates looked at, of calls
  std::size_t count = 0;   // of these, calls
  std::string first;       // the first call, for a human: file and offset
  std::vector<PossibleCall> calls;  // of all code ranges, each ascending
  std::string counter, random;      // where it asks the processor, for a human; empty if nowhere. Not where a lock spins.
};

RawCalls find_raw_calls(const ElfFile& elf);

}  // namespace broker::images
