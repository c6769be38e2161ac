// Recipes of makefiles, in a precise session: which processes belong to one, and
// what is remembered of it.
//
// make tells nobody. But what it does between two recipes shows in the log: it
// looks at the target of the one that has ended, or at that of the next one.
// Between the lines of one recipe it looks at no file, but for the program that
// it is about to run: it waits for the one line and starts the next. So what it
// starts after it has waited for a process, and without having looked at anything
// else in between, nor got leave to run one more job, belongs to the same recipe.
// Two recipes of targets that are no files may be taken for one; they are run each
// time anyway.
//
// What it starts to read what that writes ($(shell ...)) belongs to the recipe in
// whose lines it stands, and as long as makefiles are read to all of them. They
// have been read when make looks at one of them, to see whether it is to be made.
#include <errno.h>
#include <fcntl.h>

#include <algorithm>
#include <sstream>

#include "broker/recorder.h"
#include "broker/recorder_state.h"

namespace broker {

using namespace cache;
using namespace preload;

struct Recorder::Recipe {
  std::uint64_t number = 0;  // of its first line's step
  std::vector<std::size_t> lines;  // places in observed_.lines
  Step merged;               // of all that it has started; no process is its own
  Make* make = nullptr;
  std::string commands;      // that it has executed, each word with its zero
  MakeContext context;       // when its first line began
  std::uint32_t running = 0; // steps
  std::int32_t status = 0;   // of the line that ended last, as wait(2) reports it
  bool is_closed = false;
  bool is_function = true;   // make reads what its processes write, as of $(shell ...)
  std::string target;
  std::set<std::string> of_inner;  // what recipes of makes inside it have changed
};

struct Recorder::Make {
  Step* step = nullptr;
  std::uint32_t level = 0;
  std::set<PathId> read, listed;  // by itself
  std::multimap<std::string, PathId, std::less<>> absent;  // by last component: looked for in vain, by absolute names, as programs are
  std::set<std::string> functions;  // digests of what those have needed that are no part of a recipe
  bool has_read_all = false;      // makefiles
  std::shared_ptr<Recipe> open;   // one of whose lines has ended, and nothing was looked at since but `looked`
  std::vector<PathId> looked;     // perhaps for a program to run
  std::string target;             // the first of these, if it was there
  std::unordered_map<std::int32_t, std::shared_ptr<Recipe>> of_child;
  std::set<std::shared_ptr<Recipe>> running;
  PathId directory = no_path;
  // As it was with so many of `read` and `functions`.
  std::optional<MakeContext> context;
  std::pair<std::size_t, std::size_t> context_at;
  PathId context_directory = no_path;
};

namespace {

bool names_a_session(std::string_view name) {
  return name.starts_with("VESTAL_") || name == "_" || name == "OLDPWD" || name == "SHLVL" || name == "MAKE_TERMOUT" || name == "MAKE_TERMERR";
}

// Of an option that says how much is done at once, and what is said of it.
bool is_about_running(std::string_view word) {
  for (const std::string_view start : {"-j", "-l", "-O", "--jobs", "--load-average", "--max-load", "--output-sync", "--keep-going", "--silent", "--quiet", "--print-directory", "--no-print-directory"})
    if (word.starts_with(start)) return true;
  return word == "-k" || word == "-s" || word == "-w";
}

// Whether a file that a recipe has made has nothing but prerequisites in it, as compilers write them: all that they say is
// when something is to be made.
bool has_only_prerequisites(const std::string& text) {
  bool is_continued = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    const bool goes_on = line.ends_with('\\');
    if (!is_continued) {
      if (line.starts_with('\t')) return false;
      if (line.find_first_not_of(' ') != line.npos && !line.starts_with('#') && line.find(':') == line.npos) return false;
    }
    if (line.find_first_of("=$") != line.npos || line.find("::") != line.npos) return false;
    if (const std::size_t semicolon = line.find(';'); semicolon != line.npos) return false;
    is_continued = goes_on;
  }
  return true;
}

// The last components of what looks like a pattern of names of files in a makefile; where it is put together, all names.
void add_patterns(const std::string& text, std::set<std::string>& patterns) {
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = text.find_first_of(" \t\n,()=:;", at);
    if (end == text.npos) end = text.size();
    const std::string_view word = std::string_view(text).substr(at, end - at);
    at = end + 1;
    if (word.find_first_of("*?[") == word.npos) continue;
    const std::string_view last = word.substr(word.rfind('/') + 1);
    patterns.insert(last.find('$') == last.npos ? std::string(last) : std::string("*"));
  }
  if (text.find("$(wildcard $") != text.npos) patterns.insert("*");
}

