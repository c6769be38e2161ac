// Steps: how they begin, and what is made of them at their end.
#include "broker/recorder.h"

#include <poll.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "broker/recorder_state.h"

namespace broker {

using namespace cache;
using namespace preload;

// Of a regular file only, and nothing else is opened: whoever waits for a reader of a FIFO would take the broker for it.
// /dev/fd/63 is another file for each process.
std::optional<std::string> text_of_file(const std::string& path, off_t bytes_max) {
  if (path.starts_with("/dev/") || path.starts_with("/proc/")) return std::nullopt;
  struct stat info;
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  const cache::OwnedFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!file || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > bytes_max) return std::nullopt;
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t at = 0;
  for (ssize_t bytes; at < text.size() && (bytes = ::read(file.get(), text.data() + at, text.size() - at)) > 0;) at += static_cast<std::size_t>(bytes);
  text.resize(at);
  return text;
}

// The variables whose names stand in a text that a shell runs.
void need_names_in(Step& step, std::string_view text) {
  const auto names = shell_names(text);
  if (!names) {
    step.whole_environment = true;
    return;
  }
  step.variables.insert(names->begin(), names->end());
  // Any command may be a function that was exported.
  if (step.program->real_path.ends_with("/bash"))
    for (const std::string& name : *names) step.variables.insert("BASH_FUNC_" + name + "%%");
}

Digest step_key_of(const ExecRecord& exec, const Digest& program, const Digest& session,
                   const std::map<std::int32_t, std::string>& attributes) {
  Hasher hasher;
  hasher.add_piece("step 3");
  hasher.add_piece(session.view());
  hasher.add_piece(program.view());
  hasher.add_piece(exec.program);
  hasher.add_piece(exec.directory);
  hasher.add_piece({reinterpret_cast<const char*>(&exec.umask), sizeof exec.umask});
  for (const std::uint64_t signals : {exec.ignored_signals, exec.blocked_signals}) hasher.add_piece({reinterpret_cast<const char*>(&signals), sizeof signals});
  const std::uint32_t leads = exec.flags & (exec_leads_group | exec_leads_session);
  hasher.add_piece({reinterpret_cast<const char*>(&leads), sizeof leads});
  // What is opened gets the number that is free.
  for (const std::uint32_t number : {0, 1, 2}) hasher.add_piece(exec.fd(number) ? "open" : "closed");
  // What ld.so and malloc are told. Where libraries are looked for is part of what the program is.
  for (const auto& [name, value] : exec.variables) {
    if (!name.starts_with("LD_") && !name.starts_with("MALLOC_") && name != "GLIBC_TUNABLES") continue;
    if (name == "LD_LIBRARY_PATH" || name == "LD_RUN_PATH") continue;
    hasher.add_piece(name);
    hasher.add_piece({reinterpret_cast<const char*>(&value), sizeof value});
  }
  // A shell may call a function that somebody has exported by a name that stands nowhere. What is in it is a need.
  for (const auto& [name, value] : exec.variables)
    if (name.starts_with("BASH_FUNC_")) hasher.add_piece(name);
  for (const std::string& argument : exec.arguments) hasher.add_piece(argument);
  for (const auto& [attribute, value] : attributes) {
    hasher.add_piece({reinterpret_cast<const char*>(&attribute), sizeof attribute});
    hasher.add_piece(value);
  }
  // Two steps that differ in nothing else have other random numbers.
  if (exec.random_start) hasher.add_piece({reinterpret_cast<const char*>(&exec.random_start), sizeof exec.random_start});
  return hasher.finish();
}

