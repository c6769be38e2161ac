// The patched images of this machine's libc and ld.so, kept in a directory.
//
// Made once per build of libc and ld.so and set of wanted calls; that takes
// half a second. After that a call only checks what is kept, in under 10 ms:
// the originals' build-ids and the bytes that were patched, and the images'
// sizes and checksums. Whatever differs is made again. Files appear under
// their names complete or not at all, so calls may race.
//
// Addresses are relative to the load base of the object.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "broker/images/wanted_calls.h"
#include "cache/base/result.h"

namespace broker::images {

// Part of the images' names. Raise it when the same originals and wishes give
// other images or the note's format changes.
inline constexpr int images_version = 3;

struct SystemImages {
  std::string libc_path;      // the original
  std::string libc_image;     // to be preloaded instead
  std::string libc_build_id;  // of both
  // Eight pointers, null until a hook sets them: slot 0 for system calls, slot
  // k for the k-th of WantedCalls::functions. The page is writable.
  std::uint64_t libc_slots = 0;
  // By slot: code that does what the function would without its hook. 0 for
  // slot 0 and slots without a function.
  std::array<std::uint64_t, hook_slot_count> originals{};

  std::string loader_path;
  std::string loader_image;  // its text is to be mapped over the running ld.so
  std::string loader_build_id;
  // Whole pages: bytes [offset, offset + size) of the image belong at vaddr.
  std::uint64_t loader_text_offset = 0;
  std::uint64_t loader_text_vaddr = 0;
  std::uint64_t loader_text_size = 0;
  // One pointer, as slot 0. Lies behind ld.so's data in the same page, where
  // ld.so's start-up allocator may have been: use it only if it holds zero,
  // and set it before the text is mapped.
  std::uint64_t loader_slot = 0;

  std::size_t libc_sites = 0;  // patched
  std::size_t loader_sites = 0;
  // For a human: sites not patched because their number is not known. Empty
  // when the images were found ready.
  std::vector<std::string> unknown_sites;
  bool rebuilt = false;
};

// An Error if either file's wanted calls cannot all be patched, or the images
// cannot be written.
cache::Result<SystemImages> make_system_images(const std::string& libc_path, const std::string& loader_path,
                                               const std::string& directory, const WantedCalls& libc_calls,
                                               const WantedCalls& loader_calls);

}  // namespace broker::images
