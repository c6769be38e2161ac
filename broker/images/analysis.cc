#include "broker/images/analysis.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "broker/images/elf_file.h"
#include "broker/images/raw_calls.h"

namespace broker::images {
namespace {

constexpr const char* glibc_loader = "/lib64/ld-linux-x86-64.so.2";
constexpr std::size_t head_bytes = 256;  // what the kernel looks at

struct Head {
  std::string text;
  mode_t mode;
};

Result<Head> read_head(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    const Fault fault = errno == ENOENT || errno == ENOTDIR ? Fault::not_found : Fault::io;
    return fail(fault, fmt::format("{}: {}", path, std::strerror(errno)));
  }
  struct stat status;
  char buffer[head_bytes];
  const bool regular = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  const ssize_t count = regular ? ::read(file, buffer, sizeof buffer) : -1;
  ::close(file);
  if (!regular) return fail(Fault::unsupported, path + ": not a regular file");
  if (count < 0) return fail(Fault::io, path + ": cannot be read");
  return Head{std::string(buffer, static_cast<std::size_t>(count)), status.st_mode};
}

bool same_file(const char* left, const char* right) {
  struct stat a, b;
  return ::stat(left, &a) == 0 && ::stat(right, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool is_glibc_loader(const std::string& interpreter) {
  return interpreter == glibc_loader || same_file(interpreter.c_str(), glibc_loader);
}

// The ELF header's first bytes: is it for this machine at all?
bool is_native(std::string_view head) {
  if (head.size() < EI_NIDENT + 4) return false;
  std::uint16_t machine;
  std::memcpy(&machine, head.data() + offsetof(Elf64_Ehdr, e_machine), sizeof machine);
  return head[EI_CLASS] == ELFCLASS64 && head[EI_DATA] == ELFDATA2LSB && machine == EM_X86_64;
}

// A program and a library are both ET_DYN. A program has a PT_INTERP or the
// PIE flag; libc has a PT_INTERP too, but also a SONAME.
Kind kind_of(const ElfFile& elf, bool flagged_pie) {
  if (elf.type() != ET_EXEC && elf.type() != ET_DYN) return Kind::not_a_program;
  if (elf.type() == ET_DYN && !elf.soname().empty() && !flagged_pie) return Kind::shared_object;
  if (!elf.interpreter().empty()) return is_glibc_loader(elf.interpreter()) ? Kind::dynamic_glibc : Kind::foreign;
  if (elf.type() == ET_EXEC || flagged_pie) return Kind::static_program;
  return Kind::shared_object;
}

bool has_flag(const ElfFile& elf, std::uint64_t flag) {
  const Segment* segment = elf.first_segment(PT_DYNAMIC);
  if (!segment) return false;
  const Bytes table = elf.file_range(segment->offset, segment->file_bytes);
  for (std::uint64_t at = 0;; at += sizeof(Elf64_Dyn)) {
    const auto entry = read_value<Elf64_Dyn>(table, at);
    if (!entry || entry->d_tag == DT_NULL) return false;
    if (entry->d_tag == DT_FLAGS_1) return entry->d_un.d_val & flag;
  }
}

// Code that is written while the program runs may make system calls that do not stand in the file.
std::string writable_code(const ElfFile& elf) {
  for (const Segment& segment : elf.segments()) {
    if (segment.type == PT_GNU_STACK && segment.flags & PF_X) return "its stack can be executed";
    if (segment.type == PT_LOAD && (segment.flags & (PF_W | PF_X)) == (PF_W | PF_X)) return "its code can be written to";
  }
  return {};
}

Result<bool> describe_elf(const std::string& path, std::string_view head, ElfAnalysis& analysis) {
  if (!is_native(head)) {
    analysis.kind = Kind::foreign;
    analysis.reason = path + ": not an x86-64 program";
    return true;
  }
  const ElfFile elf = TRY(ElfFile::open(path));
  analysis.kind = kind_of(elf, has_flag(elf, DF_1_PIE));
  analysis.first = has_flag(elf, DF_1_INITFIRST);
  analysis.interpreter = elf.interpreter();
  analysis.build_id = elf.build_id();
  analysis.soname = elf.soname();
  analysis.needed = elf.needed();
  if (analysis.kind == Kind::foreign) analysis.reason = path + ": loaded by " + analysis.interpreter;
  analysis.go = is_go(elf);
  RawCalls calls = find_raw_calls(elf);
  analysis.raw_syscalls = calls.count > 0;
  if (analysis.raw_syscalls && analysis.reason.empty()) analysis.reason = calls.first;
  // Go's run time looks at the counter for its profiles.
  if (!analysis.go) analysis.counter = std::move(calls.counter);
  analysis.random = std::move(calls.random);
  // Who has libstdc++ as a library asks it by this function.
  constexpr std::string_view random_device = "_ZNSt13random_device9_M_getvalEv";
  if (elf.soname().starts_with("libstdc++.so.")) analysis.random.clear();
  else if (analysis.random.empty() && elf.imports(random_device)) analysis.random = path + ": uses std::random_device";
  if (const std::string how = writable_code(elf); !how.empty() && analysis.kind != Kind::static_program) {
    analysis.raw_syscalls = true;
    if (analysis.reason.empty()) analysis.reason = path + ": " + how;
  }
  return true;
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

namespace {

// Go's linker leaves a note, which may stand behind others; cc's leaves it in the same segment.
bool has_go_note(const ElfFile& elf) {
  for (const Segment& segment : elf.segments()) {
    if (segment.type != PT_NOTE) continue;
    const Bytes notes = elf.file_range(segment.offset, segment.file_bytes);
    for (std::uint64_t at = 0; const auto head = read_value<Elf64_Nhdr>(notes, at);) {
      const std::uint64_t name = at + sizeof *head, contents = round_up(name + head->n_namesz, 4);
      if (head->n_namesz == 4 && name + 4 <= notes.size() && std::memcmp(notes.data() + name, "Go\0\0", 4) == 0) return true;
      at = round_up(contents + head->n_descsz, 4);
    }
  }
  return false;
}

// What it was built from stands in its data, since Go 1.13 (debug/buildinfo). Without a table of sections it is looked for.
bool has_go_build_information(const ElfFile& elf) {
  constexpr std::string_view magic = "\xff Go buildinf:";
  const auto sections = elf.sections();
  if (!sections.empty()) return std::ranges::any_of(sections, [](const Section& section) { return section.name == ".go.buildinfo"; });
  for (const Segment& segment : elf.segments()) {
    if (!segment.loaded() || segment.executable()) continue;
    const Bytes data = elf.file_range(segment.offset, segment.file_bytes);
    const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
    if (text.find(magic) != text.npos) return true;
  }
  return false;
}

}  // namespace

bool is_go(const ElfFile& elf) { return has_go_note(elf) || has_go_build_information(elf); }

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::dynamic_glibc: return "dynamic_glibc";
    case Kind::static_program: return "static_program";
    case Kind::foreign: return "foreign";
    case Kind::shared_object: return "shared_object";
    case Kind::script: return "script";
    case Kind::not_a_program: return "not_a_program";
  }
  return "unknown";
}

ElfAnalysis parse_script(std::string_view head) {
  ElfAnalysis none;
  if (!head.starts_with("#!")) return none;
  // The kernel's buffer is zero-filled behind a short file; the last of its
  // bytes is never part of the line.
  std::string buffer(head.substr(0, head_bytes));
  buffer.resize(head_bytes, '\0');
  std::size_t end = buffer.find('\n');
  if (end == std::string::npos) {
    end = head_bytes - 1;
    std::size_t name = 2;
    while (name < end && is_blank(buffer[name])) ++name;
    const bool name_ends = buffer.find_first_of(std::string_view(" \t\0", 3), name) < head_bytes;
    if (name == end || !name_ends) return none;  // cut off: not to be guessed at
  }
  while (end > 2 && is_blank(buffer[end - 1])) --end;
  std::string_view line = std::string_view(buffer).substr(2, end - 2);
  while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
  const std::size_t name_end = std::min(line.find_first_of(std::string_view(" \t\0", 3)), line.size());
  if (name_end == 0) return none;
  ElfAnalysis script;
  script.kind = Kind::script;
  script.interpreter = line.substr(0, name_end);
  if (name_end < line.size() && line[name_end] != '\0') {
    line.remove_prefix(name_end);
    while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
    script.script_argument = line.substr(0, line.find('\0'));
  }
  return script;
}

Result<ElfAnalysis> analyse(const std::string& path) {
  const Head head = TRY(read_head(path));
  ElfAnalysis analysis;
  if (head.text.starts_with(std::string_view(ELFMAG, SELFMAG))) TRY(describe_elf(path, head.text, analysis));
  else analysis = parse_script(head.text);
  const bool changes_user = head.mode & (S_ISUID | S_ISGID);
  const bool has_capabilities = ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
  analysis.privileged = changes_user || has_capabilities;
  if (analysis.privileged)
    analysis.reason = path + (changes_user ? ": set-user-ID or set-group-ID" : ": has file capabilities");
  return analysis;
}

}  // namespace broker::images
