#include "sdl/tools/root_tree.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "sdl/access.h"
#include "sdl/closure.h"
#include "sdl/model.h"

namespace sdl {
namespace {

using broker::tree::Directory;
using broker::tree::File;
using broker::tree::Subdirectory;
using broker::tree::Symlink;
using cache::Digest;
using cache::fail;
using cache::Fault;
using cache::Result;

constexpr std::size_t path_bytes_max = 4000;
constexpr std::uint32_t write_bits = 0222;
constexpr std::string_view devices = "/dev";

Result<bool> check_name(std::string_view name, const std::string& path) {
  if (name == "." || name == ".." || name.find('/') != name.npos || name.find('\0') != name.npos)
    return fail(Fault::invalid, fmt::format("./root{}/{}: no file can have this name", path, name));
  if (path.size() + name.size() > path_bytes_max)
    return fail(Fault::unsupported, fmt::format("./root{}...: the path is too long", path.substr(0, 100)));
  return true;
}

}  // namespace

Result<File> RootTrees::file_of(std::string name, const Value& text, bool writable) {
  const StoredText* const stored = stored_text(text);
  const bool is_executable = stored && stored->is_executable();
  File file;
  file.name = std::move(name);
  file.mode = (is_executable ? broker::tree::executable_mode : broker::tree::plain_mode) &
              ~(writable ? 0u : write_bits);
  const auto known = stored ? stored->summary() : std::nullopt;
  if (known && directories_.blobs().has(known->digest)) {
    file.digest = known->digest;
    file.bytes = known->length;
  } else {
    const cache::StoredBlob blob = TRY(directories_.put(TRY(text_bytes(text))));
    file.digest = blob.digest;
    file.bytes = blob.bytes;
  }
  return file;
}

Result<Subdirectory> RootTrees::directory_of(std::string name, const Value& binding, bool writable,
                                             const std::string& path) {
  {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(binding.object());
    if (known != known_.end() && known->second.is_made[writable]) {
      Subdirectory made = known->second.directory[writable];
      made.name = std::move(name);
      return made;
    }
  }
  Directory directory;
  for (std::uint32_t i = 0; i < length(binding); ++i) {
    const Value name_value = name_at(binding, i), value = value_at(binding, i);
    const std::string_view entry = view_of(name_value);
    TRY(check_name(entry, path));
    const std::string below = fmt::format("{}/{}", path, entry);
    if (value.is_text()) {
      directory.files.push_back(TRY(file_of(std::string(entry), value, writable)));
    } else if (value.is_binding()) {
      directory.directories.push_back(TRY(directory_of(std::string(entry), value, writable, below)));
    } else if (value.is_list() && length(value) == 1 && element(value, 0).is_text()) {
      const std::string target(TRY(text_bytes(element(value, 0))));
      if (target.empty() || target.find('\0') != target.npos)
        return fail(Fault::invalid, fmt::format("./root{}: no symbolic link can lead there", below));
      directory.symlinks.push_back({std::string(entry), target});
    } else if (value.is_closure() && closure_of(value).is_model()) {
      const Model& model = *closure_of(value).model;
      model.digest();  // so that it is read
      directory.files.push_back(TRY(file_of(std::string(entry), make_text(model.source().text()), writable)));
    } else if (!value.is_integer() || !path.starts_with(devices)) {
      return fail(Fault::invalid,
                  fmt::format("./root{} is {}, which cannot stand in a file system{}", below, type_of(value),
                              value.is_integer()   ? " but below /dev"
                              : value.is_boolean() ? "; names of removed files have to be taken out"
                                                   : ""));
    }
  }
  Subdirectory made = TRY(directories_.put(std::move(name), std::move(directory)));
  const std::lock_guard lock(mutex_);
  Known& known = known_[binding.object()];
  known.binding = binding;
  known.directory[writable] = made;
  known.is_made[writable] = true;
  return made;
}

Result<Digest> RootTrees::tree_of(const Value& root, bool writable) {
  return TRY(directory_of({}, root, writable, {})).digest;
}

Result<Value> changes_between(Directories& directories, const Digest& from_digest, const Digest& to_digest) {
  const auto from = TRY(directories.directory(from_digest)), to = TRY(directories.directory(to_digest));
  std::map<std::string_view, Value> changes;
  const auto before = [&](std::string_view name) { return Directories::entry(*from, name); };
  for (const File& file : to->files) {
    const Directories::Entry was = before(file.name);
    const auto* const old = std::get_if<const File*>(&was);
    if (!old || (*old)->digest != file.digest || ((*old)->mode ^ file.mode) & 0111)
      changes[file.name] = directories.text(file);
  }
  for (const Symlink& link : to->symlinks) {
    const Directories::Entry was = before(link.name);
    const auto* const old = std::get_if<const Symlink*>(&was);
    if (!old || (*old)->target != link.target) changes[link.name] = Directories::list(link);
  }
  for (const Subdirectory& below : to->directories) {
    const Directories::Entry was = before(below.name);
    const auto* const old = std::get_if<const Subdirectory*>(&was);
    if (!old) {
      changes[below.name] = TRY(directories.binding(below.digest));
    } else if ((*old)->digest != below.digest) {
      Value inside = TRY(changes_between(directories, (*old)->digest, below.digest));
      // Its mode alone is nothing that the language knows.
      if (length(inside) > 0) changes[below.name] = std::move(inside);
    }
  }
  const auto gone = [&](std::string_view name) {
    if (std::holds_alternative<std::monostate>(Directories::entry(*to, name)))
      changes[name] = Value::boolean(false);
  };
  for (const File& file : from->files) gone(file.name);
  for (const Symlink& link : from->symlinks) gone(link.name);
  for (const Subdirectory& below : from->directories) gone(below.name);
  BindingBuilder made(changes.size());
  for (auto& [name, value] : changes) made.add(make_text(name), std::move(value));
  return made.finish();
}

bool are_changes_stored(Directories& directories, const Digest& from_digest, const Digest& to_digest) {
  if (from_digest == to_digest) return true;
  const auto from = directories.directory(from_digest), to = directories.directory(to_digest);
  if (!from || !to) return false;
  for (const File& file : (*to)->files) {
    const Directories::Entry was = Directories::entry(**from, file.name);
    const auto* const old = std::get_if<const File*>(&was);
    if ((!old || (*old)->digest != file.digest) && !directories.blobs().has(file.digest)) return false;
  }
  static const Digest empty = cache::digest_of(broker::tree::encode({}));
  return std::ranges::all_of((*to)->directories, [&](const Subdirectory& below) {
    const Directories::Entry was = Directories::entry(**from, below.name);
    const auto* const old = std::get_if<const Subdirectory*>(&was);
    return are_changes_stored(directories, old ? (*old)->digest : empty, below.digest);
  });
}

}  // namespace sdl
