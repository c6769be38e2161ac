#include "broker/images/elf_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace broker::images {

namespace {

// Up to the first zero byte.
std::string text_of(Bytes bytes) {
  return std::string(bytes.begin(), std::find(bytes.begin(), bytes.end(), 0));
}

}  // namespace

bool Segment::loaded() const { return type == PT_LOAD; }
bool Segment::executable() const { return loaded() && (flags & PF_X); }
bool Segment::writable() const { return loaded() && (flags & PF_W); }

Result<ElfFile> ElfFile::open(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    const Fault fault = errno == ENOENT || errno == ENOTDIR ? Fault::not_found : Fault::io;
    return fail(fault, fmt::format("{}: {}", path, std::strerror(errno)));
  }
  struct stat status;
  ElfFile elf;
  elf.path_ = path;
  const bool usable = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
                      static_cast<std::uint64_t>(status.st_size) >= sizeof(Elf64_Ehdr);
  void* mapped = MAP_FAILED;
  if (usable) mapped = ::mmap(nullptr, status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
  ::close(file);
  if (!usable) return fail(Fault::unsupported, path + ": not an ELF file");
  if (mapped == MAP_FAILED) return fail(Fault::io, path + ": cannot be mapped");
  elf.bytes_ = Bytes(static_cast<const std::uint8_t*>(mapped), status.st_size);
  TRY(elf.read_headers());
  elf.read_dynamic();
  return elf;
}

ElfFile::ElfFile(ElfFile&& other) noexcept { *this = std::move(other); }

ElfFile& ElfFile::operator=(ElfFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(path_, other.path_);
  std::swap(segments_, other.segments_);
  std::swap(needed_, other.needed_);
  std::swap(soname_, other.soname_);
  std::swap(rpath_, other.rpath_);
  std::swap(runpath_, other.runpath_);
  type_ = other.type_;
  headers_offset_ = other.headers_offset_;
  entry_ = other.entry_;
  strings_ = other.strings_;
  strings_bytes_ = other.strings_bytes_;
  symbols_ = other.symbols_;
  versions_ = other.versions_;
  hash_ = other.hash_;
  gnu_hash_ = other.gnu_hash_;
  return *this;
}

ElfFile::~ElfFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::uint8_t*>(bytes_.data()), bytes_.size());
}

Result<bool> ElfFile::read_headers() {
  const Elf64_Ehdr header = *read_value<Elf64_Ehdr>(bytes_);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return fail(Fault::unsupported, path_ + ": not an ELF file");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_X86_64)
    return fail(Fault::unsupported, path_ + ": not for x86-64");
  if (header.e_phnum != 0 && header.e_phentsize != sizeof(Elf64_Phdr))
    return fail(Fault::corrupt, path_ + ": program headers of an unknown size");
  const std::uint64_t table_bytes = std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
  const Bytes table = file_range(header.e_phoff, table_bytes);
  if (table.size() != table_bytes) return fail(Fault::corrupt, path_ + ": program headers beyond the end of the file");
  type_ = header.e_type;
  headers_offset_ = header.e_phoff;
  entry_ = header.e_entry;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    const Elf64_Phdr entry = *read_value<Elf64_Phdr>(table, i * sizeof(Elf64_Phdr));
    const bool in_file = entry.p_offset <= bytes_.size() && entry.p_filesz <= bytes_.size() - entry.p_offset;
    const bool in_memory = entry.p_vaddr <= UINT64_MAX / 2 && entry.p_memsz <= UINT64_MAX / 4;
    if (entry.p_type == PT_LOAD && (!in_file || !in_memory || entry.p_filesz > entry.p_memsz))
      return fail(Fault::corrupt, path_ + ": a segment beyond the end of the file");
    segments_.push_back({entry.p_type, entry.p_flags, entry.p_offset, entry.p_vaddr, entry.p_filesz, entry.p_memsz, i});
  }
  return true;
}

const Segment* ElfFile::first_segment(std::uint32_t type) const {
  for (const Segment& segment : segments_)
    if (segment.type == type) return &segment;
  return nullptr;
}

Bytes ElfFile::file_range(std::uint64_t offset, std::uint64_t size) const {
  if (offset > bytes_.size() || size > bytes_.size() - offset) return {};
  return bytes_.subspan(offset, size);
}

Bytes ElfFile::memory_from(std::uint64_t vaddr) const {
  for (const Segment& segment : segments_) {
    if (!segment.loaded() || !segment.covers_file_vaddr(vaddr)) continue;
    const std::uint64_t skip = vaddr - segment.vaddr;
    return file_range(segment.offset + skip, segment.file_bytes - skip);
  }
  return {};
}

