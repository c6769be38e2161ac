// Copies of libc and ld.so whose wanted system calls and functions ask a hook.
//
// libc's copy gets a segment of stubs and unwind tables behind its last one
// (the PT_NOTE that only repeats PT_GNU_PROPERTY becomes its PT_LOAD) and eight
// hook slots in the unused tail of its last page of zeroed data. Everything
// else keeps its address; names, build-id and symbols are unchanged.
//
// ld.so's copy differs only in its text, which is laid over the running ld.so:
// stubs stand in the unused tail of the text segment's last page, and the one
// hook slot is the last eight bytes of its data segment's last page.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "broker/images/elf_file.h"
#include "broker/images/wanted_calls.h"

namespace broker::images {

// Bytes of the original that the image replaces.
struct PatchedBytes {
  std::uint64_t offset;
  std::vector<std::uint8_t> original;
};

struct LibcImage {
  std::vector<std::uint8_t> bytes;
  std::uint64_t slots = 0;
  std::array<std::uint64_t, hook_slot_count> originals{};
  std::vector<PatchedBytes> patched;
  std::size_t sites = 0;
  std::vector<std::string> unknown;
};

struct LoaderImage {
  std::vector<std::uint8_t> bytes;
  // Of the text to be mapped, whole pages.
  std::uint64_t text_offset = 0, text_vaddr = 0, text_bytes = 0;
  std::uint64_t slot = 0;
  std::vector<PatchedBytes> patched;
  std::size_t sites = 0;
  std::vector<std::string> unknown;
};

Result<LibcImage> build_libc_image(const ElfFile& libc, const WantedCalls& wanted);
Result<LoaderImage> build_loader_image(const ElfFile& loader, const WantedCalls& wanted);

}  // namespace broker::images
