#include "broker/view.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cassert>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include <fmt/format.h>

#include "cache/base/owned_fd.h"
#include "preload/protocol.h"

namespace broker {
namespace {

using cache::Digest;
using cache::fail;
using cache::Fault;
using cache::OwnedFd;
using cache::Result;

constexpr std::size_t read_bytes = 256 << 10;
constexpr std::size_t volatile_bytes_max = 1 << 20;
constexpr std::size_t written_max = 1 << 14;  // about 2 MiB
constexpr char unreadable_mark = '\xff';      // in place of a FileType

std::int64_t clock_ns(clockid_t clock) {
  timespec now;
  ::clock_gettime(clock, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

template <class T>
void append(std::string& value, T number) {
  static_assert(std::endian::native == std::endian::little);
  value.append(reinterpret_cast<const char*>(&number), sizeof number);
}

std::string unreadable_value() {
  static const std::uint64_t process = [] {
    std::random_device random;
    return std::uint64_t{random()} << 32 | random();
  }();
  static std::atomic<std::uint64_t> next = 0;
  std::string value(1, unreadable_mark);
  append(value, process);
  append(value, next.fetch_add(1, std::memory_order_relaxed));
  return value;
}

// Which parts the value of such a thing has.
std::uint32_t meaningful(FileType type, std::uint32_t aspects) {
  using namespace cache;
  switch (type) {
    case FileType::absent:
    case FileType::error:
      return 0;
    case FileType::directory:
      // Its size says nothing to who does not look at its time as well.
      if (!(aspects & aspect_times)) aspects &= ~std::uint32_t{aspect_size};
      return aspects & (aspect_mode | aspect_size | aspect_links | aspect_times | aspect_listing | aspect_attributes);
    case FileType::regular:
      return aspects & (aspect_mode | aspect_size | aspect_links | aspect_times | aspect_bytes | aspect_attributes);
    case FileType::symlink:
      if (aspects & aspect_target) aspects &= ~std::uint32_t{aspect_size};
      return aspects & (aspect_mode | aspect_size | aspect_links | aspect_times | aspect_target);
    default:
      return aspects & (aspect_mode | aspect_size | aspect_links | aspect_times);
  }
}

// Needs a kernel that does so, too.
bool may_stamp_each_change(const std::string& path) {
  struct statfs system;
  if (::statfs(path.c_str(), &system) != 0) return false;
  switch (system.f_type) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
      return true;
    default:
      return false;
  }
}

bool changes_unseen(const std::string& path) {
  return path.starts_with("/proc/") || path.starts_with("/sys/");
}

tl::unexpected<cache::Error> failed(const std::string& path, int reason) {
  Fault fault = Fault::io;
  if (reason == ENOENT || reason == ENOTDIR) fault = Fault::not_found;
  if (reason == ELOOP || reason == ENXIO) fault = Fault::unsupported;  // a symlink, a socket
  return fail(fault, fmt::format("{}: {}", path, std::strerror(reason)));
}

// To the end of the file or until `bytes` is full; negative with errno set.
ssize_t read_fully(int file, char* bytes, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = ::read(file, bytes + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -1;
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return static_cast<ssize_t>(done);
}

struct Hashed {
  Digest digest;
  std::uint64_t bytes = 0;
};

Result<Hashed> hash(int file, const std::string& path, std::uint64_t expected_bytes) {
  // One byte more shows that a small file has ended.
  const std::size_t room = static_cast<std::size_t>(std::min<std::uint64_t>(expected_bytes + 1, read_bytes));
  const auto buffer = std::make_unique_for_overwrite<char[]>(room);
  ssize_t count = read_fully(file, buffer.get(), room);
  if (count < 0) return failed(path, errno);
  const auto piece = [&] { return std::string_view(buffer.get(), static_cast<std::size_t>(count)); };
  Hashed hashed;
  if (static_cast<std::size_t>(count) < room) return Hashed{cache::digest_of(piece()), piece().size()};
  cache::Hasher hasher;
  while (count > 0) {
    hasher.add(piece());
    hashed.bytes += piece().size();
    count = read_fully(file, buffer.get(), room);
    if (count < 0) return failed(path, errno);
  }
  hashed.digest = hasher.finish();
  return hashed;
}

Result<std::string> read_volatile(int file, const std::string& path) {
  std::string bytes(volatile_bytes_max + 1, '\0');
  const ssize_t count = read_fully(file, bytes.data(), bytes.size());
  if (count < 0) return failed(path, errno);
  bytes.resize(static_cast<std::size_t>(count));
  if (bytes.size() > volatile_bytes_max)
    return fail(Fault::unsupported, path + ": too long for a file that changes unseen");
  return bytes;
}

// The names of "a/b/c/", in order.
std::vector<std::string_view> names_in(std::string_view text) {
  std::vector<std::string_view> names;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('/'), text.size());
    names.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Takes a value apart; what is not there reads as zero and is noticed.
class ValueReader {
 public:
  explicit ValueReader(std::string_view value) : rest_(value) {}
  template <class T>
  T number() {
    T value{};
    const std::string_view raw = bytes(sizeof value);
    if (raw.size() == sizeof value) std::memcpy(&value, raw.data(), sizeof value);
    return value;
  }
  std::string_view bytes(std::size_t count) {
    if (count > rest_.size()) complete_ = false;
    const std::string_view taken = rest_.substr(0, complete_ ? count : 0);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  bool finished() const { return complete_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool complete_ = true;
};

const char* name_of(FileType type) {
  switch (type) {
    case FileType::absent:
      return "absent";
    case FileType::regular:
      return "regular file";
    case FileType::directory:
      return "directory";
    case FileType::symlink:
      return "symlink";
    case FileType::fifo:
      return "fifo";
    case FileType::socket:
      return "socket";
    case FileType::character_device:
      return "character device";
    case FileType::block_device:
      return "block device";
    case FileType::error:
      return "cannot be looked at";
  }
  return "unknown";
}

std::string time_text(std::int64_t mtime_ns) {
  constexpr std::int64_t second = 1'000'000'000;
  const std::int64_t nanoseconds = ((mtime_ns % second) + second) % second;
  const time_t seconds = static_cast<time_t>(mtime_ns / second - (mtime_ns % second < 0));
  struct tm parts;
  char text[40];
  if (!::gmtime_r(&seconds, &parts) || ::strftime(text, sizeof text, "%F %T", &parts) == 0)
    return fmt::format("{} ns", mtime_ns);
  return fmt::format("{}.{:09} UTC", text, nanoseconds);
}

}  // namespace

// ---- facts and values
// ----------------------------------------------------------------------------------------------

PathFacts PathFacts::from_mode(std::uint32_t st_mode) {
  PathFacts facts;
  switch (st_mode & S_IFMT) {
    case S_IFREG:
      facts.type = FileType::regular;
      break;
    case S_IFDIR:
      facts.type = FileType::directory;
      break;
    case S_IFLNK:
      facts.type = FileType::symlink;
      break;
    case S_IFIFO:
      facts.type = FileType::fifo;
      break;
    case S_IFSOCK:
      facts.type = FileType::socket;
      break;
    case S_IFCHR:
      facts.type = FileType::character_device;
      break;
    case S_IFBLK:
      facts.type = FileType::block_device;
      break;
    default:
      return from_error(EIO);
  }
  facts.mode = st_mode & 07777;
  return facts;
}

PathFacts PathFacts::from(const struct stat& status) {
  PathFacts facts = from_mode(status.st_mode);
  facts.uid = status.st_uid;
  facts.gid = status.st_gid;
  facts.links = static_cast<std::uint32_t>(status.st_nlink);
  const auto identity = cache::FileIdentity::of(status);
  facts.bytes = identity.bytes;
  facts.mtime_ns = identity.mtime_ns;
  facts.device = identity.device;
  facts.inode = identity.inode;
  facts.ctime_ns = identity.ctime_ns;
  return facts;
}

PathFacts PathFacts::from_error(int error_number) {
  PathFacts facts;
  if (error_number == ENOTDIR) facts.error = ENOTDIR;
  if (error_number == ENOENT || error_number == ENOTDIR) return facts;
  facts.type = FileType::error;
  facts.error = error_number;
  return facts;
}

std::string value_of(std::uint32_t aspects, const PathFacts& facts, const PathContents& contents) {
  using namespace cache;
  if (aspects & aspect_replaceable) {
    const bool has_other_names = aspects & aspect_links && facts.links > 1;
    const bool is_empty = aspects & aspect_size && facts.bytes == 0;
    const bool is_another = aspects & aspect_mode && (facts.mode != expected_mode(aspects) || facts.uid != ::geteuid());
    return std::string(1, facts.type == FileType::absent || (facts.type == FileType::regular && !has_other_names && !is_empty && !is_another) ? '\1' : '\0');
  }
  const std::uint32_t parts = meaningful(facts.type, aspects);
  if ((parts & aspect_bytes && !contents.bytes) || (parts & aspect_target && !contents.target) ||
      (parts & aspect_listing && !contents.listing) || (parts & aspect_attributes && !contents.attributes)) {
    return unreadable_value();
  }
  std::string value(1, static_cast<char>(facts.type));
  if (facts.error) append(value, static_cast<std::uint32_t>(facts.error));
  if (parts & aspect_mode) {
    if (facts.type != FileType::symlink) append(value, facts.mode);
    append(value, facts.uid);
    append(value, facts.gid);
  }
  if (parts & aspect_size) append(value, facts.bytes);
  if (parts & aspect_links) append(value, facts.links);
  if (parts & aspect_times) append(value, facts.mtime_ns);
  if (parts & aspect_bytes) value += contents.bytes->view();
  if (parts & aspect_target) {
    append(value, static_cast<std::uint32_t>(contents.target->size()));
    value += *contents.target;
  }
  if (parts & aspect_listing) append(value, *contents.listing);
  if (parts & aspect_attributes) append(value, *contents.attributes);
  return value;
}

std::optional<ValueParts> parts_of(std::uint32_t aspects, std::string_view value) {
  using namespace cache;
  ValueParts parts;
  if (value.empty()) return std::nullopt;
  if (value[0] == unreadable_mark) {
    parts.readable = false;
    return parts;
  }
  if (aspects & aspect_replaceable) return std::nullopt;
  ValueReader reader(value);
  parts.type = FileType{reader.number<std::uint8_t>()};
  if (parts.type > FileType::error) return std::nullopt;
  if (parts.type == FileType::error || (parts.type == FileType::absent && value.size() > 1))
    parts.error = static_cast<int>(reader.number<std::uint32_t>());
  const std::uint32_t there = meaningful(parts.type, aspects);
  if (there & aspect_mode) {
    if (parts.type != FileType::symlink) parts.mode = reader.number<std::uint32_t>();
    const auto uid = reader.number<std::uint32_t>();
    parts.owner = std::pair(uid, reader.number<std::uint32_t>());
  }
  if (there & aspect_size) parts.bytes = reader.number<std::uint64_t>();
  if (there & aspect_links) parts.links = reader.number<std::uint32_t>();
  if (there & aspect_times) parts.mtime_ns = reader.number<std::int64_t>();
  if (there & aspect_bytes) parts.digest = Digest::from_bytes(reader.bytes(32)).value_or(Digest{});
  if (there & aspect_target) {
    const auto length = reader.number<std::uint32_t>();
    parts.target = std::string(reader.bytes(length));
  }
  if (there & aspect_listing) parts.listing = reader.number<std::uint64_t>();
  if (there & aspect_attributes) parts.attributes = reader.number<std::uint64_t>();
  if (!reader.finished()) return std::nullopt;
  return parts;
}

std::string describe(std::uint32_t aspects, std::string_view value) {
  if (aspects & cache::aspect_replaceable && value.size() == 1 && value[0] != unreadable_mark) {
    std::string file = aspects & cache::aspect_size ? "a regular file that is not empty" : "a regular file";
    if (aspects & cache::aspect_links) file += " without another name";
    if (aspects & cache::aspect_mode) file += fmt::format(", of one's own with mode {:04o}", cache::expected_mode(aspects));
    return value[0] ? "absent or " + file : "neither absent nor " + file;
  }
  const auto parts = parts_of(aspects, value);
  if (!parts) return "unknown";
  if (!parts->readable) return "cannot be read";
  std::string text = name_of(parts->type);
  if (parts->error || parts->type == FileType::error) text += fmt::format(": {}", std::strerror(parts->error));
  if (parts->mode) text += fmt::format(", mode {:04o}", *parts->mode);
  if (parts->owner) text += fmt::format(", owner {}:{}", parts->owner->first, parts->owner->second);
  if (parts->bytes) text += fmt::format(", {} bytes", *parts->bytes);
  if (parts->links) text += fmt::format(", links {}", *parts->links);
  if (parts->mtime_ns) text += ", modified " + time_text(*parts->mtime_ns);
  if (parts->digest) text += fmt::format(", sha256 {}...", parts->digest->hex().substr(0, 16));
  if (parts->target) text += " to " + *parts->target;
  if (parts->listing) text += fmt::format(", listing {:016x}", *parts->listing);
  if (parts->attributes.value_or(0) != 0) text += ", extended attributes";
  return text;
}

// ---- the world as it is
// --------------------------------------------------------------------------------------------

PathFacts View::look(const std::string& path) const {
  struct stat status;
  return ::lstat(path.c_str(), &status) == 0 ? PathFacts::from(status) : PathFacts::from_error(errno);
}

std::optional<Digest> View::known(const cache::FileIdentity& file) const {
  {
    std::unique_lock lock(written_mutex_);
    const auto found = written_.find(FileKey{file.device, file.inode});
    if (found != written_.end()) {
      const WrittenFile written = found->second;
      const bool same = written.file == file;
      const std::int64_t now_ns = clock_ns(CLOCK_REALTIME);
      // Old enough for the memo, which outlives this process.
      const bool settled = std::max(file.mtime_ns, file.ctime_ns) < now_ns - cache::settle_ns;
      if (!same || settled) written_.erase(found);
      lock.unlock();
      if (same && settled) memo_.remember(file, written.digest, now_ns);
      if (same) return written.digest;
    }
  }
  return memo_.look_up(file);
}

void View::remember(const std::string& path, const Digest& digest, const PathFacts& written) const {
  const PathFacts now = look(path);
  const cache::FileIdentity file = now.identity();
  // The rename has given it a new ctime; everything else must be as it was.
  cache::FileIdentity expected = written.identity();
  expected.ctime_ns = file.ctime_ns;
  if (now.type != FileType::regular || file != expected) return;
  // A time behind the last tick cannot come from the clock that only ticks.
  if (file.ctime_ns <= clock_ns(CLOCK_REALTIME_COARSE)) return;
  const std::lock_guard lock(written_mutex_);
  auto stamps = stamps_each_change_.find(file.device);
  if (stamps == stamps_each_change_.end())
    stamps = stamps_each_change_.emplace(file.device, may_stamp_each_change(path)).first;
  if (!stamps->second) return;
  if (written_.size() >= written_max) written_.clear();
  written_.insert_or_assign(FileKey{file.device, file.inode}, WrittenFile{file, digest});
}

void View::forget(const FileKey& file) const {
  {
    const std::lock_guard lock(written_mutex_);
    written_.erase(file);
  }
  memo_.forget(file.device, file.inode);
}

bool View::is_distrusted(const cache::FileIdentity& file) const {
  const std::lock_guard lock(written_mutex_);
  return distrusted_.contains(FileKey{file.device, file.inode});
}

std::shared_ptr<const void> View::distrust(std::uint64_t device, std::uint64_t inode) const {
  const FileKey file{device, inode};
  {
    const std::lock_guard lock(written_mutex_);
    ++distrusted_[file];
  }
  forget(file);
  return std::shared_ptr<const void>(this, [this, file](const void*) {
    {
      const std::lock_guard lock(written_mutex_);
      if (const auto found = distrusted_.find(file); --found->second == 0) distrusted_.erase(found);
    }
    forget(file);
  });
}

Result<Digest> View::digest_of_file(const std::string& path, const PathFacts& looked, PathFacts* facts,
                                    bool keep) const {
  if (looked.type == FileType::absent) return failed(path, ENOENT);
  if (looked.type == FileType::error) return failed(path, looked.error);
  if (looked.type != FileType::regular) return fail(Fault::unsupported, path + ": not a regular file");
  const bool is_volatile = changes_unseen(path);
  const bool is_trusted = !is_distrusted(looked.identity());
  if (!is_volatile && is_trusted) {
    const auto digest = known(looked.identity());
    if (digest && (!keep || blobs_.has(*digest))) {
      if (facts) *facts = looked;
      return *digest;
    }
  }

  const std::int64_t opening_ns = clock_ns(CLOCK_REALTIME);
  const OwnedFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!file) return failed(path, errno);
  struct stat status;
  if (::fstat(file.get(), &status) != 0) return failed(path, errno);
  if (!S_ISREG(status.st_mode)) return fail(Fault::unsupported, path + ": not a regular file");
  const PathFacts before = PathFacts::from(status);
  if (facts) *facts = before;
  if (is_volatile) {
    const std::string bytes = TRY(read_volatile(file.get(), path));
    return keep ? TRY(blobs_.put(bytes)).digest : cache::digest_of(bytes);
  }

  Hashed hashed;
  if (keep) {
    const cache::StoredBlob stored = TRY(blobs_.put_file(file.get()));
    hashed = {stored.digest, stored.bytes};
  } else {
    hashed = TRY(hash(file.get(), path, before.bytes));
  }
  if (::fstat(file.get(), &status) != 0) return failed(path, errno);
  if (PathFacts::from(status).identity() != before.identity() || hashed.bytes != before.bytes) {
    return fail(Fault::changed, path + ": changed while it was read");
  }
  if (is_trusted) memo_.remember(before.identity(), hashed.digest, opening_ns);
  return hashed.digest;
}

Result<Digest> View::bytes(const std::string& path, PathFacts* facts) const {
  return digest_of_file(path, look(path), facts, false);
}

Result<Digest> View::keep_bytes(const std::string& path, PathFacts* facts) const {
  return digest_of_file(path, look(path), facts, true);
}

Result<std::string> View::target(const std::string& path) const {
  char text[4097];  // longer ones the kernel does not make
  const ssize_t length = ::readlink(path.c_str(), text, sizeof text);
  if (length < 0 && errno == EINVAL) return fail(Fault::unsupported, path + ": not a symlink");
  if (length < 0) return failed(path, errno);
  if (static_cast<std::size_t>(length) == sizeof text)
    return fail(Fault::unsupported, path + ": target too long");
  return std::string(text, static_cast<std::size_t>(length));
}

namespace {

template <class Visit>  // visit(name, d_type)
Result<bool> each_entry(const std::string& path, std::string_view except, Visit visit) {
  const OwnedFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!directory) return failed(path, errno);
  const std::vector<std::string_view> left_out = names_in(except);
  alignas(dirent64) char buffer[32 << 10];
  for (;;) {
    const long count = ::syscall(SYS_getdents64, directory.get(), buffer, sizeof buffer);
    if (count < 0) return failed(path, errno);
    if (count == 0) return true;
    for (long at = 0; at < count;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
      at += entry->d_reclen;
      const std::string_view name = entry->d_name;
      if (name == "." || name == ".." || std::binary_search(left_out.begin(), left_out.end(), name)) continue;
      visit(name, entry->d_type);
    }
  }
}

}  // namespace

Result<std::uint64_t> View::listing(const std::string& path, std::string_view except) const {
  std::uint64_t sum = 0;
  TRY(each_entry(path, except, [&](std::string_view name, unsigned type) { sum += preload::entry_hash(name.data(), name.size(), type); }));
  return sum;
}

std::vector<std::pair<std::string, std::uint64_t>> View::entries(const std::string& path, std::string_view except) const {
  std::vector<std::pair<std::string, std::uint64_t>> all;
  // For an explanation: what could not be read is not in it.
  [[maybe_unused]] const auto read = each_entry(
      path, except, [&](std::string_view name, unsigned type) { all.emplace_back(name, preload::entry_hash(name.data(), name.size(), type)); });
  return all;
}

std::string View::value_today(const cache::NeedName& need) const {
  assert(need.kind == cache::NeedKind::path);
  const std::size_t path_end = std::min(need.text.find('\0'), need.text.size());
  const bool spelled_alone = path_end == need.text.size();
  std::string shortened;
  if (!spelled_alone) shortened = need.text.substr(0, path_end);
  const std::string& path = spelled_alone ? need.text : shortened;
  PathFacts facts = look(path);
  PathContents contents;
  const std::uint32_t parts = meaningful(facts.type, need.detail);
  if (parts & cache::aspect_bytes) {
    const PathFacts looked = facts;
    if (const auto digest = digest_of_file(path, looked, &facts, false)) contents.bytes = *digest;
  }
  if (parts & cache::aspect_target) {
    if (auto text = target(path)) contents.target = std::move(*text);
  }
  if (parts & cache::aspect_listing) {
    const std::string_view except =
        std::string_view(need.text).substr(std::min(path_end + 1, need.text.size()));
    if (const auto sum = listing(path, except)) contents.listing = *sum;
  }
  if (parts & cache::aspect_attributes) contents.attributes = attributes(path);
  return value_of(need.detail, facts, contents);
}

std::uint64_t View::attributes(const std::string& path) const {
  char names[4096];
  const ssize_t bytes = ::llistxattr(path.c_str(), names, sizeof names);
  if (bytes < 0) return errno == ERANGE ? ~std::uint64_t{0} : 0;
  std::uint64_t sum = 0;
  for (std::string_view rest(names, static_cast<std::size_t>(bytes)); !rest.empty();) {
    const std::string_view name = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (name == "system.posix_acl_access" || !name.starts_with("security.")) sum += preload::quick_hash(name.data(), name.size()) | 1;
  }
  return sum;
}

bool View::gives_access_lists(const std::string& directory) const {
  return ::lgetxattr(directory.c_str(), "system.posix_acl_default", nullptr, 0) > 0;
}

}  // namespace broker
