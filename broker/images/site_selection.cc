#include "broker/images/site_selection.h"

#include <asm/unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace broker::images {
namespace {

using Names = std::vector<std::string>;
using Numbers = std::vector<std::uint32_t>;

// These share the caller's stack with a child, or must find it as it is.
constexpr std::array<std::uint32_t, 3> never_patched{__NR_clone3, __NR_vfork, __NR_rt_sigreturn};
// With a function's name unknown, these are told apart when they are made.
constexpr std::array<std::uint32_t, 3> sharing{__NR_clone, __NR_clone3, __NR_vfork};
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

  Result<SiteSelection> select_static(const std::vector<PossibleCall>& possible) {
    moves_stack_ = true;
    SiteSelection selection;
    std::vector<std::uint64_t> getrandom_sites;
    for (const PossibleCall& call : possible) {
      const std::string where = fmt::format("{}: system call at {:#x}", survey_.elf().path(), call.vaddr);
      if (!call.is_syscall) return fail(Fault::unsupported, where + " is made as 32-bit programs do");
      if (code_.empty() || call.vaddr < code_.front().address || call.vaddr >= code_.back().end()) code_ = survey_.instructions_around(call.vaddr);
      const auto found = std::find_if(code_.begin(), code_.end(), [&](const Instruction& i) { return i.address == call.vaddr; });
      if (found == code_.end() || !found->is_syscall) return fail(Fault::unsupported, where + " may be one or not");
      const std::size_t index = static_cast<std::size_t>(found - code_.begin());
      if (!call.in_function && !is_surely_code(index)) return fail(Fault::unsupported, where + " may be data");
      const std::optional<Numbers> numbers = certain_numbers_at(index, call.in_function);
      if (numbers && !is_wanted_in_static(*numbers, index)) continue;
      if (numbers == Numbers{__NR_getrandom}) getrandom_sites.push_back(call.vaddr);
      if (numbers == Numbers{__NR_exit} && follows_call(index)) continue;
      auto patch = patch_at(index);
      if (!patch) return fail(Fault::unsupported, where + (numbers ? fmt::format(" ({}) cannot be patched", fmt::join(*numbers, "/")) : " cannot be patched"));
      if (!selection.patches.empty() && patch->start < selection.patches.back().start + selection.patches.back().length)
        return fail(Fault::unsupported, where + " is too near another");
      patch->may_share = !numbers || std::find_first_of(numbers->begin(), numbers->end(), sharing.begin(), sharing.end()) != numbers->end();
      selection.patches.push_back(std::move(*patch));
    }
    selection.malloc_mark = find_malloc_mark(getrandom_sites);
    return selection;
  }

  std::uint64_t malloc_mark(const std::vector<PossibleCall>& possible) {
    std::vector<std::uint64_t> getrandom_sites;
    for (const PossibleCall& call : possible) {
      if (!call.is_syscall || !call.in_function) continue;
      code_ = survey_.instructions_around(call.vaddr);
      const auto found = std::find_if(code_.begin(), code_.end(), [&](const Instruction& i) { return i.address == call.vaddr; });
      if (found != code_.end() && certain_numbers_at(static_cast<std::size_t>(found - code_.begin()), true) == Numbers{__NR_getrandom})
        getrandom_sites.push_back(call.vaddr);
    }
    return find_malloc_mark(getrandom_sites);
  }

 private:
  // A detached thread of musl gives its own stack back with one call and ends with the next: the second has no stack
  // for a stub. (That the thread ends is told by nothing then; the end of the process is.)
  bool follows_call(std::size_t index) const {
    constexpr std::size_t between_max = 3;
    for (std::size_t at = index; at > 0 && index - at < between_max + 1; --at) {
      if (code_[at - 1].end() != code_[at].address) return false;
      if (code_[at - 1].is_syscall) return true;
    }
    return false;
  }

  // malloc of glibc takes eight random bytes to mark what it has freed: getrandom(&mark, 8, GRND_NONBLOCK).
  bool has_mark_arguments(std::size_t at) const {
    constexpr int rdx = 2, rsi = 6;
    constexpr std::uint32_t mark_bytes = 8, not_blocking = 1;
    return constant_before(at, rsi) == mark_bytes && constant_before(at, rdx) == not_blocking;
  }

  // An address in the program that the register holds at this instruction.
  std::optional<std::uint64_t> address_before(std::size_t at, int register_number) const {
    while (at > 0 && !survey_.is_target(code_[at].address)) {
      const Instruction& instruction = code_[--at];
      if (instruction.ends_flow || instruction.is_call || instruction.end() != code_[at + 1].address) break;
      if (!instruction.writes(register_number) && instruction.destination != register_number) continue;
      if (instruction.constant && instruction.destination == register_number) return *instruction.constant;
      if (instruction.bytes[1] != 0x8d || instruction.rip_displacement_at == 0) break;  // lea
      std::int32_t displacement;
      std::memcpy(&displacement, instruction.bytes.data() + instruction.rip_displacement_at, 4);
      return instruction.end() + static_cast<std::uint64_t>(std::int64_t{displacement});
    }
    return std::nullopt;
  }

