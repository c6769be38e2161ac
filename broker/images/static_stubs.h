// The code that patched sites of a program jump to. In a static program the shim
// is in the same file, so nothing is asked for through a slot; in one that ld.so
// loads, the shim is a library, and fills in slots (preload::CopySlots). Nobody
// unwinds through it: such programs have tables of their own, if any.
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
//
// By slots it begins with  cmpq $0,hook;  je 1f  instead, for there may be no
// shim, then `call *hook`, `call *choose`, and  mov depth,%rcx;  lock incl (%rcx).
#pragma once

#include <cstdint>
#include <vector>

#include "broker/images/site_selection.h"

namespace broker::images {

// More than any stub takes.
inline constexpr std::uint64_t static_stub_bytes_max = 256;

// Addresses within the shim, or of slots that hold them.
struct ShimPlaces {
  std::uint64_t start, hook, choose, vfork_depth;
};
enum class Reach { directly, by_slots };

class StaticStubs {
 public:
  // Code will stand at `vaddr`.
  StaticStubs(std::uint64_t vaddr, const ShimPlaces& shim, Reach reach = Reach::directly) : vaddr_(vaddr), shim_(shim), reach_(reach) {}

  // Of a static program. Where the kernel enters: the address of the StaticImage in rax, then the shim. Returns its address.
  std::uint64_t add_entry(std::uint64_t image);
  // Returns the stub's address.
  Result<std::uint64_t> add_site(const SitePatch& patch);

  const std::vector<std::uint8_t>& code() const { return code_; }

 private:
  std::uint64_t here() const { return vaddr_ + code_.size(); }
  void put(std::initializer_list<std::uint8_t> bytes) { code_.insert(code_.end(), bytes); }
  void put_distance(std::uint64_t target);
  void put_call(std::uint64_t target);
  void put_depth_change(bool up);
  bool put_end(const SitePatch& patch);
  bool put_question(const SitePatch& patch);

  std::uint64_t vaddr_;
  ShimPlaces shim_;
  Reach reach_;
  std::vector<std::uint8_t> code_;
};

}  // namespace broker::images