namespace {

// Takes the text of a kind_exec record apart; false if it contradicts itself.
bool read_exec(const Event& event, ExecRecord& exec) {
  const auto payload = event.payload_as<ExecPayload>();
  exec.pid = event.pid;
  exec.umask = payload.umask;
  exec.flags = payload.flags;
  exec.short_key = payload.short_key;
  exec.random_start = payload.random_start;
  exec.ignored_signals = payload.ignored_signals;
  exec.blocked_signals = payload.blocked_signals;
  if (payload.fd_count > inherited_fd_max) return false;
  exec.fds.assign(payload.fds, payload.fds + payload.fd_count);
  std::string_view rest = event.text;
  bool whole = true;
  auto next = [&]() -> std::string_view {
    const std::size_t end = rest.find('\0');
    if (end == rest.npos) {
      whole = false;
      return {};
    }
    const std::string_view text = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    return text;
  };
  exec.program = next();
  exec.directory = next();
  if (payload.flags & exec_too_big) return whole;
  if (payload.argument_count > rest.size() || payload.variable_count > rest.size()) return false;
  for (std::uint32_t i = 0; i < payload.argument_count && whole; ++i) exec.arguments.emplace_back(next());
  for (std::uint32_t i = 0; i < payload.variable_count && whole; ++i) {
    if (rest.size() < 8) return false;
    std::uint64_t value;
    std::memcpy(&value, rest.data(), 8);
    rest.remove_prefix(8);
    exec.variables.emplace_back(next(), value);
  }
  if (whole && (payload.flags & exec_has_library_path)) exec.library_path = next();
  const auto last_command = std::ranges::find_if(exec.variables, [](const auto& each) { return each.first == "_"; });
  exec.last_command_at = static_cast<std::uint64_t>(last_command - exec.variables.begin());
  exec.names_value = value_of_names(exec.variables);
  // As getenv sees it: of two variables of one name the first.
  std::stable_sort(exec.variables.begin(), exec.variables.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  exec.variables.erase(std::unique(exec.variables.begin(), exec.variables.end(), [](const auto& a, const auto& b) { return a.first == b.first; }),
                       exec.variables.end());
  return whole && exec.program.starts_with('/') && exec.directory.starts_with('/');
}

// What a shell was told to run: the argument of -c, or the script if it is small.
std::optional<std::string> shell_text(const ExecRecord& exec, const std::string& script) {
  std::string path = script;
  if (path.empty()) {
    bool from_arguments = false;
    // busybox sh ...
    std::size_t at = exec.arguments.empty() || !exec.arguments[0].ends_with("busybox") ? 1 : 2;
    for (; at < exec.arguments.size(); ++at) {
      const std::string& word = exec.arguments[at];
      if (word.size() < 2 || (word[0] != '-' && word[0] != '+')) break;
      if (word == "--") {
        ++at;
        break;
      }
      if (word.starts_with("--")) continue;
      from_arguments = from_arguments || (word[0] == '-' && word.find('c') != word.npos);
      if (word[0] == '-' && word.find('s') != word.npos) return std::nullopt;
      if (word.find_first_of("oO") != word.npos) ++at;  // -o pipefail
    }
    if (at >= exec.arguments.size()) return std::nullopt;  // from standard input
    if (from_arguments) return exec.arguments[at];
    path = exec.arguments[at].starts_with('/') ? exec.arguments[at] : exec.directory + "/" + exec.arguments[at];
  }
  // A script that is not there has no text; that it is not there is seen when the shell looks for it.
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return std::string();
  return text_of_file(path);
}


// All that an awk was told to run: its arguments, and the files named by -f.
std::string awk_text(const ExecRecord& exec) {
  std::string text;
  for (std::size_t i = 1; i < exec.arguments.size(); ++i) {
    const std::string& word = exec.arguments[i];
    text += word + '\n';
    if (word == "-f-" || (word == "-f" && i + 1 < exec.arguments.size() && exec.arguments[i + 1] == "-")) text += " rand time ENVIRON ";
    // Other ways to name a file with a text, of mawk and gawk.
    const bool long_option = word.starts_with("--") && word.size() > 2;
    if (long_option || word.starts_with("-W") || word.starts_with("-E") || word.starts_with("-i") || word.starts_with("-l")) text += " rand time ENVIRON ";
    if (!word.starts_with("-f")) continue;
    std::string path = word.size() > 2 ? word.substr(2) : i + 1 < exec.arguments.size() ? exec.arguments[i + 1] : std::string();
    if (!path.starts_with('/')) path = exec.directory + "/" + path;
    text += text_of_file(path).value_or(" rand time ENVIRON ");
  }
  return text;
}

bool names_a_file(std::string_view argument) { return argument.size() > 1 && argument[0] == '@'; }

// With what stands in the files that they name instead: @FILE, as compilers and the programs of binutils have it. None if that
// is too much: the files may name one another, or be no arguments at all.
std::vector<std::string> with_arguments_of_files(const std::string& directory, std::vector<std::string> arguments) {
  constexpr int files_max = 100;
  constexpr off_t bytes_max = 1 << 20;
  int files = 0;
  for (std::size_t i = 1; i < arguments.size();) {
    struct stat info;
    const std::string name = names_a_file(arguments[i]) ? arguments[i].substr(1) : std::string();
    const std::string path = name.starts_with('/') ? name : directory + "/" + name;
    if (name.empty() || ::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
      ++i;
      continue;
    }
    const auto text = text_of_file(path, bytes_max);
    if (!text || ++files > files_max) return {};
    std::vector<std::string> words;
    std::string word;
    for (const char c : *text + '\n') {
      if (c == '"' || c == '\'' || c == '\\') continue;
      if (!std::isspace(static_cast<unsigned char>(c))) word += c;
      else if (!word.empty()) words.push_back(std::exchange(word, {}));
    }
    arguments.erase(arguments.begin() + static_cast<std::ptrdiff_t>(i));
    arguments.insert(arguments.begin() + static_cast<std::ptrdiff_t>(i), words.begin(), words.end());
  }
  return arguments;
}

}  // namespace

void Recorder::handle_exec(Process* process, const Event& event) {
  ExecRecord exec;
  const bool readable = read_exec(event, exec);
  const auto payload = event.payload_as<ExecPayload>();
  exec.has_terminal = has_terminal_ && payload.session_id == terminal_session_;
  if (!process) {
    const auto parent = processes_.find(payload.parent_pid);
    if (event.pid == options_.top_pid && !top_seen_) process = &add_process(event.pid, nullptr);
    else if (parent != processes_.end()) process = &add_process(event.pid, parent->second.get());
    else {
      spoil_all("a process of unknown origin");
      process = &add_process(event.pid, nullptr);
    }
  }
  if (event.pid == options_.top_pid) top_seen_ = true;
  Step* outer = process->step;
  const bool of_unknown_make = payload.flags & exec_unknown_parent;
  if (of_unknown_make && outer) outer->spoil("made a process in an unusual way");

  auto owned = std::make_unique<Step>();
  Step& step = *owned;
  step.number = next_step_++;
  steps_.emplace(step.number, std::move(owned));
  step.parent = outer;
  step.main_pid = event.pid;
  step.processes = 1;
  step.began = event.position;
  step.began_ns = now_ns(CLOCK_MONOTONIC);
  step.executed_ns = payload.when_ns;
  step.floor_ns = pass_floor_ns_;
  step.exec = std::move(exec);
  if (outer) {
    --outer->processes;
    ++outer->open_steps;
  }
  if (outer && outer->guards_environment && !process->named_variables_only) outer->whole_environment = true;
  process->named_variables_only = false;
  if (outer && !process->unplaced.empty()) outer->spoil("became another program without a word of how far it has read from what it was given");
  process->unplaced.clear();
  process->step = &step;
  std::erase_if(process->writes, [](const auto& each) { return each.second; });
  process->exec_pending = true;
  if (!readable) {
    step.spoil("wrote to the log itself");
    if (event.slot >= 0) decide_(step, event.slot);
    return;
  }
  process->directory = paths_.intern(step.exec.directory);
  if (!session_spoils_.empty()) step.spoil(session_spoils_);
  if (!process->spoils_what_follows.empty()) step.spoil(process->spoils_what_follows);
  if (of_unknown_make) step.spoil("was started by a process made in an unusual way");
  if (step.exec.flags & exec_too_big) step.not_storable("has too many arguments to record");
  if (step.exec.flags & exec_foreign_fds) step.spoil("was given more descriptors than are recorded");
  if (step.exec.flags & exec_has_preload) step.spoil("runs with an LD_PRELOAD of its own");

  // Where the program's name leads is the outer step's look-up; what the program is, a need of its own kind.
  const Resolution resolution = paths_.resolve(process->directory, step.exec.program, true);
  step.file = resolution.path;
  if (leads_by_process(paths_.text(step.file)) || paths_.text(step.file).starts_with("/proc/")) {
    const std::string reason = "executes " + paths_.text(step.file);
    step.spoil(reason);
    if (outer) outer->spoil(reason);
  }
  if (outer) {
    for (const PathId link : resolution.crossed) {
      PathContents contents;
      contents.target = paths_.link_target(link);
      PathFacts facts;
      facts.type = FileType::symlink;
      outer->observe(link, aspect_type | aspect_target, facts, contents, event.position, true);
    }
    for (const PathId directory : resolution.left) outer->observe(directory, aspect_type, PathFacts::from_mode(S_IFDIR), {}, event.position, true);
  }
  if (auto program = parts_.programs->look_up(step.exec.program, step.exec.library_path)) {
    step.program = *program;
    const PolicyTable& policies = *options_.policy_table;
    step.policy = std::ranges::any_of(step.exec.arguments, names_a_file)
                      ? policies.policy_for(step.program->real_path, with_arguments_of_files(step.exec.directory, step.exec.arguments))
                      : policies.policy_for(step.program->real_path, step.exec.arguments);
    step.identity = options_.policy_table->with_rows(step.program->identity, step.program->real_path);
    if (!step.program->spoils.empty()) step.spoil(step.program->spoils);
    if (step.policy.waits) step.not_storable("waits");
    step.is_make = is_make(step.program->real_path);
    if (recipes_ && step.is_make) step.not_storable(told_what_holds);
    if (is_busybox_shell(step.program->real_path, step.exec.arguments, !step.program->script.empty())) step.policy.is_shell = true;
    if (step.policy.is_shell) {
      step.tells_input = options_.policy_table->may_be_shell(step.program->real_path);
      auto text = shell_text(step.exec, step.program->script);
      const FdPayload* input = step.exec.fd(0);
      if (!text && input && input->kind == fd_null) text = std::string();
      if (!text) {
        // From standard input: looked through as it comes, see handle_input().
        step.runs_input = step.tells_input;
        if (step.runs_input) step.not_storable("runs a text that is not known beforehand");
        else step.spoil("runs a text that is not known beforehand");
      }
      step.text = text.value_or(std::string());
      // The operator may come from outside.
      const bool is_told_to = std::ranges::any_of(step.exec.arguments, [](const std::string& word) { return shell_text_compares_times(" " + word + " "); });
      if (is_told_to || shell_text_compares_times(step.text)) {
        step.policy.stat_aspects = look_aspects;
        step.policy.ignores_fstat = false;
      }
      if (shell_text_varies(without_chosen_variables(step.text, options_.policies))) step.spoil("its text asks for a process id, the clock or random numbers");
      if (step.policy.environment == EnvironmentUse::shell) {
        if (!text) step.whole_environment = true;
        // So may names.
        std::string words = step.text;
        for (const std::string& word : step.exec.arguments) words += '\n' + word;
        need_names_in(step, words);
        for (const auto& [name, value] : step.exec.variables)
          if (name.starts_with("BASH_FUNC_")) step.variables.insert(name);
      } else {
        step.whole_environment = step.policy.environment == EnvironmentUse::whole;
      }
    } else {
      step.whole_environment = step.policy.environment == EnvironmentUse::whole;
    }
    step.guards_environment = step.whole_environment && guards_environment(*step.program, *options_.policy_table);
    if (step.guards_environment) step.whole_environment = false;
    if (const std::string_view path = step.program->real_path; path.ends_with("/env") || path.ends_with("/printenv")) step.variables.emplace("_");
    if (step.policy.is_awk) {
      step.text = awk_text(step.exec);
      if (awk_text_varies(step.text) || step.exec.flags & exec_too_big) step.policy.ignored_clocks = 0, step.policy.ignores_random = false;
      if (step.text.find("ENVIRON") != step.text.npos) step.whole_environment = true;
    }
    step.spoil_by_processor(step.program->counter, step.program->random);
    if (!step.policy.script_options.empty()) {
      const std::string_view script = step.program->script.empty() ? script_argument(step.exec.arguments, step.policy.script_options) : step.exec.program;
      if (!script.empty()) step.script = paths_.resolve(process->directory, script, true).path;
    }
    for (const Step* around = outer; around; around = around->parent)
      if (around->owns(step.file, event.position)) {
        observe_what_runs(*process, event.position);
        break;
      }
    if (!(step.exec.flags & exec_too_big)) step.key = step_key_of(step.exec, step.identity, *session_digest_, process->attributes);
  }
  if (recipes_) begin_in_recipe(step, process->parent_pid);
  for (const std::string& argument : step.exec.arguments) {
    if (argument.empty() || temporary_names_.empty()) continue;
    const std::size_t slash = argument.find('/');
    if (slash == argument.npos) continue;
    const PathId path = paths_.resolve(process->directory, std::string_view(argument).substr(slash), false).path;
    if (temporary_names_.count(path)) step.not_storable("has the name of a temporary file among its arguments");
  }
  if (event.slot >= 0) decide_(step, event.slot);
}

// A program that a step around made is none of that step's needs, but the interpreter and the libraries it runs with are.
void Recorder::observe_what_runs(Process& process, Position at) {
  Step& step = *process.step;
  const Program& program = *step.program;
  if (!program.script.empty()) {
    const auto interpreter = parts_.programs->look_up(program.real_path, step.exec.library_path);
    if (!interpreter) return step.spoil(program.real_path + ": the interpreter could not be looked at");
    step.programs.push_back({program.real_path, step.exec.library_path, options_.policy_table->with_rows((*interpreter)->identity, (*interpreter)->real_path),
                             paths_.resolve(paths_.intern("/"), program.real_path, true).path, at});
    return;
  }
  if (program.is_static) return;
  const std::string images = parts_.cache_directory + "/images/";
  for (std::string_view rest = program.preload; !rest.empty();) {
    const std::string_view library = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), library.size() + 1));
    if (library == parts_.shim_path || library.starts_with(images)) continue;
    observe_bytes(process, resolve(process, library, true, at), at);
  }
}

