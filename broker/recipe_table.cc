#include "broker/recipe_table.h"

#include <fnmatch.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "broker/difference.h"

namespace broker {

using namespace cache;

namespace {

constexpr std::size_t contexts_max = 8;
// Of recipes that need what others have made. The stack of the session's thread has room for more.
constexpr int depth_max = 500;

std::string path_in(const NeedName& need) { return need.text.substr(0, need.text.find('\0')); }

Digest name_of(const RecipeRun& run) {
  Hasher hasher;
  hasher.add_piece(run.directory);
  hasher.add_piece({reinterpret_cast<const char*>(&run.level), sizeof run.level});
  if (!run.target.empty()) {
    hasher.add_piece("target");
    hasher.add_piece(run.target);
    return hasher.finish();
  }
  std::set<std::string_view> paths;
  for (const Change& change : run.changes) paths.insert(change.path);
  for (const std::string_view path : paths) hasher.add_piece(path);
  return hasher.finish();
}

}  // namespace

void RecipeTable::each_path(const std::function<void(std::string_view path)>& visit) {
  if (!std::exchange(is_loaded_, true)) parts_.cache->each_path_of_recipes([this](std::string_view path) { made_.emplace(path); });
  for (const std::string& path : made_) visit(path);
}

bool RecipeTable::is_made(const std::string& path) {
  if (!is_loaded_) each_path([](std::string_view) {});
  return made_.contains(path);
}

const std::vector<Digest>& RecipeTable::recipes_of(const std::string& path) {
  const auto [place, is_new] = recipes_of_.try_emplace(path);
  if (is_new && is_made(path)) place->second = parts_.cache->recipes_of(path);
  return place->second;
}

const RecipeRun* RecipeTable::recipe(const Digest& name) {
  const auto [place, is_new] = runs_.try_emplace(name);
  if (is_new) place->second = parts_.cache->recipe(name);
  return place->second ? &*place->second : nullptr;
}

Digest RecipeTable::names_in(const std::string& directory, const std::vector<std::string>& patterns, const std::function<bool(const std::string& path)>& is_left_out) {
  std::set<std::string> names;
  for (const auto& [name, hash] : parts_.view->entries(directory, {})) {
    const auto fits = [&name](const std::string& pattern) { return ::fnmatch(pattern.c_str(), name.c_str(), FNM_PERIOD) == 0; };
    if (!std::ranges::any_of(patterns, fits)) continue;
    const std::string path = directory + "/" + name;
    if (!is_made(path) && !(is_left_out && is_left_out(path))) names.insert(name);
  }
  Hasher hasher;
  for (const std::string& name : names) hasher.add_piece(name);
  return hasher.finish();
}

void RecipeTable::add(RecipeRun run) {
  if (!is_loaded_) each_path([](std::string_view) {});
  const Digest name = name_of(run);
  // Makes that are told different things may run the same recipe: with the same commands and variables it is the same.
  const auto by_path = [](const Change& a, const Change& b) { return a.path < b.path; };
  std::sort(run.changes.begin(), run.changes.end(), by_path);
  const auto changes_alike = [](const Change& a, const Change& b) { return a.what == b.what && a.path == b.path && a.text == b.text && a.content == b.content; };
  if (const RecipeRun* const before = recipe(name); before && before->command == run.command && before->variables == run.variables && std::ranges::equal(before->changes, run.changes, changes_alike))
    for (const Digest& context : before->contexts)
      if (std::ranges::find(run.contexts, context) == run.contexts.end() && run.contexts.size() < contexts_max) run.contexts.push_back(context);
  // What one file was made by is in the lists of others as well.
  if (!parts_.cache->store_recipe(name, run)) return;
  for (const Change& change : run.changes)
    if (made_.insert(change.path).second) on_new_path(change.path);
  recipes_of_.clear();
  runs_.clear();
  changed();
}

void RecipeTable::changed() {
  hold_.clear();
  judge_.begin_pass();
}

Standing RecipeTable::standing(const std::string& path, const MakeContext& make) {
  if (make.digest != asked_by_) hold_.clear();
  asked_by_ = make.digest;
  const std::vector<Digest> recipes = recipes_of(path);
  if (recipes.empty()) return Standing::unknown;
  const bool all_hold = std::ranges::all_of(recipes, [&](const Digest& each) { return tells_of(each, path) && holds(each, make); });
  // What was found out on the way rests on what was not known yet.
  if (std::exchange(is_circular_, false)) hold_.clear();
  if (!all_hold) on_outdated(path, reason_);
  return all_hold ? Standing::holds : Standing::outdated;
}

// Two recipes may have been taken for one once. But one that runs another make need not have made that one make it.
bool RecipeTable::tells_of(const Digest& name, const std::string& path) {
  const RecipeRun* const run = recipe(name);
  if (!run) return false;
  if (std::ranges::any_of(run->changes, [&](const Change& change) { return change.path == path; })) return true;
  return std::ranges::any_of(recipes_of(path), [&](const Digest& each) {
    const RecipeRun* const inner = recipe(each);
    return inner && inner->level > run->level;
  });
}

RecipeTable::Made RecipeTable::of_target(const std::string& path, const MakeContext& make) {
  Made made;
  for (const Digest& each : recipes_of(path)) {
    const RecipeRun* const run = recipe(each);
    if (!run) continue;
    made.when_ns = run->when_ns;
    if (run->target != path || run->directory != make.directory || run->level != make.level) continue;
    made.is_target = true;
    made.is_of_this_make = std::ranges::find(run->contexts, make.digest) != run->contexts.end();
  }
  return made;
}

std::vector<Change> RecipeTable::left_by(const std::string& target, const MakeContext& make, const Digest& command) {
  for (const Digest& each : recipes_of(target)) {
    const RecipeRun* const run = recipe(each);
    if (!run || run->target != target || run->directory != make.directory || run->level != make.level || run->command != command) continue;
    std::vector<Change> left;
    std::ranges::copy_if(run->changes, std::back_inserter(left), [&](const Change& change) { return change.what == Change::What::file && is_as_left(each, *run, change); });
    return left;
  }
  return {};
}

bool RecipeTable::is_as_left(const Digest& name, const RecipeRun& run, const Change& change) {
  const std::vector<Digest> recipes = recipes_of(change.path);
  // Of what the makes that it runs have made it need not be told when they have made it again.
  if (std::ranges::find(recipes, name) == recipes.end())
    return std::ranges::any_of(recipes, [&](const Digest& each) {
      const RecipeRun* const other = recipe(each);
      return other && other->level > run.level;
    });
  // A recipe that runs the make of this one comes last as well.
  for (auto each = recipes.rbegin(); each != recipes.rend() && *each != name; ++each)
    if (const RecipeRun* const later = recipe(*each); !later || later->level >= run.level) return true;
  PathFacts facts = parts_.view->look(change.path);
  switch (change.what) {
    case Change::What::removed: return facts.type == FileType::absent;
    case Change::What::directory: return facts.type == FileType::directory;
    case Change::What::symlink: {
      const auto target = parts_.view->target(change.path);
      return target && *target == change.text;
    }
    case Change::What::attributes: return facts.type != FileType::absent && (!change.mode_set || facts.mode == change.mode);
    case Change::What::hard_link: return facts.type == FileType::regular;
    case Change::What::file: break;
  }
  const auto digest = parts_.view->bytes(change.path, &facts);
  return digest && *digest == change.content && (facts.mode & 0111) == (change.mode & 0111);
}

bool RecipeTable::holds(const Digest& name, const MakeContext& make) {
  const auto no = [this, &name](std::string reason) {
    if (const RecipeRun* const run = recipe(name)) reason = run->target + ": " + reason;
    reason_ = std::move(reason);
    return false;
  };
  // While it is being found out, for recipes may have looked at each other's files.
  const auto [known, is_new] = hold_.try_emplace(name, Hold::being_found_out);
  if (!is_new) {
    is_circular_ = is_circular_ || known->second == Hold::being_found_out;
    return known->second != Hold::no;
  }
  const auto find_out = [&] {
    const RecipeRun* const found = recipe(name);
    if (!found) return no("nothing is known of its recipe");
    const RecipeRun& run = *found;
    // It is running: that is why somebody asks.
    if (run.level < make.level) return true;
    if (depth_ > depth_max) return no("needs what needs what others need, too deep to be told");
    if (!run.problem.empty()) return no(run.problem);
    if (run.level == make.level && run.directory == make.directory) {
      if (std::ranges::find(run.contexts, make.digest) == run.contexts.end()) return no("makefiles, arguments or variables are others");
      for (const auto& [directory, names] : run.listings)
        if (names_in(directory, make.patterns) != names) return no(directory + " has other names in it");
    }
    std::unordered_set<std::string_view> own;
    for (const Change& change : run.changes) {
      own.insert(change.path);
      if (!is_as_left(name, run, change)) return no(change.path + " is not as it was left");
    }
    const NeedValues today = judge_.values_today(run.names);
    for (std::size_t i = 0; i < run.names.size(); ++i) {
      const NeedName& need = run.names[i];
      if (need.kind == NeedKind::same_files) continue;
      const std::string path = path_in(need);
      if (own.contains(path)) continue;
      if (today[i] != run.values[i]) return no(difference_text(need, run.values[i], today[i], {}));
      if (!(need.detail & aspect_bytes) && need.kind != NeedKind::program) continue;
      const std::vector<Digest> makers = recipes_of(path);
      for (const Digest& maker : makers)
        if (maker != name && !(tells_of(maker, path) && holds(maker, make))) return false;  // for the reason of that one
    }
    return true;
  };
  ++depth_;
  const bool holds = find_out();
  --depth_;
  hold_[name] = holds ? Hold::yes : Hold::no;
  return holds;
}

}  // namespace broker