// Targets that have rules in a makefile, as far as they are spelled there.
void add_rules(const std::string& text, std::set<std::string>& targets) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    const std::size_t colon = line.find_first_of(":=#$\t");
    if (colon == line.npos || line[colon] != ':' || line.substr(colon + 1).starts_with('=') || line.substr(colon + 1).starts_with(":=")) continue;
    std::istringstream words{std::string(line.substr(0, colon))};
    for (std::string word; words >> word;) targets.insert(word);
  }
}

// What it may be told twice with another result does not make the rest of what is known of it wrong.
bool only_varies(std::string_view reason) {
  if (reason == told_what_holds) return true;
  for (const std::string_view start : {"reads the clock", "reads random numbers", "reads how much time", "its text asks for", "tells the number of a process"})
    if (reason.starts_with(start)) return true;
  return false;
}

}  // namespace

Recorder::Make* Recorder::make_of(const Process& process) {
  Step* const step = process.step;
  if (!step || !step->is_make || process.pid != step->main_pid) return nullptr;
  auto& make = makes_[step->number];
  if (!make) {
    make = std::make_shared<Make>();
    make->step = step;
    for (const Step* around = step->parent; around; around = around->parent)
      if (around->is_make && around->main_pid != step->main_pid) ++make->level;
    if (options_.wants_recipes) observe_make(*make);
  }
  make->directory = process.directory;
  return make.get();
}

void Recorder::begin_in_recipe(Step& step, std::int32_t parent_pid) {
  const auto parent = processes_.find(parent_pid);
  Make* const make = parent == processes_.end() || parent->second->step != step.parent ? nullptr : make_of(*parent->second);
  if (!make) return;
  const FdPayload *const output = step.exec.fd(1), *const outer = make->step->exec.fd(1);
  const bool is_read_by_make = output && output->kind == fd_pipe && !(outer && outer->device == output->device && outer->inode == output->inode);
  const std::string_view program = paths_.name(step.file), spelled = std::string_view(step.exec.program).substr(step.exec.program.rfind('/') + 1);
  const bool was_for_a_program = std::ranges::all_of(make->looked, [&](PathId path) { return paths_.name(path) == program || paths_.name(path) == spelled; });
  if (!was_for_a_program || (is_read_by_make && !make->has_read_all)) close_recipe(*make);
  make->looked.clear();
  std::shared_ptr<Recipe> recipe = std::move(make->open);
  if (!recipe) {
    recipe = std::make_shared<Recipe>();
    recipe->make = make;
    recipe->number = step.number;
    recipe->merged.exec = step.exec;
    recipe->merged.floor_ns = step.floor_ns;
    recipe->merged.began = step.began;
    recipe->merged.began_ns = step.began_ns;
    recipe->context = context_of(*make);
    make->running.insert(recipe);
  }
  make->open.reset();
  if (is_read_by_make) is_read_by_make_.insert(step.number);
  if (!is_read_by_make) {
    recipe->is_function = false;
    recipe->commands += step.exec.program + '\0';
    for (const std::string& argument : step.exec.arguments) recipe->commands += argument + '\0';
    recipe->commands += '\n';
  }
  // Where make has looked for it first.
  const auto [first, last] = make->absent.equal_range(spelled);
  for (auto each = first; each != last; ++each) recipe->merged.observe(each->second, aspect_type, PathFacts{}, {}, step.began, true);
  ++recipe->running;
  make->of_child[step.main_pid] = recipe;
  recipe_of_[step.number] = recipe;
}