void Recorder::handle_exec_failed(Process& process, const Event& event) {
  Step* step = process.step;
  if (!process.exec_pending || step->main_pid != process.pid) return;
  Step* outer = step->parent;
  process.exec_pending = false;
  process.step = outer;
  if (outer) {
    --outer->open_steps;
    ++outer->processes;
    bool complete = true;
    const PathId path = resolve(process, step->exec.program, true, event.position, &complete);
    if (event.result == -ENOEXEC) observe_bytes(process, path, event.position, true);
    else if (event.result == -ENOENT && complete && parts_.view->look(paths_.text(path)).type != FileType::absent)
      observe_missing_interpreter(process, path, event.position);
    else if (event.result == -EACCES && (is_kept_by_mount(paths_.text(path)) || ::faccessat(AT_FDCWD, paths_.text(path).c_str(), X_OK, AT_EACCESS) == 0))
      spoil(process, paths_.text(path) + not_for_its_mode);  // it may be for that of its interpreter
    else observe_failure(process, path, complete, -event.result, event.position);
  }
  if (recipes_) leave_recipe(*step);
  steps_.erase(step->number);
}

// The file is there and could not be executed all the same: what it names to run it with is not.
void Recorder::observe_missing_interpreter(Process& process, PathId path, Position at) {
  const std::string text = text_of_file(paths_.text(path)).value_or(std::string()).substr(0, 256);
  const std::size_t start = text.find_first_not_of(" \t", 2), end = text.find_first_of(" \t\n", start);
  if (!text.starts_with("#!/") && !(text.starts_with("#! ") && start != text.npos && text[start] == '/'))
    return spoil(process, paths_.text(path) + " could not be executed, for its interpreter is missing");
  observe_bytes(process, path, at, true);
  bool complete = true;
  const PathId interpreter = resolve(process, std::string_view(text).substr(start, end - start), true, at, &complete);
  observe_failure(process, interpreter, complete, ENOENT, at);
}

