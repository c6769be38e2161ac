#include "cache/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cassert>

namespace cache {
namespace {

// OpenSSL reads its configuration file and looks the algorithm up by name on each use, unless told otherwise:
// that costs more than hashing a short string. Nothing is freed at exit, for a static's destructor may still
// hash.
const EVP_MD* sha256() {
  static const EVP_MD* const algorithm = [] {
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, nullptr);
    return EVP_MD_fetch(nullptr, "SHA256", nullptr);
  }();
  assert(algorithm);
  return algorithm;
}

class Context {
 public:
  Context() : context_(EVP_MD_CTX_new()) { assert(context_); }
  ~Context() { EVP_MD_CTX_free(context_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  void start() { must(EVP_DigestInit_ex(context_, sha256(), nullptr)); }
  void add(std::string_view bytes) { must(EVP_DigestUpdate(context_, bytes.data(), bytes.size())); }
  Digest finish() {
    Digest digest;
    must(EVP_DigestFinal_ex(context_, digest.bytes.data(), nullptr));
    return digest;
  }

 private:
  static void must([[maybe_unused]] int done) { assert(done == 1); }
  EVP_MD_CTX* context_;
};

// The value of a hexadecimal digit, or -1.
int digit(char character) {
  if (character >= '0' && character <= '9') return character - '0';
  if (character >= 'a' && character <= 'f') return character - 'a' + 10;
  return -1;
}

}  // namespace

std::string Digest::hex() const {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::optional<Digest> Digest::from_bytes(std::string_view raw) {
  Digest digest;
  if (raw.size() != digest.bytes.size()) return std::nullopt;
  std::memcpy(digest.bytes.data(), raw.data(), raw.size());
  return digest;
}

std::optional<Digest> Digest::from_hex(std::string_view hex) {
  Digest digest;
  if (hex.size() != 2 * digest.bytes.size()) return std::nullopt;
  for (std::size_t at = 0; at < digest.bytes.size(); ++at) {
    const int high = digit(hex[2 * at]), low = digit(hex[2 * at + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    digest.bytes[at] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return digest;
}

Digest digest_of(std::string_view bytes) {
  thread_local Context context;
  context.start();
  context.add(bytes);
  return context.finish();
}

struct Hasher::State {
  Context context;
  bool finished = false;
};

Hasher::Hasher() : state_(std::make_unique<State>()) { state_->context.start(); }
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::add(std::string_view bytes) {
  assert(!state_->finished);
  state_->context.add(bytes);
}

void Hasher::add_piece(std::string_view bytes) {
  char length[8];
  for (int at = 0; at < 8; ++at) length[at] = static_cast<char>(bytes.size() >> 8 * at);
  add({length, sizeof length});
  add(bytes);
}

Digest Hasher::finish() {
  assert(!state_->finished);
  state_->finished = true;
  return state_->context.finish();
}

}  // namespace cache