Bytes ElfFile::memory_range(std::uint64_t vaddr, std::uint64_t size) const {
  const Bytes rest = memory_from(vaddr);
  return size <= rest.size() ? rest.first(size) : Bytes{};
}

std::optional<std::uint64_t> ElfFile::offset_of(std::uint64_t vaddr) const {
  for (const Segment& segment : segments_)
    if (segment.loaded() && segment.covers_file_vaddr(vaddr)) return segment.offset + (vaddr - segment.vaddr);
  return std::nullopt;
}

void ElfFile::release(Bytes range) const {
  if (range.empty()) return;
  const std::uint64_t first = static_cast<std::uint64_t>(range.data() - bytes_.data()) / page_bytes * page_bytes;
  const std::uint64_t last = static_cast<std::uint64_t>(range.data() + range.size() - bytes_.data());
  ::madvise(const_cast<std::uint8_t*>(bytes_.data()) + first, last - first, MADV_DONTNEED);
}

std::vector<Section> ElfFile::sections() const {
  const Elf64_Ehdr header = *read_value<Elf64_Ehdr>(bytes_);
  std::vector<Section> sections;
  const Bytes table = file_range(header.e_shoff, std::uint64_t{header.e_shnum} * sizeof(Elf64_Shdr));
  const auto names = read_value<Elf64_Shdr>(table, std::uint64_t{header.e_shstrndx} * sizeof(Elf64_Shdr));
  if (header.e_shentsize != sizeof(Elf64_Shdr) || !names) return sections;
  const Bytes texts = file_range(names->sh_offset, names->sh_size);
  for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
    const Elf64_Shdr entry = *read_value<Elf64_Shdr>(table, i * sizeof(Elf64_Shdr));
    const Bytes bytes = entry.sh_type == SHT_NOBITS ? Bytes{} : file_range(entry.sh_offset, entry.sh_size);
    const std::string name = entry.sh_name < texts.size() ? text_of(texts.subspan(entry.sh_name)) : std::string();
    sections.push_back({name, entry.sh_type, entry.sh_addr, entry.sh_link, bytes});
  }
  return sections;
}

std::vector<CodeRange> ElfFile::code() const {
  std::vector<CodeRange> ranges;
  const Elf64_Ehdr header = *read_value<Elf64_Ehdr>(bytes_);
  for (std::uint64_t i = 0; i < header.e_shnum && header.e_shentsize == sizeof(Elf64_Shdr); ++i) {
    const Bytes entry = file_range(header.e_shoff, (i + 1) * sizeof(Elf64_Shdr));
    const auto section = read_value<Elf64_Shdr>(entry, i * sizeof(Elf64_Shdr));
    if (!section || !(section->sh_flags & SHF_EXECINSTR) || section->sh_type == SHT_NOBITS) continue;
    const Bytes code = file_range(section->sh_offset, section->sh_size);
    if (!code.empty()) ranges.push_back({section->sh_addr, section->sh_offset, code});
  }
  if (!ranges.empty()) return ranges;
  for (const Segment& segment : segments_)
    if (segment.executable()) ranges.push_back({segment.vaddr, segment.offset, file_range(segment.offset, segment.file_bytes)});
  return ranges;
}

std::string ElfFile::interpreter() const {
  const Segment* segment = first_segment(PT_INTERP);
  if (!segment || segment->file_bytes > page_bytes) return {};
  const Bytes text = file_range(segment->offset, segment->file_bytes);
  return text_of(text);
}

std::string ElfFile::build_id() const {
  for (const Segment& segment : segments_) {
    if (segment.type != PT_NOTE) continue;
    Bytes notes = file_range(segment.offset, segment.file_bytes);
    while (const auto note = read_value<Elf64_Nhdr>(notes)) {
      const std::uint64_t name_bytes = round_up(note->n_namesz, 4);
      const std::uint64_t all_bytes = sizeof(Elf64_Nhdr) + name_bytes + round_up(note->n_descsz, 4);
      if (all_bytes > notes.size()) break;
      const Bytes name = notes.subspan(sizeof(Elf64_Nhdr), note->n_namesz);
      if (note->n_type == NT_GNU_BUILD_ID && name.size() == 4 && std::memcmp(name.data(), "GNU", 4) == 0) {
        std::string hex;
        for (const std::uint8_t byte : notes.subspan(sizeof(Elf64_Nhdr) + name_bytes, note->n_descsz))
          hex += fmt::format("{:02x}", byte);
        return hex;
      }
      notes = notes.subspan(all_bytes);
    }
  }
  return {};
}

std::string ElfFile::text_at(std::uint64_t string_index) const {
  if (string_index >= strings_bytes_) return {};
  const Bytes text = memory_range(strings_ + string_index, strings_bytes_ - string_index);
  return text_of(text);
}