bool Recorder::verify_observations(Step& step) {
  bool all = true;
  for (auto& [path, use] : step.uses) {
    if (!(use.aspects & aspect_bytes) || use.unknown || use.facts.type != FileType::regular) continue;
    const auto found = states_.find(path);
    if (found == states_.end() || found->second.pass == pass_) continue;
    PathState& state = found->second;
    // A later write by the session is no reason for doubt: what was seen was noted before.
    if (state.last_write > use.observed_first || state.digest != use.contents.bytes) continue;
    const PathFacts now = parts_.view->look(paths_.text(path));
    if (same_file(now, state.facts)) {
      state.pass = pass_;
      continue;
    }
    // Replaced as a whole: who had it open kept the old one.
    if (now.inode != state.facts.inode || now.type != FileType::regular) continue;
    const auto digest = parts_.view->bytes(paths_.text(path), &state.facts);
    if (digest && *digest == *use.contents.bytes) continue;
    state.digest.reset();
    use.unknown = true;
    all = false;
  }
  return all;
}

// Of a name that a step has made and taken away again nothing is left in its result by which a replay could tell that it
// may be made there.
void Recorder::observe_leave_to_make_names(Step& step, Position at) {
  std::set<PathId> directories;
  for (const auto& [path, use] : step.uses)
    if (use.contents_changed && use.was_absent && !use.present) directories.insert(paths_.parent(path));
  for (const PathId directory : directories) {
    constexpr std::uint32_t aspects = aspect_type | aspect_mode;
    const auto known = step.uses.find(directory);
    if (known != step.uses.end() && ((known->second.aspects & aspects) == aspects || known->second.mode_set)) continue;
    if (step.owns(directory, never)) continue;
    const PathFacts facts = parts_.view->look(paths_.text(directory));
    if (facts.type != FileType::directory || touched_later(directory, at, true)) step.uses[directory].unknown = true;
    else step.observe(directory, aspects, facts, {}, at, false);
  }
}

