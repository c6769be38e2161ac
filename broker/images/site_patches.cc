#include "broker/images/site_patches.h"

#include <elf.h>

#include <algorithm>

#include <fmt/format.h>

#include "broker/images/analysis.h"
#include "broker/images/code_survey.h"
#include "broker/images/raw_calls.h"

namespace broker::images {
namespace {

// Why its calls cannot be patched; or nothing.
std::string hindrance(const ElfFile& program) {
  std::uint64_t code_bytes = 0;
  for (const Segment& segment : program.segments()) {
    if (segment.executable() && segment.writable()) return "has code that can be written to";
    if (segment.type == PT_GNU_STACK && segment.flags & PF_X) return "has a stack that can be executed";
    if (segment.executable() && segment.file_bytes != segment.memory_bytes)
      return "has code that is not in its file";
    if (segment.executable()) code_bytes += segment.file_bytes;
  }
  // Packed programs have none, and their code is not to be seen.
  if (program.sections().empty()) return "has no table of sections: packed, or stripped to the last";
  if (code_bytes > program_code_bytes_max) return "has too much code";
  return {};
}

}  // namespace

Result<SiteSelection> select_own_sites(const ElfFile& program, const WantedCalls& wanted) {
  if (const std::string reason = hindrance(program); !reason.empty())
    return fail(Fault::unsupported, program.path() + ": " + reason);
  const RawCalls calls = find_raw_calls(program);
  const CodeSurvey survey = TRY(CodeSurvey::make(program));
  WantedCalls own_wanted = wanted;
  if (is_go(program)) own_wanted.numbers &= ~wanted.not_on_small_stacks;
  return select_static_sites(survey, own_wanted, calls.calls);
}

Result<bool> put_sites(const ElfFile& program, const std::vector<SitePatch>& patches, StaticStubs& stubs,
                       std::vector<std::uint8_t>& image) {
  for (const SitePatch& patch : patches) {
    const std::uint64_t stub = TRY(stubs.add_site(patch));
    const auto at = program.offset_of(patch.start);
    const std::int64_t distance = static_cast<std::int64_t>(stub - (patch.start + jump_bytes));
    if (!at || *at + patch.length > program.bytes().size() || distance != static_cast<std::int32_t>(distance))
      return fail(Fault::unsupported,
                  fmt::format("{}: no jump leads from {:#x} to its stub", program.path(), patch.start));
    image[*at] = 0xe9;
    put_value(image, *at + 1, static_cast<std::int32_t>(distance));
    std::fill_n(image.begin() + static_cast<std::ptrdiff_t>(*at + jump_bytes), patch.length - jump_bytes,
                0x90);
  }
  return true;
}

}  // namespace broker::images
