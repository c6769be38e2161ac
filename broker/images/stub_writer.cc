#include "broker/images/stub_writer.h"

#include <algorithm>

#include <fmt/format.h>

namespace broker::images {
namespace {

constexpr std::int32_t red_zone_bytes = 128;
constexpr std::uint8_t trap = 0xcc;
constexpr std::uint8_t pop_rsp = 0x5c;

}  // namespace

StubWriter::StubWriter(std::uint64_t vaddr, std::uint64_t slots, bool compact)
    : vaddr_(vaddr), slots_(slots), compact_(compact) {
  common_ = here();
  put_jump_to_hook(0);
  put({0x0f, 0x05, 0xc3});  // syscall; ret
  unwinds_.push_back({common_, code_.size(), 0, {{0, 8}}});
}

// The distance from behind the instruction that is being written and has
// `bytes_behind` more bytes after the distance itself.
void StubWriter::put_distance(std::uint64_t target, std::uint64_t bytes_behind) {
  const auto distance = static_cast<std::uint32_t>(target - (here() + 4 + bytes_behind));
  for (int shift = 0; shift < 32; shift += 8) code_.push_back(static_cast<std::uint8_t>(distance >> shift));
}

void StubWriter::put_jump_to_hook(std::size_t slot) {
  put({0x48, 0x83, 0x3d});  // cmpq $0,slot(%rip)
  put_distance(slots_ + slot * 8, 1);
  put({0x00, 0x74, 0x06, 0xff, 0x25});  // je +6; jmp *slot(%rip)
  put_distance(slots_ + slot * 8, 0);
}

bool put_moved(std::vector<std::uint8_t>& code, std::uint64_t vaddr, const Instruction& instruction) {
  const std::size_t at = code.size();
  const std::uint64_t moved_by = vaddr + at - instruction.address;
  code.insert(code.end(), instruction.bytes.begin(), instruction.bytes.begin() + instruction.size);
  if (instruction.rip_displacement_at == 0) return true;
  std::int32_t displacement;
  std::memcpy(&displacement, code.data() + at + instruction.rip_displacement_at, 4);
  const std::int64_t moved = displacement - static_cast<std::int64_t>(moved_by);
  if (moved != static_cast<std::int32_t>(moved)) return false;
  displacement = static_cast<std::int32_t>(moved);
  std::memcpy(code.data() + at + instruction.rip_displacement_at, &displacement, 4);
  return true;
}

Result<std::uint64_t> StubWriter::add_site(const SitePatch& patch) {
  if (!compact_) code_.resize(round_up(code_.size(), stub_block_bytes), trap);
  const std::uint64_t start = here();
  StubUnwind unwind{start, 0, patch.site_end, {{0, 0}}};
  auto row = [&](std::int32_t caller_stack) { unwind.rows.push_back({static_cast<std::uint8_t>(here() - start), caller_stack}); };
  bool moved = true;
  for (const Instruction& instruction : patch.before) moved = moved && put_displaced(instruction);
  put({0x48, 0x8d, 0x64, 0x24, 0x80});  // lea -128(%rsp),%rsp
  row(red_zone_bytes);
  put({0xe8});  // call common
  put_distance(common_, 0);
  put({0x48, 0x8d, 0xa4, 0x24, red_zone_bytes, 0, 0, 0});  // lea 128(%rsp),%rsp
  row(0);
  for (const Instruction& instruction : patch.after) moved = moved && put_displaced(instruction);
  put({0xe9});  // jmp resume
  put_distance(patch.resume, 0);
  unwind.size = here() - start;
  if (!moved || unwind.size > stub_block_bytes)
    return fail(Fault::unsupported, fmt::format("the instructions around {:#x} cannot be moved", patch.start));
  unwinds_.push_back(std::move(unwind));
  return start;
}

Result<std::uint64_t> StubWriter::add_entry(const std::vector<Instruction>& displaced, std::size_t slot) {
  code_.resize(round_up(code_.size(), 16), trap);
  const std::uint64_t start = here();
  StubUnwind unwind{start, 0, 0, {{0, 8}}};
  put_jump_to_hook(slot);
  original_ = here();
  bool moved = true;
  std::int32_t caller_stack = 8;
  for (const Instruction& instruction : displaced) {
    moved = moved && put_displaced(instruction);
    // vfork begins by taking its return address off the stack.
    const std::int32_t lowered_by = instruction.is_push ? 8 : instruction.pops ? -8 : instruction.stack_lowered_by;
    moved = moved && !(instruction.pops && instruction.bytes[0] == pop_rsp);
    moved = moved && (lowered_by != 0) == instruction.writes(register_rsp);
    caller_stack += lowered_by;
    if (lowered_by) unwind.rows.push_back({static_cast<std::uint8_t>(here() - start), caller_stack});
  }
  put({0xe9});
  put_distance(displaced.back().end(), 0);
  unwind.size = here() - start;
  if (!moved) return fail(Fault::unsupported, fmt::format("the entry at {:#x} cannot be moved", displaced.front().address));
  unwinds_.push_back(std::move(unwind));
  return start;
}

std::vector<std::uint8_t> StubWriter::jump(std::uint64_t at, std::uint64_t target, std::size_t length) {
  std::vector<std::uint8_t> bytes(length, 0x90);
  const auto distance = static_cast<std::uint32_t>(target - (at + jump_bytes));
  bytes[0] = 0xe9;
  std::memcpy(bytes.data() + 1, &distance, 4);
  return bytes;
}

}  // namespace broker::images
