#include "broker/images/static_stubs.h"

#include <cstring>

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

void StaticStubs::put_call(std::uint64_t target) {
  if (reach_ == Reach::directly) put({0xe8});
  else put({0xff, 0x15});  // call *slot(%rip)
  put_distance(target);
}

void StaticStubs::put_depth_change(bool up) {
  const std::uint8_t operation = up ? 0x05 : 0x0d;
  if (reach_ == Reach::directly) {
    put({0xf0, 0xff, operation});  // lock incl or decl depth(%rip)
    put_distance(shim_.vfork_depth);
  } else {
    put({0x48, 0x8b, 0x0d});  // mov slot(%rip),%rcx, which the call changes anyway
    put_distance(shim_.vfork_depth);
    put({0xf0, 0xff, static_cast<std::uint8_t>(operation - 4)});  // lock incl or decl (%rcx)
  }
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
  put_call(shim_.hook);
  put(return_to_red_zone);
  return put_end(patch);
}

Result<std::uint64_t> StaticStubs::add_site(const SitePatch& patch) {
  code_.resize(round_up(code_.size(), 16), trap);
  const std::uint64_t start = here();
  bool moved = true;
  for (const Instruction& instruction : patch.before) moved = moved && put_moved(code_, vaddr_, instruction);
  // Distances that are known when the code between is written.
  std::vector<std::size_t> to_place, to_counted;
  const auto leap = [&](std::uint8_t condition, std::vector<std::size_t>& from) {
    put({0x0f, condition});
    from.push_back(code_.size());
    put({0, 0, 0, 0});
  };
  const auto arrive = [&](const std::vector<std::size_t>& from) {
    for (const std::size_t each : from) {
      const auto distance = static_cast<std::uint32_t>(code_.size() - (each + 4));
      std::memcpy(code_.data() + each, &distance, 4);
    }
  };
  constexpr std::uint8_t if_carry = 0x82, if_zero = 0x84;
  if (reach_ == Reach::by_slots) {
    // cmpq $0,hook(%rip): the distance counts from behind the operand.
    put({0x48, 0x83, 0x3d});
    put_distance(shim_.hook - 1);
    put({0});
    leap(if_zero, to_place);
  }
  if (patch.may_share) {
    put(skip_red_zone);
    put_call(shim_.choose);
    put(return_to_red_zone);
    leap(if_carry, to_place);
    leap(if_zero, to_counted);
  }
  moved = moved && put_question(patch);
  if (!to_place.empty()) {
    arrive(to_place);
    put({0x0f, 0x05});
    moved = moved && put_end(patch);
  }
  if (!to_counted.empty()) {
    arrive(to_counted);
    put_depth_change(true);
    put({0x0f, 0x05, 0x48, 0x85, 0xc0, 0x74});  // syscall; test %rax,%rax; jz
    const std::size_t over = code_.size();
    put({0});
    put_depth_change(false);
    code_[over] = static_cast<std::uint8_t>(code_.size() - (over + 1));
    moved = moved && put_end(patch);
  }
  if (!moved || here() - start > static_stub_bytes_max)
    return fail(Fault::unsupported, fmt::format("the instructions around {:#x} cannot be moved", patch.start));
  return start;
}

}  // namespace broker::images
