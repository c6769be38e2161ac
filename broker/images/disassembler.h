// Machine code, one instruction at a time. The one place that knows Capstone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "broker/images/elf_file.h"

namespace broker::images {

// The sixteen general registers by their hardware number, whatever part of
// them an instruction names.
inline constexpr int register_rax = 0;
inline constexpr int register_rsp = 4;
inline constexpr int register_none = -1;

struct Instruction {
  std::uint64_t address = 0;
  std::uint8_t size = 0;
  std::array<std::uint8_t, 15> bytes{};

  bool is_syscall = false;
  // Control does not, or not only, go on to the next instruction.
  bool transfers_control = false;
  // Control never goes on to the next instruction.
  bool ends_flow = false;
  bool is_call = false;
  // Where a direct jump or call goes.
  std::optional<std::uint64_t> target;

  // The rest only from Disassembler::Detail::full.
  std::uint32_t written_registers = 0;  // bit per hardware number
  // Position of a rip-relative operand's disp32 in `bytes`, or 0.
  std::uint8_t rip_displacement_at = 0;
  // For "register := constant" and "register := register".
  int destination = register_none;
  std::optional<std::uint32_t> constant;
  int source = register_none;
  bool is_push = false;
  bool pops = false;
  std::int32_t stack_lowered_by = 0;  // sub $n,%rsp
  // One that compilers and libraries write all the time; data seldom looks like many of them in a row.
  bool is_common = false;

  std::uint64_t end() const { return address + size; }
  bool writes(int register_number) const { return written_registers >> register_number & 1; }
};

class Disassembler {
 public:
  enum class Detail { none, full };
  explicit Disassembler(Detail detail);
  ~Disassembler();
  Disassembler(const Disassembler&) = delete;
  Disassembler& operator=(const Disassembler&) = delete;

  // The instruction at the start of `code`, or nothing if there is none.
  std::optional<Instruction> decode(Bytes code, std::uint64_t address);
  // Only its length in bytes, 0 if there is none: much cheaper.
  std::size_t length(Bytes code, std::uint64_t address);

 private:
  std::size_t handle_ = 0;
  void* scratch_ = nullptr;
  Detail detail_;
};

}  // namespace broker::images
