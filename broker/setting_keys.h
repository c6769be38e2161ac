// What can be chosen by name: one table for files of configuration, variables of the environment, options, and
// `vestal config`. What is no single value, rows of the policy, is not in it.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace broker {

struct SettingKey {
  enum class Kind { flag, text, number };  // of the value in a file; a number may stand for a text
  // The cache is shared by all projects, so none of them says what it is like. What is for maintainers has a variable alone.
  enum class Place { any_file, not_of_project, no_file };

  const char* name;
  const char* variable;
  const char* option;      // empty: none
  const char* by_default;
  Kind kind;
  Place place;
  bool has_to_hold;        // better no command than one without it: a variable that makes no sense is an error
  // What is wrong with a value, without its name: "not a size like 500M". Empty: nothing.
  std::string (*wrong)(const std::string& value);
  const char* meaning;

  bool may_stand_in_file() const { return place != Place::no_file; }
};

std::span<const SettingKey> setting_keys();
// Null if there is none.
const SettingKey* find_setting_key(std::string_view name);

// Of a value of Kind::flag that is not wrong.
bool flag_in(std::string_view value);

}  // namespace broker
