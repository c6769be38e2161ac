#include "broker/images/function_table.h"

#include <elf.h>

namespace broker::images {
namespace {

// DWARF pointer encodings (LSB "DWARF Extensions").
constexpr std::uint8_t encoded_udata4 = 0x03;
constexpr std::uint8_t encoded_pcrel_sdata4 = 0x1b;
constexpr std::uint8_t encoded_datarel_sdata4 = 0x3b;
constexpr std::size_t entry_bytes = 8;

// The encoding of code addresses that a CIE announces ('R' in its
// augmentation), if that augmentation has only letters known here.
std::optional<std::uint8_t> code_encoding(Bytes cie) {
  constexpr std::size_t augmentation_at = 9;  // length, id, version
  std::size_t at = augmentation_at;
  std::string letters;
  for (; at < cie.size() && cie[at] != 0 && letters.size() < 16; ++at) letters += static_cast<char>(cie[at]);
  ++at;
  auto skip_leb = [&] {
    while (at < cie.size() && (cie[at] & 0x80)) ++at;
    ++at;
  };
  if (letters.empty() || letters[0] != 'z') return std::nullopt;
  for (int field = 0; field < 4; ++field) skip_leb();  // alignments, return column, length
  for (const char letter : letters.substr(1)) {
    const auto byte = read_value<std::uint8_t>(cie, at);
    if (letter == 'S' || letter == 'B') continue;
    if (!byte) return std::nullopt;
    if (letter == 'R') return *byte;
    ++at;
    if (letter == 'P') {
      const unsigned width = *byte & 0x07;
      at += width == 2 ? 2 : width == 3 ? 4 : 8;
    } else if (letter != 'L') {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace

FunctionTable FunctionTable::read(const ElfFile& elf) {
  FunctionTable table(elf);
  const Segment* segment = elf.first_segment(PT_GNU_EH_FRAME);
  if (!segment) return table;
  const Bytes bytes = elf.memory_range(segment->vaddr, segment->file_bytes);
  const auto count = read_value<std::uint32_t>(bytes, 8);
  if (!count || bytes[0] != 1 || bytes[1] != encoded_pcrel_sdata4 || bytes[2] != encoded_udata4 ||
      bytes[3] != encoded_datarel_sdata4)
    return table;
  if ((bytes.size() - 12) / entry_bytes < *count) return table;
  table.header_ = segment->vaddr;
  table.frames_ = segment->vaddr + 4 + *read_value<std::int32_t>(bytes, 4);
  table.entries_ = bytes.subspan(12);
  table.count_ = *count;
  return table;
}

std::uint64_t FunctionTable::entry(std::size_t index, std::size_t half) const {
  return header_ + *read_value<std::int32_t>(entries_, index * entry_bytes + half * 4);
}

std::uint64_t FunctionTable::start(std::size_t index) const { return entry(index, 0); }
std::uint64_t FunctionTable::description(std::size_t index) const { return entry(index, 1); }

std::optional<FunctionRange> FunctionTable::at(std::size_t index) const {
  const std::uint64_t vaddr = description(index);
  const Bytes fde = elf_->memory_from(vaddr);
  const auto length = read_value<std::uint32_t>(fde);
  const auto cie_distance = read_value<std::uint32_t>(fde, 4);
  if (!cie_distance || *length == UINT32_MAX || *cie_distance == 0) return std::nullopt;
  const auto encoding = code_encoding(elf_->memory_from(vaddr + 4 - *cie_distance));
  if (!encoding) return std::nullopt;
  std::optional<std::uint64_t> size;
  switch (*encoding & 0x0f) {
    case 0x03: case 0x0b: size = read_value<std::uint32_t>(fde, 12); break;
    case 0x00: case 0x04: case 0x0c: size = read_value<std::uint64_t>(fde, 16); break;
    default: break;
  }
  if (!size || *size > UINT32_MAX) return std::nullopt;
  return FunctionRange{start(index), start(index) + *size};
}

std::optional<FunctionRange> FunctionTable::last_started_by(std::uint64_t vaddr) const {
  std::size_t low = 0, high = count_;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (start(middle) <= vaddr) low = middle + 1;
    else high = middle;
  }
  return low == 0 ? std::nullopt : at(low - 1);
}

std::optional<FunctionRange> FunctionTable::covering(std::uint64_t vaddr) const {
  const auto range = last_started_by(vaddr);
  if (!range || vaddr >= range->end) return std::nullopt;
  return range;
}

std::uint64_t FunctionTable::end_of_last_before(std::uint64_t vaddr) const {
  const auto range = last_started_by(vaddr);
  return range ? range->end : 0;
}

}  // namespace broker::images
