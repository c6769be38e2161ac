// The policy table: what named programs read without letting it reach their
// output, so that it need not be the same for a result to be used again.
//
// Everything not in the table is taken to matter. A row names programs by the
// real paths of their files, symbolic links followed; the first row that fits
// holds. The user's own rows come first, then the shipped ones
// (broker/policy.toml, inside the program).
//
// Which row holds for a program is part of what the program is: with_rows()
// goes into the keys of its steps and into the needs of the steps around them.
// Who edits a row gets misses.
//
// A table is for one thread, its session's; rows never change.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/policy.h"
#include "cache/digest.h"

namespace broker {

struct PolicyRow {
  // Shipped: names of files in `places`; a trailing * stands for anything. The user's: patterns of absolute paths, as
  // fnmatch has them, in which no * stands for a '/'.
  std::vector<std::string> programs;
  std::vector<std::string> places;  // beginnings of paths; empty: `programs` are patterns
  std::vector<std::string> only_with;  // the row holds only if one of these is among the arguments

  Policy policy{};
  // Arguments with one of these letters among their single-dash options, or these words, bring back everything that stat
  // tells, clocks and random numbers.
  std::string strict_letters;
  std::vector<std::string> strict_words;  // long ones may be shortened; others are patterns
  bool strict_bundle = false;  // the first argument is a bundle of letters even without a dash
  bool strict_keeps_clocks = false, strict_keeps_random = false;  // these stay ignored

  std::vector<std::string> ignores, ignores_before_script;  // the words of the file, for people
  std::string reason, test;
  std::string origin;    // "shipped", or file:line
  cache::Digest effect;  // of everything above that has one

  bool can_be_strict() const { return !strict_letters.empty() || !strict_words.empty(); }
};

const std::vector<PolicyRow>& shipped_policy_rows();

class PolicyTable {
 public:
  // These rows, then the shipped ones.
  explicit PolicyTable(std::vector<PolicyRow> own = {});
  PolicyTable(const PolicyTable&) = delete;
  PolicyTable& operator=(const PolicyTable&) = delete;

  // `program`: real path of the file that runs. `arguments` with argv[0].
  Policy policy_for(std::string_view program, const std::vector<std::string>& arguments) const;
  // Whatever its arguments, what fstat tells it of its own files does not count.
  bool always_ignores_fstat(std::string_view program) const;
  // Some row says that it is a shell.
  bool may_be_shell(std::string_view program) const;
  // Some row may hold for it.
  bool knows(std::string_view program) const;
  // Some row tells what it does before it opens its script from what it does then.
  bool may_have_script(std::string_view program) const;
  // The identity of a program together with the rows that may hold for it.
  cache::Digest with_rows(const cache::Digest& identity, std::string_view program) const;

  std::vector<const PolicyRow*> rows() const;  // in the order in which they are tried

 private:
  struct Choice {
    const PolicyRow* row;
    const std::string* entry;
  };
  // What is known of a program whatever its arguments. Found once: a build runs few programs many times.
  struct Found {
    std::vector<Choice> choices;  // the last of them holds for any arguments, or none does
    cache::Digest effects;
    cache::Digest identity, identity_with_rows;  // of the last question
  };
  struct PathHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  Found& find(std::string_view program) const;

  const std::vector<PolicyRow> own_;
  mutable std::unordered_map<std::string, Found, PathHash, std::equal_to<>> found_;
};

// For a human: "by the policy row for cc1 (shipped)"; empty if none was used.
std::string row_text(const Policy& policy);

}  // namespace broker
