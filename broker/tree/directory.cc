#include "broker/tree/directory.h"

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

namespace broker::tree {
namespace {

using cache::Digest;
using cache::fail;
using cache::Fault;
using cache::Result;

// Numbers of fields (remote_execution.proto).
enum : std::uint32_t { directory_files = 1, directory_directories = 2, directory_symlinks = 3, directory_properties = 5 };
enum : std::uint32_t { node_name = 1, node_digest = 2, symlink_target = 2, file_executable = 4, file_properties = 6 };
enum : std::uint32_t { digest_hash = 1, digest_bytes = 2 };
enum : std::uint32_t { properties_unix_mode = 3, wrapped_value = 1 };
// Of the wire format.
enum : std::uint32_t { varint = 0, delimited = 2 };

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}
void put_number(std::string& out, std::uint32_t field, std::uint64_t value) {
  if (value == 0) return;
  put_varint(out, field << 3 | varint);
  put_varint(out, value);
}
void put_bytes(std::string& out, std::uint32_t field, std::string_view bytes) {
  put_varint(out, field << 3 | delimited);
  put_varint(out, bytes.size());
  out += bytes;
}

void put_digest(std::string& out, const Digest& digest, std::uint64_t bytes) {
  std::string message;
  put_bytes(message, digest_hash, digest.hex());
  put_number(message, digest_bytes, bytes);
  put_bytes(out, node_digest, message);
}
void put_mode(std::string& out, std::uint32_t field, std::uint32_t mode) {
  std::string value, properties;
  put_number(value, wrapped_value, mode);
  put_bytes(properties, properties_unix_mode, value);
  put_bytes(out, field, properties);
}

bool is_executable(std::uint32_t mode) { return mode & 0100; }
std::uint32_t default_mode(bool executable) { return executable ? executable_mode : plain_mode; }

// One message. A field that is not there has its default; what is taken twice or out of order shows when it is encoded again.
class Message {
 public:
  explicit Message(std::string_view bytes) : rest_(bytes) {}

  // The next field; false at the end, or if the bytes make no sense.
  bool next() {
    if (rest_.empty() || !good_) return false;
    const std::uint64_t tag = take_varint();
    field_ = static_cast<std::uint32_t>(tag >> 3);
    kind_ = static_cast<std::uint32_t>(tag & 7);
    number_ = 0;
    bytes_ = {};
    if (kind_ == varint) {
      number_ = take_varint();
    } else if (kind_ == delimited) {
      const std::uint64_t size = take_varint();
      if (size > rest_.size()) good_ = false;
      else bytes_ = rest_.substr(0, size), rest_.remove_prefix(size);
    } else {
      good_ = false;
    }
    return good_;
  }
  bool is(std::uint32_t field, std::uint32_t kind) const { return field_ == field && kind_ == kind; }
  std::uint64_t number() const { return number_; }
  std::string_view bytes() const { return bytes_; }
  void reject() { good_ = false; }
  bool good() const { return good_; }

 private:
  std::uint64_t take_varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<std::uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (!(byte & 0x80)) return value;
    }
    good_ = false;
    return 0;
  }

  std::string_view rest_, bytes_;
  std::uint64_t number_ = 0;
  std::uint32_t field_ = 0, kind_ = 0;
  bool good_ = true;
};

bool is_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == name.npos && name.find('\0') == name.npos;
}

bool read_digest(std::string_view bytes, Digest& digest, std::uint64_t& size) {
  Message message(bytes);
  while (message.next()) {
    if (message.is(digest_hash, delimited)) {
      const auto read = Digest::from_hex(message.bytes());
      if (!read) return false;
      digest = *read;
    } else if (message.is(digest_bytes, varint)) {
      size = message.number();
    } else {
      return false;
    }
  }
  return message.good();
}

std::optional<std::uint32_t> read_mode(std::string_view bytes) {
  std::optional<std::uint32_t> mode;
  Message properties(bytes);
  while (properties.next()) {
    if (!properties.is(properties_unix_mode, delimited)) return std::nullopt;
    mode = 0;
    Message value(properties.bytes());
    while (value.next()) {
      if (!value.is(wrapped_value, varint) || value.number() > 07777) return std::nullopt;
      mode = static_cast<std::uint32_t>(value.number());
    }
    if (!value.good()) return std::nullopt;
  }
  return properties.good() ? mode : std::nullopt;
}

