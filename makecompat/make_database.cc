#include "makecompat/make_database.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <sstream>
#include <unordered_map>

#include "cache/base/owned_fd.h"
#include "cache/base/whole_io.h"

namespace makecompat {

using cache::fail;
using cache::Fault;
using cache::Result;

namespace {

constexpr std::string_view place_start = "(from '", line_start = "', line ";

// Of letters for options that take nothing, as make bundles them: -kB.
bool is_bundle(std::string_view word) { return !word.empty() && word.find_first_not_of("BbdeikLmnpqrRsStvw") == word.npos; }

std::string without_letter(std::string_view letters, char letter) {
  std::string left;
  for (const char each : letters)
    if (each != letter) left += each;
  return left;
}

// With -B it would make its makefiles anew; there are no others here to share jobs with.
std::vector<std::string> arguments_for_printing(const std::vector<std::string>& given) {
  std::vector<std::string> all{given.empty() ? "make" : given[0], "-pni", "--no-print-directory", "MAKE=:"};
  for (std::size_t i = 1; i < given.size(); ++i) {
    const std::string& word = given[i];
    if (word == "--always-make" || word.starts_with("-j") || word.starts_with("--jobs") || word.starts_with("-O") || word.starts_with("--output-sync")) {
      // The number may be a word of its own.
      const bool has_number = (word == "-j" || word == "--jobs") && i + 1 < given.size() && given[i + 1].find_first_not_of("0123456789") == std::string::npos;
      if (has_number) ++i;
      continue;
    }
    if (word.starts_with('-') && is_bundle(std::string_view(word).substr(1))) {
      const std::string left = without_letter(word, 'B');
      if (left != "-") all.push_back(left);
      continue;
    }
    all.push_back(word);
  }
  return all;
}

std::string flags_for_printing(std::string_view flags) {
  std::istringstream words{std::string(flags)};
  std::string left;
  bool is_first = true;
  for (std::string word; words >> word; is_first = false) {
    if (is_first && !flags.starts_with(' ') && is_bundle(word)) {
      left = without_letter(word, 'B');
    } else if (!word.starts_with("--jobserver") && !word.starts_with("-j") && !word.starts_with("-O") && !word.starts_with("--output-sync") && word != "--always-make") {
      left += ' ' + word;
    }
  }
  return left;
}

std::vector<std::string> environment_for_printing(const std::vector<std::string>& given) {
  std::vector<std::string> all;
  for (const std::string& variable : given) {
    if (variable.starts_with("MFLAGS=")) continue;
    if (variable.starts_with("MAKEFLAGS=")) all.push_back("MAKEFLAGS=" + flags_for_printing(std::string_view(variable).substr(10)));
    else all.push_back(variable);
  }
  return all;
}

std::vector<char*> pointers_to(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Of this process and all that it executes. Where the kernel does not know how, they may.
void may_write_no_files() {
  landlock_ruleset_attr rights{};
  rights.handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                             LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                             LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
  const cache::OwnedFd rules(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &rights, sizeof rights, 0)));
  if (!rules) return;
  const auto allow = [&](const char* place) {
    const cache::OwnedFd opened(::open(place, O_PATH | O_CLOEXEC));
    landlock_path_beneath_attr beneath{};
    beneath.allowed_access = rights.handled_access_fs;
    beneath.parent_fd = opened.get();
    ::syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
  };
  allow("/dev");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) ::syscall(SYS_landlock_restrict_self, rules.get(), 0);
}

// Without what a shell takes away, and each run of blanks as one.
std::string bare(std::string_view text) {
  std::string all;
  for (const char byte : text) {
    if (byte == '"' || byte == '\'' || byte == '\\') continue;
    const bool is_blank = byte == ' ' || byte == '\t' || byte == '\n';
    if (is_blank && (all.empty() || all.back() == ' ')) continue;
    all += is_blank ? ' ' : byte;
  }
  while (all.ends_with(' ')) all.pop_back();
  return all;
}