void ElfFile::read_dynamic() {
  const Segment* segment = first_segment(PT_DYNAMIC);
  if (!segment) return;
  const Bytes table = file_range(segment->offset, segment->file_bytes);
  std::vector<std::uint64_t> needed;
  std::optional<std::uint64_t> soname, rpath, runpath;
  for (std::uint64_t at = 0;; at += sizeof(Elf64_Dyn)) {
    const auto entry = read_value<Elf64_Dyn>(table, at);
    if (!entry || entry->d_tag == DT_NULL) break;
    const std::uint64_t value = entry->d_un.d_val;
    switch (entry->d_tag) {
      case DT_NEEDED: needed.push_back(value); break;
      case DT_SONAME: soname = value; break;
      case DT_RPATH: rpath = value; break;
      case DT_RUNPATH: runpath = value; break;
      case DT_STRTAB: strings_ = value; break;
      case DT_STRSZ: strings_bytes_ = value; break;
      case DT_SYMTAB: symbols_ = value; break;
      case DT_VERSYM: versions_ = value; break;
      case DT_HASH: hash_ = value; break;
      case DT_GNU_HASH: gnu_hash_ = value; break;
      default: break;
    }
  }
  for (const std::uint64_t name : needed) needed_.push_back(text_at(name));
  if (soname) soname_ = text_at(*soname);
  if (rpath) rpath_ = text_at(*rpath);
  if (runpath) runpath_ = text_at(*runpath);
}

// The dynamic section does not say how many symbols there are; the hash tables
// do: DT_HASH directly, DT_GNU_HASH by the end of the chain that starts last.
std::uint64_t ElfFile::dynamic_symbol_count() const {
  if (hash_) return read_value<std::uint32_t>(memory_from(hash_), 4).value_or(0);
  const Bytes table = memory_from(gnu_hash_);
  const auto bucket_count = read_value<std::uint32_t>(table);
  const auto first_hashed = read_value<std::uint32_t>(table, 4);
  const auto bloom_words = read_value<std::uint32_t>(table, 8);
  if (!gnu_hash_ || !bloom_words) return 0;
  const std::uint64_t buckets = 16 + std::uint64_t{*bloom_words} * 8;
  const std::uint64_t chains = buckets + std::uint64_t{*bucket_count} * 4;
  std::uint64_t last = 0;
  for (std::uint64_t i = 0; i < *bucket_count; ++i) {
    const auto head = read_value<std::uint32_t>(table, buckets + i * 4);
    if (!head) return 0;
    last = std::max<std::uint64_t>(last, *head);
  }
  if (last < *first_hashed) return *first_hashed;
  while (const auto hash = read_value<std::uint32_t>(table, chains + (last - *first_hashed) * 4)) {
    ++last;
    if (*hash & 1) return last;
  }
  return 0;
}

Result<std::vector<ExportedFunction>> ElfFile::exported_functions() const {
  std::vector<ExportedFunction> functions;
  const std::uint64_t count = dynamic_symbol_count();
  const Bytes table = memory_from(symbols_);
  const Bytes names = memory_range(strings_, strings_bytes_);
  const Bytes versions = versions_ ? memory_from(versions_) : Bytes{};
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto symbol = read_value<Elf64_Sym>(table, i * sizeof(Elf64_Sym));
    if (!symbol || symbol->st_name >= names.size())
      return fail(Fault::corrupt, path_ + ": dynamic symbols beyond the end of the file");
    const unsigned kind = ELF64_ST_TYPE(symbol->st_info);
    if (symbol->st_shndx == SHN_UNDEF || (kind != STT_FUNC && kind != STT_GNU_IFUNC)) continue;
    const auto* name = reinterpret_cast<const char*>(names.data()) + symbol->st_name;
    const std::uint16_t version = read_value<std::uint16_t>(versions, i * 2).value_or(VER_NDX_GLOBAL);
    functions.push_back({{name, ::strnlen(name, names.size() - symbol->st_name)},
                         symbol->st_value, symbol->st_size, (version & 0x8000) == 0});
  }
  return functions;
}

bool ElfFile::imports(std::string_view name) const {
  const std::uint64_t count = dynamic_symbol_count();
  const Bytes table = memory_from(symbols_);
  const Bytes names = memory_range(strings_, strings_bytes_);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto symbol = read_value<Elf64_Sym>(table, i * sizeof(Elf64_Sym));
    if (!symbol) return false;
    if (symbol->st_shndx != SHN_UNDEF || symbol->st_name >= names.size() || names.size() - symbol->st_name <= name.size()) continue;
    const auto* text = reinterpret_cast<const char*>(names.data()) + symbol->st_name;
    if (text[name.size()] == '\0' && std::string_view(text, name.size()) == name) return true;
  }
  return false;
}

}  // namespace broker::images
