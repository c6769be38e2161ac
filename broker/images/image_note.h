// What is kept beside a pair of images: their description and what it takes to
// check them.
//
// Text, one "name value" per line in any order:
//
//   images 2                          images_version
//   libc_build_id, loader_build_id    of the originals
//   libc_file, loader_file            image file names in the same directory
//   libc_sum, loader_sum              "<bytes> <sha256>" of the image files
//   libc_was, loader_was              "<offset> <hex>" per patch: the original's bytes there
//   slots, original (per slot, in order), text ("offset vaddr size"), slot, sites ("libc loader")
#pragma once

#include <string>

#include "broker/images/image_builder.h"
#include "broker/images/patcher.h"

namespace broker::images {

struct ImageNote {
  SystemImages images;
  std::string libc_file, loader_file;
  std::string libc_sum, loader_sum;
  std::vector<PatchedBytes> libc_was, loader_was;
};

std::string sum_of(Bytes image);
std::string write_note(const ImageNote& note);
Result<ImageNote> parse_note(const std::string& text);

}  // namespace broker::images
