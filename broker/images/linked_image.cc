#include "broker/images/linked_image.h"

#include <elf.h>

#include <algorithm>

#include "broker/images/site_patches.h"
#include "broker/images/static_stubs.h"
#include "preload/protocol.h"

namespace broker::images {

Result<std::vector<std::uint8_t>> build_linked_image(const ElfFile& program, const WantedCalls& wanted) {
  const SiteSelection selection = TRY(select_own_sites(program, wanted));
  const Segment *first = nullptr, *last = nullptr;
  std::uint64_t end = 0;
  for (const Segment& segment : program.segments()) {
    if (!segment.loaded()) continue;
    if (last && segment.vaddr < last->vaddr)
      return fail(Fault::unsupported, program.path() + ": its segments are not in order");
    if (!first) first = &segment;
    last = &segment;
    end = std::max(end, segment.vaddr + segment.memory_bytes);
  }
  // ld.so goes by it, and so does the shim.
  if (!last || !program.first_segment(PT_PHDR))
    return fail(Fault::unsupported, program.path() + ": does not tell where its program headers are");
  const std::uint64_t distance = first->vaddr - first->offset;
  const std::uint64_t vaddr = round_up(std::max(end, distance + program.bytes().size()), page_bytes),
                      offset = vaddr - distance;
  const std::uint64_t header_count = program.segments().size() + 2,
                      headers_bytes = header_count * sizeof(Elf64_Phdr);
  const std::uint64_t stubs_at = round_up(headers_bytes, 16);

  // How much room the stubs take does not depend on where the slots are.
  StaticStubs measured(vaddr + stubs_at, {}, Reach::by_slots);
  for (const SitePatch& patch : selection.patches) TRY(measured.add_site(patch));
  const std::uint64_t text_bytes = stubs_at + measured.code().size(),
                      slots_at = round_up(text_bytes, page_bytes);
  const std::uint64_t slots = vaddr + slots_at;
  StaticStubs stubs(
      vaddr + stubs_at,
      {0, slots + offsetof(preload::CopySlots, hook), slots + offsetof(preload::CopySlots, choose),
       slots + offsetof(preload::CopySlots, vfork_depth)},
      Reach::by_slots);

  std::vector<std::uint8_t> image(program.bytes().begin(), program.bytes().end());
  image.resize(offset + slots_at + sizeof(preload::CopySlots));
  TRY(put_sites(program, selection.patches, stubs, image));
  std::copy(stubs.code().begin(), stubs.code().end(),
            image.begin() + static_cast<std::ptrdiff_t>(offset + stubs_at));
  put_value(image, offset + slots_at,
            preload::CopySlots{preload::copy_slots_magic, nullptr, nullptr, nullptr});

  std::uint64_t next_header = offset;
  const auto put_header = [&](const Elf64_Phdr& header) {
    put_value(image, next_header, header);
    next_header += sizeof header;
  };
  for (const Segment& segment : program.segments()) {
    auto header = *read_value<Elf64_Phdr>(
        program.bytes(), program.headers_offset() + segment.header_index * sizeof(Elf64_Phdr));
    if (header.p_type == PT_PHDR)
      header = {PT_PHDR, PF_R, offset, vaddr, vaddr, headers_bytes, headers_bytes, 8};
    put_header(header);
    if (&segment != last) continue;
    put_header({PT_LOAD, PF_R | PF_X, offset, vaddr, vaddr, text_bytes, text_bytes, page_bytes});
    put_header({PT_LOAD, PF_R | PF_W, offset + slots_at, slots, slots, sizeof(preload::CopySlots),
                sizeof(preload::CopySlots), page_bytes});
  }
  Elf64_Ehdr header = *read_value<Elf64_Ehdr>(program.bytes());
  header.e_phoff = offset;
  header.e_phnum = static_cast<std::uint16_t>(header_count);
  put_value(image, 0, header);
  return image;
}

}  // namespace broker::images
