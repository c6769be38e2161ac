// A program's own system calls, found and made to jump to stubs, in the copy
// that runs in its place.
#pragma once

#include <cstdint>
#include <vector>

#include "broker/images/elf_file.h"
#include "broker/images/site_selection.h"
#include "broker/images/static_stubs.h"
#include "broker/images/wanted_calls.h"

namespace broker::images {

// More code than this is not taken apart: somebody waits for it.
inline constexpr std::uint64_t program_code_bytes_max = 48 << 20;

// All of them, or an Error that says why they cannot all be patched. Of `wanted` only the numbers count.
Result<SiteSelection> select_own_sites(const ElfFile& program, const WantedCalls& wanted);

// Adds their stubs to `stubs`, in the order of `patches`, and jumps to them in `image`, which begins with the
// program's file.
Result<bool> put_sites(const ElfFile& program, const std::vector<SitePatch>& patches, StaticStubs& stubs,
                       std::vector<std::uint8_t>& image);

template <class T>
void put_value(std::vector<std::uint8_t>& image, std::uint64_t at, const T& value) {
  std::memcpy(image.data() + at, &value, sizeof value);
}

}  // namespace broker::images
