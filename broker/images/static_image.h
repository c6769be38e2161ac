// A copy of a static program that has the shim inside. Where the program's calls
// cannot all be patched, none is, and the shim traps them (preload/trap.h); so
// also in programs whose loader and libc are none that vestal knows, which the
// copy loads itself.
//
//   file of the program, unchanged but for
//     e_entry               the entry stub
//     e_phoff, e_phnum      the new table of program headers
//     patched sites         jumps to stubs
//   padding to a page
//   table of program headers: those of the program, behind its last PT_LOAD two more
//   StaticImage (preload/protocol.h), entry stub, site stubs
//   padding to a page
//   file of the shim, as far as its segments go
//
// The first new segment reaches from the table to the end of the shim's text,
// the second is the shim's data. Both lie above everything the program has, so
// that the kernel puts the heap behind them. The shim needs no relocation, so a
// position-independent program works like any other. The program is told of its
// own program headers, which are where they were.
#pragma once

#include <cstdint>
#include <vector>

#include "broker/images/elf_file.h"
#include "broker/images/wanted_calls.h"

namespace broker::images {

struct StaticProgramImage {
  std::vector<std::uint8_t> bytes;
  std::size_t sites = 0;  // patched; 0 if they are trapped
};

// Of `wanted` only the numbers count. An Error, to be shown, if the program has to run as it is.
Result<StaticProgramImage> build_static_image(const ElfFile& program, const ElfFile& shim, const WantedCalls& wanted);

}  // namespace broker::images
