#include "broker/policy.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

namespace broker {
namespace {

bool is_name_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

template <class Visit>
void each_word(std::string_view text, Visit visit) {
  for (std::size_t i = 0; i < text.size();) {
    if (!is_name_character(text[i])) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < text.size() && is_name_character(text[end])) ++end;
    visit(text.substr(i, end - i), i);
    i = end;
  }
}

template <std::size_t n>
bool is_one_of(std::string_view word, const std::array<std::string_view, n>& list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

bool is_busybox_shell(std::string_view program, const std::vector<std::string>& arguments, bool is_script) {
  const auto last_component = [](std::string_view path) { return path.substr(path.rfind('/') + 1); };
  if (last_component(program) != "busybox") return false;
  if (is_script) return true;
  if (arguments.empty()) return false;
  std::string_view applet = last_component(arguments[0]);
  if (applet == "busybox" && arguments.size() > 1) applet = arguments[1];
  return applet == "sh" || applet == "-sh" || applet == "ash" || applet == "hush";
}

std::optional<std::vector<std::string>> shell_names(std::string_view text) {
  // Words with which a text can reach variables it does not name.
  constexpr std::array<std::string_view, 14> makers{"eval", "set",     "export", "declare", "typeset",  "local", "compgen",
                                                    "source", "readonly", "env",    "printenv", "command", "exec",  "trap"};
  if (text.size() > short_text_max) return std::nullopt;
  std::set<std::string, std::less<>> names;
  bool makes_names = false;
  each_word(text, [&](std::string_view word, std::size_t) {
    if (is_one_of(word, makers) && word != "exec" && word != "trap" && word != "command" && word != "env" && word != "printenv")
      makes_names = true;
    if (!std::isdigit(static_cast<unsigned char>(word[0]))) names.emplace(word);
  });
  // ". file" runs text from elsewhere; "~" is HOME; "${!x}" is bash's way of making names.
  for (std::size_t at = text.find('.'); at != text.npos; at = text.find('.', at + 1))
    if ((at == 0 || text[at - 1] == ' ' || text[at - 1] == '\t' || text[at - 1] == ';' || text[at - 1] == '\n' || text[at - 1] == '&' ||
         text[at - 1] == '(' || text[at - 1] == '|') &&
        at + 1 < text.size() && (text[at + 1] == ' ' || text[at + 1] == '\t'))
      makes_names = true;
  for (const std::string_view made_up : {"-v $", "-v \"$"}) makes_names = makes_names || text.find(made_up) != text.npos;
  if (text.find("${!") != text.npos || text.find("((") != text.npos) makes_names = true;
  if (text.find("cd -") != text.npos || text.find("~-") != text.npos) names.emplace("OLDPWD");
  if (makes_names) return std::nullopt;
  for (const char* own : {"PATH", "IFS", "HOME", "PWD", "CDPATH", "ENV", "PS4", "LANG", "LC_ALL", "LC_CTYPE", "LC_COLLATE", "LC_MESSAGES", "PPID",
                          "OPTIND", "POSIXLY_CORRECT", "BASH_ENV", "SHELLOPTS", "BASHOPTS", "TMPDIR",
                          "BASH_COMPAT", "BASH_LOADABLES_PATH", "BASH_XTRACEFD", "CHILD_MAX", "COLUMNS", "EXECIGNORE", "FUNCNEST", "GLOBIGNORE",
                          "LANGUAGE", "LC_NUMERIC", "LC_TIME", "LINES", "LOCPATH", "NLSPATH", "OPTERR", "TEXTDOMAIN", "TEXTDOMAINDIR", "TIMEFORMAT", "TMOUT"})
    names.emplace(own);
  return std::vector<std::string>(names.begin(), names.end());
}

bool awk_text_varies(std::string_view text) {
  for (const std::string_view word : {"rand", "time", "PROCINFO"})
    if (text.find(word) != text.npos) return true;
  return false;
}

bool perl_text_varies(std::string_view text) {
  if (text.find("^T") != text.npos || text.find("BASETIME") != text.npos) return true;
  // -M, -A and -C of a file: its age when the program began.
  for (std::size_t at = 0; (at = text.find('-', at)) != text.npos; ++at) {
    if (at + 2 >= text.size() || (text[at + 1] != 'M' && text[at + 1] != 'A' && text[at + 1] != 'C')) continue;
    const std::size_t next = text.find_first_not_of(" \t\n", at + 2);
    if (next == text.npos) continue;
    const char c = text[next];
    const bool is_apart = next > at + 2 && (c == '<' || (c >= 'A' && c <= 'Z'));
    if (is_apart || c == '$' || c == '"' || c == '\'' || c == '(' || c == '_' || c == '`') return true;
    // Of $_, for nothing follows that could be a file. "-C, --directory" stands in a text for users.
    const std::size_t behind = c == ',' ? text.find_first_not_of(" \t\n", next + 1) : text.npos;
    const bool is_option_told = behind != text.npos && text[behind] == '-' && text.substr(behind, 2) == "--";
    if (!is_option_told && std::string_view(",;)}]>=&|?:+*/.!").find(c) != std::string_view::npos) return true;
    std::size_t word_end = next;
    while (word_end < text.size() && is_name_character(text[word_end])) ++word_end;
    constexpr std::array<std::string_view, 15> operators{"shift", "pop", "if", "unless", "for", "foreach", "while", "until", "and", "or", "xor", "cmp", "eq", "x", "lt"};
    if (next > at + 2 && is_one_of(text.substr(next, word_end - next), operators)) return true;
  }
  return false;
}

bool python_text_asks_for_times(std::string_view text) {
  for (const std::string_view word : {"mtime", "MTIME", "ctime", "CTIME", "atime", "ATIME", "[7]", "[8]", "[9]"})
    if (text.find(word) != text.npos) return true;
  return false;
}

bool python_text_asks_of_input(std::string_view text) {
  for (const std::string_view word : {"fstat", "S_IS", "stat(0", "stat(sys.", "stat(fd", "pathconf", "fileno"})
    if (text.find(word) != text.npos) return true;
  return false;
}

bool python_text_measures(std::string_view text) {
  for (const std::string_view word : {"monotonic", "perf_counter", "process_time", "thread_time", "timeit", "clock_gettime", "loop.time"})
    if (text.find(word) != text.npos) return true;
  return false;
}

std::string_view script_argument(const std::vector<std::string>& arguments, std::string_view options) {
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (!argument.starts_with('-')) return argument;
    if (argument.size() < 2 || argument.substr(1).find_first_not_of(options) != argument.npos) return {};
  }
  return {};
}

namespace {

// A short text that can tell numbers of processes without one of the variables that have them.
bool tells_processes(std::string_view text) {
  bool tells = false;
  each_word(text, [&](std::string_view word, std::size_t at) {
    // Where a command may begin.
    const std::size_t last = at == 0 ? text.npos : text.find_last_not_of(" \t", at - 1);
    if (last != text.npos && std::string_view("\n;|&({!`").find(text[last]) == std::string_view::npos && !is_name_character(text[last])) return;
    if (last != text.npos && is_name_character(text[last])) {
      const std::string_view before = text.substr(0, last + 1);
      if (!before.ends_with("do") && !before.ends_with("then") && !before.ends_with("else") && !before.ends_with("builtin") && !before.ends_with("command")) return;
    }
    if (word == "jobs" || (word == "coproc" && text.find("_PID") != text.npos)) tells = true;
    // All variables, unless somebody looks for some of them; or where the shell puts the number of what it waits for.
    const std::size_t next = std::min(text.find_first_not_of(" \t", at + word.size()), text.size());
    const std::string_view rest = text.substr(next);
    const std::string_view words = rest.substr(0, rest.find_first_of("\n;|&)}>"));
    const bool is_filtered = rest.substr(words.size(), 1) == "|";
    bool only_options = true, has_p = false;
    for (std::size_t from = words.find_first_not_of(" \t"); from != words.npos; from = words.find_first_not_of(" \t", from)) {
      const std::size_t end = std::min(words.find_first_of(" \t", from), words.size());
      only_options = only_options && words[from] == '-';
      has_p = has_p || (words[from] == '-' && words.substr(from, end - from).find('p') != words.npos);
      from = end;
    }
    if ((word == "set" || word == "declare" || word == "typeset" || word == "readonly") && only_options && !is_filtered && (word != "set" || words.empty())) tells = true;
    if (word == "wait" && has_p) tells = true;
  });
  return tells;
}

// bash's keyword `time`, where a command may begin.
bool measures_time(std::string_view text) {
  bool measures = false;
  each_word(text, [&](std::string_view word, std::size_t at) {
    const std::size_t end = at + word.size();
    if (word != "time" || (end < text.size() && text[end] != ' ' && text[end] != '\t' && text[end] != '\n')) return;
    while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\t')) --at;
    const std::string_view before = text.substr(0, at);
    measures = measures || before.empty() || std::string_view("\n;&|({!`").find(before.back()) != std::string_view::npos || before.ends_with("do") ||
               before.ends_with("then") || before.ends_with("else");
  });
  return measures;
}

}  // namespace

bool shell_text_varies(std::string_view text) {
  // Scripts of Autoconf use these for the names of temporary files and directories, and for nothing else.
  for (const std::string_view mark : {"Generated by GNU Autoconf", "# Generated by configure.", "Attempt to guess a canonical system name"})
    if (text.substr(0, 2000).find(mark) != text.npos) return false;
  if (text.size() <= short_text_max)
    for (const std::string_view id : {"$$", "$!", "${$", "${!}"})
      if (text.find(id) != text.npos) return true;
  if (text.size() <= short_text_max && tells_processes(text)) return true;
  constexpr std::array<std::string_view, 9> words{"COPROC_PID", "RANDOM", "SRANDOM", "SECONDS", "EPOCHSECONDS", "EPOCHREALTIME", "BASHPID", "PPID", "times"};
  bool varies = measures_time(text) || text.find(")T") != text.npos;  // printf '%(...)T'
  each_word(text, [&](std::string_view word, std::size_t) { varies = varies || is_one_of(word, words); });
  return varies;
}

bool shell_text_compares_times(std::string_view text) {
  // A word of its own, as test and [[ want it, quoted perhaps, or the value of a variable that becomes one.
  const auto is_part = [](char c) { return is_name_character(c) || c == '-'; };
  for (const std::string_view test : {"-nt", "-ot", "-N"})
    for (std::size_t at = text.find(test); at != text.npos; at = text.find(test, at + 1)) {
      const std::size_t end = at + test.size();
      if ((at == 0 || !is_part(text[at - 1])) && (end == text.size() || !is_part(text[end]))) return true;
    }
  // `test a -$1 b`: put together when it is run.
  for (std::size_t at = text.find('-'); at != text.npos; at = text.find('-', at + 1)) {
    if (at == 0 || (text[at - 1] != ' ' && text[at - 1] != '\t' && text[at - 1] != '"')) continue;
    if (text.substr(at + 1, 1) != "$" && text.substr(at + 1, 2) != "\"$" && text.substr(at + 1, 2) != "n$" && text.substr(at + 1, 2) != "o$") continue;
    const std::size_t line = text.rfind('\n', at) + 1;  // npos + 1 is 0
    const std::string_view before = text.substr(line, at - line);
    if (before.find("test ") != before.npos || before.find('[') != before.npos) return true;
  }
  return false;
}

bool is_temporary(std::string_view path) {
  bool there = false;
  for (const std::string_view directory : {"/tmp/", "/var/tmp/", "/dev/shm/"}) there = there || path.starts_with(directory);
  // mkstemp and mkdtemp put six characters of 62 at the end, perhaps before a suffix.
  std::string_view name = path.substr(path.rfind('/') + 1);
  name = name.substr(0, name.rfind('.') == 0 || name.rfind('.') == name.npos || name.rfind('.') < 6 ? name.size() : name.rfind('.'));
  if (!there || name.size() < 6) return false;
  // A word may have six letters too; but gcc's are behind these two, and one in 200 of those has small letters alone.
  bool all = true, mixed = name.size() == 8 && name.starts_with("cc");
  for (const char c : name.substr(name.size() - 6)) {
    all = all && std::isalnum(static_cast<unsigned char>(c));
    mixed = mixed || std::isdigit(static_cast<unsigned char>(c)) || std::isupper(static_cast<unsigned char>(c));
  }
  return all && mixed;
}

}  // namespace broker
