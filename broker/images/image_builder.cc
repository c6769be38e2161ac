#include "broker/images/image_builder.h"

#include <elf.h>

#include <algorithm>

#include "broker/images/code_survey.h"
#include "broker/images/function_table.h"
#include "broker/images/site_selection.h"
#include "broker/images/stub_writer.h"
#include "broker/images/unwind_writer.h"

namespace broker::images {
namespace {

// Overwrites code at `vaddr` with a jump to `target`, noting what was there.
Result<bool> put_jump(const ElfFile& elf, std::vector<std::uint8_t>& image, std::vector<PatchedBytes>& patched,
                      std::uint64_t vaddr, std::size_t length, std::uint64_t target) {
  const auto offset = elf.offset_of(vaddr);
  const Bytes original = elf.memory_range(vaddr, length);
  if (!offset || original.empty()) return fail(Fault::corrupt, elf.path() + ": a patch beyond the end of the file");
  patched.push_back({*offset, {original.begin(), original.end()}});
  const auto jump = StubWriter::jump(vaddr, target, length);
  std::copy(jump.begin(), jump.end(), image.begin() + static_cast<std::ptrdiff_t>(*offset));
  return true;
}

void set_header(const ElfFile& elf, std::vector<std::uint8_t>& image, const Elf64_Phdr& header, std::size_t index) {
  std::memcpy(image.data() + elf.headers_offset() + index * sizeof header, &header, sizeof header);
}

Elf64_Phdr header_of(const ElfFile& elf, const Segment& segment) {
  return *read_value<Elf64_Phdr>(elf.bytes(), elf.headers_offset() + segment.header_index * sizeof(Elf64_Phdr));
}

const Segment* last_loaded(const ElfFile& elf) {
  const Segment* last = nullptr;
  for (const Segment& segment : elf.segments())
    if (segment.loaded() && (!last || segment.vaddr >= last->vaddr)) last = &segment;
  return last;
}

// The header to reuse: behind the last PT_LOAD, for these must ascend, and not
// the one that holds the build-id.
const Segment* spare_header(const ElfFile& elf) {
  const Segment* property = elf.first_segment(PT_GNU_PROPERTY);
  const Segment* last = last_loaded(elf);
  for (const Segment& segment : elf.segments())
    if (segment.type == PT_NOTE && property && segment.offset == property->offset &&
        segment.file_bytes == property->file_bytes && segment.header_index > last->header_index)
      return &segment;
  return nullptr;
}

bool is_zero(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

Result<LibcImage> build_libc_image(const ElfFile& libc, const WantedCalls& wanted) {
  const CodeSurvey survey = TRY(CodeSurvey::make(libc));
  const SiteSelection selection = TRY(select_sites(survey, wanted));
  if (wanted.functions.size() >= hook_slot_count) return fail(Fault::invalid, "more hooked functions than slots");
  const Segment* data = last_loaded(libc);
  const Segment* spare = spare_header(libc);
  const Segment* unwind_segment = libc.first_segment(PT_GNU_EH_FRAME);
  if (!data->writable() || !spare) return fail(Fault::unsupported, libc.path() + ": no place for another segment");

  LibcImage image;
  constexpr std::uint64_t slots_bytes = hook_slot_count * 8;
  const std::uint64_t data_end = data->vaddr + data->memory_bytes;
  image.slots = round_up(data_end, slots_bytes);
  const std::uint64_t stubs_vaddr = round_up(data_end, page_bytes);
  const bool zeroed = data->memory_bytes > data->file_bytes;
  if (!zeroed || image.slots + slots_bytes > stubs_vaddr)
    return fail(Fault::unsupported, libc.path() + ": no room for hook slots behind its data");

  image.bytes.assign(libc.bytes().begin(), libc.bytes().end());
  image.sites = selection.patches.size();
  image.unknown = selection.unknown;
  StubWriter stubs(stubs_vaddr, image.slots);
  for (const SitePatch& patch : selection.patches) {
    const std::uint64_t stub = TRY(stubs.add_site(patch));
    TRY(put_jump(libc, image.bytes, image.patched, patch.start, patch.length, stub));
  }
  for (std::size_t i = 0; i < wanted.functions.size(); ++i) {
    const std::vector<Instruction> displaced = TRY(select_entry(survey, wanted.functions[i]));
    const std::uint64_t stub = TRY(stubs.add_entry(displaced, i + 1));
    const std::uint64_t start = displaced.front().address;
    TRY(put_jump(libc, image.bytes, image.patched, start, displaced.back().end() - start, stub));
    image.originals[i + 1] = stubs.original();
  }

  const std::uint64_t unwind_vaddr = round_up(stubs_vaddr + stubs.code().size(), 8);
  const UnwindTables unwind = write_unwind_tables(FunctionTable::read(libc), stubs.unwinds(), unwind_vaddr);
  const std::uint64_t stubs_offset = round_up(image.bytes.size(), page_bytes);
  const std::uint64_t unwind_offset = stubs_offset + (unwind_vaddr - stubs_vaddr);
  image.bytes.resize(stubs_offset);
  image.bytes.insert(image.bytes.end(), stubs.code().begin(), stubs.code().end());
  image.bytes.resize(unwind_offset);
  image.bytes.insert(image.bytes.end(), unwind.bytes.begin(), unwind.bytes.end());
  const std::uint64_t added = image.bytes.size() - stubs_offset;

  Elf64_Phdr data_header = header_of(libc, *data);
  data_header.p_memsz = stubs_vaddr - data->vaddr;
  set_header(libc, image.bytes, data_header, data->header_index);
  set_header(libc, image.bytes, {PT_LOAD, PF_R | PF_X, stubs_offset, stubs_vaddr, stubs_vaddr, added, added, page_bytes}, spare->header_index);
  set_header(libc, image.bytes,
             {PT_GNU_EH_FRAME, PF_R, unwind_offset, unwind_vaddr, unwind_vaddr, unwind.header_bytes, unwind.header_bytes, 4},
             unwind_segment->header_index);
  return image;
}

Result<LoaderImage> build_loader_image(const ElfFile& loader, const WantedCalls& wanted) {
  const CodeSurvey survey = TRY(CodeSurvey::make(loader));
  const SiteSelection selection = TRY(select_sites(survey, wanted));
  if (!wanted.functions.empty()) return fail(Fault::invalid, "functions of ld.so cannot be hooked");
  const auto text = std::find_if(loader.segments().begin(), loader.segments().end(), [](const Segment& s) { return s.executable(); });
  const Segment* data = last_loaded(loader);
  const std::uint64_t data_end = data->vaddr + data->memory_bytes;

  LoaderImage image;
  image.slot = round_up(data_end, page_bytes) - 8;
  if (!data->writable() || image.slot < data_end) return fail(Fault::unsupported, loader.path() + ": no room for a hook slot behind its data");
  if (text->vaddr % page_bytes != 0 || text->offset % page_bytes != 0)
    return fail(Fault::unsupported, loader.path() + ": its text starts within a page");
  image.text_offset = text->offset;
  image.text_vaddr = text->vaddr;
  image.text_bytes = round_up(text->memory_bytes, page_bytes);

  const std::uint64_t used = round_up(text->file_bytes, 16);
  StubWriter stubs(text->vaddr + used, image.slot, true);
  image.bytes.assign(loader.bytes().begin(), loader.bytes().end());
  image.sites = selection.patches.size();
  image.unknown = selection.unknown;
  for (const SitePatch& patch : selection.patches) {
    const std::uint64_t stub = TRY(stubs.add_site(patch));
    TRY(put_jump(loader, image.bytes, image.patched, patch.start, patch.length, stub));
  }
  const Bytes tail = loader.file_range(text->offset + text->file_bytes, image.text_bytes - text->file_bytes);
  if (tail.size() != image.text_bytes - text->file_bytes || !is_zero(tail) || used + stubs.code().size() > image.text_bytes)
    return fail(Fault::unsupported, loader.path() + ": no room for stubs behind its text");
  std::copy(stubs.code().begin(), stubs.code().end(), image.bytes.begin() + static_cast<std::ptrdiff_t>(text->offset + used));
  return image;
}

}  // namespace broker::images
