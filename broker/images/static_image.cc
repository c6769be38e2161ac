#include "broker/images/static_image.h"

#include <elf.h>

#include <algorithm>

#include <fmt/format.h>

#include "broker/images/analysis.h"
#include "broker/images/code_survey.h"
#include "broker/images/raw_calls.h"
#include "broker/images/site_patches.h"
#include "broker/images/static_stubs.h"
#include "preload/protocol.h"

namespace broker::images {
namespace {

using Image = std::vector<std::uint8_t>;

// What of the shim is taken over.
struct ShimParts {
  Segment text, data;
  ShimPlaces places;  // relative to its first byte
  std::uint64_t file_bytes;
};

Result<ShimParts> take_apart(const ElfFile& shim) {
  std::vector<Segment> loaded;
  for (const Segment& segment : shim.segments())
    if (segment.loaded()) loaded.push_back(segment);
  const bool as_linked = loaded.size() == 2 && loaded[0].vaddr == 0 && loaded[0].offset == 0 && loaded[0].executable() &&
                         !loaded[0].writable() && loaded[1].writable() && loaded[0].file_bytes == loaded[0].memory_bytes &&
                         loaded[1].file_bytes == loaded[1].memory_bytes && loaded[1].vaddr >= loaded[0].memory_bytes;
  const auto table = read_value<preload::StaticTable>(shim.memory_from(shim.entry()));
  if (!as_linked || !table || table->magic != preload::static_table_magic)
    return fail(Fault::unsupported, shim.path() + ": not a shim that can be put into a program");
  auto place = [&](std::int32_t distance) { return shim.entry() + static_cast<std::uint64_t>(std::int64_t{distance}); };
  return ShimParts{loaded[0], loaded[1],
                   {place(table->start), place(table->hook), place(table->choose), place(table->vfork_depth)},
                   loaded[1].offset + loaded[1].file_bytes};
}

// Very old programs read clocks by a call to a fixed page, ffffffffff600000: no system call is seen then. Its address takes
// four bytes, which are sign-extended, in an instruction of 64 bits (REX.W C7, PUSH, or an operand of CALL and JMP), or all
// eight. Numbers like 60000000 in others are none.
bool calls_fixed_page(Bytes code) {
  const auto is_address = [&](std::size_t at) {
    return code[at + 3] == 0xff && code[at + 2] == 0x60 && code[at] == 0 && (code[at + 1] & ~0x0c) == 0;
  };
  constexpr std::size_t operand_bytes_max = 6;  // of C7 in front of its number: ModRM, SIB, displacement
  const auto is_of_64_bits = [&](std::size_t at) {
    if (at >= 1 && code[at - 1] == 0x68) return true;
    if (at >= 3 && code[at - 3] == 0xff && (code[at - 2] == 0x14 || code[at - 2] == 0x24) && code[at - 1] == 0x25) return true;
    for (std::size_t back = 3; back <= operand_bytes_max + 2 && back <= at; ++back)
      if ((code[at - back] & 0xf8) == 0x48 && code[at - back + 1] == 0xc7) return true;
    return at + 8 <= code.size() && std::all_of(code.begin() + static_cast<std::ptrdiff_t>(at + 4), code.begin() + static_cast<std::ptrdiff_t>(at + 8),
                                                [](std::uint8_t byte) { return byte == 0xff; });
  };
  for (std::size_t at = 0; at + 4 <= code.size(); ++at)
    if (is_address(at) && is_of_64_bits(at)) return true;
  return false;
}

// Why the program has to be left as it is; or nothing.
std::string hindrance(const ElfFile& program) {
  const auto& segments = program.segments();
  const bool reads_clocks = std::any_of(segments.begin(), segments.end(), [&](const Segment& segment) {
    return segment.executable() && calls_fixed_page(program.file_range(segment.offset, segment.file_bytes));
  });
  return reads_clocks ? "reads clocks by the vsyscall page" : std::string();
}

std::uint64_t malloc_mark_of(const ElfFile& program) {
  const auto survey = program.interpreter().empty() && !program.sections().empty() ? CodeSurvey::make(program) : fail(Fault::unsupported, program.path());
  return survey ? find_malloc_mark(*survey, find_raw_calls(program).calls) : 0;
}

}  // namespace

Result<StaticProgramImage> build_static_image(const ElfFile& program, const ElfFile& shim, const WantedCalls& wanted) {
  const ShimParts parts = TRY(take_apart(shim));
  if (const std::string reason = hindrance(program); !reason.empty()) return fail(Fault::unsupported, program.path() + ": " + reason);
  auto selected = program.interpreter().empty() ? select_own_sites(program, wanted) : fail(Fault::unsupported, "is loaded by " + program.interpreter());
  const bool traps = !selected;
  SiteSelection selection = traps ? SiteSelection{} : std::move(*selected);
  if (traps && is_go(program)) return fail(Fault::unsupported, program.path() + ": is made by Go, and its calls cannot all be patched");
  if (traps) selection.malloc_mark = malloc_mark_of(program);

  const Segment* last = nullptr;
  std::uint64_t end = 0;
  for (const Segment& segment : program.segments()) {
    if (!segment.loaded()) continue;
    if (last && segment.vaddr < last->vaddr) return fail(Fault::unsupported, program.path() + ": its segments are not in order");
    last = &segment;
    end = std::max(end, segment.vaddr + segment.memory_bytes);
  }
  const std::uint64_t header_count = program.segments().size() + 2;
  const std::uint64_t headers_bytes = header_count * sizeof(Elf64_Phdr);
  const std::uint64_t vaddr = round_up(end, page_bytes);
  const std::uint64_t image_at = round_up(headers_bytes, 16);
  const std::uint64_t stubs_at = image_at + sizeof(preload::StaticImage);
  // How much room the stubs take does not depend on where the shim is.
  StaticStubs measured(vaddr + stubs_at, parts.places);
  measured.add_entry(0);
  for (const SitePatch& patch : selection.patches) TRY(measured.add_site(patch));
  const std::uint64_t shim_at = round_up(stubs_at + measured.code().size(), page_bytes);
  if (!last) return fail(Fault::unsupported, program.path() + ": has nothing to be loaded");

  ShimPlaces places = parts.places;
  for (std::uint64_t* place : {&places.start, &places.hook, &places.choose, &places.vfork_depth}) *place += vaddr + shim_at;
  StaticStubs stubs(vaddr + stubs_at, places);
  const std::uint64_t entry = stubs.add_entry(vaddr + image_at);

  StaticProgramImage made;
  made.sites = selection.patches.size();
  Image& image = made.bytes;
  const std::uint64_t offset = round_up(program.bytes().size(), page_bytes);
  image.assign(program.bytes().begin(), program.bytes().end());
  image.resize(offset + shim_at);
  TRY(put_sites(program, selection.patches, stubs, image));
  std::copy(stubs.code().begin(), stubs.code().end(), image.begin() + static_cast<std::ptrdiff_t>(offset + stubs_at));

  std::uint64_t own_headers = vaddr;
  for (const Segment& segment : program.segments())
    if (segment.loaded() && program.headers_offset() >= segment.offset && program.headers_offset() - segment.offset < segment.file_bytes)
      own_headers = segment.vaddr + (program.headers_offset() - segment.offset);
  const std::uint64_t own_image = vaddr + image_at;
  if (own_headers == vaddr && !program.interpreter().empty())
    return fail(Fault::unsupported, program.path() + ": does not load its program headers");
  put_value(image, offset + image_at,
            preload::StaticImage{static_cast<std::int64_t>(program.entry() - own_image), static_cast<std::int64_t>(own_headers - own_image),
                                 selection.malloc_mark ? static_cast<std::int64_t>(selection.malloc_mark - own_image) : 0,
                                 static_cast<std::uint32_t>(own_headers == vaddr ? header_count : header_count - 2), is_go(program), own_image, traps, 0});

  std::uint64_t next_header = offset;
  auto put_header = [&](const Elf64_Phdr& header) {
    put_value(image, next_header, header);
    next_header += sizeof header;
  };
  for (const Segment& segment : program.segments()) {
    auto own_header = *read_value<Elf64_Phdr>(program.bytes(), program.headers_offset() + segment.header_index * sizeof(Elf64_Phdr));
    // The shim loads the interpreter, once calls are trapped.
    if (own_header.p_type == PT_INTERP) own_header.p_type = PT_NULL;
    put_header(own_header);
    if (&segment != last) continue;
    const std::uint64_t text_bytes = shim_at + parts.text.file_bytes;
    put_header({PT_LOAD, PF_R | PF_X, offset, vaddr, vaddr, text_bytes, text_bytes, page_bytes});
    const std::uint64_t data = vaddr + shim_at + parts.data.vaddr;
    put_header({PT_LOAD, PF_R | PF_W, offset + shim_at + parts.data.offset, data, data, parts.data.file_bytes, parts.data.memory_bytes, page_bytes});
  }
  image.insert(image.end(), shim.bytes().begin(), shim.bytes().begin() + static_cast<std::ptrdiff_t>(parts.file_bytes));

  Elf64_Ehdr header = *read_value<Elf64_Ehdr>(program.bytes());
  header.e_entry = entry;
  header.e_phoff = offset;
  header.e_phnum = static_cast<std::uint16_t>(header_count);
  put_value(image, 0, header);
  return made;
}

}  // namespace broker::images
