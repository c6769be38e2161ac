#include "preload/preserve.h"

#include "preload/ask.h"

namespace preload {
namespace {

constexpr uint64_t own_contents = 0x6f776e;

bool is_regular(const struct stat& info) { return (info.st_mode & S_IFMT) == S_IFREG; }

void preserve(const NamedPath& named, bool in_part) {
  LogRecord record;
  record.kind = kind_preserve;
  record.arg = in_part ? 1 : 0;
  record.text = named.text;
  ask(record);
}

}  // namespace

void before_loss(int directory, const char* path, int stat_flags) {
  struct stat info;
  if (stat_at(directory, path, info, stat_flags) == 0) before_change(directory, path);
}

void before_cut(const char* path) {
  struct stat info;
  if (stat_at(AT_FDCWD, path, info, 0) < 0 || !is_regular(info)) return;
  const NamedPath named(AT_FDCWD, path);
  if (named.ok && (info.st_nlink > 1 || is_pending(named.pending()) || !is_marked(named.hash(own_contents))))
    preserve(named, true);
}

void before_change(int directory, const char* path) {
  if (!readable(path)) return;
  const NamedPath named(directory, path);
  if (named.ok && is_pending(named.pending())) preserve(named, false);
}

BeforeWrite::BeforeWrite(int directory, const char* path, uint64_t flags) {
  writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
  const bool may_make = flags & O_CREAT, must_make = may_make && flags & O_EXCL;
  if (!(writes || may_make) || must_make || flags & O_PATH || (flags & O_TMPFILE) == O_TMPFILE) return;
  struct stat info;
  if (stat_at(directory, path, info, flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0) < 0 || !is_regular(info))
    return;
  existed = true;
  has_other_names = info.st_nlink > 1;
  if (!writes || named_descriptor(path) >= 0) return;
  const NamedPath named(directory, path);
  if (!named.ok) return;
  const bool in_part = !(flags & O_TRUNC) && !is_marked(named.hash(own_contents));
  // What is known by another of its names may be pending.
  if (in_part || has_other_names || is_pending(named.pending())) preserve(named, in_part);
}

void BeforeWrite::succeeded(const NamedPath& named) const {
  if (writes && !(named.relative && in_vfork_child())) mark(named.hash(own_contents));
}

}  // namespace preload
