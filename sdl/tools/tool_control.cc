#include "sdl/tools/tool_control.h"

#include <algorithm>

#include <fmt/format.h>

#include "sdl/access.h"

namespace sdl {
namespace {

using broker::tree::File;
using broker::tree::Subdirectory;
using broker::tree::Symlink;
using cache::Digest;
using cache::fail;
using cache::Fault;
using cache::Result;

constexpr std::string_view control_name = "./tool_dep_control";

std::string below(const std::string& directory, std::string_view name) {
  return directory.empty() ? std::string(name) : fmt::format("{}/{}", directory, name);
}

// The paths of leaves that are TRUE, or a number but 0.
Result<std::vector<std::string>> paths_of(const Value& tree, std::string_view what) {
  std::vector<std::string> paths;
  std::vector<std::pair<std::string, Value>> left{{std::string(), tree}};
  while (!left.empty()) {
    const auto [path, value] = std::move(left.back());
    left.pop_back();
    if (value.is_binding()) {
      for (std::uint32_t i = 0; i < length(value); ++i)
        left.emplace_back(below(path, view_of(name_at(value, i))), value_at(value, i));
    } else if (value.is_boolean() || value.is_integer()) {
      if (value.is_boolean() ? value.as_boolean() : value.as_integer() != 0) paths.push_back(path);
    } else {
      return fail(Fault::invalid, fmt::format("{} is {}, not t_bool, t_int or t_binding",
                                              below(fmt::format("{}/{}", control_name, what), path), type_of(value)));
    }
  }
  std::ranges::sort(paths);
  return paths;
}

bool is_at_or_below(std::string_view path, std::string_view directory) {
  return directory.empty() || path == directory || (path.starts_with(directory) && path[directory.size()] == '/');
}

const std::string* one_around(const std::vector<std::string>& directories, std::string_view path) {
  const auto found = std::ranges::find_if(directories, [&](const std::string& each) { return is_at_or_below(path, each); });
  return found == directories.end() ? nullptr : &*found;
}

// The directory that has not got the next name of the path. Nothing: all of the path is there, or it leads through a file.
Result<std::optional<std::string>> where_it_ends(const std::string& path, Directories& directories, const Digest& tree) {
  for (std::size_t end = 0; end < path.size();) {
    const std::size_t slash = std::min(path.find('/', end == 0 ? 0 : end + 1), path.size());
    const auto place = TRY(directories.at(tree, path.substr(0, slash)));
    if (std::holds_alternative<std::monostate>(place.entry)) return std::optional(path.substr(0, end));
    if (!std::holds_alternative<const Subdirectory*>(place.entry)) break;
    end = slash;
  }
  return std::optional<std::string>();
}

Result<bool> is_directory(const std::string& path, Directories& directories, const Digest& tree) {
  return path.empty() || std::holds_alternative<const Subdirectory*>(TRY(directories.at(tree, path)).entry);
}

}  // namespace

Result<ToolControl> ToolControl::of(const Value& control, std::vector<std::string>& warnings) {
  ToolControl made;
  if (control.is_unbound()) {
    made.whole_ = {"tmp", "usr/tmp", "var/tmp"};
    return made;
  }
  if (!control.is_binding())
    return fail(Fault::invalid, fmt::format("{} is {}, not t_binding", control_name, type_of(control)));
  for (std::uint32_t i = 0; i < length(control); ++i) {
    const Value name_value = name_at(control, i);
    const std::string_view name = view_of(name_value);
    std::vector<std::string>* const paths = name == "pk"             ? &made.in_key_
                                            : name == "coarse"       ? &made.whole_
                                            : name == "coarse_names" ? &made.by_names_
                                                                     : nullptr;
    if (paths)
      *paths = TRY(paths_of(value_at(control, i), name));
    else
      warnings.push_back(fmt::format("{}/{} means nothing; there are pk, coarse and coarse_names", control_name, name));
  }
  return made;
}

Result<bool> ToolControl::add_to_key(cache::Hasher& key, Directories& directories, const Digest& tree,
                                     std::vector<std::string>& warnings) {
  std::vector<std::string> found;
  for (const std::string& path : in_key_) {
    const auto place = TRY(directories.at(tree, path));
    std::string what;
    if (const auto* const file = std::get_if<const File*>(&place.entry))
      what = fmt::format("f {:o} {}", (*file)->mode, (*file)->digest.hex());
    else if (const auto* const directory = std::get_if<const Subdirectory*>(&place.entry))
      what = "d " + (*directory)->digest.hex();
    else if (const auto* const link = std::get_if<const Symlink*>(&place.entry))
      what = "l " + (*link)->target;
    else if (path.empty())
      what = "d " + tree.hex();
    if (what.empty()) {
      warnings.push_back(fmt::format("{}/pk/{} means nothing, for there is no ./root/{}", control_name, path, path));
      continue;
    }
    key.add_piece("pk");
    key.add_piece(path);
    key.add_piece(what);
    found.push_back(path);
  }
  in_key_ = std::move(found);
  return true;
}

Result<bool> ToolControl::apply(std::vector<ToolNeed>& needs, Directories& directories, const Digest& tree) const {
  std::erase_if(needs, [&](const ToolNeed& need) { return one_around(in_key_, need.path) != nullptr; });
  for (ToolNeed& need : needs) {
    if (const std::string* const directory = one_around(whole_, need.path);
        directory && TRY(is_directory(*directory, directories, tree))) {
      need = {*directory, NeedKind::value};
      continue;
    }
    if (by_names_.empty()) continue;
    const auto directory = TRY(where_it_ends(need.path, directories, tree));
    if (directory && one_around(by_names_, *directory)) need = {*directory, NeedKind::names};
  }
  std::ranges::sort(needs);
  const auto [from, end] = std::ranges::unique(needs);
  needs.erase(from, end);
  return true;
}

}  // namespace sdl
