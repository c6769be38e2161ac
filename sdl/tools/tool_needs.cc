#include "sdl/tools/tool_needs.h"

#include <algorithm>
#include <set>
#include <span>

#include <nlohmann/json.hpp>

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

constexpr int links_max = 40;
constexpr std::string_view replacement = "\xef\xbf\xbd";  // U+FFFD
// Of the sandbox itself, the same in each.
constexpr std::string_view own_places[] = {"dev", "proc"};

class Resolver {
 public:
  Resolver(Directories& directories, const Digest& tree) : directories_(directories), tree_(tree) {}

  struct Found {
    std::string path;
    bool is_directory;
  };
  // Notes the links on the way, and returns where the path leads to; `follows`: also at its end. What is not
  // there stays as it is spelled.
  Result<Found> resolve(std::string_view path, bool follows, std::set<ToolNeed>& needs) {
    std::vector<std::string> done, rest;
    split(path, rest);
    std::vector<Digest> above{tree_};
    for (int links = 0; !rest.empty();) {
      const std::string name = rest.back();
      rest.pop_back();
      if (name == ".") continue;
      if (name == "..") {
        if (!done.empty()) done.pop_back(), above.resize(done.size() + 1, tree_);
        continue;
      }
      const auto directory =
          above.size() == done.size() + 1 ? TRY(directories_.directory(above.back())) : nullptr;
      const Directories::Entry entry =
          directory ? Directories::entry(*directory, name) : Directories::Entry{};
      const auto* const link = std::get_if<const Symlink*>(&entry);
      done.push_back(name);
      if (link && (follows || !rest.empty())) {
        if (++links > links_max) break;
        needs.insert({joined(done), NeedKind::value});
        done.pop_back();
        if ((*link)->target.starts_with('/')) done.clear(), above.resize(1);
        split((*link)->target, rest);
        continue;
      }
      if (const auto* const below = std::get_if<const Subdirectory*>(&entry))
        above.push_back((*below)->digest);
    }
    return Found{joined(done), above.size() == done.size() + 1};
  }

 private:
  // The last part first.
  static void split(std::string_view path, std::vector<std::string>& parts) {
    while (!path.empty()) {
      const std::size_t slash = path.rfind('/');
      const std::string_view part = slash == path.npos ? path : path.substr(slash + 1);
      if (!part.empty()) parts.emplace_back(part);
      path = slash == path.npos ? std::string_view() : path.substr(0, slash);
    }
  }
  static std::string joined(const std::vector<std::string>& parts) {
    std::string path;
    for (const std::string& part : parts) path += (path.empty() ? "" : "/") + part;
    return path;
  }

  Directories& directories_;
  const Digest tree_;
};

bool is_own(std::string_view path) {
  return std::ranges::any_of(own_places, [&](std::string_view own) {
    return path == own || (path.starts_with(own) && path[own.size()] == '/');
  });
}

char type_of(const Directories::Entry& entry) {
  return std::holds_alternative<const File*>(entry)           ? 'f'
         : std::holds_alternative<const Subdirectory*>(entry) ? 'd'
         : std::holds_alternative<const Symlink*>(entry)      ? 'l'
                                                              : '-';
}

bool is_same_value(const Directories::Entry& then, const Directories::Entry& now) {
  if (then.index() != now.index()) return false;
  if (const auto* const file = std::get_if<const File*>(&then))
    return (*file)->digest == std::get<const File*>(now)->digest &&
           (*file)->mode == std::get<const File*>(now)->mode;
  if (const auto* const below = std::get_if<const Subdirectory*>(&then))
    return (*below)->digest == std::get<const Subdirectory*>(now)->digest;
  if (const auto* const link = std::get_if<const Symlink*>(&then))
    return (*link)->target == std::get<const Symlink*>(now)->target;
  return true;
}

bool have_same_names(const Directory& then, const Directory& now) {
  const auto same = [](const auto& a, const auto& b) {
    return std::ranges::equal(a, b,
                              [](const auto& one, const auto& other) { return one.name == other.name; });
  };
  return same(then.files, now.files) && same(then.directories, now.directories) &&
         same(then.symlinks, now.symlinks);
}

// Of needs below one directory, which is not the same in both trees; null: it is none there. Their paths are
// taken from `skip` on.
class Comparison {
 public:
  explicit Comparison(Directories& directories) : directories_(directories) {}

  Result<bool> hold(std::span<const ToolNeed> needs, const Directory* then, const Directory* now,
                    std::size_t skip) {
    while (!needs.empty()) {
      const std::string_view path =
          std::string_view(needs.front().path).substr(std::min(skip, needs.front().path.size()));
      if (path.empty()) {
        if (!holds(needs.front().kind, then, now)) return false;
        needs = needs.subspan(1);
        continue;
      }
      const std::string_view name = path.substr(0, path.find('/'));
      const auto end = std::ranges::find_if(needs, [&](const ToolNeed& need) {
        const std::string_view other = std::string_view(need.path).substr(std::min(skip, need.path.size()));
        return other.substr(0, other.find('/')) != name;
      });
      const auto group = needs.first(static_cast<std::size_t>(end - needs.begin()));
      if (!TRY(below(group, name, then, now, skip))) return false;
      needs = needs.subspan(group.size());
    }
    return true;
  }

