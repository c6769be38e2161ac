// The code that patched sites of a static program jump to. Nothing is asked for
// through a slot, for the shim is in the same file, and nobody unwinds through
// it: such programs have tables of their own, if any.
//
//       <displaced instructions before the call>
//       lea  -128(%rsp),%rsp        leaf functions keep data below rsp
//       call hook
//       lea  128(%rsp),%rsp
//       <displaced instructions after the call>
//       jmp  behind the patch
//
// A call that may give a child this stack, or another one, must be made where
// nothing has been pushed, so a site that may be one first asks which it is
// (preload/static_entry.S):
//
//       <before>;  lea -128(%rsp),%rsp;  call choose;  lea 128(%rsp),%rsp;  jc 1f;  jz 2f
//       <as above from the first lea>
//   1:  syscall;  <after>;  jmp behind the patch
//   2:  lock incl vfork_depth;  syscall;  test %rax,%rax;  jz 3f;  lock decl vfork_depth
//   3:  <after>;  jmp behind the patch
#pragma once

#include <cstdint>
#include <vector>

#include "broker/images/site_selection.h"

namespace broker::images {

// More than any stub takes.
inline constexpr std::uint64_t static_stub_bytes_max = 256;

// Addresses within the shim.
struct ShimPlaces {
  std::uint64_t start, hook, choose, vfork_depth;
};

class StaticStubs {
 public:
  // Code will stand at `vaddr`.
  StaticStubs(std::uint64_t vaddr, const ShimPlaces& shim) : vaddr_(vaddr), shim_(shim) {}

  // Where the kernel enters: the address of the StaticImage in rax, then the shim. Returns its address.
  std::uint64_t add_entry(std::uint64_t image);
  // Returns the stub's address.
  Result<std::uint64_t> add_site(const SitePatch& patch);

  const std::vector<std::uint8_t>& code() const { return code_; }

 private:
  std::uint64_t here() const { return vaddr_ + code_.size(); }
  void put(std::initializer_list<std::uint8_t> bytes) { code_.insert(code_.end(), bytes); }
  void put_distance(std::uint64_t target);
  bool put_end(const SitePatch& patch);
  bool put_question(const SitePatch& patch);

  std::uint64_t vaddr_;
  ShimPlaces shim_;
  std::vector<std::uint8_t> code_;
};

}  // namespace broker::images
