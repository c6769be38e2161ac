#include "sdl/tools/library.h"

#include <filesystem>

#include "sdl/model_files.h"

namespace sdl {

using cache::fail;
using cache::Fault;
using cache::Result;

Result<cache::Digest> library_tree(Directories& directories) {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string place = (program.parent_path().parent_path() / "share/vestal/sdl").string();
  DiskFiles disk;
  const auto names = disk.names(place);
  if (error || !names)
    return fail(Fault::io,
                "the models that come with vestal: " + (error ? error.message() : names.error().message));
  broker::tree::Directory directory;
  for (const std::string& name : *names) {
    if (TRY(disk.type(place + "/" + name)) != ModelFiles::Type::file) continue;
    const auto text = TRY(disk.file(place + "/" + name));
    const cache::StoredBlob stored = TRY(directories.put(TRY(text->bytes())));
    directory.files.push_back({.name = name, .digest = stored.digest, .bytes = stored.bytes});
  }
  return TRY(directories.put({}, std::move(directory))).digest;
}

}  // namespace sdl
