// The code that patched sites and entries jump to.
//
// A hook is a pointer in a slot; while it is null the original runs, so an
// image works by itself. A site's stub:
//
//       <displaced instructions before the call>
//       lea  -128(%rsp),%rsp        leaf functions keep data below rsp
//       call common
//       lea  128(%rsp),%rsp
//       <displaced instructions after the call>
//       jmp  behind the patch
//
//   common:  cmpq $0,slot0(%rip);  je 1f;  jmp *slot0(%rip);  1: syscall;  ret
//
// So a hook of slot 0 is called with the number in rax, arguments as for
// `syscall`; it returns by `ret` with the result in rax and may change, like
// `syscall`, only rax, rcx, r11 and the flags.
//
// A function entry's stub hands over as if the hook had been called instead:
//
//       cmpq $0,slot(%rip);  je original;  jmp *slot(%rip)
//   original:  <displaced instructions>;  jmp behind the patch
//
// Each stub of a site lies within one aligned block of `stub_block_bytes`:
// unwind_writer.h finds the site from any address in the block.
#pragma once

#include <cstdint>
#include <vector>

#include "broker/images/site_selection.h"

namespace broker::images {

inline constexpr std::uint64_t stub_block_bytes = 64;

// How to unwind from a stub: from `offset` on, the caller's rsp is this stub's
// rsp plus `caller_stack`.
struct StubUnwind {
  struct Row {
    std::uint8_t offset;
    std::int32_t caller_stack;
  };
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  // For a site's stub the address its frame returns to, behind the `syscall`
  // in the patched function. 0 for code that was called the usual way.
  std::uint64_t site_end = 0;
  std::vector<Row> rows;
};

// Puts an instruction at the end of `code`, which starts at `vaddr`; what it refers to stays the same. False: it is too far.
bool put_moved(std::vector<std::uint8_t>& code, std::uint64_t vaddr, const Instruction& instruction);

class StubWriter {
 public:
  // Code will stand at `vaddr`; slots are at `slots`, eight bytes each. With
  // `compact`, site stubs are packed and cannot be unwound through.
  StubWriter(std::uint64_t vaddr, std::uint64_t slots, bool compact = false);

  // Both return the stub's address.
  Result<std::uint64_t> add_site(const SitePatch& patch);
  Result<std::uint64_t> add_entry(const std::vector<Instruction>& displaced, std::size_t slot);
  // Where the original of the entry added last starts.
  std::uint64_t original() const { return original_; }

  const std::vector<std::uint8_t>& code() const { return code_; }
  const std::vector<StubUnwind>& unwinds() const { return unwinds_; }

  // `length` bytes for `at`: a jump to `target`, then nops.
  static std::vector<std::uint8_t> jump(std::uint64_t at, std::uint64_t target, std::size_t length);

 private:
  std::uint64_t here() const { return vaddr_ + code_.size(); }
  void put(std::initializer_list<std::uint8_t> bytes) { code_.insert(code_.end(), bytes); }
  void put_distance(std::uint64_t target, std::uint64_t bytes_behind);
  void put_jump_to_hook(std::size_t slot);
  bool put_displaced(const Instruction& instruction) { return put_moved(code_, vaddr_, instruction); }

  std::uint64_t vaddr_;
  std::uint64_t slots_;
  bool compact_;
  std::uint64_t common_ = 0;
  std::uint64_t original_ = 0;
  std::vector<std::uint8_t> code_;
  std::vector<StubUnwind> unwinds_;
};

}  // namespace broker::images
