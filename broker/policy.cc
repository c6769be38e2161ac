#include "broker/policy.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "cache/record.h"
#include "preload/protocol.h"

namespace broker {
namespace {

// A row that ignores the clock for names of temporary files ignores random numbers too: of the names glibc makes, some
// four in a hundred are drawn again, with getrandom (sysdeps/posix/tempname.c, unfair_min).

using namespace cache;
using namespace preload;

constexpr std::uint32_t everything = aspect_type | aspect_mode | aspect_size | aspect_links | aspect_times;
constexpr std::uint32_t no_times = aspect_type | aspect_mode | aspect_size;
constexpr std::uint32_t kind_only = aspect_type | aspect_mode;

struct Row {
  const char* names;  // of files in system_directories, separated by blanks; a trailing * stands for anything
  Policy policy;
  // Arguments with one of these letters among their single-dash options, or these words, bring back full stat aspects.
  const char* strict_letters;
  const char* strict_words;
  bool takes_bundle = false;  // the first argument is a bundle of letters even without a dash
};

constexpr EnvironmentUse asked = EnvironmentUse::asked, whole = EnvironmentUse::whole, shell = EnvironmentUse::shell;
constexpr std::uint32_t any_clock = clock_by_gettime | clock_by_timeofday | clock_by_time | clock_by_usage;

constexpr Row rows[] = {
    {"cc1 cc1plus cc1obj cc1objplus lto1 f951 x86_64-linux-gnu-cpp*",
     {.stat_aspects = kind_only, .replaces_outputs = true, .ignores_fstat = true,
      .ignored_clocks = clock_by_gettime | clock_by_timeofday | clock_by_usage, .ignores_random = true, .ignores_make = true, .environment = asked,
      .reason = "compiles contents; __DATE__ and __TIME__ ask time(), which counts; other clocks seed names of temporary symbols"},
     "", ""},
    {"x86_64-linux-gnu-gcc* x86_64-linux-gnu-g++* gcc* g++* c++* collect2 lto-wrapper c89 c99 c89-gcc c99-gcc",
     {.stat_aspects = kind_only, .replaces_outputs = true, .ignores_fstat = true, .ignored_clocks = any_clock, .ignores_random = true,
      .ignores_make = true, .environment = asked,
      .reason = "a driver: looks for files by name, and takes clock and random numbers for names of temporary files only"},
     "", ""},
    {"as x86_64-linux-gnu-as ld ld.bfd ld.gold x86_64-linux-gnu-ld x86_64-linux-gnu-ld.bfd x86_64-linux-gnu-ld.gold",
     {.stat_aspects = kind_only, .replaces_outputs = true, .ignores_fstat = true,
      .ignored_clocks = clock_by_usage | clock_by_gettime | clock_by_timeofday, .ignores_random = true, .ignores_make = true,
      .makes_new_files = true, .environment = asked,
      .reason = "reads contents and writes an output of its own making; clock and random numbers are for statistics and temporary names"},
     "", ""},
    {"ar ranlib x86_64-linux-gnu-ar x86_64-linux-gnu-ranlib gcc-ar gcc-ranlib x86_64-linux-gnu-gcc-ar x86_64-linux-gnu-gcc-ranlib",
     {.stat_aspects = kind_only | aspect_size, .ignores_fstat = true, .ignored_clocks = any_clock, .ignores_random = true, .environment = asked,
      .reason = "archives are deterministic unless told otherwise (U): members have time zero, and u is ignored"},
     "U", "", true},
    {"gcc-nm nm x86_64-linux-gnu-nm strip x86_64-linux-gnu-strip objcopy x86_64-linux-gnu-objcopy objdump x86_64-linux-gnu-objdump "
     "readelf x86_64-linux-gnu-readelf size strings",
     {.stat_aspects = kind_only | aspect_size, .ignores_fstat = true, .ignored_clocks = any_clock, .ignores_random = true, .environment = asked,
      .reason = "reads contents; times are kept only if told to"},
     "pU", "--preserve-dates --disable-deterministic-archives"},
    {"make gmake",
     {.stat_aspects = everything, .ignores_listed_directory_times = true,
      .ignored_clocks = clock_by_gettime | clock_by_timeofday | clock_by_time, .ignores_random = true, .environment = whole,
      .reason = "asks the clock only to warn of files from the future"},
     "", ""},
    {"dash sh",
     {.stat_aspects = no_times, .ignores_fstat = true, .is_shell = true, .environment = shell, .reason = "runs the text it is given"},
     "", ""},
    {"bash",
     {.stat_aspects = no_times, .ignores_fstat = true, .ignored_clocks = any_clock, .ignores_random = true, .is_shell = true,
      .environment = shell, .reason = "takes clock and random numbers when it starts, for variables that the text must name to use"},
     "", ""},
    {"test [",
     {.stat_aspects = no_times, .ignores_fstat = true, .environment = asked, .reason = "compares times only if told to"},
     "", "-nt -ot -ef -N"},
    {"sleep usleep",
     {.stat_aspects = kind_only, .ignores_fstat = true, .ignored_clocks = any_clock, .waits = true, .environment = asked,
      .reason = "waits, and somebody may rely on it; what is around it may still be replayed as a whole"},
     "", ""},
    {"mktemp",
     {.stat_aspects = kind_only, .ignores_fstat = true, .ignored_clocks = any_clock, .ignores_random = true, .environment = asked,
      .reason = "makes up a name; whoever asked for it wants nothing but that nobody else has it"},
     "", ""},
    {"rm rmdir mkdir unlink ln mv chmod true false echo printf pwd basename dirname expr sync nice nohup realpath readlink "
     "uname arch hostname nproc",
     {.stat_aspects = kind_only, .ignores_fstat = true, .ignored_clocks = any_clock, .ignores_random = true, .ignores_file_system = true,
      .environment = asked, .reason = "looks at names and kinds of files, not at times; clock and random numbers are for temporary names"},
     "", ""},
    {"sort",
     {.stat_aspects = no_times, .ignores_fstat = true, .ignored_clocks = any_clock, .ignores_random = true, .environment = asked,
      .reason = "reads contents; clock and random numbers are for temporary names and the size of buffers, unless told to shuffle"},
     "R", "--random-sort --sort"},
    {"cat head tail uniq cut tr wc comm paste join fold fmt nl od tac rev tee split csplit md5sum sha1sum sha256sum cksum sum "
     "grep egrep fgrep sed cmp m4 bison flex tsort seq yes factor base64 bunzip2 bzip2 xz unxz zstd",
     {.stat_aspects = no_times, .ignores_fstat = true, .ignored_clocks = any_clock, .ignores_random = true, .ignores_file_system = true,
      .environment = asked, .reason = "reads contents; clock and random numbers are for temporary names and the size of buffers"},
     "", ""},
    {"mawk gawk awk original-awk",
     {.stat_aspects = no_times, .ignores_fstat = true, .ignored_clocks = any_clock, .ignores_random = true, .is_awk = true,
      .environment = asked, .reason = "takes clock and random numbers when it starts, for functions that the program must name to use"},
     "", ""},
    {"cp install",
     {.stat_aspects = no_times, .ignores_fstat = true, .ignored_clocks = any_clock, .ignores_random = true, .ignores_file_system = true,
      .environment = asked, .reason = "copies contents and modes; times only if told to"},
     "paCu", "--preserve --archive --update --compare --preserve-timestamps"},
    {"ls dir vdir",
     {.stat_aspects = no_times, .ignored_clocks = any_clock, .ignores_file_system = true, .environment = asked,
      .reason = "shows times only if told to"},
     "lntcugosTUS", "--sort --time --full-time --size --format"},
    {"find",
     {.stat_aspects = kind_only, .ignores_fstat = true, .ignored_clocks = any_clock, .ignores_file_system = true, .environment = asked,
      .reason = "looks at names and kinds; at times, sizes and links only if told to"},
     "", "-newer* -mtime -mmin -atime -amin -ctime -cmin -used -daystart -size -empty -links -inum -samefile -printf -fprintf -ls -fls -anewer "
     "-cnewer"},
    {"cmake ctest cpack",
     {.stat_aspects = everything, .ignores_random = true, .environment = asked,
      .reason = "takes random numbers for names of temporary files; string(RANDOM) reads a device, which counts"}, "", ""},
    {"git tar clang date touch stat du df diff gzip gunzip zcat",
     {.stat_aspects = everything, .environment = asked, .reason = "reads single variables"}, "", ""},
};

bool matches(std::string_view names, std::string_view name) {
  while (!names.empty()) {
    const std::size_t end = std::min(names.find(' '), names.size());
    const std::string_view one = names.substr(0, end);
    if (one == name || (one.ends_with('*') && name.starts_with(one.substr(0, one.size() - 1)))) return true;
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return false;
}

bool matches_pattern(std::string_view names, std::string_view word) { return !word.starts_with("--") && matches(names, word); }

bool begins_one(std::string_view names, std::string_view start) {
  while (!names.empty()) {
    const std::size_t end = std::min(names.find(' '), names.size());
    if (names.substr(0, end).starts_with(start)) return true;
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return false;
}

bool in_system_directory(std::string_view path) {
  for (const std::string_view directory : {"/usr/bin/", "/bin/", "/usr/lib/gcc/", "/usr/libexec/gcc/", "/usr/sbin/", "/sbin/", "/usr/local/bin/",
                                           "/usr/lib/llvm"})
    if (path.starts_with(directory)) return true;
  return false;
}

bool has_strict_argument(const Row& row, const std::vector<std::string>& arguments) {
  const std::string_view letters = row.strict_letters, words = row.strict_words;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--") break;
    if (letters.empty() && argument.starts_with("-")) {
      // find: its words have one dash.
      if (matches_pattern(words, argument)) return true;
    } else if (argument.starts_with("--")) {
      // Long options may be shortened.
      if (begins_one(words, argument.substr(0, argument.find('=')))) return true;
    } else if (argument.size() > 1 && (argument[0] == '-' || (row.takes_bundle && i == 1 && argument.find_first_of("./") == argument.npos))) {
      if (argument.find_first_of(letters) != argument.npos) return true;
    }
  }
  return false;
}

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

Policy policy_for(std::string_view program, const std::vector<std::string>& arguments) {
  Policy strict{everything};
  const std::string_view name = program.substr(program.rfind('/') + 1);
  // Wherever it is: what comes first is the seed of the hash of strings, and a result that depends on that is another one
  // each time anyway. random, uuid and tempfile ask for more.
  if (matches("python3*", name)) {
    strict.ignored_random_bytes = 24;
    strict.ignores_listed_directory_times = true;
    strict.reason = "takes a seed for its hash of strings, and looks at directories' times to know when to list them again";
  }
  if (!in_system_directory(program)) return strict;
  // It writes its date into the header that it is told to omit.
  if (name == "xgettext" && std::find(arguments.begin(), arguments.end(), "--omit-header") != arguments.end()) strict.ignored_clocks = any_clock;
  for (const Row& row : rows) {
    if (!matches(row.names, name)) continue;
    Policy policy = row.policy;
    if (has_strict_argument(row, arguments)) {
      policy.stat_aspects = everything;
      policy.ignores_fstat = false;
      if (!row.takes_bundle) policy.ignored_clocks = 0, policy.ignores_random = false;
    }
    return policy;
  }
  return strict;
}

bool is_busybox_shell(std::string_view program, const std::vector<std::string>& arguments, bool is_script) {
  const auto last_component = [](std::string_view path) { return path.substr(path.rfind('/') + 1); };
  if (last_component(program) != "busybox") return false;
  if (is_script) return true;
  if (arguments.empty()) return false;
  std::string_view applet = last_component(arguments[0]);
  if (applet == "busybox" && arguments.size() > 1) applet = arguments[1];
  return applet == "sh" || applet == "-sh" || applet == "ash" || applet == "hush";
}

bool always_ignores_fstat(std::string_view program) {
  if (!in_system_directory(program)) return false;
  const std::string_view name = program.substr(program.rfind('/') + 1);
  for (const Row& row : rows)
    if (matches(row.names, name)) return row.policy.ignores_fstat && !row.policy.is_shell && !*row.strict_letters && !*row.strict_words;
  return false;
}

bool is_passed_through(std::string_view name) {
  return name == "_" || name == "OLDPWD" || name == "SHLVL";
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
  if (text.find("${!") != text.npos || text.find("((") != text.npos) makes_names = true;
  if (text.find("cd -") != text.npos || text.find("~-") != text.npos) names.emplace("OLDPWD");
  if (makes_names) return std::nullopt;
  for (const char* own : {"PATH", "IFS", "HOME", "PWD", "CDPATH", "ENV", "PS4", "LANG", "LC_ALL", "LC_CTYPE", "LC_COLLATE", "LC_MESSAGES", "PPID",
                          "OPTIND", "POSIXLY_CORRECT", "BASH_ENV", "SHELLOPTS", "BASHOPTS", "TMPDIR"})
    names.emplace(own);
  return std::vector<std::string>(names.begin(), names.end());
}

bool awk_text_varies(std::string_view text) {
  for (const std::string_view word : {"rand", "time", "PROCINFO"})
    if (text.find(word) != text.npos) return true;
  return false;
}

bool shell_text_varies(std::string_view text) {
  // Scripts of Autoconf use these for the names of temporary files and directories, and for nothing else.
  for (const std::string_view mark : {"Generated by GNU Autoconf", "# Generated by configure.", "Attempt to guess a canonical system name"})
    if (text.substr(0, 2000).find(mark) != text.npos) return false;
  if (text.size() <= short_text_max && (text.find("$$") != text.npos || text.find("$!") != text.npos)) return true;
  constexpr std::array<std::string_view, 8> words{"RANDOM", "SRANDOM", "SECONDS", "EPOCHSECONDS", "EPOCHREALTIME", "BASHPID", "PPID", "times"};
  bool varies = text.find(")T") != text.npos;  // printf '%(...)T'
  each_word(text, [&](std::string_view word, std::size_t) { varies = varies || is_one_of(word, words); });
  return varies;
}

bool shell_text_compares_times(std::string_view text) {
  // A word of its own, as test and [[ want it.
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\n'; };
  for (const std::string_view test : {"-nt", "-ot", "-N"})
    for (std::size_t at = text.find(test); at != text.npos; at = text.find(test, at + 1)) {
      const std::size_t end = at + test.size();
      if (at > 0 && is_blank(text[at - 1]) && (end == text.size() || is_blank(text[end]))) return true;
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
  bool all = true, mixed = false;
  for (const char c : name.substr(name.size() - 6)) {
    all = all && std::isalnum(static_cast<unsigned char>(c));
    mixed = mixed || std::isdigit(static_cast<unsigned char>(c)) || std::isupper(static_cast<unsigned char>(c));
  }
  return all && mixed;
}

}  // namespace broker