bool read_file(std::string_view bytes, File& file) {
  bool executable = false;
  std::optional<std::uint32_t> mode;
  Message message(bytes);
  while (message.next()) {
    if (message.is(node_name, delimited)) file.name = message.bytes();
    else if (message.is(node_digest, delimited)) { if (!read_digest(message.bytes(), file.digest, file.bytes)) return false; }
    else if (message.is(file_executable, varint)) executable = message.number() != 0;
    else if (message.is(file_properties, delimited)) { if (!(mode = read_mode(message.bytes()))) return false; }
    else return false;
  }
  file.mode = mode.value_or(default_mode(executable));
  return message.good() && is_name(file.name);
}

bool read_subdirectory(std::string_view bytes, Subdirectory& directory) {
  Message message(bytes);
  while (message.next()) {
    if (message.is(node_name, delimited)) directory.name = message.bytes();
    else if (message.is(node_digest, delimited)) { if (!read_digest(message.bytes(), directory.digest, directory.bytes)) return false; }
    else return false;
  }
  return message.good() && is_name(directory.name);
}

bool read_symlink(std::string_view bytes, Symlink& symlink) {
  Message message(bytes);
  while (message.next()) {
    if (message.is(node_name, delimited)) symlink.name = message.bytes();
    else if (message.is(symlink_target, delimited)) symlink.target = message.bytes();
    else return false;
  }
  return message.good() && is_name(symlink.name) && !symlink.target.empty() && symlink.target.find('\0') == symlink.target.npos;
}

bool names_differ(const Directory& directory) {
  std::set<std::string_view> names;
  const auto add = [&](const auto& entries) { return std::all_of(entries.begin(), entries.end(), [&](const auto& entry) { return names.insert(entry.name).second; }); };
  return add(directory.files) && add(directory.directories) && add(directory.symlinks);
}

}  // namespace

void Directory::sort() {
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  std::sort(files.begin(), files.end(), by_name);
  std::sort(directories.begin(), directories.end(), by_name);
  std::sort(symlinks.begin(), symlinks.end(), by_name);
}

std::string encode(const Directory& directory) {
  std::string out;
  for (const File& file : directory.files) {
    std::string node;
    put_bytes(node, node_name, file.name);
    put_digest(node, file.digest, file.bytes);
    put_number(node, file_executable, is_executable(file.mode));
    if (file.mode != default_mode(is_executable(file.mode))) put_mode(node, file_properties, file.mode);
    put_bytes(out, directory_files, node);
  }
  for (const Subdirectory& each : directory.directories) {
    std::string node;
    put_bytes(node, node_name, each.name);
    put_digest(node, each.digest, each.bytes);
    put_bytes(out, directory_directories, node);
  }
  for (const Symlink& symlink : directory.symlinks) {
    std::string node;
    put_bytes(node, node_name, symlink.name);
    put_bytes(node, symlink_target, symlink.target);
    put_bytes(out, directory_symlinks, node);
  }
  if (directory.mode != directory_mode) put_mode(out, directory_properties, directory.mode);
  return out;
}

Result<Directory> decode(std::string_view bytes) {
  Directory directory;
  Message message(bytes);
  while (message.next()) {
    bool read = true;
    if (message.is(directory_files, delimited)) {
      read = read_file(message.bytes(), directory.files.emplace_back());
    } else if (message.is(directory_directories, delimited)) {
      read = read_subdirectory(message.bytes(), directory.directories.emplace_back());
    } else if (message.is(directory_symlinks, delimited)) {
      read = read_symlink(message.bytes(), directory.symlinks.emplace_back());
    } else if (message.is(directory_properties, delimited)) {
      const auto mode = read_mode(message.bytes());
      read = mode.has_value();
      directory.mode = mode.value_or(0);
    } else {
      return fail(Fault::unsupported, "a directory with something that vestal does not know");
    }
    if (!read) message.reject();
  }
  if (!message.good()) return fail(Fault::corrupt, "no directory of a tree");
  if (!names_differ(directory) || encode(directory) != bytes) return fail(Fault::corrupt, "a directory of a tree that is not in canonical form");
  return directory;
}

}  // namespace broker::tree
