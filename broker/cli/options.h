// Options, their --help, and what is said about words that are wrong. Only its
// .cc knows CLI11, whose headers cost every file that includes them time at each
// start of the program.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/client.h"
#include "broker/wording.h"

namespace broker::cli {

// Those of command_options() whose value may be the next word.
inline constexpr std::string_view options_with_value[] = {"--trace", "--report", "--clock", "--random", "--hostname", "--network"};

class Options {
 public:
  // What --help says first: `purpose`, a sentence, and `usage`.
  Options(const std::string& usage, const std::string& purpose);
  ~Options();
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  // `names`: "-v,--verbose"; `type`: what stands behind it in the help, "DIR". What they are bound to outlives this.
  void flag(const std::string& names, bool& value, const std::string& purpose);
  void word(const std::string& name, const std::string& type, std::string& value, const std::string& purpose);
  void words(const std::string& name, const std::string& type, std::vector<std::string>& values, const std::string& purpose);  // may be given several times
  void command_options(CommandOptions& options);  // --summary, -v, --fresh, files and the session policies
  // A word that may come first, with what follows it; known to the table only. One with options of its own has a --help.
  void act(const std::string& name, const std::string& synopsis, const std::string& purpose, bool has_options = false);

  // Returns -1 to go on, or the status to leave with: 0 after --help, status_wrong_usage after what is not expected.
  int parse(std::vector<std::string> words);
  std::string help() const;
  void print_help() const;  // that, or the table

  // Of which command help is wanted as a table, from which completions and manual pages are made; empty if as text. A
  // row is a line, its columns are separated by tabs:
  //   usage COMMAND SYNOPSIS
  //   about COMMAND PURPOSE
  //   act COMMAND NAME SYNOPSIS PURPOSE own|none     own: it has a table of its own, as COMMAND NAME
  //   option COMMAND NAMES TYPE once|many PURPOSE    TYPE is - for a flag
  static inline std::string table_of;
  static inline std::vector<std::string> acts_with_table;  // of the last one that was printed

 private:
  using Choose = cache::Result<bool> (*)(SessionPolicies& policies, std::string_view word);
  void policy(const std::string& name, const std::string& words, CommandOptions& options, Choose choose, const std::string& purpose);

  std::string table() const;

  struct App;
  std::unique_ptr<App> app_;
};

// `vestal: <text>` and where to find help, on standard error. Returns status_wrong_usage.
int wrong_usage(const std::string& text);

std::vector<std::string> words_of(char* const* arguments);

}  // namespace broker::cli