 private:
  // Of the directory itself, where it is another one.
  static bool holds(NeedKind kind, const Directory* then, const Directory* now) {
    switch (kind) {
      case NeedKind::value:
        return false;
      case NeedKind::names:
        return then && now && have_same_names(*then, *now);
      case NeedKind::existence:
      case NeedKind::type:
        return !then == !now;
    }
    return false;
  }

  Result<bool> below(std::span<const ToolNeed> needs, std::string_view name, const Directory* then,
                     const Directory* now, std::size_t skip) {
    const Directories::Entry was = then ? Directories::entry(*then, name) : Directories::Entry{},
                             is = now ? Directories::entry(*now, name) : Directories::Entry{};
    if (is_same_value(was, is)) return true;
    const auto* const old_below = std::get_if<const Subdirectory*>(&was);
    const auto* const new_below = std::get_if<const Subdirectory*>(&is);
    if (!old_below && !new_below) {
      // What stands below it is nothing in both.
      return std::ranges::all_of(needs, [&](const ToolNeed& need) {
        if (need.path.size() != skip + name.size()) return true;
        if (need.kind == NeedKind::value || need.kind == NeedKind::names) return false;
        return need.kind == NeedKind::existence ? (type_of(was) == '-') == (type_of(is) == '-')
                                                : type_of(was) == type_of(is);
      });
    }
    const auto then_below = old_below ? TRY(directories_.directory((*old_below)->digest)) : nullptr;
    const auto now_below = new_below ? TRY(directories_.directory((*new_below)->digest)) : nullptr;
    if (!then_below || !now_below) {
      // A directory in one of them: only that there is something can be the same.
      const bool others_hold = std::ranges::all_of(needs, [&](const ToolNeed& need) {
        if (need.path.size() != skip + name.size()) return true;
        return need.kind == NeedKind::existence && type_of(was) != '-' && type_of(is) != '-';
      });
      if (!others_hold) return false;
      std::vector<ToolNeed> inside;
      for (const ToolNeed& need : needs)
        if (need.path.size() != skip + name.size()) inside.push_back(need);
      return hold(inside, then_below.get(), now_below.get(), skip + name.size() + 1);
    }
    return hold(needs, then_below.get(), now_below.get(), skip + name.size() + 1);
  }

  Directories& directories_;
};

}  // namespace

Result<ToolNeeds> needs_of(std::string_view text, Directories& directories, const Digest& tree) {
  const nlohmann::json report = nlohmann::json::parse(text, nullptr, false);
  if (!report.is_object() || !report.contains("needs"))
    return fail(Fault::io, "nothing is known of what the tool needed");
  const auto& needs = report.at("needs");
  std::set<ToolNeed> files;
  Resolver resolver(directories, tree);
  const auto add = [&](Resolver::Found found, NeedKind kind) {
    if (!is_own(found.path)) files.insert({std::move(found.path), kind});
  };
  for (const auto& one : needs.at("paths")) {
    Resolver::Found found = TRY(resolver.resolve(one.at("path").get<std::string>(), false, files));
    // Of a directory its names if they were listed, and else that it is one; of anything else all there is.
    const NeedKind kind = one.at("listed").get<bool>() ? NeedKind::names
                          : found.is_directory         ? NeedKind::type
                                                       : NeedKind::value;
    add(std::move(found), kind);
  }
  // What stood where it has made something decides what it could do there, and what it has made is told
  // against that.
  for (const auto& path : needs.at("made"))
    add(TRY(resolver.resolve(path.get<std::string>(), false, files)), NeedKind::value);
  for (const auto& path : needs.at("absent")) {
    Resolver::Found found = TRY(resolver.resolve(path.get<std::string>(), false, files));
    // Whether it was not there, or could not be, for there was a file on the way.
    if (const std::size_t slash = found.path.rfind('/'); slash != std::string::npos)
      add({found.path.substr(0, slash), true}, NeedKind::type);
    add(std::move(found), NeedKind::existence);
  }
  for (const auto& program : needs.at("programs"))
    add(TRY(resolver.resolve(program.at("path").get<std::string>(), true, files)), NeedKind::value);
  ToolNeeds found;
  needs.at("variables").get_to(found.variables);
  std::sort(found.variables.begin(), found.variables.end());
  found.whole_environment = needs.at("whole_environment").get<bool>();
  // Names that are not UTF-8 cannot be told in JSON.
  const bool is_lossy = text.find(replacement) != text.npos;
  found.may_be_kept = needs.at("others").empty() && needs.at("has_ended").get<bool>();
  if (is_lossy || !needs.at("others").empty()) {
    files = {{std::string(), NeedKind::value}};
    found.whole_environment = true;
  }
  found.files.assign(files.begin(), files.end());
  return found;
}

Result<bool> add_need(ToolNeeds& needs, Directories& directories, const Digest& tree,
                      const std::string& path) {
  std::set<ToolNeed> files(needs.files.begin(), needs.files.end());
  Resolver::Found found = TRY(Resolver(directories, tree).resolve(path, true, files));
  files.insert({std::move(found.path), found.is_directory ? NeedKind::type : NeedKind::value});
  needs.files.assign(files.begin(), files.end());
  return true;
}

Result<bool> hold(const std::vector<ToolNeed>& needs, Directories& directories, const Digest& then,
                  const Digest& now) {
  if (then == now) return true;
  const auto old_root = TRY(directories.directory(then)), new_root = TRY(directories.directory(now));
  return Comparison(directories).hold(needs, old_root.get(), new_root.get(), 0);
}

}  // namespace sdl
