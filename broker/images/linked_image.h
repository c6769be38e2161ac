// A copy of a program that ld.so loads, whose own system calls ask the shim that
// is preloaded. For Go: others' calls are trapped, which its run time does not
// bear (preload/trap.h).
//
//   file of the program, unchanged but for
//     e_phoff, e_phnum      the new table of program headers
//     patched sites         jumps to stubs
//   a hole
//   table of program headers: those of the program, behind its last PT_LOAD two more
//   stubs
//   padding to a page
//   CopySlots (preload/protocol.h), which the shim fills in; until then calls are made where they stand
//
// Both new segments lie above everything the program has. The hole makes the
// distance of file and memory that of the first segment, for older kernels take
// it for granted when they tell ld.so where the table is (AT_PHDR; Linux 5.18).
#pragma once

#include <cstdint>
#include <vector>

#include "broker/images/elf_file.h"
#include "broker/images/wanted_calls.h"

namespace broker::images {

// Of `wanted` only the numbers count. An Error, to be shown, if its calls cannot all be patched.
Result<std::vector<std::uint8_t>> build_linked_image(const ElfFile& program, const WantedCalls& wanted);

}  // namespace broker::images
