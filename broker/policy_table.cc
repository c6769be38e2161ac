#include "broker/policy_table.h"

#include <fnmatch.h>

#include <algorithm>

#include <fmt/format.h>

#include "broker/policy_file.h"
#include "cache/record.h"
#include "preload/protocol.h"

namespace broker {
namespace {


// A word, or the beginning of one.
bool fits(std::string_view pattern, std::string_view word) {
  if (!pattern.ends_with('*')) return pattern == word;
  pattern.remove_suffix(1);
  return word.starts_with(pattern);
}

// Which of the row's programs this is, or null.
const std::string* entry_for(const PolicyRow& row, std::string_view program) {
  if (row.places.empty()) {
    const std::string path(program);
    for (const std::string& pattern : row.programs)
      if (::fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME) == 0) return &pattern;
    return nullptr;
  }
  if (std::none_of(row.places.begin(), row.places.end(), [&](const auto& place) { return program.starts_with(place); })) return nullptr;
  const std::string_view name = program.substr(program.rfind('/') + 1);
  const auto entry = std::find_if(row.programs.begin(), row.programs.end(), [&](const auto& one) { return fits(one, name); });
  return entry == row.programs.end() ? nullptr : &*entry;
}

// A long option, perhaps shortened, by a word that may say of its value too what it is like: --key=*R*. A value that is
// an argument of its own is taken for such a one.
bool fits_long(std::string_view word, std::string_view argument) {
  const std::size_t value = word.find('='), given = argument.find('=');
  if (!word.substr(0, value).starts_with(argument.substr(0, given))) return false;
  if (value == word.npos || given == argument.npos) return true;
  return ::fnmatch(std::string(word.substr(value + 1)).c_str(), std::string(argument.substr(given + 1)).c_str(), 0) == 0;
}

bool has_strict_argument(const PolicyRow& row, const std::vector<std::string>& arguments) {
  bool options = true;  // "--" ends them, but not the words of find and test
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--") {
      options = false;
      continue;
    }
    const bool is_long = argument.starts_with("--");
    for (const std::string& word : row.strict_words) {
      if (!word.starts_with("--")) {
        if (!is_long && ::fnmatch(word.c_str(), arguments[i].c_str(), 0) == 0) return true;
      } else if (is_long && options && fits_long(word, argument)) {
        return true;
      }
    }
    if (is_long || !options || argument.size() < 2) continue;
    const bool bundle = row.strict_bundle && i == 1 && argument.find_first_of("./") == argument.npos;
    if ((argument[0] == '-' || bundle) && argument.find_first_of(row.strict_letters) != argument.npos) return true;
  }
  return false;
}

bool holds_with(const PolicyRow& row, const std::vector<std::string>& arguments) {
  return row.only_with.empty() ||
         std::find_first_of(arguments.begin(), arguments.end(), row.only_with.begin(), row.only_with.end()) != arguments.end();
}

}  // namespace

const std::vector<PolicyRow>& shipped_policy_rows() {
  static const std::vector<PolicyRow> rows = read_shipped_policy();
  return rows;
}

PolicyTable::PolicyTable(std::vector<PolicyRow> own) : own_(std::move(own)) {}

std::vector<const PolicyRow*> PolicyTable::rows() const {
  std::vector<const PolicyRow*> all;
  for (const std::vector<PolicyRow>* some : {&own_, &shipped_policy_rows()})
    for (const PolicyRow& row : *some) all.push_back(&row);
  return all;
}

PolicyTable::Found& PolicyTable::find(std::string_view program) const {
  if (const auto known = found_.find(program); known != found_.end()) return known->second;
  Found& found = found_[std::string(program)];
  cache::Hasher effects;
  for (const PolicyRow* row : rows()) {
    const std::string* entry = entry_for(*row, program);
    if (!entry) continue;
    found.choices.push_back({row, entry});
    effects.add(row->effect.view());
    if (row->only_with.empty()) break;
  }
  found.effects = effects.finish();
  return found;
}

Policy PolicyTable::policy_for(std::string_view program, const std::vector<std::string>& arguments) const {
  for (const auto& [row, entry] : find(program).choices) {
    if (!holds_with(*row, arguments)) continue;
    Policy policy = row->policy;
    policy.row = row;
    policy.entry = entry;
    // Without any they were too long to be told.
    if (row->can_be_strict() && (arguments.empty() || has_strict_argument(*row, arguments))) {
      policy.stat_aspects = look_aspects;
      policy.ignores_fstat = false;
      policy.replaces_outputs = false;
      if (!row->strict_keeps_clocks) policy.ignored_clocks &= preload::clock_by_machine;
      if (!row->strict_keeps_random) policy.ignores_random = false;
    }
    return policy;
  }
  Policy unknown{};
  unknown.stat_aspects = look_aspects;
  return unknown;
}

bool PolicyTable::always_ignores_fstat(std::string_view program) const {
  for (const auto& [row, entry] : find(program).choices) {
    if (!row->policy.ignores_fstat || row->policy.is_shell || row->can_be_strict()) return false;
    if (row->only_with.empty()) return true;
  }
  return false;
}

bool PolicyTable::may_be_shell(std::string_view program) const {
  return std::ranges::any_of(find(program).choices, [](const auto& choice) { return choice.row->policy.is_shell; });
}

bool PolicyTable::knows(std::string_view program) const { return !find(program).choices.empty(); }

bool PolicyTable::may_have_script(std::string_view program) const {
  return std::ranges::any_of(find(program).choices, [](const auto& choice) { return !choice.row->policy.script_options.empty(); });
}

cache::Digest PolicyTable::with_rows(const cache::Digest& identity, std::string_view program) const {
  Found& found = find(program);
  if (found.choices.empty()) return identity;
  if (found.identity != identity) {
    found.identity = identity;
    cache::Hasher both;
    both.add(identity.view());
    both.add(found.effects.view());
    found.identity_with_rows = both.finish();
  }
  return found.identity_with_rows;
}

std::string row_text(const Policy& policy) {
  return policy.row ? fmt::format("by the policy row for {} ({})", *policy.entry, policy.row->origin) : std::string();
}

}  // namespace broker
