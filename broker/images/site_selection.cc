#include "broker/images/site_selection.h"

#include <asm/unistd.h>

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace broker::images {
namespace {

using Names = std::vector<std::string>;
using Numbers = std::vector<std::uint32_t>;

// These share the caller's stack with a child, or must find it as it is.
constexpr std::array<std::uint32_t, 3> never_patched{__NR_clone3, __NR_vfork, __NR_rt_sigreturn};
const Names never_patched_within{"clone", "__clone", "vfork", "__vfork"};

bool share_a_name(const Names& left, const Names& right) {
  return std::find_first_of(left.begin(), left.end(), right.begin(), right.end()) != left.end();
}

class Selector {
 public:
  Selector(const CodeSurvey& survey, const WantedCalls& wanted, std::vector<ExportedFunction> functions)
      : survey_(survey), wanted_(wanted), functions_(std::move(functions)) {}

  Result<SiteSelection> select() {
    SiteSelection selection;
    for (const std::uint64_t site : survey_.syscalls()) {
      if (code_.empty() || site < code_.front().address || site >= code_.back().end()) code_ = survey_.instructions_around(site);
      const auto found = std::find_if(code_.begin(), code_.end(), [&](const Instruction& i) { return i.address == site; });
      if (found == code_.end()) return fail(Fault::unsupported, fmt::format("{}: site {:#x} is not found twice", survey_.elf().path(), site));
      const std::size_t index = static_cast<std::size_t>(found - code_.begin());
      const Names names = exported_around(site);
      const std::optional<Numbers> numbers = numbers_at(index);
      if (!numbers && !share_a_name(names, wanted_.unknown_within)) {
        selection.unknown.push_back(fmt::format("{:#x} in {}", site, names.empty() ? "a private function" : names.front()));
        continue;
      }
      if (!is_wanted(numbers, names)) continue;
      auto patch = patch_at(index);
      if (!patch)
        return fail(Fault::unsupported, fmt::format("{}: system call {} at {:#x} cannot be patched", survey_.elf().path(),
                                                    numbers ? fmt::format("{}", fmt::join(*numbers, "/")) : "?", site));
      if (!selection.patches.empty() && patch->start < selection.patches.back().start + selection.patches.back().length)
        return fail(Fault::unsupported, fmt::format("{}: system call at {:#x} is too near another", survey_.elf().path(), site));
      selection.patches.push_back(std::move(*patch));
    }
    return selection;
  }

 private:
  Names exported_around(std::uint64_t vaddr) const {
    Names names;
    for (const ExportedFunction& function : functions_)
      if (vaddr - function.vaddr < function.size) names.emplace_back(function.name);
    return names;
  }

  bool is_wanted(const std::optional<Numbers>& numbers, const Names& names) const {
    if (share_a_name(names, never_patched_within)) return false;
    if (!numbers) return true;
    for (const std::uint32_t number : *numbers) {
      if (std::find(never_patched.begin(), never_patched.end(), number) != never_patched.end()) return false;
      const auto limited = wanted_.only_within.find(number);
      if (limited != wanted_.only_within.end()) {
        if (share_a_name(names, limited->second)) return true;
      } else if (number != __NR_clone && number < call_numbers_max && wanted_.numbers[number]) {
        return true;
      }
    }
    return false;
  }

  // All numbers the site may be reached with, if they can be told.
  std::optional<Numbers> numbers_at(std::size_t site) const {
    for (std::size_t i = site; i > 0;) {
      if (survey_.is_target(code_[i].address)) break;
      --i;
      if (code_[i].ends_flow || code_[i].is_call || code_[i].end() != code_[i + 1].address) break;
      if (!code_[i].writes(register_rax) && code_[i].destination != register_rax) continue;
      if (code_[i].destination != register_rax) break;
      if (code_[i].constant) return Numbers{*code_[i].constant};
      if (code_[i].source != register_none) return constants_of(code_[i].source, i);
      break;
    }
    return std::nullopt;
  }

  // The values the function gives the register: the compiler keeps a number in
  // a register across a loop. If some are no constants, the nearest one before
  // the use. It may be wrong, which is harmless: the number is read again at
  // run time. A pop restores a caller's value and is followed by the return.
  std::optional<Numbers> constants_of(int register_number, std::size_t use) const {
    Numbers numbers;
    bool all_constant = true;
    std::optional<std::uint32_t> nearest;
    for (std::size_t i = 0; i < code_.size(); ++i) {
      if (!code_[i].writes(register_number) || code_[i].pops) continue;
      const bool constant = code_[i].destination == register_number && code_[i].constant;
      if (constant) numbers.push_back(*code_[i].constant);
      if (i < use) nearest = constant ? code_[i].constant : std::nullopt;
      all_constant = all_constant && constant;
    }
    if (all_constant && !numbers.empty()) return numbers;
    if (nearest) return Numbers{*nearest};
    return std::nullopt;
  }

  bool can_move(std::size_t index) const {
    const Instruction& instruction = code_[index];
    return !instruction.transfers_control && !instruction.is_syscall && !instruction.writes(register_rsp) && !instruction.is_push;
  }

  std::optional<SitePatch> patch_at(std::size_t site) const {
    const std::uint64_t site_end = code_[site].end();
    const bool has_previous = site > 0 && code_[site - 1].end() == code_[site].address;
    if (has_previous && code_[site - 1].bytes[0] == 0xb8 && code_[site - 1].size == 5 && !survey_.is_target(code_[site].address))
      return SitePatch{code_[site - 1].address, jump_bytes, {code_[site - 1]}, {}, site_end, site_end};
    for (const auto& [before, after] : {std::pair{0, 1}, {0, 2}, {1, 0}, {2, 0}, {1, 1}, {3, 0}, {0, 3}, {2, 1}, {1, 2}})
      if (auto patch = window(site, static_cast<std::size_t>(before), static_cast<std::size_t>(after))) return patch;
    return std::nullopt;
  }

  std::optional<SitePatch> window(std::size_t site, std::size_t before, std::size_t after) const {
    if (site < before || site + after >= code_.size()) return std::nullopt;
    SitePatch patch;
    patch.start = code_[site - before].address;
    patch.resume = code_[site + after].end();
    patch.length = patch.resume - patch.start;
    patch.site_end = code_[site].end();
    if (patch.length < jump_bytes || survey_.is_entered_between(patch.start, patch.resume)) return std::nullopt;
    for (std::size_t i = site - before; i <= site + after; ++i) {
      if (i > site - before && code_[i - 1].end() != code_[i].address) return std::nullopt;
      if (i == site) continue;
      if (!can_move(i)) return std::nullopt;
      (i < site ? patch.before : patch.after).push_back(code_[i]);
    }
    return patch;
  }

  const CodeSurvey& survey_;
  const WantedCalls& wanted_;
  const std::vector<ExportedFunction> functions_;
  std::vector<Instruction> code_;  // around the current site
};

}  // namespace

Result<SiteSelection> select_sites(const CodeSurvey& survey, const WantedCalls& wanted) {
  return Selector(survey, wanted, TRY(survey.elf().exported_functions())).select();
}

Result<std::vector<Instruction>> select_entry(const CodeSurvey& survey, const std::string& function) {
  const std::string where = survey.elf().path() + ": function " + function;
  const auto functions = TRY(survey.elf().exported_functions());
  const auto exported = std::find_if(functions.begin(), functions.end(),
                                     [&](const ExportedFunction& f) { return f.name == function && f.default_version; });
  if (exported == functions.end()) return fail(Fault::unsupported, where + " is not exported");
  constexpr std::array<std::uint8_t, 4> endbr64{0xf3, 0x0f, 0x1e, 0xfa};
  std::uint64_t start = exported->vaddr;
  const Bytes head = survey.elf().memory_range(start, endbr64.size());
  if (std::equal(head.begin(), head.end(), endbr64.begin(), endbr64.end())) start += endbr64.size();
  std::vector<Instruction> displaced;
  std::uint64_t end = start;
  for (const Instruction& instruction : survey.instructions_around(start)) {
    if (instruction.address < start) continue;
    if (instruction.address != end || instruction.transfers_control || instruction.is_syscall) break;
    displaced.push_back(instruction);
    end = instruction.end();
    if (end - start >= jump_bytes) break;
  }
  const bool fits = end - start >= jump_bytes && end <= exported->vaddr + exported->size;
  if (!fits || survey.is_entered_between(start, end)) return fail(Fault::unsupported, where + " has no room for a jump at its entry");
  return displaced;
}

}  // namespace broker::images