// What the step has changed, and what is there now, in the order of the first change. Among the names of one file the
// one that the step may have found there comes first: the file is written where it is, and gets the others.
std::vector<Recorder::Changed> Recorder::changes_of(const Step& step) {
  std::vector<Changed> changes;
  for (const auto& [path, use] : step.uses)
    if (use.changed()) changes.push_back({path, &use, parts_.view->look(paths_.text(path))});
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint32_t> found_there;  // file -> order
  for (const auto& [path, use, facts] : changes) {
    if (facts.type != FileType::regular || facts.links < 2 || use->fresh) continue;
    const auto [place, is_first] = found_there.emplace(std::pair(facts.device, facts.inode), use->order);
    if (!is_first) place->second = std::min(place->second, use->order);
  }
  const auto rank = [&](const Changed& each) {
    const auto file = found_there.find(each.inode());
    const bool is_later = file != found_there.end() && each.use->fresh && each.use->order < file->second;
    return is_later ? std::pair(file->second, each.use->order) : std::pair(each.use->order, 0u);
  };
  std::sort(changes.begin(), changes.end(), [&](const Changed& a, const Changed& b) { return rank(a) < rank(b); });
  return changes;
}

namespace {

// What is written last has the latest time, whichever was begun first; and what was written within one tick the same.
void note_order_of_times(std::vector<Change>& changes, const std::vector<std::int64_t>& times) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < changes.size(); ++i)
    if (!changes[i].times_set && (changes[i].what == Change::What::file || changes[i].what == Change::What::symlink || changes[i].what == Change::What::attributes))
      order.push_back(i);
  const auto is_not_later = [&](std::size_t a, std::size_t b) { return times[a] >= times[b]; };
  if (std::adjacent_find(order.begin(), order.end(), is_not_later) == order.end()) return;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return times[a] < times[b]; });
  std::int64_t place = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || times[order[i]] != times[order[i - 1]]) ++place;
    changes[order[i]].mtime_ns = place;
  }
}

}  // namespace

