// vestal config [--json]
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "broker/cache_place.h"
#include "broker/cli/options.h"
#include "broker/cli/subcommand.h"
#include "broker/configuration.h"
#include "broker/effective_settings.h"
#include "broker/shim_place.h"

namespace broker::cli {
namespace {

using nlohmann::ordered_json;

const char* name_of(Setting::Origin origin) {
  switch (origin) {
    case Setting::Origin::by_default: return "default";
    case Setting::Origin::file: return "file";
    case Setting::Origin::environment: return "environment";
    case Setting::Origin::command_line: return "command line";
  }
  return "";
}

// As a file of configuration has it; what stands there is a text for JSON as well.
std::string value_text(const Setting& setting) {
  if (setting.key->kind != SettingKey::Kind::text) return setting.value;
  return ordered_json(setting.value).dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json as_json(const Setting& setting) {
  ordered_json one{{"name", setting.key->name}};
  if (setting.key->kind == SettingKey::Kind::flag) one["value"] = flag_in(setting.value);
  else if (setting.key->kind == SettingKey::Kind::number) one["value"] = ordered_json::parse(setting.value);
  else one["value"] = setting.value;
  one["origin"] = name_of(setting.origin);
  if (!setting.where.empty()) one["where"] = setting.where;
  one["variable"] = setting.key->variable;
  one["meaning"] = setting.key->meaning;
  return one;
}

void print(const std::vector<Setting>& settings, const std::vector<ConfigurationFile>& files, std::size_t row_count) {
  for (const Setting& setting : settings) {
    const std::string line = fmt::format("{}{} = {}", setting.key->may_stand_in_file() && !setting.value.empty() ? "" : "# ", setting.key->name, value_text(setting));
    fmt::print("{:<40} # {}{}{}\n", line, name_of(setting.origin), setting.where.empty() ? "" : ": ", setting.where);
  }
  for (const ConfigurationFile& file : files) fmt::print("# read: {}\n", file.path);
  if (row_count > 0) fmt::print("# {} of the policy in these files; `vestal policy` lists all\n", count_text(row_count, "row", "rows"));
}

cache::Result<int> show(const std::vector<SaidOption>& said, bool as_object) {
  const std::vector<ConfigurationFile> files = TRY(find_configuration(&complain));
  const Configuration configured = TRY(read_configuration(files));
  std::vector<Setting> settings = TRY(Settings::find(configured.settings, said, &complain)).all();
  for (Setting& setting : settings) {
    if (setting.key->name == std::string_view("dir")) setting.value = TRY(cache_place());
    // One that is not there is told by who needs it.
    if (const auto shim = find_shim(); shim && setting.key->name == std::string_view("shim")) setting.value = *shim;
  }
  if (!as_object) return print(settings, files, configured.rows.size()), 0;
  ordered_json all{{"settings", ordered_json::array()}, {"files", ordered_json::array()}, {"policy_rows", configured.rows.size()}};
  for (const Setting& setting : settings) all["settings"].push_back(as_json(setting));
  for (const ConfigurationFile& file : files) all["files"].push_back(file.path);
  fmt::print("{}\n", all.dump(2, ' ', false, ordered_json::error_handler_t::replace));
  return 0;
}

int config(const CommandOptions& options, char* const* arguments) {
  bool as_object = false;
  Options accepted("vestal [OPTIONS] config [--json]",
                   "Shows what holds of all that can be chosen, in this directory and with these options, and who has said so. "
                   "What it prints can stand in the user's configuration file.");
  accepted.flag("--json", as_object, "As one JSON object");
  if (const int status = accepted.parse(words_of(arguments)); status >= 0) return status;
  const auto status = show(options.said, as_object);
  if (status) return *status;
  complain(status.error().message);
  return status_own_failure;
}

const Subcommand config_subcommand("config", "[--json]", "Every setting, with its value and who has said so", config);

}  // namespace
}  // namespace broker::cli