void Recorder::note_by_make(Process& process, const Event& event) {
  Make* const make = make_of(process);
  if (!make) return;
  switch (event.kind) {
    case kind_reaped: {
      const auto child = make->of_child.find(event.arg);
      if (child == make->of_child.end()) return;
      if (make->open) close_recipe(*make);
      make->open = std::move(child->second);
      make->of_child.erase(child);
      if (make->open->is_function && !make->has_read_all) close_recipe(*make);
      return;
    }
    case kind_exited: case kind_token: return close_recipe(*make);
    case kind_look: case kind_open: case kind_list: case kind_access: break;
    default: return;
  }
  const PathId directory = process.directory == no_path ? paths_.intern("/") : process.directory;
  const PathId named = paths_.resolve(directory, event.text, false).path, path = paths_.resolve(directory, event.text, true).path;
  if (make->open && (event.kind == kind_look || event.kind == kind_access)) {
    if (make->looked.empty() && event.kind == kind_look && event.result == 0) make->target = paths_.text(named);
    make->looked.push_back(named);
  }
  // It also looks at a program before it executes it.
  const bool asks_for_target = event.slot >= 0 && !(event.kind == kind_look && event.payload_as<StatPayload>().mode & 0111);
  if (asks_for_target || event.kind == kind_open || event.kind == kind_list) close_recipe(*make);
  if (event.result == -ENOENT && event.kind == kind_look && event.text.starts_with('/')) {
    const auto [first, last] = make->absent.equal_range(paths_.name(named));
    if (std::none_of(first, last, [named](const auto& each) { return each.second == named; })) make->absent.emplace(paths_.name(named), named);
  }
  if (event.result < 0) return;
  if (event.kind == kind_look && make->read.contains(path)) make->has_read_all = true;
  if (event.kind == kind_open && !(event.arg & (O_WRONLY | O_RDWR)) && parts_.view->look(paths_.text(path)).type == FileType::regular) make->read.insert(path);
  if (event.kind == kind_list) make->listed.insert(path);
}

void Recorder::close_recipe(Make& make) {
  const std::shared_ptr<Recipe> recipe = std::move(make.open);
  make.open.reset();
  make.looked.clear();
  const std::string target = std::move(make.target);
  make.target.clear();
  if (!recipe) return;
  recipe->is_closed = true;
  recipe->target = target;
  for (const std::size_t place : recipe->lines) observed_.lines[place].looked_at = target;
  if (recipe->running == 0) record(*recipe);
}

void Recorder::end_in_recipe(Step& step, Position at) {
  if (const auto made = makes_.find(step.number); made != makes_.end()) {
    close_recipe(*made->second);
    makes_.erase(made);
  }
  const auto found = recipe_of_.find(step.number);
  if (found == recipe_of_.end()) return;
  const std::shared_ptr<Recipe> recipe = std::move(found->second);
  recipe_of_.erase(found);
  if (options_.wants_recipes && !is_read_by_make_.contains(step.number)) observe_line(*recipe, step, at);
  is_read_by_make_.erase(step.number);
  merge_into(recipe->merged, step, paths_);
  recipe->merged.ended_ns = std::max(recipe->merged.ended_ns, step.ended_ns);
  recipe->status = step.status;
  --recipe->running;
  if (recipe->is_closed && recipe->running == 0) record(*recipe);
}

