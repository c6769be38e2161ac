// Where an object's functions start and end, by its .eh_frame_hdr: the sorted
// table that the unwinder itself searches. Every compiled function of a Debian
// object stands in it, stripped or not. Static programs often lack it; then
// .eh_frame itself is read, and the functions of the symbol table are added.
//
// Views the ElfFile it was read from and must not outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "broker/images/elf_file.h"

namespace broker::images {

struct FunctionRange {
  std::uint64_t start;
  std::uint64_t end;
};

class FunctionTable {
 public:
  // An empty table if the object has none, or one of an unusual encoding.
  static FunctionTable read(const ElfFile& elf);

  std::size_t size() const { return count_; }
  std::uint64_t start(std::size_t index) const;
  // Nothing if the entry's description is malformed.
  std::optional<FunctionRange> at(std::size_t index) const;
  std::optional<FunctionRange> covering(std::uint64_t vaddr) const;
  // Where the last function that starts at or before `vaddr` ends; 0 if none does.
  std::uint64_t end_of_last_before(std::uint64_t vaddr) const;

  // For whoever extends the table (unwind_writer.h); only of an .eh_frame_hdr.
  std::uint64_t frames_vaddr() const { return frames_; }
  std::uint64_t description(std::size_t index) const;

 private:
  explicit FunctionTable(const ElfFile& elf) : elf_(&elf) {}
  std::uint64_t entry(std::size_t index, std::size_t half) const;
  void read_sections();
  std::optional<FunctionRange> last_started_by(std::uint64_t vaddr) const;

  const ElfFile* elf_;
  std::uint64_t header_ = 0;
  std::uint64_t frames_ = 0;
  Bytes entries_;
  std::size_t count_ = 0;
  std::vector<FunctionRange> ranges_;  // without an .eh_frame_hdr, ascending
};

}  // namespace broker::images
