// Images of static programs, and copies of those of Go that ld.so loads, made once for each content and kept beside those
// of libc and ld.so. Each has a note that holds its checksum, or the reason why
// there is none. Named for the program's digest and for everything else an
// image is made of, the shim above all: another vestal makes another image.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/images/elf_file.h"
#include "broker/images/wanted_calls.h"
#include "cache/base/result.h"

namespace broker::images {

class StaticStore {
 public:
  // The shim is read when it is needed.
  StaticStore(std::string directory, std::string shim_path, const WantedCalls& wanted);

  // The path of the image for the program at `path`, whose contents have this digest, made or found to be as it was
  // made. An Error, to be shown, if there can be none; Fault::unsupported then if that lies with the program.
  enum class Kind { with_shim, linked };  // static_image.h or linked_image.h
  cache::Result<std::string> image_of(const std::string& path, const std::string& digest_hex, Kind kind = Kind::with_shim) const;

 private:
  cache::Result<std::string> ready(const std::string& name) const;
  void remove_older(const std::string& beginning) const;
  cache::Result<std::vector<std::uint8_t>> build(const ElfFile& program, Kind kind) const;
  cache::Result<bool> make(const std::string& path, const std::string& digest_hex, Kind kind, const std::string& name) const;

  std::string directory_, shim_path_;
  WantedCalls wanted_;
};

}  // namespace broker::images
