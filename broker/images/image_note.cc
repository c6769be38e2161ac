#include "broker/images/image_note.h"

#include <sstream>

#include <fmt/format.h>

#include "broker/images/checksum.h"

namespace broker::images {
namespace {

std::string hex_of(const std::vector<std::uint8_t>& bytes) {
  std::string hex;
  for (const std::uint8_t byte : bytes) hex += fmt::format("{:02x}", byte);
  return hex;
}

PatchedBytes read_was(std::istream& line) {
  PatchedBytes was{};
  std::string hex;
  line >> was.offset >> hex;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    was.original.push_back(static_cast<std::uint8_t>(std::strtoul(hex.substr(i, 2).c_str(), nullptr, 16)));
  return was;
}

}  // namespace

std::string sum_of(Bytes image) { return fmt::format("{} {}", image.size(), sha256_hex(image)); }

std::string write_note(const ImageNote& note) {
  const SystemImages& images = note.images;
  std::string text = fmt::format("images {}\n", images_version);
  text += fmt::format("libc_build_id {}\nloader_build_id {}\n", images.libc_build_id, images.loader_build_id);
  text += fmt::format("libc_file {}\nloader_file {}\n", note.libc_file, note.loader_file);
  text += fmt::format("libc_sum {}\nloader_sum {}\n", note.libc_sum, note.loader_sum);
  text += fmt::format("slots {}\nslot {}\n", images.libc_slots, images.loader_slot);
  for (const std::uint64_t original : images.originals) text += fmt::format("original {}\n", original);
  text += fmt::format("text {} {} {}\n", images.loader_text_offset, images.loader_text_vaddr, images.loader_text_size);
  text += fmt::format("sites {} {}\n", images.libc_sites, images.loader_sites);
  for (const PatchedBytes& was : note.libc_was) text += fmt::format("libc_was {} {}\n", was.offset, hex_of(was.original));
  for (const PatchedBytes& was : note.loader_was) text += fmt::format("loader_was {} {}\n", was.offset, hex_of(was.original));
  return text + "sum " + sha256_hex(text) + "\n";
}

Result<ImageNote> parse_note(const std::string& text) {
  const std::size_t sum_at = text.rfind("sum ", text.size());
  if (sum_at == text.npos || text.substr(sum_at) != "sum " + sha256_hex(text.substr(0, sum_at)) + "\n")
    return fail(Fault::corrupt, "the note of the system images is damaged");
  ImageNote note;
  SystemImages& images = note.images;
  int version = 0;
  std::size_t slot = 0;
  std::istringstream lines(text.substr(0, sum_at));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name == "images") words >> version;
    else if (name == "libc_build_id") words >> images.libc_build_id;
    else if (name == "loader_build_id") words >> images.loader_build_id;
    else if (name == "libc_file") words >> note.libc_file;
    else if (name == "loader_file") words >> note.loader_file;
    else if (name == "libc_sum") std::getline(words >> std::ws, note.libc_sum);
    else if (name == "loader_sum") std::getline(words >> std::ws, note.loader_sum);
    else if (name == "slots") words >> images.libc_slots;
    else if (name == "slot") words >> images.loader_slot;
    else if (name == "original" && slot < images.originals.size()) words >> images.originals[slot++];
    else if (name == "text") words >> images.loader_text_offset >> images.loader_text_vaddr >> images.loader_text_size;
    else if (name == "sites") words >> images.libc_sites >> images.loader_sites;
    else if (name == "libc_was") note.libc_was.push_back(read_was(words));
    else if (name == "loader_was") note.loader_was.push_back(read_was(words));
  }
  if (version != images_version) return fail(Fault::unsupported, "the system images are of another version");
  return note;
}

}  // namespace broker::images
