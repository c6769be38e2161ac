#include "broker/images/patcher.h"

#include <algorithm>

#include <fmt/format.h>

#include "broker/images/checksum.h"
#include "broker/images/elf_file.h"
#include "broker/images/image_builder.h"
#include "broker/images/image_file.h"
#include "broker/images/image_note.h"

namespace broker::images {
namespace {

bool holds(const ElfFile& original, const std::vector<PatchedBytes>& patched) {
  return std::all_of(patched.begin(), patched.end(), [&](const PatchedBytes& was) {
    const Bytes now = original.file_range(was.offset, was.original.size());
    return !now.empty() && std::equal(now.begin(), now.end(), was.original.begin(), was.original.end());
  });
}

class ImageStore {
 public:
  ImageStore(const ElfFile& libc, const ElfFile& loader, std::string directory, const std::string& wishes)
      : libc_(libc), loader_(loader), directory_(std::move(directory)) {
    const std::string variant = fmt::format("{}-{}", images_version, sha256_hex(wishes).substr(0, 12));
    libc_file_ = fmt::format("libc-{}-{}.so.6", libc.build_id(), variant);
    loader_file_ = fmt::format("ld-{}-{}.so.2", loader.build_id(), variant);
    note_path_ = fmt::format("{}/images-{}-{}-{}.note", directory_, libc.build_id(), loader.build_id(), variant);
  }

  Result<SystemImages> ready() const {
    const ImageNote note = TRY(parse_note(TRY(read_text(note_path_))));
    if (note.images.libc_build_id != libc_.build_id() || note.images.loader_build_id != loader_.build_id() ||
        note.libc_file != libc_file_ || note.loader_file != loader_file_ || !holds(libc_, note.libc_was) ||
        !holds(loader_, note.loader_was))
      return fail(Fault::changed, note_path_ + ": made from other originals");
    TRY(check_image(path_of(libc_file_), note.libc_sum));
    TRY(check_image(path_of(loader_file_), note.loader_sum));
    return with_paths(note.images);
  }

  Result<SystemImages> build(const WantedCalls& libc_calls, const WantedCalls& loader_calls) const {
    LibcImage libc = TRY(build_libc_image(libc_, libc_calls));
    LoaderImage loader = TRY(build_loader_image(loader_, loader_calls));
    TRY(write_file(path_of(libc_file_), libc.bytes));
    TRY(write_file(path_of(loader_file_), loader.bytes));
    ImageNote note;
    note.libc_file = libc_file_;
    note.loader_file = loader_file_;
    note.libc_sum = sum_of(libc.bytes);
    note.loader_sum = sum_of(loader.bytes);
    note.libc_was = std::move(libc.patched);
    note.loader_was = std::move(loader.patched);
    SystemImages& images = note.images;
    images.libc_build_id = libc_.build_id();
    images.libc_slots = libc.slots;
    images.originals = libc.originals;
    images.libc_sites = libc.sites;
    images.loader_build_id = loader_.build_id();
    images.loader_text_offset = loader.text_offset;
    images.loader_text_vaddr = loader.text_vaddr;
    images.loader_text_size = loader.text_bytes;
    images.loader_slot = loader.slot;
    images.loader_sites = loader.sites;
    const std::string text = write_note(note);
    TRY(write_file(note_path_, Bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size())));
    SystemImages built = with_paths(images);
    built.rebuilt = true;
    for (const std::string& site : libc.unknown) built.unknown_sites.push_back("libc: " + site);
    for (const std::string& site : loader.unknown) built.unknown_sites.push_back("ld.so: " + site);
    return built;
  }

 private:
  std::string path_of(const std::string& file) const { return directory_ + "/" + file; }
  SystemImages with_paths(SystemImages images) const {
    images.libc_path = libc_.path();
    images.loader_path = loader_.path();
    images.libc_image = path_of(libc_file_);
    images.loader_image = path_of(loader_file_);
    return images;
  }

  const ElfFile& libc_;
  const ElfFile& loader_;
  std::string directory_, libc_file_, loader_file_, note_path_;
};

}  // namespace

Result<SystemImages> make_system_images(const std::string& libc_path, const std::string& loader_path,
                                        const std::string& directory, const WantedCalls& libc_calls,
                                        const WantedCalls& loader_calls) {
  const ElfFile libc = TRY(ElfFile::open(libc_path));
  const ElfFile loader = TRY(ElfFile::open(loader_path));
  if (libc.build_id().empty() || loader.build_id().empty())
    return fail(Fault::unsupported, libc_path + " or " + loader_path + ": has no build-id");
  const ImageStore store(libc, loader, directory, libc_calls.fingerprint_text() + loader_calls.fingerprint_text());
  if (auto ready = store.ready()) return ready;
  return store.build(libc_calls, loader_calls);
}

}  // namespace broker::images