// What stands between references to variables and calls of functions.
std::vector<std::string> literal_pieces(std::string_view line, std::string_view target) {
  std::vector<std::string> pieces(1);
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] != '$' || at + 1 == line.size()) {
      pieces.back() += line[at];
      continue;
    }
    const char next = line[++at];
    if (next == '$') {
      pieces.back() += '$';
      continue;
    }
    if (next == '@') {
      pieces.back() += target;
      continue;
    }
    pieces.emplace_back();
    if (next != '(' && next != '{') continue;
    const char closing = next == '(' ? ')' : '}';
    for (int depth = 1; depth > 0 && ++at < line.size();) depth += line[at] == next ? 1 : line[at] == closing ? -1 : 0;
  }
  return pieces;
}

std::string_view line_at(std::string_view text, std::size_t& at) {
  const std::size_t end = std::min(text.find('\n', at), text.size());
  const std::string_view line = text.substr(at, end - at);
  at = end + 1;
  return line;
}

// Where the last line that starts so is; npos: nowhere.
std::size_t last_line(std::string_view text, std::string_view start) {
  for (std::size_t at = text.rfind(start); at != text.npos; at = at == 0 ? text.npos : text.rfind(start, at - 1))
    if (at == 0 || text[at - 1] == '\n') return at;
  return text.npos;
}

// `name: prerequisites | others`, or with two colons.
struct Heading {
  std::string target;
  std::vector<std::string> prerequisites, order_only;
};
std::optional<Heading> heading_in(std::string_view line) {
  std::size_t colon = line.find(": ");
  if (colon == line.npos && line.ends_with(':')) colon = line.size() - 1;
  if (colon == line.npos || colon == 0) return std::nullopt;
  Heading heading;
  heading.target = line.substr(0, line[colon - 1] == ':' ? colon - 1 : colon);
  std::istringstream words{std::string(line.substr(colon + 1))};
  bool is_order_only = false;
  for (std::string word; words >> word;) {
    if (word == "|") is_order_only = true;
    else (is_order_only ? heading.order_only : heading.prerequisites).push_back(word);
  }
  return heading;
}

void note_place(Rule& rule, std::string_view comment, const std::string& directory) {
  rule.has_recipe = true;
  const std::size_t from = comment.find(place_start), middle = comment.rfind(line_start);
  if (from == comment.npos || middle == comment.npos || middle < from) return;
  rule.makefile = path_of(directory, comment.substr(from + place_start.size(), middle - from - place_start.size()));
  const std::string_view number = comment.substr(middle + line_start.size());
  std::from_chars(number.data(), number.data() + number.size(), rule.line);
}

void append(std::vector<std::string>& paths, const std::vector<std::string>& names, const std::string& directory, const std::string& but) {
  for (const std::string& name : names)
    if (std::string path = path_of(directory, name); path != but) paths.push_back(std::move(path));
}

std::set<std::string> reached(const MakeDatabase& database, const std::string& from, bool with_order_only) {
  std::set<std::string> seen, followed{from};
  std::vector<std::string> left{from};
  const auto follow = [&](const std::string& path) {
    if (followed.insert(path).second) left.push_back(path);
  };
  while (!left.empty()) {
    const Rule* const rule = database.rule(left.back());
    left.pop_back();
    if (!rule) continue;
    for (const auto* paths : {&rule->prerequisites, with_order_only ? &rule->order_only : nullptr}) {
      if (!paths) continue;
      seen.insert(paths->begin(), paths->end());
      for (const std::string& path : *paths) follow(path);
    }
    // What makes several files is made of what any of them is made of.
    for (const std::string& path : rule->also_makes) follow(path);
  }
  seen.erase(from);
  return seen;
}

}  // namespace

std::string path_of(const std::string& directory, std::string_view spelled) {
  static std::unordered_map<std::string, std::string> canonical;
  const std::filesystem::path whole = (std::filesystem::path(directory) / spelled).lexically_normal();
  const std::filesystem::path named = whole.has_filename() ? whole : whole.parent_path();
  auto [known, is_new] = canonical.try_emplace(named.parent_path().string());
  if (is_new) {
    std::error_code error;
    known->second = std::filesystem::weakly_canonical(named.parent_path(), error).string();
    if (error) known->second = named.parent_path().string();
  }
  return known->second + (known->second == "/" ? "" : "/") + named.filename().string();
}

const Rule* MakeDatabase::rule(const std::string& path) const {
  const auto found = rules.find(path);
  return found == rules.end() ? nullptr : &found->second;
}

