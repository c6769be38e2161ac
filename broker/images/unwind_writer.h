// Lets C++ exceptions, thread cancellation and backtraces pass through stubs.
//
// A stub is described as a frame of its own, called from its site: the return
// address is the address behind the site's `syscall`, so the unwinder goes on
// in the patched function with that function's own rules, as if the kernel had
// been entered there. The return address is computed from the program counter:
//
//     (pc & -64) + (site_end - block)         a stub lies within one block
//
// and is the same wherever in the stub the counter is.
//
// The result is a replacement for the object's .eh_frame_hdr, all of whose
// entries it keeps, followed by descriptions of the stubs.
#pragma once

#include <cstdint>
#include <vector>

#include "broker/images/function_table.h"
#include "broker/images/stub_writer.h"

namespace broker::images {

struct UnwindTables {
  std::vector<std::uint8_t> bytes;  // to stand at the given address
  std::uint64_t header_bytes = 0;   // of these, the new .eh_frame_hdr
};

// `vaddr` is a multiple of eight above all stubs, which lie above all functions
// of `functions`.
UnwindTables write_unwind_tables(const FunctionTable& functions, const std::vector<StubUnwind>& stubs, std::uint64_t vaddr);

}  // namespace broker::images
