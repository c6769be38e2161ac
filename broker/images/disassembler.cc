#include "broker/images/disassembler.h"

#include <capstone/capstone.h>

#include <cassert>
#include <cstring>

namespace broker::images {
namespace {

int hardware_number(unsigned capstone_register) {
  switch (capstone_register) {
    case X86_REG_RAX: case X86_REG_EAX: case X86_REG_AX: case X86_REG_AL: case X86_REG_AH: return 0;
    case X86_REG_RCX: case X86_REG_ECX: case X86_REG_CX: case X86_REG_CL: case X86_REG_CH: return 1;
    case X86_REG_RDX: case X86_REG_EDX: case X86_REG_DX: case X86_REG_DL: case X86_REG_DH: return 2;
    case X86_REG_RBX: case X86_REG_EBX: case X86_REG_BX: case X86_REG_BL: case X86_REG_BH: return 3;
    case X86_REG_RSP: case X86_REG_ESP: case X86_REG_SP: case X86_REG_SPL: return 4;
    case X86_REG_RBP: case X86_REG_EBP: case X86_REG_BP: case X86_REG_BPL: return 5;
    case X86_REG_RSI: case X86_REG_ESI: case X86_REG_SI: case X86_REG_SIL: return 6;
    case X86_REG_RDI: case X86_REG_EDI: case X86_REG_DI: case X86_REG_DIL: return 7;
    case X86_REG_R8: case X86_REG_R8D: case X86_REG_R8W: case X86_REG_R8B: return 8;
    case X86_REG_R9: case X86_REG_R9D: case X86_REG_R9W: case X86_REG_R9B: return 9;
    case X86_REG_R10: case X86_REG_R10D: case X86_REG_R10W: case X86_REG_R10B: return 10;
    case X86_REG_R11: case X86_REG_R11D: case X86_REG_R11W: case X86_REG_R11B: return 11;
    case X86_REG_R12: case X86_REG_R12D: case X86_REG_R12W: case X86_REG_R12B: return 12;
    case X86_REG_R13: case X86_REG_R13D: case X86_REG_R13W: case X86_REG_R13B: return 13;
    case X86_REG_R14: case X86_REG_R14D: case X86_REG_R14W: case X86_REG_R14B: return 14;
    case X86_REG_R15: case X86_REG_R15D: case X86_REG_R15W: case X86_REG_R15B: return 15;
    default: return register_none;
  }
}

enum class Flow { straight, conditional, jump, call, stop };

Flow flow_of(unsigned id) {
  switch (id) {
    case X86_INS_JMP: case X86_INS_LJMP: return Flow::jump;
    case X86_INS_CALL: case X86_INS_LCALL: return Flow::call;
    case X86_INS_RET: case X86_INS_RETF: case X86_INS_RETFQ: case X86_INS_IRET: case X86_INS_IRETD:
    case X86_INS_IRETQ: case X86_INS_HLT: case X86_INS_UD2: case X86_INS_INT3: return Flow::stop;
    case X86_INS_JA: case X86_INS_JAE: case X86_INS_JB: case X86_INS_JBE: case X86_INS_JE: case X86_INS_JNE:
    case X86_INS_JG: case X86_INS_JGE: case X86_INS_JL: case X86_INS_JLE: case X86_INS_JNO: case X86_INS_JNP:
    case X86_INS_JNS: case X86_INS_JO: case X86_INS_JP: case X86_INS_JS: case X86_INS_JCXZ: case X86_INS_JECXZ:
    case X86_INS_JRCXZ: case X86_INS_LOOP: case X86_INS_LOOPE: case X86_INS_LOOPNE: case X86_INS_XBEGIN:
      return Flow::conditional;
    default: return Flow::straight;
  }
}

bool is_common(unsigned id) {
  switch (id) {
    case X86_INS_MOV: case X86_INS_MOVABS: case X86_INS_MOVZX: case X86_INS_MOVSX: case X86_INS_MOVSXD: case X86_INS_LEA:
    case X86_INS_PUSH: case X86_INS_POP: case X86_INS_ADD: case X86_INS_SUB: case X86_INS_AND: case X86_INS_OR: case X86_INS_XOR:
    case X86_INS_NEG: case X86_INS_NOT: case X86_INS_SHL: case X86_INS_SHR: case X86_INS_SAR: case X86_INS_CMP: case X86_INS_TEST:
    case X86_INS_INC: case X86_INS_DEC: case X86_INS_JMP: case X86_INS_CALL: case X86_INS_RET: case X86_INS_NOP: case X86_INS_SYSCALL:
    case X86_INS_JA: case X86_INS_JAE: case X86_INS_JB: case X86_INS_JBE: case X86_INS_JE: case X86_INS_JNE: case X86_INS_JG:
    case X86_INS_JGE: case X86_INS_JL: case X86_INS_JLE: case X86_INS_JNS: case X86_INS_JS: case X86_INS_CDQE: case X86_INS_HLT:
    case X86_INS_INT3: case X86_INS_UD2: case X86_INS_ENDBR64: case X86_INS_IMUL: case X86_INS_XCHG: case X86_INS_CMPXCHG: case X86_INS_XADD:
    case X86_INS_CMOVE: case X86_INS_CMOVNE: case X86_INS_CMOVA: case X86_INS_CMOVAE: case X86_INS_CMOVB: case X86_INS_CMOVBE:
    case X86_INS_CMOVG: case X86_INS_CMOVGE: case X86_INS_CMOVL: case X86_INS_CMOVLE: case X86_INS_CMOVS: case X86_INS_CMOVNS:
    case X86_INS_SETE: case X86_INS_SETNE: case X86_INS_ADC: case X86_INS_SBB: case X86_INS_PXOR: case X86_INS_XORPS: case X86_INS_MOVQ: case X86_INS_MOVD:
    case X86_INS_MOVAPS: case X86_INS_MOVUPS: case X86_INS_MOVDQA: case X86_INS_MOVDQU: case X86_INS_PUNPCKLQDQ:
      return true;
    default:
      return false;
  }
}

// Direct jumps and calls end in their distance, one or four bytes by opcode.
std::optional<std::uint64_t> direct_target(const cs_insn& decoded) {
  std::size_t opcode = 0;
  auto is_prefix = [](std::uint8_t b) { return b == 0x66 || b == 0x67 || b == 0xf2 || b == 0xf3 || b == 0x2e || b == 0x3e || (b & 0xf0) == 0x40; };
  while (opcode < decoded.size && is_prefix(decoded.bytes[opcode])) ++opcode;
  if (opcode >= decoded.size) return std::nullopt;
  const std::uint8_t first = decoded.bytes[opcode];
  const std::uint64_t end = decoded.address + decoded.size;
  if (first == 0xeb || (first & 0xf0) == 0x70 || (first >= 0xe0 && first <= 0xe3))
    return end + static_cast<std::int8_t>(decoded.bytes[decoded.size - 1]);
  if ((first == 0xe8 || first == 0xe9 || first == 0x0f || first == 0xc7) && decoded.size >= 5) {
    std::int32_t distance;
    std::memcpy(&distance, decoded.bytes + decoded.size - 4, 4);
    return end + distance;
  }
  return std::nullopt;
}

void describe_operands(std::size_t handle, const cs_insn& decoded, Instruction& instruction) {
  const cs_x86& x86 = decoded.detail->x86;
  cs_regs read, written;
  std::uint8_t read_count = 0, written_count = 0;
  if (cs_regs_access(handle, &decoded, read, &read_count, written, &written_count) == CS_ERR_OK)
    for (int i = 0; i < written_count; ++i)
      if (const int number = hardware_number(written[i]); number != register_none)
        instruction.written_registers |= 1u << number;
  for (int i = 0; i < x86.op_count; ++i)
    if (x86.operands[i].type == X86_OP_MEM && x86.operands[i].mem.base == X86_REG_RIP)
      instruction.rip_displacement_at = x86.encoding.disp_offset;
  instruction.is_common = is_common(decoded.id);
  instruction.is_push = decoded.id == X86_INS_PUSH;
  instruction.pops = decoded.id == X86_INS_POP;
  if (x86.op_count != 2 || x86.operands[0].type != X86_OP_REG) return;
  const cs_x86_op& to = x86.operands[0];
  const cs_x86_op& from = x86.operands[1];
  const int destination = hardware_number(to.reg);
  if (decoded.id == X86_INS_SUB && destination == register_rsp && from.type == X86_OP_IMM)
    instruction.stack_lowered_by = static_cast<std::int32_t>(from.imm);
  if (to.size < 4 || destination == register_none) return;
  const bool moves = decoded.id == X86_INS_MOV || decoded.id == X86_INS_MOVABS;
  if (moves && from.type == X86_OP_IMM) {
    instruction.destination = destination;
    instruction.constant = static_cast<std::uint32_t>(from.imm);
  } else if (decoded.id == X86_INS_XOR && from.type == X86_OP_REG && from.reg == to.reg) {
    instruction.destination = destination;
    instruction.constant = 0;
  } else if (moves && from.type == X86_OP_REG) {
    instruction.destination = destination;
    instruction.source = hardware_number(from.reg);
  }
}

}  // namespace

Disassembler::Disassembler(Detail detail) : detail_(detail) {
  csh handle = 0;
  [[maybe_unused]] const cs_err opened = cs_open(CS_ARCH_X86, CS_MODE_64, &handle);
  assert(opened == CS_ERR_OK);
  if (detail == Detail::full) cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
  handle_ = handle;
  scratch_ = cs_malloc(handle);
}

Disassembler::~Disassembler() {
  cs_free(static_cast<cs_insn*>(scratch_), 1);
  csh handle = handle_;
  cs_close(&handle);
}

std::size_t Disassembler::length(Bytes code, std::uint64_t address) {
  auto* decoded = static_cast<cs_insn*>(scratch_);
  const std::uint8_t* next = code.data();
  std::size_t left = code.size();
  if (!cs_disasm_iter(handle_, &next, &left, &address, decoded)) return 0;
  return decoded->size;
}

std::optional<Instruction> Disassembler::decode(Bytes code, std::uint64_t address) {
  if (length(code, address) == 0) return std::nullopt;
  const cs_insn& decoded = *static_cast<cs_insn*>(scratch_);
  Instruction instruction;
  instruction.address = address;
  instruction.size = static_cast<std::uint8_t>(decoded.size);
  if (decoded.size > instruction.bytes.size()) return std::nullopt;
  std::memcpy(instruction.bytes.data(), decoded.bytes, decoded.size);
  instruction.is_syscall = decoded.id == X86_INS_SYSCALL || decoded.id == X86_INS_SYSENTER ||
                           (decoded.id == X86_INS_INT && decoded.bytes[decoded.size - 1] == 0x80);
  const Flow flow = flow_of(decoded.id);
  instruction.transfers_control = flow != Flow::straight;
  instruction.ends_flow = flow == Flow::jump || flow == Flow::stop;
  instruction.is_call = flow == Flow::call;
  if (flow == Flow::conditional || flow == Flow::jump || flow == Flow::call) instruction.target = direct_target(decoded);
  if (detail_ == Detail::full) describe_operands(handle_, decoded, instruction);
  return instruction;
}

}  // namespace broker::images
