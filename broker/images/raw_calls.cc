#include "broker/images/raw_calls.h"

#include <emmintrin.h>

#include <algorithm>
#include <bitset>

#include <fmt/format.h>

#include "broker/images/disassembler.h"
#include "broker/images/function_table.h"

namespace broker::images {
namespace {

bool is_call_pair(std::uint8_t first, std::uint8_t second) {
  return (first == 0x0f && (second == 0x05 || second == 0x34)) || (first == 0xcd && second == 0x80);
}

bool may_matter(std::uint8_t first, std::uint8_t second) {
  return is_call_pair(first, second) || (first == 0x0f && (second == 0x31 || second == 0x01 || second == 0xc7));
}

enum class Pair { call, counter, random, neither };

Pair meaning_of(Bytes code, std::size_t at) {
  if (is_call_pair(code[at], code[at + 1])) return Pair::call;
  const std::uint8_t third = at + 2 < code.size() ? code[at + 2] : 0;
  if (code[at + 1] == 0x31 || (code[at + 1] == 0x01 && third == 0xf9)) return Pair::counter;
  return code[at + 1] == 0xc7 && third >= 0xf0 ? Pair::random : Pair::neither;
}

// Calls `visit(position)` for every pair that may matter, sixteen positions at a time.
template <class Visit>
void each_pair_within(Bytes code, Visit visit) {
  std::size_t at = 0;
  for (; at + 17 <= code.size(); at += 16) {
    const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(code.data() + at));
    const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(code.data() + at + 1));
    const auto equal = [](__m128i bytes, int value) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(static_cast<char>(value))); };
    __m128i seconds = _mm_or_si128(equal(second, 0x05), equal(second, 0x34));
    for (const int value : {0x31, 0x01, 0xc7}) seconds = _mm_or_si128(seconds, equal(second, value));
    const __m128i old = _mm_and_si128(equal(first, 0xcd), equal(second, 0x80));
    for (unsigned hits = _mm_movemask_epi8(_mm_or_si128(_mm_and_si128(equal(first, 0x0f), seconds), old)); hits != 0; hits &= hits - 1)
      visit(at + static_cast<std::size_t>(__builtin_ctz(hits)));
  }
  for (; at + 2 <= code.size(); ++at)
    if (may_matter(code[at], code[at + 1])) visit(at);
}

// A compiler has tens of megabytes of code: what has been looked at is given back, so that they do not add up.
template <class Visit>
void each_pair(const ElfFile& elf, Bytes code, Visit visit) {
  constexpr std::size_t stretch = 1 << 20;
  for (std::size_t from = 0; from < code.size(); from += stretch) {
    // A pair may straddle two stretches.
    each_pair_within(code.subspan(from, std::min(stretch + 1, code.size() - from)), [&](std::size_t at) {
      if (at < stretch) visit(from + at);
    });
    elf.release(code.subspan(from, std::min(stretch, code.size() - from)));
  }
}

constexpr std::size_t longest_instruction = 15;
constexpr std::size_t look_back_max = 256;

class BoundaryCheck {
 public:
  // `function` starts at an instruction and holds the pair at position `pair`.
  bool starts_in_function(Bytes function, std::size_t pair) {
    constexpr std::size_t look_back = 128;
    if (pair > look_back + longest_instruction && !may_start_at(function, pair, look_back)) return false;
    for (std::size_t at = 0; at <= pair;) {
      if (at == pair) return true;
      const std::size_t length = decoder_.length(function.subspan(at), at);
      at += length ? length : 1;
    }
    return false;
  }

  // `code` starts at `vaddr`, behind a function or at the start of a section,
  // and holds the pair. Assembly may have tables before its functions, but
  // these are aligned.
  bool may_start_outside(Bytes code, std::uint64_t vaddr, std::size_t pair) {
    if (pair > look_back_max) return may_start_at(code, pair, look_back_max);
    Starts starts;
    starts.set(0);
    for (std::size_t i = round_up(vaddr, 16) - vaddr; i <= pair; i += 16) starts.set(i);
    return reaches(starts, code, pair);
  }

 private:
  using Starts = std::bitset<look_back_max + 1>;