bool Recorder::collect_result(Step& step, Position at, StepResult& result, std::string& problem) {
  const std::vector<Changed> changes = changes_of(step);
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> name_counts;
  for (const Changed& each : changes)
    if (each.use->contents_changed) ++name_counts[each.inode()];
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> inodes;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> found_there;  // the first name of each file that was written where it was
  std::set<std::pair<std::uint64_t, std::uint64_t>> older;  // files with several names that the step did not make
  constexpr const char* changed_by_new_name = ": is a new name of an older file, whose mode or times were changed by it";
  std::vector<std::int64_t> times;  // of each change in the result
  std::map<PathId, bool> gives_access_lists;  // by directory
  for (const auto& [path, use, facts] : changes) {
    const std::string& text = paths_.text(path);
    if (touched_later(path, at)) {
      problem = text + ": was changed again before it could be kept";
      return false;
    }
    const bool exists = facts.type != FileType::absent;
    // Opened to be written to, and not written to: that it has these contents is a need, and that is all.
    const bool is_older = !use->fresh && !use->was_absent && !use->attributes_changed && !use->times_set && use->moved_from == no_path && use->linked_to == no_path;
    if (facts.type == FileType::regular && use->contents_changed && is_older && facts.mtime_ns < step.floor_ns - tick_ns && !use->unknown && use->aspects & aspect_bytes) {
      // What is written through a mapping does not change the time on every file system.
      PathFacts read;
      if (const auto digest = parts_.view->bytes(text, &read); digest && use->contents.bytes == *digest && read.identity() == facts.identity()) continue;
    }
    // It must be as the step left it: what others did since is none of its result.
    if ((use->contents_changed && exists != use->present) || (exists && step.ended_ns > 0 && facts.ctime_ns > step.ended_ns && facts.type != FileType::directory)) {
      problem = text + ": was changed again before it could be kept";
      return false;
    }
    // Nor is what somebody has put back in its place. (What went along with its directory keeps its ctime, and the kernel's own
    // clock is late by up to one of its ticks.)
    if (exists && use->moved_from == no_path && facts.type != FileType::directory && facts.ctime_ns < step.floor_ns - tick_ns) {
      problem = text + ": was changed again before it could be kept";
      return false;
    }
    // Times of a directory change with each name in it. Its mode is what it was made with, if the step has not set another.
    if (facts.type == FileType::directory && use->fresh && !use->mode_set && use->made_mode >= 0 &&
        (facts.mode & 0777) != static_cast<std::uint32_t>(use->made_mode)) {
      problem = text + ": has another mode than it was made with, which somebody else may have set";
      return false;
    }
    // A time of change may be late by a tick, so that of a file does not tell it either.
    if (facts.type == FileType::regular && use->contents_changed && (use->fresh || use->was_absent) && !use->mode_set && use->creation_mode >= 0 && use->moved_from == no_path &&
        (facts.mode & 0777) != (static_cast<std::uint32_t>(use->creation_mode) & 0777)) {
      problem = text + ": has another mode than it was made with, which somebody else may have set";
      return false;
    }
    Change change;
    change.path = text;
    change.mode = facts.mode;
    change.fresh = use->fresh;
    change.mode_set = use->mode_set;
    change.times_set = use->times_set;
    if (change.times_set) change.mtime_ns = facts.mtime_ns;
    if (use->moved_from != no_path) change.moved_from = paths_.text(use->moved_from);
    // Opened without knowing whether it was there: if it is not the next time, it is made with the mode asked for.
    if (!use->fresh && !use->mode_set && !use->was_absent && use->creation_mode >= 0) change.mode = static_cast<std::uint32_t>(use->creation_mode);
    if (exists && facts.uid != uid_ && (use->fresh || use->was_absent)) {
      problem = text + ": belongs to somebody else";
      return false;
    }
    if (use->contents_changed && (use->fresh || use->was_absent) && (facts.type == FileType::regular || facts.type == FileType::directory)) {
      const auto [known, is_new] = gives_access_lists.emplace(paths_.parent(path), false);
      if (is_new) known->second = parts_.view->gives_access_lists(paths_.text(known->first));
      if (known->second) {
        problem = text + ": was made in a directory with a default access list";
        return false;
      }
    }
    switch (facts.type) {
      case FileType::absent:
        if (!use->contents_changed || (use->was_absent && (use->temporary || !use->replaceable()))) continue;
        change.what = Change::What::removed;
        change.mode = 0;
        break;
      case FileType::regular: {
        if (!use->contents_changed) {
          change.what = Change::What::attributes;
          break;
        }
        change.what = Change::What::file;
        const auto inode = std::pair(facts.device, facts.inode);
        const bool is_older = !use->fresh && !use->was_absent;
        if (facts.links > 1 && is_older) older.insert(inode);
        if (facts.links > 1 && is_older && !found_there.emplace(inode, text).second) {
          problem = text + ": was there as another name of " + found_there[inode] + ", and was written to under both";
          return false;
        }
        if (facts.links > 1) {
          if (const auto known = inodes.find(inode); known != inodes.end()) {
            if (use->attributes_changed && older.contains(inode)) {
              problem = text + changed_by_new_name;
              return false;
            }
            change.what = Change::What::hard_link;
            change.text = known->second;
            break;
          }
          inodes.emplace(inode, text);
          if (use->linked_to != no_path && !step.owns(use->linked_to, never)) {
            const PathFacts other = parts_.view->look(paths_.text(use->linked_to));
            if (other.device == facts.device && other.inode == facts.inode) {
              if (use->attributes_changed) {
                problem = text + changed_by_new_name;
                return false;
              }
              older.insert(inode);
              change.what = Change::What::hard_link;
              change.text = paths_.text(use->linked_to);
              break;
            }
          }
        }
        // It was moved here, or is a new name that was written to; its other names are none of the step's.
        if (use->fresh && facts.links > 1 && name_counts[inode] < facts.links) {
          problem = text + ": has other names as well";
          return false;
        }
        PathState& state = states_[path];
        std::optional<Digest> digest;
        if (state.digest && same_file(state.facts, facts) && parts_.blobs->has(*state.digest)) {
          digest = state.digest;
        } else {
          PathFacts kept;
          const auto stored = parts_.view->keep_bytes(text, &kept);
          if (!stored) {
            problem = stored.error().message;
            return false;
          }
          // Written to in between, perhaps by another of its names.
          if (kept.identity() != facts.identity()) {
            problem = text + ": was changed again before it could be kept";
            return false;
          }
          state.facts = kept;
          state.digest = digest = *stored;
          state.pass = pass_;
        }
        change.content = *digest;
        change.bytes = state.facts.bytes;
        break;
      }
      case FileType::directory:
        change.what = use->contents_changed ? Change::What::directory : Change::What::attributes;
        break;
      case FileType::symlink: {
        if (facts.links > 1) {
          problem = text + ": is a symbolic link that has other names as well";
          return false;
        }
        change.what = Change::What::symlink;
        const auto target = parts_.view->target(text);
        if (!target) {
          problem = target.error().message;
          return false;
        }
        change.text = *target;
        change.mode = 0;
        break;
      }
      default: problem = text + ": is a special file"; return false;
    }
    if (change.what == Change::What::attributes && !use->attributes_changed) continue;
    result.changes.push_back(std::move(change));
    times.push_back(facts.mtime_ns);
  }
  note_order_of_times(result.changes, times);
  result.streams = step.streams;
  for (const auto& [fd, offset] : step.positions) result.positions.push_back({fd, offset});
  result.status = step.status;
  result.wall_ns = static_cast<std::uint64_t>(now_ns(CLOCK_MONOTONIC) - step.began_ns);
  return true;
}

