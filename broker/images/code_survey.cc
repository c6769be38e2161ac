#include "broker/images/code_survey.h"

#include <algorithm>

namespace broker::images {

Result<CodeSurvey> CodeSurvey::make(const ElfFile& elf) {
  CodeSurvey survey(elf);
  const Segment* code = nullptr;
  for (const Segment& segment : elf.segments()) {
    if (!segment.executable()) continue;
    if (code) return fail(Fault::unsupported, elf.path() + ": more than one executable segment");
    code = &segment;
  }
  const FunctionTable functions = FunctionTable::read(elf);
  const bool is_program = elf.soname().empty();
  if (!code || (functions.size() == 0 && !is_program)) return fail(Fault::unsupported, elf.path() + ": no code, or no table of its functions");
  survey.code_vaddr_ = code->vaddr;
  survey.code_ = elf.file_range(code->offset, code->file_bytes);
  const std::uint64_t end = code->vaddr + survey.code_.size();
  std::vector<std::uint64_t>& starts = survey.starts_;
  starts.push_back(code->vaddr);
  auto add = [&](std::uint64_t start) {
    if (start > code->vaddr && start < end) starts.push_back(start);
  };
  for (std::size_t i = 0; i < functions.size(); ++i) add(functions.start(i));
  if (is_program)
    for (const CodeRange& range : elf.code()) add(range.vaddr), add(range.vaddr + range.code.size());
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  starts.push_back(end);
  survey.sweep(survey.starts_);
  return survey;
}

void CodeSurvey::sweep(const std::vector<std::uint64_t>& function_starts) {
  Disassembler decoder(Disassembler::Detail::none);
  targets_.resize(code_.size());
  for (std::size_t i = 0; i + 1 < function_starts.size(); ++i) {
    const std::uint64_t end = function_starts[i + 1];
    for (std::uint64_t at = function_starts[i]; at < end;) {
      const auto instruction = decoder.decode(code_.subspan(at - code_vaddr_, end - at), at);
      if (!instruction) {
        ++at;
        continue;
      }
      if (instruction->is_syscall && instruction->bytes[0] == 0x0f && instruction->bytes[1] == 0x05) syscalls_.push_back(at);
      if (instruction->target && *instruction->target - code_vaddr_ < code_.size())
        targets_[*instruction->target - code_vaddr_] = true;
      at = instruction->end();
    }
  }
}

bool CodeSurvey::is_target(std::uint64_t vaddr) const {
  return vaddr - code_vaddr_ < targets_.size() && targets_[vaddr - code_vaddr_];
}

bool CodeSurvey::is_entered_between(std::uint64_t first, std::uint64_t last) const {
  for (std::uint64_t vaddr = first + 1; vaddr < last; ++vaddr)
    if (is_target(vaddr)) return true;
  return false;
}

std::vector<std::uint64_t> CodeSurvey::possible_calls_of(std::uint64_t vaddr) const {
  std::vector<std::uint64_t> calls;
  if (!is_target(vaddr)) return calls;
  constexpr std::uint8_t call_code = 0xe8;
  for (std::size_t at = 0; at + 5 <= code_.size(); ++at) {
    if (code_[at] != call_code) continue;
    const std::uint64_t end = code_vaddr_ + at + 5;
    if (end + static_cast<std::uint64_t>(std::int64_t{*read_value<std::int32_t>(code_, at + 1)}) == vaddr) calls.push_back(code_vaddr_ + at);
  }
  return calls;
}

std::uint64_t CodeSurvey::start_before(std::uint64_t vaddr) const {
  const auto next = std::upper_bound(starts_.begin(), starts_.end(), vaddr);
  return next == starts_.begin() ? 0 : *(next - 1);
}

std::vector<Instruction> CodeSurvey::instructions_around(std::uint64_t vaddr) const {
  std::vector<Instruction> instructions;
  const auto next = std::upper_bound(starts_.begin(), starts_.end(), vaddr);
  if (next == starts_.begin() || next == starts_.end()) return instructions;
  Disassembler decoder(Disassembler::Detail::full);
  for (std::uint64_t at = *(next - 1); at < *next;) {
    const auto instruction = decoder.decode(code_.subspan(at - code_vaddr_, *next - at), at);
    if (instruction) instructions.push_back(*instruction);
    at += instruction ? instruction->size : 1;
  }
  return instructions;
}

}  // namespace broker::images