  // Never wrongly false: the true sequence of instructions has a boundary in
  // any fifteen bytes, so it is one of the sequences started at each of fifteen
  // neighbouring positions, and these soon run together.
  bool may_start_at(Bytes code, std::size_t pair, std::size_t look_back) {
    Starts starts;
    for (std::size_t i = 0; i < longest_instruction; ++i) starts.set(i);
    return reaches(starts, code.subspan(pair - look_back), look_back);
  }

  // Whether a sequence from one of `starts` has an instruction at `goal`. Bytes
  // that cannot be decoded may be followed by an instruction anywhere.
  bool reaches(Starts starts, Bytes code, std::size_t goal) {
    for (std::size_t i = 0; i < goal; ++i) {
      if (!starts[i]) continue;
      const std::size_t length = decoder_.length(code.subspan(i), i);
      const std::size_t first = length ? length : 1;
      const std::size_t last = length ? length : longest_instruction;
      for (std::size_t next = first; next <= last && i + next <= goal; ++next) starts.set(i + next);
    }
    return starts[goal];
  }

  Disassembler decoder_{Disassembler::Detail::none};
};

// A lock that is taken soon spins a number of times that it takes from the counter (glibc's adaptive mutexes): which, nobody sees.
bool is_for_spinning(Bytes code, std::size_t position) {
  constexpr std::size_t near = 32;
  for (std::size_t at = position + 2; at < position + near && at + 2 <= code.size(); ++at)
    if (code[at] == 0xf3 && code[at + 1] == 0x90) return true;
  return false;
}

}  // namespace

RawCalls find_raw_calls(const ElfFile& elf) {
  RawCalls found;
  const FunctionTable functions = FunctionTable::read(elf);
  std::optional<BoundaryCheck> check;
  bool in_function = false;
  const auto is_instruction = [&](const CodeRange& range, std::size_t position) {
    if (!check) check.emplace();
    const std::uint64_t vaddr = range.vaddr + position;
    const auto function = functions.covering(vaddr);
    const Bytes body = function ? elf.memory_range(function->start, function->end - function->start) : Bytes{};
    in_function = !body.empty();
    if (in_function) return check->starts_in_function(body, vaddr - function->start);
    const std::uint64_t claimed = std::clamp(functions.end_of_last_before(vaddr), range.vaddr, vaddr) - range.vaddr;
    return check->may_start_outside(range.code.subspan(claimed), range.vaddr + claimed, position - claimed);
  };
  // Behind prefixes for the size of what is drawn, too: 16 bits, 64 bits and the upper registers.
  const auto is_random_instruction = [&](const CodeRange& range, std::size_t position) {
    for (std::size_t prefixes = 0;; ++prefixes) {
      if (is_instruction(range, position - prefixes)) return true;
      if (prefixes == 2 || prefixes == position) return false;
      const std::uint8_t before = range.code[position - prefixes - 1];
      if (before != 0x66 && (before & 0xf0) != 0x40) return false;
    }
  };
  const auto place = [&](const CodeRange& range, std::size_t position) {
    return fmt::format("file offset {:#x} ({})", range.offset + position, in_function ? "in a function" : "no function claims it");
  };
  for (const CodeRange& range : elf.code()) {
    each_pair(elf, range.code, [&](std::size_t position) {
      switch (meaning_of(range.code, position)) {
        case Pair::neither: return;
        case Pair::counter:
          if (found.counter.empty() && !is_for_spinning(range.code, position) && is_instruction(range, position))
            found.counter = fmt::format("{}: rdtsc at {}", elf.path(), place(range, position));
          return;
        case Pair::random:
          if (found.random.empty() && is_random_instruction(range, position))
            found.random = fmt::format("{}: rdrand or rdseed at {}", elf.path(), place(range, position));
          return;
        case Pair::call: break;
      }
      ++found.pairs;
      if (!is_instruction(range, position)) return;
      const bool is_syscall = range.code[position] == 0x0f && range.code[position + 1] == 0x05;
      found.calls.push_back({range.vaddr + position, in_function, is_syscall});
      if (found.count++ == 0) found.first = fmt::format("{}: system call instruction at {}", elf.path(), place(range, position));
    });
  }
  return found;
}

}  // namespace broker::images
