// An ELF64 x86-64 file, mapped read-only, read as its own headers describe it.
//
// Every access is checked against the size of the file: a hostile or cut-off
// file gives an Error or an empty range, never a wild read. (A file cut short
// by someone else while it is mapped is not survivable; images and system
// libraries are replaced by rename.)
//
// `vaddr` is an address as the file spells it, relative to the load base.
// Ranges and names point into the mapping and live as long as the ElfFile.
// Immutable once opened; any thread may read it.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/result.h"

namespace broker::images {

using cache::Fault;
using cache::Result;
using cache::fail;

using Bytes = std::span<const std::uint8_t>;

inline constexpr std::uint64_t page_bytes = 4096;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

struct Segment {
  std::uint32_t type;
  std::uint32_t flags;
  std::uint64_t offset;
  std::uint64_t vaddr;
  std::uint64_t file_bytes;
  std::uint64_t memory_bytes;
  std::size_t header_index;

  bool loaded() const;
  bool executable() const;
  bool writable() const;
  bool covers_file_vaddr(std::uint64_t address) const {
    return address >= vaddr && address - vaddr < file_bytes;
  }
};

// A defined function of the dynamic symbol table.
struct ExportedFunction {
  std::string_view name;
  std::uint64_t vaddr;
  std::uint64_t size;
  bool default_version;  // what `name` means to a program linked today
};

// A value of type T at the start of `bytes`, or nothing if they are too few.
template <class T>
std::optional<T> read_value(Bytes bytes, std::uint64_t at = 0) {
  if (at > bytes.size() || bytes.size() - at < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

struct CodeRange {
  std::uint64_t vaddr;
  std::uint64_t offset;
  Bytes code;
};

struct Section {
  std::string name;
  std::uint32_t type;
  std::uint64_t vaddr;
  std::uint64_t link;  // index of the section it goes with
  Bytes bytes;         // empty if it takes no room in the file
};

class ElfFile {
 public:
  // Fault::unsupported if this is no ELF64 x86-64 file, Fault::corrupt if its
  // headers contradict its size.
  static Result<ElfFile> open(const std::string& path);

  ElfFile(ElfFile&& other) noexcept;
  ElfFile& operator=(ElfFile&& other) noexcept;
  ~ElfFile();

  const std::string& path() const { return path_; }
  Bytes bytes() const { return bytes_; }
  std::uint16_t type() const { return type_; }
  std::uint64_t headers_offset() const { return headers_offset_; }
  const std::vector<Segment>& segments() const { return segments_; }
  const Segment* first_segment(std::uint32_t type) const;

  // Empty unless the whole range lies in the file.
  Bytes file_range(std::uint64_t offset, std::uint64_t size) const;
  // The same by address, within one loaded segment's file-backed part.
  Bytes memory_range(std::uint64_t vaddr, std::uint64_t size) const;
  // From `vaddr` to the end of its segment's file-backed part.
  Bytes memory_from(std::uint64_t vaddr) const;
  std::optional<std::uint64_t> offset_of(std::uint64_t vaddr) const;

  // Lets the system take back the memory behind `range`; it is read again if it is looked at again.
  void release(Bytes range) const;

  std::uint64_t entry() const { return entry_; }
  // Empty if the file has none, or a table that contradicts its size.
  std::vector<Section> sections() const;

  // What can be executed: the sections that hold code, or, if the file has no
  // sections, its executable segments (which may hold tables as well).
  std::vector<CodeRange> code() const;

  // Empty where the file has none.
  std::string interpreter() const;
  std::string build_id() const;  // lower-case hex
  const std::string& soname() const { return soname_; }
  const std::vector<std::string>& needed() const { return needed_; }
  const std::string& rpath() const { return rpath_; }
  const std::string& runpath() const { return runpath_; }

  Result<std::vector<ExportedFunction>> exported_functions() const;
  // Whether it takes the symbol from another object.
  bool imports(std::string_view name) const;

 private:
  ElfFile() = default;
  Result<bool> read_headers();
  void read_dynamic();
  std::uint64_t dynamic_symbol_count() const;
  std::string text_at(std::uint64_t string_index) const;

  std::string path_;
  Bytes bytes_;
  std::uint16_t type_ = 0;
  std::uint64_t headers_offset_ = 0;
  std::uint64_t entry_ = 0;
  std::vector<Segment> segments_;
  std::string soname_, rpath_, runpath_;
  std::vector<std::string> needed_;
  std::uint64_t strings_ = 0, strings_bytes_ = 0, symbols_ = 0, versions_ = 0;
  std::uint64_t hash_ = 0, gnu_hash_ = 0;
};

}  // namespace broker::images
