#include "broker/images/checksum.h"

#include <openssl/evp.h>

#include <cassert>

#include <fmt/format.h>

namespace broker::images {

std::string sha256_hex(Bytes bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  [[maybe_unused]] const int done = EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(), nullptr);
  assert(done == 1);
  std::string hex;
  for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace broker::images
