// Which Debian packages files come from, as dpkg-query(1) tells it.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace crude_import {

// By path, for those that belong to a package; nothing where there is no dpkg. Directories that are symbolic links to those in
// /usr (/bin, /lib) may stand in the path either way. One thread: starts a process.
std::map<std::string, std::string> packages_of(const std::vector<std::string>& paths);

}  // namespace crude_import