bool Recorder::reads_its_output(const Step& step) const {
  const ExecRecord& exec = step.exec;
  if (!exec.may_write_to_files()) return false;
  for (const auto& [fd, file] : step.inherited_files)
    if (const FdPayload* given = exec.fd(fd); given && exec.may_write_to(given->device, given->inode)) return true;
  return std::ranges::any_of(step.uses, [&](const auto& each) {
    const auto& [path, use] = each;
    if (use.aspects == 0 || use.facts.type != FileType::regular || use.replaceable()) return false;
    const PathFacts facts = use.facts.inode ? use.facts : parts_.view->look(paths_.text(path));
    return exec.may_write_to(facts.device, facts.inode);
  });
}

// The steps around it may hide the number in what they make of it, so this is looked for whether it can be stored or not.
void Recorder::spoil_if_numbers_show(Step& step, Position at) {
  if (step.numbers.empty() || !step.spoils.empty()) return;
  StepResult result;
  std::string problem;
  if (!collect_result(step, at, result, problem) || shows_number(result, step.numbers, *parts_.blobs)) step.spoil("tells the number of a process");
}

bool Recorder::store(Step& step, Position at, std::string& reason) {
  if (!step.spoils.empty()) reason = step.spoils;
  else if (!step.unstorable.empty()) reason = step.unstorable;
  else if (step.policy.is_shell && step.status != 0 && step.text.find("trap") != step.text.npos) reason = "may have been interrupted";
  else if (!step.key) reason = step.exec.program + ": could not be analysed";
  if (!reason.empty()) return false;
  NeedSet names;
  NeedValues values;
  collect_needs(step, paths_, names, values, reason);
  StepResult result;
  // make, among others, warns of it, until that time has come.
  const auto is_from_the_future = [now = now_ns(CLOCK_REALTIME)](const auto& each) {
    return each.second.aspects & aspect_times && each.second.facts.mtime_ns > now;
  };
  if (reason.empty() && std::ranges::any_of(step.uses, is_from_the_future)) reason = "asks for the time of a file from the future";
  if (reason.empty() && reads_its_output(step)) reason = reads_its_output_reason;
  if (reason.empty()) collect_result(step, at, result, reason);
  // As long as the command lives, nobody waits for its end to do something else with its files. If it has been killed,
  // what has been looked at may be something else already, a directory put back in its place for one.
  pollfd end{top_process_.get(), POLLIN, 0};
  if (reason.empty() && top_process_ && ::poll(&end, 1, 0) == 1) reason = "was not looked at before the command had ended";
  LastRun run;
  run.program = step.exec.program;
  run.arguments = step.exec.arguments;
  run.directory = step.exec.directory;
  run.need_set = digest_of(names);
  run.values = values;
  run.when_ns = now_ns(CLOCK_REALTIME);
  run.not_stored = reason;
  if (!reason.empty()) return false;
  const auto stored = parts_.cache->store(*step.key, step.exec.short_key, names, values, result, run);
  if (!stored) reason = stored.error().message;
  return stored.has_value();
}

