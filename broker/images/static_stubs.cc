#include "broker/images/static_stubs.h"

#include <fmt/format.h>

#include "broker/images/stub_writer.h"

namespace broker::images {
namespace {

constexpr std::initializer_list<std::uint8_t> skip_red_zone{0x48, 0x8d, 0x64, 0x24, 0x80};        // lea -128(%rsp),%rsp
constexpr std::initializer_list<std::uint8_t> return_to_red_zone{0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0};  // lea 128(%rsp),%rsp
constexpr std::uint8_t trap = 0xcc;

}  // namespace

// From behind the instruction, which ends with this distance.
void StaticStubs::put_distance(std::uint64_t target) {
  const auto distance = static_cast<std::uint32_t>(target - (here() + 4));
  for (int shift = 0; shift < 32; shift += 8) code_.push_back(static_cast<std::uint8_t>(distance >> shift));
}

std::uint64_t StaticStubs::add_entry(std::uint64_t image) {
  code_.resize(round_up(code_.size(), 16), trap);
  const std::uint64_t start = here();
  put({0x48, 0x8d, 0x05});  // lea image(%rip),%rax
  put_distance(image);
  put({0xe9});
  put_distance(shim_.start);
  return start;
}

bool StaticStubs::put_end(const SitePatch& patch) {
  bool moved = true;
  for (const Instruction& instruction : patch.after) moved = moved && put_moved(code_, vaddr_, instruction);
  put({0xe9});
  put_distance(patch.resume);
  return moved;
}

bool StaticStubs::put_question(const SitePatch& patch) {
  put(skip_red_zone);
  put({0xe8});
  put_distance(shim_.hook);
  put(return_to_red_zone);
  return put_end(patch);
}

Result<std::uint64_t> StaticStubs::add_site(const SitePatch& patch) {
  code_.resize(round_up(code_.size(), 16), trap);
  const std::uint64_t start = here();
  bool moved = true;
  for (const Instruction& instruction : patch.before) moved = moved && put_moved(code_, vaddr_, instruction);
  if (!patch.may_share) {
    moved = moved && put_question(patch);
  } else {
    put(skip_red_zone);
    put({0xe8});
    put_distance(shim_.choose);
    put(return_to_red_zone);
    // The two distances are known when the code between is written.
    put({0x0f, 0x82});  // jc
    const std::size_t in_place_from = code_.size();
    put({0, 0, 0, 0, 0x0f, 0x84});  // jz
    const std::size_t counted_from = code_.size();
    put({0, 0, 0, 0});
    auto arrive = [&](std::size_t from) {
      const auto distance = static_cast<std::uint32_t>(code_.size() - (from + 4));
      std::memcpy(code_.data() + from, &distance, 4);
    };
    moved = moved && put_question(patch);
    arrive(in_place_from);
    put({0x0f, 0x05});
    moved = moved && put_end(patch);
    arrive(counted_from);
    put({0xf0, 0xff, 0x05});  // lock incl depth(%rip)
    put_distance(shim_.vfork_depth);
    put({0x0f, 0x05, 0x48, 0x85, 0xc0, 0x74, 0x07});  // syscall; test %rax,%rax; jz over the next
    put({0xf0, 0xff, 0x0d});  // lock decl depth(%rip)
    put_distance(shim_.vfork_depth);
    moved = moved && put_end(patch);
  }
  if (!moved || here() - start > static_stub_bytes_max)
    return fail(Fault::unsupported, fmt::format("the instructions around {:#x} cannot be moved", patch.start));
  return start;
}

}  // namespace broker::images
