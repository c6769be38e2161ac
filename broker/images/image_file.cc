#include "broker/images/image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "broker/images/image_note.h"

namespace broker::images {

Result<bool> write_file(const std::string& path, Bytes bytes, unsigned mode) {
  std::string private_path = path + ".XXXXXX";
  const int file = ::mkostemp(private_path.data(), O_CLOEXEC);
  bool done = file >= 0;
  for (std::size_t at = 0; done && at < bytes.size();) {
    const ssize_t count = ::write(file, bytes.data() + at, bytes.size() - at);
    if (count > 0) at += static_cast<std::size_t>(count);
    else done = count < 0 && errno == EINTR;
  }
  done = done && ::fchmod(file, mode) == 0;
  const bool closed = file >= 0 && ::close(file) == 0;
  done = done && closed && ::rename(private_path.c_str(), path.c_str()) == 0;
  if (done) return true;
  const std::string why = std::strerror(errno);
  if (file >= 0) ::unlink(private_path.c_str());
  return fail(Fault::io, path + ": " + why);
}

Result<std::string> read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Fault::not_found, path + ": cannot be opened");
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Result<bool> check_image(const std::string& path, const std::string& sum) {
  const ElfFile image = TRY(ElfFile::open(path));
  if (sum_of(image.bytes()) != sum) return fail(Fault::corrupt, path + ": has changed");
  return true;
}

}  // namespace broker::images