void Recorder::observe_make(const Make& make) {
  const Step& step = *make.step;
  ObservedRecipes::Make seen{step.number, 0, step.exec.program, step.exec.directory, step.exec.arguments, environment_of(step.main_pid)};
  for (const Step* around = step.parent; around && seen.line == 0; around = around->parent)
    if (recipe_of_.contains(around->number)) seen.line = around->number;
  if (recipe_of_.contains(step.number)) seen.line = step.number;
  observed_.makes.push_back(std::move(seen));
}

void Recorder::observe_line(Recipe& recipe, const Step& step, Position at) {
  ObservedRecipes::Line line;
  line.number = step.number;
  line.make = recipe.make->step->number;
  line.recipe = recipe.number;
  for (const std::string& word : step.exec.arguments) line.command += (line.command.empty() ? "" : " ") + word;
  line.directory = recipe.make->directory == no_path ? recipe.make->step->exec.directory : paths_.text(recipe.make->directory);
  line.began = step.began;
  line.ended = at;
  line.status = step.status;
  line.looked_at = recipe.target;
  const auto was_there = [](const PathUse& use) { return use.facts.type != FileType::absent && use.facts.type != FileType::error; };
  std::set<std::string> executed{paths_.text(step.file)};
  for (const ProgramUse& use : step.programs) executed.insert(paths_.text(use.file));
  for (const auto& [path, use] : step.uses) {
    const std::string& text = paths_.text(path);
    if (use.aspects != 0 && was_there(use)) {
      line.asked.push_back(text);
      if (use.facts.type == FileType::regular && (use.aspects & aspect_bytes)) executed.insert(text);
    }
    if (use.contents_changed && use.present) line.written.push_back(text);
    if (use.contents_changed && !use.present && !use.was_absent) line.removed.push_back(text);
  }
  line.read.assign(executed.begin(), executed.end());
  recipe.lines.push_back(observed_.lines.size());
  observed_.lines.push_back(std::move(line));
}

void Recorder::leave_recipe(const Step& step) {
  const auto found = recipe_of_.find(step.number);
  if (found == recipe_of_.end()) return;
  --found->second->running;
  recipe_of_.erase(found);
  is_read_by_make_.erase(step.number);
}

void Recorder::record(Recipe& recipe) {
  Make& make = *recipe.make;
  // Keeps it until the end of this function.
  const auto kept = std::ranges::find_if(make.running, [&](const auto& each) { return each.get() == &recipe; });
  const std::shared_ptr<Recipe> whole = kept == make.running.end() ? nullptr : *kept;
  if (kept != make.running.end()) make.running.erase(kept);
  if (!options_.precise) return;

  RecipeRun run;
  NeedSet names;
  NeedValues values;
  collect_needs(recipe.merged, paths_, names, values, run.problem);
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].kind != NeedKind::path && names[i].kind != NeedKind::program) continue;
    run.names.push_back(std::move(names[i]));
    run.values.push_back(std::move(values[i]));
  }
  if (!recipe.merged.spoils.empty() && !only_varies(recipe.merged.spoils)) run.problem = recipe.merged.spoils;
  if (!recipes_spoilt_.empty()) run.problem = recipes_spoilt_;
  if (recipe.is_function) {
    Hasher hasher;
    for (const NeedName& name : run.names) hasher.add_piece(name.text);
    hasher.add_piece(digest_of(run.values).view());
    hasher.add_piece(run.problem);
    // What make was told by it may be something else the next time, and nobody can say what it was.
    if (!run.problem.empty() || !recipe.merged.spoils.empty()) hasher.add_piece(std::to_string(now_ns(CLOCK_REALTIME)));
    make.functions.emplace(hasher.finish().view());
    return;
  }
  // make has stopped there, unless it was told not to mind.
  if (recipe.status != 0) run.problem = "failed";
  StepResult result;
  std::string problem;
  if (!collect_result(recipe.merged, never, result, problem) && run.problem.empty()) run.problem = problem;
  run.changes = std::move(result.changes);
  // What it has made for itself alone and taken away again.
  std::erase_if(run.changes, [this](const Change& change) { return change.what == Change::What::removed && !recipes_->is_made(change.path); });
  for (Change& change : run.changes) {
    const auto use = recipe.merged.uses.find(paths_.intern(change.path));
    change.fresh = change.fresh || (use != recipe.merged.uses.end() && !(use->second.aspects & aspect_bytes));
    if (recipe.of_inner.contains(change.path)) change.fresh = false;
    if (change.path == recipe.target) run.target = recipe.target;
  }
  run.directory = recipe.context.directory;
  run.level = recipe.context.level;
  run.command = digest_of(recipe.commands);
  run.variables = variables_of(recipe);
  add_what_it_left(recipe, run);
  run.contexts = {recipe.context.digest};
  run.when_ns = now_ns(CLOCK_REALTIME);
  if (run.changes.empty()) return;
  if (!recipe.context.patterns.empty()) {
    std::set<std::string> own;
    for (const Change& change : run.changes) own.insert(change.path);
    const auto is_being_made = [&](const std::string& path) { return own.contains(path) || is_being_changed(paths_.intern(path)); };
    for (const PathId directory : make.listed)
      run.listings.emplace_back(paths_.text(directory), recipes_->names_in(paths_.text(directory), recipe.context.patterns, is_being_made));
  }
  for (const Step* around = make.step; around; around = around->parent)
    if (const auto outer = recipe_of_.find(around->number); outer != recipe_of_.end())
      for (const Change& change : run.changes) outer->second->of_inner.insert(change.path);
  recipes_->add(std::move(run));
}

