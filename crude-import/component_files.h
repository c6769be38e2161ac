// A partial root filesystem that files of the machine are brought into, and its
// place on the disk: regular files, directories and symbolic links, nothing else.
//
// A path is taken apart: where a directory on the way is a symbolic link (/lib on
// a Debian system), that link is part of the root, and the file stands where it
// leads. The link at the end of a path is taken as it is, without its target.
//
// One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cache/base/result.h"

namespace crude_import {

class ComponentFiles {
 public:
  // `origin`: the root that the files are in; empty for that of the machine.
  explicit ComponentFiles(std::string origin = {}) : origin_(std::move(origin)) {}

  // `path` is absolute. What cannot be part of a component is left out and noted: devices, what may not be read, and of a
  // file that runs as its owner that it does so. A file that is not there is no part of it, and not noted.
  void add(const std::string& path);
  // The same, where no directory on the way is a symbolic link; with an origin there is only this.
  void add_real(const std::string& path);

  struct LeftOut {
    std::string path, reason;
  };
  const std::vector<LeftOut>& left_out() const { return left_out_; }
  // Whether what stands at `path`, followed as add() does, has been added.
  bool has(const std::string& path) const;

  struct Totals {
    std::uint64_t files = 0, links = 0, bytes = 0;
    std::uint64_t changed = 0;  // entries made, replaced or removed
  };
  // Makes `directory` be this root: what it has already with the same size and time of modification stays, what is
  // in it besides is removed. Copies share their blocks with the originals where the file system can do that; none is a hard link.
  // Executable files have mode 0755, others 0644, whatever they had.
  cache::Result<Totals> write(const std::string& directory) const;

 private:
  struct Entry {
    char kind = 'd';  // 'f' file, 'd' directory, 'l' symbolic link
    std::uint64_t bytes = 0;
    std::int64_t seconds = 0, nanoseconds = 0;  // since when a file is as it is
    bool is_executable = false;
    std::string target;  // of a link
  };
  bool look_at(const std::string& path, Entry& entry);
  // Where the directory is really; empty for "/". False: there is none.
  bool real_directory(const std::string& path, std::string& real, std::map<std::string, Entry>* links, int links_left) const;
  static cache::Result<bool> make(const Entry& entry, const std::string& source, const std::string& path, bool& changed);

  const std::string origin_;
  std::map<std::string, Entry> entries_;  // by where they really are, so a directory stands before what is in it
  std::vector<LeftOut> left_out_;
};

}  // namespace crude_import
