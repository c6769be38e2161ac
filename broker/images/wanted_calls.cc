#include "broker/images/wanted_calls.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace broker::images {

std::string WantedCalls::fingerprint_text() const {
  std::string text = numbers.to_string() + "\n" + not_on_small_stacks.to_string() + "\n";
  for (const auto& [number, names] : only_within) text += fmt::format("{}: {}\n", number, fmt::join(names, " "));
  text += fmt::format("unknown: {}\nfunctions: {}\n", fmt::join(unknown_within, " "), fmt::join(functions, " "));
  return text;
}

}  // namespace broker::images
