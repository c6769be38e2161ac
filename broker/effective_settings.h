// What holds of all that can be chosen (broker/setting_keys.h), and who has said so. The command line goes before the
// environment, that before the project's file, that before the user's, that before the machine's.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/client.h"
#include "broker/configuration.h"
#include "broker/setting_keys.h"
#include "cache/base/result.h"

namespace broker {

struct Setting {
  enum class Origin { by_default, file, environment, command_line };
  const SettingKey* key = nullptr;
  std::string value;  // "true" and "false" for flags
  Origin origin = Origin::by_default;
  std::string where;  // of a file: path:line; of the environment: the variable; of the command line: the option
};

class Settings {
 public:
  // `warn` is told of variables that make no sense and are not used. Fault::invalid: one that has to hold makes none.
  static cache::Result<Settings> find(const std::vector<FileSetting>& files, const std::vector<SaidOption>& said,
                                      const std::function<void(const std::string&)>& warn);

  const Setting& operator[](std::string_view name) const;  // which is in the table
  bool flag(std::string_view name) const { return flag_in((*this)[name].value); }
  const std::vector<Setting>& all() const { return all_; }  // in the table's order

 private:
  std::vector<Setting> all_;
};

// What the settings say of a command, where the command line says nothing.
void apply(const Settings& settings, CommandOptions& options);

// NAME=VALUE for a broker: what files say of it, if the environment does not. What is wrong in them is left to others to tell.
std::vector<std::string> broker_variables_of_files();

}  // namespace broker