void Recorder::finish(Step& step, Position at) {
  std::string reason;
  bool stored = false;
  if (!step.replayed) {
    if (step.script != no_path && !step.before_script.empty()) step.spoil(step.before_script);
    for (auto& [path, use] : step.uses)
      if (!use.times_matter && use.facts.type == FileType::directory && (use.aspects & aspect_listing)) use.aspects &= ~std::uint32_t{aspect_times | aspect_links};  // its links are the directories in it
    // What would have been put in lines of that length was not there.
    if (step.streams.empty() && step.policy.ignores_standard_input) {
      std::erase_if(step.descriptors, [](const auto& each) { return each.second == fd_asked_window; });
      for (auto& [fd, questions] : step.descriptors) questions &= ~std::uint32_t{fd_asked_window};
    }
    verify_observations(step);
    observe_leave_to_make_names(step, at);
    if (!step.started) step.spoil(step.program && step.program->untraced ? step.program->reason : step.exec.program + ": ran without the shim");
    spoil_if_numbers_show(step, at);
    if (recipes_ && step.is_make) step.spoil(told_what_holds);
    stored = store(step, at, reason);
    // What it changed was not logged.
    if (!step.started || (step.program && !step.program->spoils.empty())) parts_.programs->doubt();
  }
  finished_(step, stored, reason);
  if (step.parent && !stored && !step.replayed) step.parent->numbers.merge(step.numbers);
  if (step.parent) merge_into(*step.parent, step, paths_);
  if (recipes_) end_in_recipe(step, at);
}

}  // namespace broker