// What its commands have looked at among the variables.
Digest Recorder::variables_of(const Recipe& recipe) {
  Hasher hasher;
  const Step& step = recipe.merged;
  for (const auto& [name, value] : step.exec.variables) {
    if (names_a_session(name) || (!step.whole_environment && !step.variables.contains(name))) continue;
    hasher.add_piece(name);
    hasher.add_piece({reinterpret_cast<const char*>(&value), sizeof value});
  }
  return hasher.finish();
}

// A recipe may find that its target, and what it makes with it, is what it would make, and leave it (cmp && mv).
void Recorder::add_what_it_left(const Recipe& recipe, RecipeRun& run) {
  const std::string& target = run.target.empty() ? recipe.target : run.target;
  if (target.empty()) return;
  for (Change& change : recipes_->left_by(target, recipe.context, run.command)) {
    const auto is_of_it = [&change](const Change& other) { return other.path == change.path; };
    if (!recipe.merged.uses.contains(paths_.intern(change.path)) || std::ranges::any_of(run.changes, is_of_it)) continue;
    change.fresh = false;
    if (change.path == recipe.target) run.target = recipe.target;
    run.changes.push_back(std::move(change));
  }
}

MakeContext Recorder::context_of(Make& make) {
  if (make.context && make.context_at == std::pair(make.read.size(), make.functions.size()) && make.context_directory == make.directory) return *make.context;
  MakeContext context;
  context.level = make.level;
  context.directory = make.directory == no_path ? make.step->exec.directory : paths_.text(make.directory);
  std::set<std::string> patterns;
  std::vector<std::pair<std::string, Digest>> makefiles;
  bool names_goals = false;
  for (const PathId path : make.read) {
    const std::string& name = paths_.text(path);
    const auto digest = parts_.view->bytes(name);
    if (!digest) continue;
    const std::string text = text_of_file(name).value_or(std::string());
    // What libc reads for it, for one.
    if (text.find('\0') != text.npos) continue;
    if (recipes_->is_made(name) && has_only_prerequisites(text)) continue;
    makefiles.emplace_back(name, *digest);
    names_goals = names_goals || text.find("MAKECMDGOALS") != text.npos;
    add_patterns(text, patterns);
    add_rules(text, context.rules);
  }
  std::sort(makefiles.begin(), makefiles.end());
  Hasher hasher;
  hasher.add_piece("make 1");
  // User, machine and limits, and what the session tells of clocks and the like.
  if (session_digest_) hasher.add_piece(session_digest_->view());
  hasher.add_piece(make.step->identity.view());
  hasher.add_piece(context.directory);
  for (const auto& [name, digest] : makefiles) {
    hasher.add_piece(name);
    hasher.add_piece(digest.view());
  }
  for (std::size_t i = 1; i < make.step->exec.arguments.size(); ++i) {
    const std::string& word = make.step->exec.arguments[i];
    const bool is_goal = !word.starts_with('-') && word.find('=') == word.npos;
    if (is_about_running(word) || (is_goal && !names_goals)) continue;
    hasher.add_piece(word);
  }
  hasher.add_piece("variables");
  for (const auto& [name, value] : make.step->exec.variables) {
    if (names_a_session(name)) continue;
    hasher.add_piece(name);
    hasher.add_piece({reinterpret_cast<const char*>(&value), sizeof value});
  }
  for (const std::string& digest : make.functions) hasher.add_piece(digest);
  context.digest = hasher.finish();
  context.patterns.assign(patterns.begin(), patterns.end());
  make.context = context;
  make.context_at = {make.read.size(), make.functions.size()};
  make.context_directory = make.directory;
  return context;
}

