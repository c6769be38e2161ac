// Which of a library's system calls and functions a hook is to be asked about.
#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace broker::images {

inline constexpr std::size_t call_numbers_max = 512;
inline constexpr std::size_t hook_slot_count = 8;  // slot 0: system calls

struct WantedCalls {
  // Wanted wherever they are issued.
  std::bitset<call_numbers_max> numbers;
  // Of these, not wanted in programs with small stacks (Go), for which each call under way takes a stack of the shim's.
  std::bitset<call_numbers_max> not_on_small_stacks;
  // Wanted only inside the exported functions named, which overrides `numbers`.
  // clone (56) can be wanted only this way.
  std::map<std::uint32_t, std::vector<std::string>> only_within;
  // Exported functions whose sites are wanted although the number is not known
  // before run time.
  std::vector<std::string> unknown_within;
  // Exported functions hooked at their entry, for slots 1, 2, ... Only libc.
  std::vector<std::string> functions;

  // The same text for the same wishes; part of an image's name.
  std::string fingerprint_text() const;
};

}  // namespace broker::images