  // Only with glibc's malloc in the program, and if it alone calls getrandom like that.
  std::uint64_t find_malloc_mark(const std::vector<std::uint64_t>& getrandom_sites) {
    constexpr std::string_view own_words = "malloc(): unaligned tcache chunk detected";
    const Bytes all = survey_.elf().bytes();
    if (getrandom_sites.empty() || std::search(all.begin(), all.end(), own_words.begin(), own_words.end()) == all.end()) return 0;
    std::set<std::uint64_t> functions, marks;
    for (const std::uint64_t site : getrandom_sites) functions.insert(survey_.start_before(site));
    for (const std::uint64_t function : functions)
      for (const std::uint64_t call : survey_.possible_calls_of(function)) {
        code_ = survey_.instructions_around(call);
        const auto found = std::find_if(code_.begin(), code_.end(), [&](const Instruction& i) { return i.address == call && i.is_call; });
        if (found == code_.end()) continue;
        const std::size_t at = static_cast<std::size_t>(found - code_.begin());
        constexpr int rdi = 7;
        const auto place = address_before(at, rdi);
        if (place && has_mark_arguments(at)) marks.insert(*place);
      }
    return marks.size() == 1 ? *marks.begin() : 0;
  }

  bool is_wanted_in_static(const Numbers& numbers, std::size_t site) const {
    // Newer ones make that call in place.
    if (numbers == Numbers{__NR_getrandom} && has_mark_arguments(site)) return false;
    return std::any_of(numbers.begin(), numbers.end(), [&](std::uint32_t number) {
      return std::find(sharing.begin(), sharing.end(), number) != sharing.end() || number >= call_numbers_max || wanted_.numbers[number];
    });
  }

  // What the register holds at the site, if the straight code before it says so.
  std::optional<std::uint32_t> constant_before(std::size_t site, int register_number) const {
    for (std::size_t i = site; i > 0 && !survey_.is_target(code_[i].address);) {
      --i;
      if (code_[i].ends_flow || code_[i].is_call || code_[i].end() != code_[i + 1].address) break;
      if (code_[i].destination == register_number && code_[i].constant) return code_[i].constant;
      if (code_[i].writes(register_number)) break;
    }
    return std::nullopt;
  }

  // As numbers_at(), but never a guess.
  std::optional<Numbers> certain_numbers_at(std::size_t site, bool in_function) const {
    if (const auto number = constant_before(site, register_rax)) return Numbers{*number};
    if (!in_function) return std::nullopt;
    guesses_ = false;
    auto numbers = numbers_at(site);
    guesses_ = true;
    return numbers;
  }

  // Outside all known functions there may be tables. Numbers of calls are small, so one of four bytes that is set right
  // before is enough to be sure of; otherwise what stands around the site has to look like code.
  bool is_surely_code(std::size_t site) const {
    for (std::size_t i = site; i > 0 && i + 4 > site && code_[i - 1].end() == code_[i].address; --i)
      if (code_[i - 1].destination == register_rax && code_[i - 1].size >= 5 && code_[i - 1].constant && *code_[i - 1].constant < call_numbers_max)
        return true;
    constexpr std::size_t common_before = 8, common_after = 3;
    if (site < common_before) return false;
    for (std::size_t i = site - common_before; i <= site + common_after && i < code_.size(); ++i)
      if (!code_[i].is_common || (i > site - common_before && code_[i - 1].end() != code_[i].address)) return false;
    return true;
  }

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
    if (nearest && guesses_) return Numbers{*nearest};
    return std::nullopt;
  }

  bool can_move(std::size_t index) const {
    const Instruction& instruction = code_[index];
    const bool only_moves_stack = moves_stack_ && instruction.size <= 2 && (instruction.is_push || instruction.pops);
    if (only_moves_stack) return true;
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
  bool moves_stack_ = false;       // push and pop may be displaced too: nobody unwinds through the stubs
  mutable bool guesses_ = true;
};

}  // namespace

Result<SiteSelection> select_sites(const CodeSurvey& survey, const WantedCalls& wanted) {
  return Selector(survey, wanted, TRY(survey.elf().exported_functions())).select();
}

Result<SiteSelection> select_static_sites(const CodeSurvey& survey, const WantedCalls& wanted,
                                          const std::vector<PossibleCall>& possible) {
  return Selector(survey, wanted, {}).select_static(possible);
}

std::uint64_t find_malloc_mark(const CodeSurvey& survey, const std::vector<PossibleCall>& possible) {
  return Selector(survey, WantedCalls{}, {}).malloc_mark(possible);
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