// By a process that has not ended, or a recipe that has not.
bool Recorder::is_being_changed(PathId path) const {
  const auto changes = [path](const Step& step) {
    const auto use = step.uses.find(path);
    return use != step.uses.end() && use->second.changed();
  };
  for (const auto& [number, step] : steps_)
    if (!step->is_make && changes(*step)) return true;
  for (const auto& [number, make] : makes_)
    if (std::ranges::any_of(make->running, [&](const auto& recipe) { return changes(recipe->merged); })) return true;
  return false;
}

void Recorder::answer_time(Process& process, const Event& event) {
  Make* const make = options_.precise ? make_of(process) : nullptr;
  if (!make) return done_(event.slot);
  const PathId directory = process.directory == no_path ? paths_.intern("/") : process.directory;
  const PathId named = paths_.resolve(directory, event.text, false).path, led_to = paths_.resolve(directory, event.text, true).path;
  // A program that the recipe has made which ended last, or makes and is about to run.
  const auto has_just_made = [last = make->open.get()](PathId path) {
    if (!last || last->running > 0) return false;
    const auto use = last->merged.uses.find(path);
    return use != last->merged.uses.end() && use->second.contents_changed;
  };
  if (has_just_made(led_to)) return time_asked_(event.slot, verdict_time_holds, 0);
  if (is_being_changed(named) || is_being_changed(led_to)) return done_(event.slot);
  const MakeContext context = context_of(*make);
  Standing standing = recipes_->standing(paths_.text(named), context);
  const std::string* judged = &paths_.text(named);
  if (led_to != named && standing != Standing::outdated) {
    const Standing other = recipes_->standing(paths_.text(led_to), context);
    if (other != Standing::unknown) standing = other, judged = &paths_.text(led_to);
  }
  switch (standing) {
    case Standing::unknown: return time_asked_(event.slot, verdict_time_source, 0);
    case Standing::holds: return time_asked_(event.slot, verdict_time_holds, 0);
    case Standing::outdated: break;
  }
  // As if it had been removed: make runs the recipe of a target without prerequisites too. But only if it has one still.
  const auto run = recipes_->of_target(*judged, context);
  const bool is_program = event.payload_as<StatPayload>().mode & 0111;
  const bool has_recipe = !is_program && run.is_target && (run.is_of_this_make || context.rules.contains(std::string(event.text)));
  time_asked_(event.slot, has_recipe ? verdict_time_absent : verdict_time_outdated, sources_ns_min - run.when_ns / 4);
}

}  // namespace broker
