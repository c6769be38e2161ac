// vestal policy [--markdown]
#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/configuration.h"
#include "broker/policy_file.h"

namespace broker::cli {
namespace {

std::string joined(const std::vector<std::string>& words, std::string_view between = ", ") {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : std::string(between)) + word;
  return all;
}

// What else the row says, a sentence each.
std::vector<std::string> further(const PolicyRow& row) {
  const Policy& policy = row.policy;
  std::vector<std::string> all;
  if (!policy.script_options.empty()) all.push_back("until it opens its script, ignores " + joined(row.ignores_before_script));
  if (policy.environment == EnvironmentUse::asked) all.push_back("needs the variables it asks for with getenv");
  if (policy.environment == EnvironmentUse::shell) all.push_back("needs the variables its text names");
  if (policy.environment == EnvironmentUse::whole) all.push_back("needs the whole environment");
  if (policy.is_shell) all.push_back("its text is looked through for clocks, random numbers, process ids and comparisons of times");
  if (policy.is_perl) all.push_back("what it reads is looked through for $^T and ages of files");
  if (policy.is_python) all.push_back("what it reads, the library that comes with it excepted, is looked through for measurements of time");
  if (policy.is_awk) all.push_back("its program is looked through for clocks, random numbers and ENVIRON");
  if (policy.makes_new_files) all.push_back("removes an output that is there before it opens it to read and write, unless that is empty");
  if (policy.waits) all.push_back("runs each time");
  if (!row.only_with.empty()) all.push_back("only with " + joined(row.only_with, " or "));
  return all;
}

std::string strict_text(const PolicyRow& row) {
  std::vector<std::string> all;
  for (const char letter : row.strict_letters) all.push_back(std::string("-") + letter);
  all.insert(all.end(), row.strict_words.begin(), row.strict_words.end());
  return joined(all, " ");
}

void list(const PolicyTable& table) {
  for (const PolicyRow* row : table.rows()) {
    fmt::print("{}\n    {}\n", joined(row->programs, " "), row->origin);
    if (!row->ignores.empty()) fmt::print("    ignores {}\n", joined(row->ignores));
    for (const std::string& one : further(*row)) fmt::print("    {}\n", one);
    if (row->can_be_strict()) fmt::print("    ignores less with {}\n", strict_text(*row));
    fmt::print("    because: {}\n\n", row->reason);
  }
}

constexpr char page_start[] = R"(# The policy table

<!-- Made from broker/policy.toml by `vestal policy --markdown`; a check fails if it is out of date. -->

What named programs read without letting it reach their output. It need not be the same for a result to be used again. Everything that
is not in the table is taken to matter.

The first row that names a program holds for it: rows of `.vestal.toml`, of the user's configuration file, then these. `vestal policy`
lists the rows in force and where each comes from; `vestal -v` and `vestal why -v` name the row a step was judged by.

A row is part of the key of every step it was used for, and of the needs of the steps around it. Who edits a row gets misses.

## Rows of one's own

In `.vestal.toml`, in the working directory or the nearest one above it that has this file, or in `$XDG_CONFIG_HOME/vestal/config.toml`
(otherwise `~/.config/vestal/config.toml`):

    [[policy]]
    programs = ["/opt/tools/bin/gen*", "./tools/gen"]   # paths of programs
    ignores = ["links", "times", "fstat", "clocks"]     # words of the table below
    environment = "getenv"
    reason = "writes no times; asks the clock for its statistics only"
    strict.words = ["--stamp"]

| key | meaning |
|---|---|
| `programs` | patterns of absolute paths (`*` stands for no `/`), or paths below the directory of the file (`./`). What counts is the file that runs, symbolic links followed; for a script its interpreter |
| `ignores` | what does not reach the output: words of the next table |
| `reason` | why; must be there |
| `environment` | `"whole"`, the default; `"getenv"`: it reads variables by name with `getenv` only; `"text"`, with `language = "shell"`: those its text names |
| `language` | `"shell"`, `"awk"`, `"perl"` or `"python"`: the text it runs is looked through for clocks, random numbers and the like |
| `before_script.options`, `before_script.ignores` | of an interpreter: letters of options that have no value, the first argument that is no such option being the script; and which of `clocks`, its kinds and `random` are ignored until it opens that |
| `makes_new_files` | `true`: it removes an output that is there before it opens it to read and write, unless that is empty |
| `waits` | `true`: time is what it is run for, so it runs each time |
| `only_with` | the row holds only with one of these arguments |
| `strict.letters`, `strict.words` | arguments that bring back everything `stat` and `fstat` tell, clocks and random numbers: letters of single-dash options, and words; long ones may be shortened and may have a pattern for their value, others are patterns |
| `strict.bundle` | `true`: the first argument has such letters even without a dash |
| `strict.keeps` | `"clocks"`, `"random"`: these are ignored all the same |
| `test` | the test that shows it |

A mistake in such a file is told with file and line, and nothing is started (status 125). A row that is wrong makes wrong results: vestal
believes it.

| word of `ignores` | what |
|---|---|
)";

std::string in_table(std::string text) {
  for (std::size_t at = 0; (at = text.find_first_of("|*_<", at)) != text.npos; at += 2) text.insert(at, "\\");
  return text;
}

void print_page() {
  std::fputs(page_start, stdout);
  for (const PolicyWord& word : policy_words()) fmt::print("| `{}` | {} |\n", word.word, in_table(word.meaning));
  fmt::print("\n## Shipped rows\n");
  std::vector<std::string> places;
  for (const PolicyRow& row : shipped_policy_rows()) {
    if (row.places == places) continue;
    if (places.empty()) {
      places = row.places;
      fmt::print("\nTheir programs lie in a place whose path begins with `{}`, unless another is told.\n", joined(places, "`, `"));
    }
  }
  for (const PolicyRow& row : shipped_policy_rows()) {
    fmt::print("\n### {}\n\n", in_table(joined(row.programs)));
    if (row.places != places) fmt::print("- in `{}`\n", joined(row.places, "`, `"));
    fmt::print("- ignores `{}`\n", joined(row.ignores, "`, `"));
    for (const std::string& one : further(row)) fmt::print("- {}\n", one);
    if (row.can_be_strict()) fmt::print("- ignores less with `{}`\n", strict_text(row));
    fmt::print("- because: {}\n- shown by `{}`\n", in_table(row.reason), row.test);
  }
}

int policy(const CommandOptions&, char* const* arguments) {
  bool as_page = false;
  Options accepted("vestal policy [--markdown]",
                   "Lists what named programs read without letting it reach their output: the rows in force in this "
                   "directory, in the order in which they are tried, with their origin.");
  accepted.flag("--markdown", as_page, "The shipped rows as the page docs/policy.md");
  if (const int status = accepted.parse(words_of(arguments)); status >= 0) return status;
  if (as_page) return print_page(), 0;
  auto configured = find_configuration(&complain).and_then([](const auto& files) { return read_configuration(files); });
  if (!configured) {
    complain(configured.error().message);
    return status_own_failure;
  }
  list(PolicyTable(std::move(configured->rows)));
  return 0;
}

const Subcommand policy_subcommand("policy", "[--markdown]", "What named programs read without letting it reach their output", policy);

}  // namespace
}  // namespace broker::cli
