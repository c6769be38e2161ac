// Files in the folder of images: written in one piece, and believed only while
// they have the contents they were written with.
#pragma once

#include <string>

#include "broker/images/elf_file.h"

namespace broker::images {

// Appears under its name complete or not at all.
Result<bool> write_file(const std::string& path, Bytes bytes, unsigned mode = 0644);
Result<std::string> read_text(const std::string& path);
// `sum` as sum_of() gave it (image_note.h).
Result<bool> check_image(const std::string& path, const std::string& sum);

}  // namespace broker::images
