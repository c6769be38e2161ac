#include "broker/images/function_table.h"

#include <elf.h>

#include <algorithm>

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

// An address or a size as the encoding says, read at `vaddr`.
std::optional<std::uint64_t> encoded_value(Bytes bytes, std::size_t at, std::uint8_t encoding, std::uint64_t vaddr) {
  std::optional<std::uint64_t> value;
  switch (encoding & 0x0f) {
    case 0x03:
      value = read_value<std::uint32_t>(bytes, at);
      break;
    case 0x0b:
      if (const auto number = read_value<std::int32_t>(bytes, at)) value = static_cast<std::uint64_t>(std::int64_t{*number});
      break;
    case 0x00: case 0x04: case 0x0c:
      value = read_value<std::uint64_t>(bytes, at);
      break;
    default:
      break;
  }
  const std::uint8_t relation = encoding & 0x70;
  if (!value || (relation != 0 && relation != 0x10)) return std::nullopt;
  return relation ? *value + vaddr : *value;
}

void read_frames(const Section& section, std::vector<FunctionRange>& ranges) {
  const Bytes frames = section.bytes;
  for (std::size_t at = 0;;) {
    const auto length = read_value<std::uint32_t>(frames, at);
    const auto distance = read_value<std::uint32_t>(frames, at + 4);
    if (!length || !distance || *length == UINT32_MAX) return;
    if (*length == 0) {  // the end of one object's list
      at += 4;
      continue;
    }
    const std::size_t next = at + 4 + *length;
    if (next > frames.size()) return;
    if (*distance != 0 && *distance <= at + 4) {
      const auto encoding = code_encoding(frames.subspan(at + 4 - *distance));
      const std::size_t width = encoding && ((*encoding & 0x0f) == 0x03 || (*encoding & 0x0f) == 0x0b) ? 4 : 8;
      const auto start = encoding ? encoded_value(frames, at + 8, *encoding, section.vaddr + at + 8) : std::nullopt;
      const auto size = encoding ? encoded_value(frames, at + 8 + width, *encoding & 0x0f, 0) : std::nullopt;
      if (start && size && *size > 0 && *size <= UINT32_MAX) ranges.push_back({*start, *start + *size});
    }
    at = next;
  }
}

// Assembly without a size reaches to the next function, as far as one can tell.
void read_symbols(const Section& section, std::vector<FunctionRange>& ranges) {
  for (std::uint64_t i = 0; const auto symbol = read_value<Elf64_Sym>(section.bytes, i * sizeof(Elf64_Sym)); ++i) {
    const unsigned kind = ELF64_ST_TYPE(symbol->st_info);
    if (symbol->st_shndx == SHN_UNDEF || (kind != STT_FUNC && kind != STT_GNU_IFUNC)) continue;
    ranges.push_back({symbol->st_value, symbol->st_value + std::min<std::uint64_t>(symbol->st_size, UINT32_MAX)});
  }
}

}  // namespace

void FunctionTable::read_sections() {
  for (const Section& section : elf_->sections()) {
    if (section.name == ".eh_frame") read_frames(section, ranges_);
    if (section.type == SHT_SYMTAB) read_symbols(section, ranges_);
  }
  std::sort(ranges_.begin(), ranges_.end(), [](const FunctionRange& a, const FunctionRange& b) {
    return a.start != b.start ? a.start < b.start : a.end > b.end;
  });
  ranges_.erase(std::unique(ranges_.begin(), ranges_.end(), [](const FunctionRange& a, const FunctionRange& b) { return a.start == b.start; }),
                ranges_.end());
  for (std::size_t i = 0; i + 1 < ranges_.size(); ++i)
    if (ranges_[i].end == ranges_[i].start) ranges_[i].end = ranges_[i + 1].start;
  count_ = ranges_.size();
}

FunctionTable FunctionTable::read(const ElfFile& elf) {
  FunctionTable table(elf);
  const Segment* segment = elf.first_segment(PT_GNU_EH_FRAME);
  if (!segment) {
    table.read_sections();
    return table;
  }
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

std::uint64_t FunctionTable::start(std::size_t index) const { return ranges_.empty() ? entry(index, 0) : ranges_[index].start; }
std::uint64_t FunctionTable::description(std::size_t index) const { return entry(index, 1); }

std::optional<FunctionRange> FunctionTable::at(std::size_t index) const {
  if (!ranges_.empty()) return ranges_[index];
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
