#include "makecompat/findings.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <unordered_map>

#include <nlohmann/json.hpp>

#include "cache/base/result.h"

namespace makecompat {

using cache::fail;
using cache::Fault;
using cache::Result;
using nlohmann::json;

namespace {

constexpr std::string_view system_places[] = {"/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/etc", "/opt", "/proc", "/sys", "/dev", "/run", "/var"};
constexpr std::size_t literal_bytes_min = 3;
// Notes of a compiler for make, which includes them.
constexpr std::string_view dependency_endings[] = {".d", ".Po", ".Tpo", ".Plo", ".dep", ".P"};

bool is_below(std::string_view path, std::string_view directory) {
  return directory == "/" || (path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/'));
}

bool is_dependency_note(std::string_view path) {
  return std::ranges::any_of(dependency_endings, [&](std::string_view ending) { return path.ends_with(ending); });
}

std::string last_component(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

struct Make {
  std::uint64_t number = 0, line = 0;
  MakeToAsk ask;
  std::optional<MakeDatabase> database;
};

struct Line {
  std::uint64_t make = 0, recipe = 0;
  std::string command, looked_at, directory;
  bool runs_make = false;
  std::vector<std::string> read, asked, written, removed;
};

// The lines of one target, in their order.
struct Recipe {
  const Make* make = nullptr;
  std::string directory;
  std::vector<const Line*> lines;
  std::string target;  // a path; empty: not known
  const Rule* rule = nullptr;
  bool is_whole = true;  // all its lines are known
  std::set<std::string> written_by_unclear;  // by lines that may be its, or those of another one
};

class Search {
 public:
  Search(const Observation& observation, const json& report) : observation_(observation) { read(report); }

  Findings run() {
    ask_makes();
    for (auto& [number, lines] : lines_of_recipe_) add_recipes(lines);
    for (const Recipe& recipe : recipes_)
      for (const Line* line : recipe.lines) recipe_with_[line] = &recipe;
    note_writers();
    for (const Recipe& recipe : recipes_) look_at(recipe);
    find_written_twice();
    Findings findings;
    findings.recipes = recipes_.size();
    findings.problems = std::move(problems_);
    for (auto& [key, finding] : found_) {
      std::ranges::sort(finding.targets);
      findings.all.push_back(std::move(finding));
    }
    return findings;
  }

 private:
  void read(const json& report) {
    std::vector<std::string> paths = report.at("paths").get<std::vector<std::string>>();
    const auto named = [&](const json& numbers) {
      std::vector<std::string> texts;
      for (const json& number : numbers) texts.push_back(paths.at(number.get<std::size_t>()));
      return texts;
    };
    for (const json& each : report.at("makes")) {
      Make& make = makes_[each.at("number").get<std::uint64_t>()];
      make.number = each.at("number");
      make.line = each.at("line");
      make.ask = {each.at("program"), each.at("directory"), each.at("arguments"), each.at("environment")};
    }
    for (const json& each : report.at("lines")) {
      Line& line = lines_[each.at("number").get<std::uint64_t>()];
      line.make = each.at("make");
      line.recipe = each.at("recipe");
      line.command = each.at("command");
      line.looked_at = each.at("looked_at");
      line.directory = each.at("directory");
      line.read = named(each.at("read"));
      line.asked = named(each.at("asked"));
      line.written = named(each.at("written"));
      line.removed = named(each.at("removed"));
    }
    for (const auto& [number, make] : makes_)
      if (const auto line = lines_.find(make.line); line != lines_.end()) line->second.runs_make = true;
    // By number: as they were started.
    for (auto& [number, line] : lines_) lines_of_recipe_[line.recipe].push_back(&line);
  }

  void ask_makes() {
    // The same make in the same place knows the same, however often it was run.
    std::map<std::tuple<std::string, std::vector<std::string>, std::vector<std::string>>, std::optional<MakeDatabase>> known;
    if (makes_.empty()) problems_.push_back("no make was seen");
    for (const auto& [number, lines] : lines_of_recipe_) {
      const auto found = makes_.find(lines[0]->make);
      if (found == makes_.end() || found->second.database) continue;
      Make& make = found->second;
      if (make.ask.environment.empty()) make.ask.environment = observation_.environment;
      if (reads_its_input(make.ask.arguments)) problems_.push_back("the makefile in " + make.ask.directory + " is standard input, and cannot be read again");
      const auto [place, is_new] = known.try_emplace({make.ask.directory, make.ask.arguments, make.ask.environment});
      if (is_new) {
        const auto text = print_make_database(make.ask);
        auto database = text ? read_make_database(*text, lines[0]->directory) : tl::unexpected(text.error());
        if (database) place->second = std::move(*database);
        else problems_.push_back("what the makefiles in " + make.ask.directory + " say is not known: " + database.error().message);
      }
      make.database = place->second ? place->second : MakeDatabase{};
    }
  }

  static bool reads_its_input(const std::vector<std::string>& arguments) {
    for (std::size_t i = 1; i < arguments.size(); ++i)
      if (arguments[i] == "-f-" || arguments[i] == "--file=-" || arguments[i] == "--makefile=-" || (arguments[i] == "-f" && i + 1 < arguments.size() && arguments[i + 1] == "-")) return true;
    return false;
  }

  // Of make's own targets: which of them this line has written.
  static std::vector<std::pair<std::string, const Rule*>> targets_of(const Line& line, const MakeDatabase& database) {
    std::vector<std::pair<std::string, const Rule*>> targets;
    for (const std::string& path : line.written)
      if (const Rule* const rule = database.rule(path); rule && rule->has_recipe && !is_dependency_note(path)) targets.emplace_back(path, rule);
    return targets;
  }

  // Of several targets that one line writes: the one that make has looked at, that its words name, or else the first.
  static std::pair<std::string, const Rule*> likeliest(const std::vector<std::pair<std::string, const Rule*>>& targets, const Line& line) {
    const auto looked_at = std::ranges::find_if(targets, [&](const auto& each) { return each.first == line.looked_at; });
    if (looked_at != targets.end()) return *looked_at;
    const auto named = std::ranges::find_if(targets, [&](const auto& each) { return line.command.find(each.second->target) != line.command.npos; });
    return named != targets.end() ? *named : targets[0];
  }

  static bool is_of_rule(const std::string& path, const std::string& target, const Rule& rule) {
    return path == target || std::ranges::find(rule.also_makes, path) != rule.also_makes.end();
  }

  // Without jobs a recipe is all that the recorder takes for one, if none of them has a target that is no file. With them it may be several.
  void add_recipes(const std::vector<Line*>& lines) {
    const auto make = makes_.find(lines[0]->make);
    if (make == makes_.end()) return;
    const auto begin = [&] {
      Recipe recipe;
      recipe.make = &make->second;
      recipe.directory = lines[0]->directory;
      return recipe;
    };
    if (!runs_jobs(make->second) && (lines.size() == 1 || std::ranges::none_of(lines, [&](const Line* line) { return is_of_phony(*line, *make->second.database); }))) {
      Recipe recipe = begin();
      recipe.lines.assign(lines.begin(), lines.end());
      std::vector<std::pair<std::string, const Rule*>> targets;
      for (const Line* line : lines)
        for (auto& each : targets_of(*line, *make->second.database)) targets.push_back(std::move(each));
      if (!targets.empty()) std::tie(recipe.target, recipe.rule) = likeliest(targets, *lines.back());
      else std::tie(recipe.target, recipe.rule) = by_words(*lines[0], *make->second.database);
      if (!recipe.rule) look_for_target(recipe, lines.back()->looked_at);
      recipes_.push_back(std::move(recipe));
      return;
    }
    const std::vector<std::pair<std::string, const Rule*>> owners = owners_of(lines, *make->second.database);
    std::map<std::string, Recipe> of_target;
    bool is_clear = true;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const auto& [target, rule] = owners[i];
      is_clear = is_clear && rule;
      const auto [place, is_new] = of_target.try_emplace(target, begin());
      place->second.target = target;
      place->second.rule = rule;
      place->second.lines.push_back(lines[i]);
    }
    std::set<std::string> unclear;
    if (const auto nobodys = of_target.find(std::string()); nobodys != of_target.end())
      for (const Line* line : nobodys->second.lines) unclear.insert(line->written.begin(), line->written.end());
    for (auto& [target, recipe] : of_target) {
      recipe.is_whole = is_clear;
      recipe.written_by_unclear = unclear;
      recipes_.push_back(std::move(recipe));
    }
  }

  static bool runs_jobs(const Make& make) {
    const auto asks = [](std::string_view word) { return word.starts_with("-j") || word.starts_with("--jobs"); };
    if (make.database->runs_jobs || std::ranges::any_of(make.ask.arguments, asks)) return true;
    return std::ranges::any_of(make.ask.environment, [](std::string_view variable) { return variable.starts_with("MAKEFLAGS=") && variable.find("-j") != variable.npos; });
  }

  static bool is_of_phony(const Line& line, const MakeDatabase& database) {
    const auto [target, rule] = by_words(line, database);
    return rule && rule->is_phony;
  }

  void look_for_target(Recipe& recipe, const std::string& path) const {
    if (const Rule* const rule = recipe.make->database->rule(path); rule && rule->has_recipe) recipe.target = path, recipe.rule = rule;
  }

  // The one rule that has such a line in its recipe.
  static std::pair<std::string, const Rule*> by_words(const Line& line, const MakeDatabase& database, const std::set<std::string>* among = nullptr) {
    std::pair<std::string, const Rule*> best{std::string(), nullptr};
    std::size_t best_count = 0;
    bool is_only_one = true;
    for (const auto& [path, rule] : database.rules) {
      if (among && !among->contains(path)) continue;
      std::size_t count = 0;
      for (const std::string& words : rule.recipe) count = std::max(count, matches(words, line.command, rule.target));
      if (count == 0 || count < best_count) continue;
      is_only_one = count > best_count;
      best = {path, &rule};
      best_count = count;
    }
    return is_only_one && best_count >= literal_bytes_min ? best : std::pair<std::string, const Rule*>{};
  }

  // Of lines that may be those of several recipes: who writes a target belongs to it, and another one to the target among
  // these, or else among all, in whose recipe alone there is such a line.
  static std::vector<std::pair<std::string, const Rule*>> owners_of(const std::vector<Line*>& lines, const MakeDatabase& database) {
    std::vector<std::pair<std::string, const Rule*>> owners(lines.size());
    std::set<std::string> known;
    for (std::size_t i = 0; i < lines.size(); ++i)
      if (const auto targets = targets_of(*lines[i], database); !targets.empty()) known.insert((owners[i] = likeliest(targets, *lines[i])).first);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (owners[i].second) continue;
      owners[i] = by_words(*lines[i], database, &known);
      if (!owners[i].second) owners[i] = by_words(*lines[i], database);
    }
    return owners;
  }

  void note_writers() {
    for (std::size_t i = 0; i < recipes_.size(); ++i)
      for (const Line* line : recipes_[i].lines)
        if (!line->runs_make)
          for (const std::string& path : line->written)
            if (auto& writers = writers_[path]; writers.empty() || writers.back() != i) writers.push_back(i);
  }

  // What belongs to the machine, or to nobody's build.
  bool is_of_project(const std::string& path) const {
    if (path.find("\xef\xbf\xbd") != path.npos) return false;  // JSON cannot spell it
    if (is_below(path, observation_.directory)) return true;
    if (std::ranges::any_of(system_places, [&](std::string_view place) { return is_below(path, place); })) return false;
    const char* const home = std::getenv("HOME");
    return !(home && *home && path.starts_with(std::string(home) + "/."));
  }

  Finding& add(FindingKind kind, const Recipe& recipe, const std::string& path, const std::string& other = {}) {
    const std::string makefile = recipe.rule ? recipe.rule->makefile : std::string();
    const unsigned line = recipe.rule ? recipe.rule->line : 0;
    Finding& finding = found_[{makefile.empty() ? recipe.directory : makefile, line, kind, path, other}];
    finding.kind = kind;
    finding.path = path;
    finding.makefile = makefile;
    finding.line = line;
    finding.other = other;
    if (std::ranges::find(finding.targets, recipe.target) == finding.targets.end()) finding.targets.push_back(recipe.target);
    return finding;
  }

  void look_at(const Recipe& recipe) {
    if (!recipe.rule) return;
    const MakeDatabase& database = *recipe.make->database;
    const Rule& rule = *recipe.rule;
    std::set<std::string> own, read, asked, written, removed;
    bool runs_make = false;
    for (const Line* line : recipe.lines) {
      runs_make = runs_make || line->runs_make;
      if (line->runs_make) continue;
      for (const std::string& path : line->read)
        if (!written.contains(path)) read.insert(path);
      asked.insert(line->asked.begin(), line->asked.end());
      for (const std::string& path : line->written) written.insert(path), removed.erase(path);
      removed.insert(line->removed.begin(), line->removed.end());
    }
    const std::set<std::string> made_of = with_led_to(database.made_of(recipe.target)), comes_after = database.comes_after(recipe.target);
    for (const std::string& path : read) {
      if (path == recipe.target || is_of_rule(path, recipe.target, rule) || !is_of_project(path)) continue;
      if (recipe.written_by_unclear.contains(path)) continue;
      // Where another make makes it, that it is a prerequisite here puts nothing in an order.
      const Rule* const of_it = database.rule(path);
      if (made_of.contains(path) && of_it && of_it->has_recipe) continue;
      if (const Recipe* const maker = unordered_maker_of(path, recipe)) {
        add(FindingKind::order, recipe, path, maker->target);
        continue;
      }
      if (rule.is_phony || made_of.contains(path)) continue;
      Finding& finding = add(FindingKind::undeclared, recipe, path);
      if (comes_after.contains(path)) finding.note = "order-only";
    }
    if (rule.is_phony) return;
    for (const std::string& path : written) {
      if (removed.contains(path) || is_of_rule(path, recipe.target, rule) || recipe.target.starts_with(path + "(") || !is_file(path)) continue;
      const Rule* const other = database.rule(path);
      const bool is_anothers = other && other->has_recipe;
      if (!is_anothers && is_target_somewhere(path)) continue;
      if (is_dependency_note(path)) continue;
      Finding& finding = add(FindingKind::outside, recipe, path);
      if (is_anothers) finding.note = "of another rule";
    }
    if (runs_make || !recipe.is_whole || rule.is_several) return;
    for (const std::string& path : rule.prerequisites) {
      if (read.contains(path) || asked.contains(path) || written.contains(path) || read.contains(led_to(path))) continue;
      const Rule* const of_it = database.rule(path);
      if ((of_it && of_it->is_phony) || is_makefile(path) || !has_contents(path)) continue;
      add(FindingKind::unused, recipe, path);
    }
  }

  // Where symbolic links lead.
  static std::string led_to(const std::string& path) {
    static std::unordered_map<std::string, std::string> known;
    const auto [place, is_new] = known.try_emplace(path, path);
    if (!is_new) return place->second;
    if (char* const real = ::realpath(path.c_str(), nullptr)) {
      place->second = real;
      std::free(real);
    }
    return place->second;
  }
  static std::set<std::string> with_led_to(std::set<std::string> paths) {
    std::set<std::string> ends;
    for (const std::string& path : paths) ends.insert(led_to(path));
    paths.merge(ends);
    return paths;
  }

  bool is_target_somewhere(const std::string& path) const {
    return std::ranges::any_of(makes_, [&](const auto& each) { return each.second.database && each.second.database->rule(path); });
  }
  static bool is_file(const std::string& path) {
    struct stat status;
    return ::lstat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
  }
  // Empty files are there for their times.
  static bool has_contents(const std::string& path) {
    struct stat status;
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
  }
  bool is_makefile(const std::string& path) const {
    const std::string name = last_component(path);
    if (name == "Makefile" || name == "makefile" || name == "GNUmakefile" || name.ends_with(".mk") || name.ends_with(".mak")) return true;
    return std::ranges::any_of(recipes_, [&](const Recipe& each) { return each.rule && each.rule->makefile == path; });
  }

  // From the outermost make inwards: the recipes that contain this one, and itself.
  std::vector<const Recipe*> around(const Recipe& recipe) const {
    std::vector<const Recipe*> chain{&recipe};
    for (const Make* make = recipe.make; make->line != 0 && chain.size() < 100;) {
      const auto line = lines_.find(make->line);
      if (line == lines_.end()) break;
      const auto outer = recipe_with_.find(&line->second);
      if (outer == recipe_with_.end()) break;
      chain.push_back(outer->second);
      make = outer->second->make;
    }
    std::ranges::reverse(chain);
    return chain;
  }

  // Whether make may run both at once. Not known is no.
  bool may_run_at_once(const Recipe& one, const Recipe& other) const {
    const std::vector<const Recipe*> ones = around(one), others = around(other);
    std::size_t at = 0;
    while (at < ones.size() && at < others.size() && ones[at] == others[at]) ++at;
    if (at == ones.size() || at == others.size()) return false;
    const auto [known, is_new] = at_once_.try_emplace({ones[at], others[at]});
    if (is_new) known->second = nothing_orders(*ones[at], *others[at]);
    return known->second;
  }

  // Of two recipes of one make, or of two that one recipe has started.
  static bool nothing_orders(const Recipe& a, const Recipe& b) {
    // Makes that one recipe has started have their order from its lines.
    if (a.make != b.make || !a.rule || !b.rule || a.target == b.target || is_of_rule(a.target, b.target, *b.rule)) return false;
    const MakeDatabase& database = *a.make->database;
    const auto is_after = [&](const Recipe& later, const Recipe& earlier) {
      const std::set<std::string> before = database.comes_after(later.target);
      return before.contains(earlier.target) ||
             std::ranges::any_of(earlier.rule->also_makes, [&](const std::string& path) { return before.contains(path); });
    };
    return !is_after(a, b) && !is_after(b, a);
  }

  const Recipe* unordered_maker_of(const std::string& path, const Recipe& reader) const {
    const auto writers = writers_.find(path);
    if (writers == writers_.end()) return nullptr;
    for (const std::size_t writer : writers->second)
      if (may_run_at_once(reader, recipes_[writer])) return &recipes_[writer];
    return nullptr;
  }

  void find_written_twice() {
    for (const auto& [path, writers] : writers_) {
      if (!is_file(path) || is_dependency_note(path)) continue;
      const Recipe* first = nullptr;
      for (const std::size_t writer : writers) {
        const Recipe& recipe = recipes_[writer];
        if (!recipe.rule || recipe.rule->is_phony) continue;
        if (!first) first = &recipe;
        else if (recipe.target != first->target || recipe.make != first->make) {
          if (recipe.make == first->make && is_of_rule(recipe.target, first->target, *first->rule)) continue;
          Finding& finding = add(FindingKind::written_twice, recipe, path, first->target);
          if (may_run_at_once(*first, recipe)) finding.note = "at once";
        }
      }
    }
  }

  const Observation& observation_;
  std::map<std::uint64_t, Make> makes_;
  std::map<std::uint64_t, Line> lines_;
  std::map<std::uint64_t, std::vector<Line*>> lines_of_recipe_;
  std::vector<Recipe> recipes_;
  std::unordered_map<const Line*, const Recipe*> recipe_with_;
  mutable std::map<std::pair<const Recipe*, const Recipe*>, bool> at_once_;
  std::map<std::string, std::vector<std::size_t>> writers_;  // by path: places in recipes_
  std::map<std::tuple<std::string, unsigned, FindingKind, std::string, std::string>, Finding> found_;
  std::vector<std::string> problems_;
};

struct KindText {
  std::string_view name, description;
};
constexpr std::array<KindText, 5> kind_texts{{
    {"undeclared-prerequisite", "A recipe reads a file that is not among what its target is made of, so make does not know that the target is out of date when it changes."},
    {"unordered-prerequisite", "A recipe reads a file that another recipe makes, and no prerequisite says which of them comes first."},
    {"written-twice", "Two targets' recipes write the same file."},
    {"written-outside", "A recipe leaves a file that is no target of its rule."},
    {"unused-prerequisite", "A recipe does not look at a prerequisite of its target, which is made again for nothing when that changes."},
}};

}  // namespace

std::string_view name_of(FindingKind kind) { return kind_texts[static_cast<std::size_t>(kind)].name; }
std::string_view description_of(FindingKind kind) { return kind_texts[static_cast<std::size_t>(kind)].description; }

Result<Findings> find(const Observation& observation) {
  const json report = json::parse(observation.report, nullptr, false);
  const auto recipes = report.is_object() ? report.find("recipes") : report.end();
  if (!report.is_object() || recipes == report.end()) return fail(Fault::invalid, "the broker has not told what recipes did");
  try {
    return Search(observation, *recipes).run();
  } catch (const json::exception& error) {
    return fail(Fault::invalid, std::string("what the broker has told of recipes cannot be read: ") + error.what());
  }
}

}  // namespace makecompat
