// What dpkg knows of the Debian packages that are installed: their dependencies
// and files. dpkg-query(1) tells it, and heeds DPKG_ADMINDIR, the place of its
// database.
//
// A package is called by its name, or by name:architecture if it is neither of
// the machine's own architecture nor of all. Immutable once read; one thread reads.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/result.h"

namespace crude_import {

struct Package {
  std::string name;  // as it is called
  std::string id;    // as dpkg-query wants it
  std::string version, architecture;
  std::vector<std::vector<std::string>> depends;  // of each list one has to be there; Pre-Depends stand first
  std::vector<std::string> provides;
};

class InstalledPackages {
 public:
  // Fault::not_found: there is no dpkg-query.
  static cache::Result<InstalledPackages> read();

  // Null: it is not installed. `word` may have an architecture at its end.
  const Package* find(std::string_view word) const;
  std::vector<std::string> names() const;

  // What it depends on: of alternatives the first that is installed, or that an installed package provides.
  // Names of dependencies of which nothing is installed are added to `missing`.
  std::vector<const Package*> required(const Package& package, std::vector<std::string>* missing = nullptr) const;
  // These and all that they depend on, each once.
  std::vector<const Package*> with_required(const std::vector<const Package*>& packages) const;

 private:
  std::map<std::string, Package, std::less<>> packages_;
  std::map<std::string, const Package*, std::less<>> aliases_;    // name:architecture of those called by name alone
  std::map<std::string, std::string, std::less<>> providers_;  // of what is no package: the first package
};

// The paths of each package's files and directories, where they really are: what has been diverted stands under its other
// name. In the order of `packages`.
cache::Result<std::vector<std::vector<std::string>>> paths_of(const std::vector<const Package*>& packages);

// Links that update-alternatives(1) keeps: each is a symbolic link to one in /etc/alternatives, and that leads to a file.
struct AlternativeLink {
  std::string link, middle, file;
};
// Those that lead somewhere today.
std::vector<AlternativeLink> alternative_links();

}  // namespace crude_import
