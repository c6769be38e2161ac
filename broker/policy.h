// What may be left out of a step's needs, as a row of the policy table says
// (broker/policy_table.h), and what the text says that a shell or an awk runs.
//
// The environment: a program that is known to read variables only through
// getenv needs exactly those. The shells need the variables whose names occur
// in the text they run. Every other program needs the whole environment, but
// for the names in pass_through.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/record.h"

namespace broker {

enum class EnvironmentUse : std::uint8_t {
  whole,   // walks the array, or nobody has looked whether it does
  asked,   // getenv only
  shell,   // the names in the text it runs, see shell_names()
};

struct PolicyRow;

// All that stat tells.
inline constexpr std::uint32_t look_aspects =
    cache::aspect_type | cache::aspect_mode | cache::aspect_size | cache::aspect_links | cache::aspect_times;

struct Policy {
  std::uint32_t stat_aspects;   // of cache::Aspect: what counts of what stat tells
  bool replaces_outputs = false;  // whether an output was there before does not matter to it
  bool ignores_fstat = false;     // what fstat tells of its own files
  bool ignores_listed_directory_times = false;
  bool ignores_standard_input = false;  // what exactly it is and where it stands, as long as it is not read
  bool ignores_standard_output = false; // of standard output and error: whether they are files or pipes
  bool ignores_memory_map = false;      // where its own memory lies
  std::uint32_t ignored_clocks = 0;  // of preload::ClockSource
  bool ignores_random = false;
  // Before it has opened the script that its arguments name, behind options of these letters: what it does for itself.
  std::string script_options;
  std::uint32_t clocks_before_script = 0;
  bool random_before_script = false;
  bool ignores_make = false;        // MAKEFLAGS tells it how fast to work, not what to do
  bool makes_new_files = false;     // it removes an output that is there before it opens it to read and write, unless that is empty
  bool ignores_file_system = false; // what statfs tells
  bool ignores_terminal_name = false;
  bool ignores_made_code = false;   // the code it makes while it runs makes no system calls
  bool is_shell = false;
  bool is_awk = false;
  bool is_perl = false, is_python = false;
  bool waits = false;  // time is what it is run for: it runs each time
  EnvironmentUse environment = EnvironmentUse::whole;
  const PolicyRow* row = nullptr;       // that was used; null: everything counts
  const std::string* entry = nullptr;   // among the row's programs
};

// Busybox as a shell: it may be made so that nobody knows which variables it reads, but what its text asks for counts.
bool is_busybox_shell(std::string_view program, const std::vector<std::string>& arguments, bool is_script);

// Variables that a shell may expand while it runs `text` (the argument of -c, or a script's contents): every identifier
// in it and what the shell reads by itself. Nothing if the text can make up names (eval, set, ...): then all count.
std::optional<std::vector<std::string>> shell_names(std::string_view text);

// The text mentions the clock, random numbers or its process id: $RANDOM, $SECONDS, $$ ...
// A long text is taken to use $$ for the names of temporary files only.
inline constexpr std::size_t short_text_max = 4096;
bool shell_text_varies(std::string_view text);

// An awk program that asks for random numbers or the time.
bool awk_text_varies(std::string_view text);

// A Perl text that may ask when the program began: $^T, or the age of a file.
bool perl_text_varies(std::string_view text);

// Whether a text of Python may look at times of files.
bool python_text_asks_for_times(std::string_view text);

// Whether it may look what its standard input is: Python itself does as well, so that the call alone does not tell.
bool python_text_asks_of_input(std::string_view text);

// A text of Python, or a module compiled from one, that may tell how long something took.
bool python_text_measures(std::string_view text);

// The script among the arguments of an interpreter: the first that is no option. Empty if there is none, or if there are
// options of other letters than these, which may bring a text of their own.
std::string_view script_argument(const std::vector<std::string>& arguments, std::string_view options);

// The text compares times of files.
bool shell_text_compares_times(std::string_view text);

// A name made for one run (mkstemp and the like) somewhere below a directory for temporary files.
bool is_temporary(std::string_view path);

}  // namespace broker
