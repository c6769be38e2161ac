// Writes a root: the files, directories and symbolic links that a command has
// needed, at the same paths below a directory, so that it can run there by chroot.
//
// Every path is taken apart: a symbolic link on the way is made as it is, and
// where it leads is taken too. Files have their contents, permission bits and
// times of modification; directories their permission bits.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "cache/base/owned_fd.h"
#include "cache/base/result.h"

namespace crude_import {

struct RootEntry {
  char kind = 'f';  // 'f' file, 'd' directory, 'l' symbolic link
  std::uint64_t bytes = 0;
  std::string digest;  // of a file: SHA-256, hexadecimal
  std::string user;    // for whom it was taken
};

// Below /proc, /sys or /dev: not contents, but what the machine tells.
bool is_special(const std::string& path);

class RootWriter {
 public:
  // Fault::invalid if `root` is there and not empty. Makes nothing: the command is still to run, and might see it.
  static cache::Result<bool> check(const std::string& root);
  // The same, and makes it if it is not there.
  static cache::Result<RootWriter> open(const std::string& root);

  // `path` is absolute. False: it is not there, or leads nowhere; what there is of it on the way has been taken. Fault::io
  // for what cannot be read or written. Nothing that is_special() or in the root itself is taken.
  cache::Result<bool> add(const std::string& path);
  // For whom what is added from now on is taken.
  void set_user(const std::string& user) { user_ = user; }
  // Modes of directories, at the very end: some allow nothing to be made in them.
  cache::Result<bool> finish();

  // What has been made so far, by path.
  const std::map<std::string, RootEntry>& entries() const { return entries_; }

 private:
  explicit RootWriter(std::string root) : root_(std::move(root)) {}
  cache::Result<bool> add(const std::string& path, int links_left);
  std::string below(const std::string& path) const { return root_ + path; }

  std::string user_;
  std::string root_;  // absolute, symlinks resolved
  std::map<std::string, RootEntry> entries_;
  std::map<std::string, std::uint32_t> modes_;  // of directories
};

}  // namespace crude_import