std::set<std::string> MakeDatabase::made_of(const std::string& path) const { return reached(*this, path, false); }
std::set<std::string> MakeDatabase::comes_after(const std::string& path) const { return reached(*this, path, true); }

Result<MakeDatabase> read_make_database(std::string_view text, const std::string& directory) {
  const std::size_t begin = last_line(text, "# Make data base, printed on ");
  const std::size_t files = last_line(text, "# Files\n");
  if (begin == text.npos || files == text.npos || files < begin) return fail(Fault::invalid, "it has printed no data base");
  MakeDatabase database;
  for (std::size_t at = begin; at < files;)
    if (const std::string_view line = line_at(text, at); line.starts_with("MAKEFLAGS ")) database.runs_jobs = line.find(" -j") != line.npos;
  Rule* rule = nullptr;
  bool is_target = true;
  // Variables of the target stand in front of its prerequisites, and look like them: the last such line counts.
  std::optional<Heading> heading;
  const auto begin_rule = [&] {
    const std::string path = path_of(directory, heading->target);
    rule = &database.rules[path];
    rule->is_several = !rule->target.empty();
    rule->target = heading->target;
    append(rule->prerequisites, heading->prerequisites, directory, path);
    append(rule->order_only, heading->order_only, directory, path);
    heading.reset();
  };
  for (std::size_t at = files; at < text.size();) {
    const std::string_view line = line_at(text, at);
    if (line.starts_with("# files hash-table stats")) break;
    if (heading && (line.empty() || line.starts_with("#  ") || line.starts_with('\t'))) begin_rule();
    if (line.empty()) {
      rule = nullptr;
      is_target = true;
    } else if (line.starts_with("# Not a target")) {
      is_target = false;
    } else if (line.starts_with('\t')) {
      if (!rule || !rule->has_recipe) continue;
      rule->recipe.emplace_back(line.substr(1));
      while (rule->recipe.back().ends_with('\\') && at < text.size()) rule->recipe.back() += ' ' + std::string(line_at(text, at));
    } else if (!line.starts_with('#')) {
      if (rule || !is_target) continue;
      if (auto next = heading_in(line)) heading = std::move(next);
    } else if (!rule) {
      continue;
    } else if (line.starts_with("#  Phony target")) {
      rule->is_phony = true;
    } else if (line.starts_with("#  Also makes:")) {
      std::istringstream words{std::string(line.substr(14))};
      std::vector<std::string> names;
      for (std::string word; words >> word;) names.push_back(word);
      append(rule->also_makes, names, directory, path_of(directory, rule->target));
    } else if (line.starts_with("#  recipe to execute")) {
      note_place(*rule, line, directory);
    }
  }
  return database;
}

std::size_t matches(std::string_view recipe_line, std::string_view command, std::string_view target) {
  while (!recipe_line.empty() && std::string_view("@+- \t").find(recipe_line.front()) != std::string_view::npos) recipe_line.remove_prefix(1);
  const std::string whole = bare(command);
  std::size_t at = 0, count = 0;
  for (const std::string& piece : literal_pieces(recipe_line, target)) {
    const std::string words = bare(piece);
    if (words.empty()) continue;
    const std::size_t found = whole.find(words, at);
    if (found == whole.npos) return 0;
    at = found + words.size();
    count += words.size();
  }
  return count;
}

Result<std::string> print_make_database(const MakeToAsk& make) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Fault::io, std::string("no pipe: ") + std::strerror(errno));
  cache::OwnedFd reader(ends[0]), writer(ends[1]);
  const std::vector<std::string> arguments = arguments_for_printing(make.arguments), environment = environment_for_printing(make.environment);
  std::vector<char*> words = pointers_to(arguments), variables = pointers_to(environment);
  const pid_t child = ::fork();
  if (child < 0) return fail(Fault::io, std::string("no process: ") + std::strerror(errno));
  if (child == 0) {
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, 0);
    ::dup2(writer.get(), 1);
    ::dup2(null, 2);
    may_write_no_files();
    // Nothing that it could take for a pipe with leave to run jobs.
    ::close_range(3, ~0u, 0);
    if (::chdir(make.directory.c_str()) == 0) ::execve(make.program.c_str(), words.data(), variables.data());
    ::_exit(127);
  }
  writer.reset();
  std::string text = cache::read_all(reader.get());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return text;
}

}  // namespace makecompat
