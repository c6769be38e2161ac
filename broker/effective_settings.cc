#include "broker/effective_settings.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>

#include <fmt/format.h>

#include "broker/session_policies.h"
#include "broker/settings.h"

namespace broker {
namespace {

using cache::Fault;
using cache::Result;
using cache::fail;

// Also empty if the variable is: who sets one to nothing wants what there is without it.
std::string variable(const SettingKey& key) {
  const char* const value = std::getenv(key.variable);
  return value ? value : "";
}

std::string canonical(const SettingKey& key, const std::string& value) {
  return key.kind == SettingKey::Kind::flag ? (flag_in(value) ? "true" : "false") : value;
}

const FileSetting* first_of(const std::vector<FileSetting>& files, std::string_view name) {
  const auto found = std::ranges::find(files, name, &FileSetting::name);
  return found == files.end() ? nullptr : &*found;
}

}  // namespace

Result<Settings> Settings::find(const std::vector<FileSetting>& files, const std::vector<SaidOption>& said,
                                const std::function<void(const std::string&)>& warn) {
  Settings settings;
  for (const SettingKey& key : setting_keys()) {
    Setting setting{&key, key.by_default, Setting::Origin::by_default, {}};
    if (const FileSetting* file = first_of(files, key.name)) setting = {&key, file->value, Setting::Origin::file, file->where};
    if (const std::string value = variable(key); !value.empty()) {
      const std::string wrong = key.wrong(value);
      if (wrong.empty()) {
        setting = {&key, canonical(key, value), Setting::Origin::environment, key.variable};
      } else if (key.has_to_hold) {
        return fail(Fault::invalid, fmt::format("{}: {}", key.variable, wrong));
      } else if (setting.value.empty()) {
        warn(fmt::format("{}={}: {}; no {} are written", key.variable, value, wrong, key.name));
      } else {
        warn(fmt::format("{}={}: {}; {} is used", key.variable, value, wrong, setting.value));
      }
    }
    // The last one counts.
    for (const SaidOption& option : said)
      if (option.name == key.name) setting = {&key, canonical(key, option.value), Setting::Origin::command_line, key.option};
    settings.all_.push_back(std::move(setting));
  }
  return settings;
}

const Setting& Settings::operator[](std::string_view name) const {
  const auto found = std::ranges::find(all_, name, [](const Setting& setting) { return std::string_view(setting.key->name); });
  assert(found != all_.end());
  return *found;
}

void apply(const Settings& settings, CommandOptions& options) {
  options.precise = options.precise || settings.flag("precise");
  options.summary = options.summary || settings.flag("summary");
  options.verbose = options.verbose || settings.flag("verbose");
  options.fresh = options.fresh || settings.flag("fresh");
  constexpr struct {
    const char* name;
    Result<bool> (*choose)(SessionPolicies&, std::string_view);
  } policies[] = {{"clock", choose_clock}, {"random", choose_random}, {"hostname", choose_host_name}, {"network", choose_network}};
  for (const auto& [name, choose] : policies) {
    const Setting& setting = settings[name];
    if (setting.origin != Setting::Origin::file && setting.origin != Setting::Origin::environment) continue;
    [[maybe_unused]] const auto chosen = choose(options.policies, setting.value);  // it has been looked at
  }
}

std::vector<std::string> broker_variables_of_files() {
  std::vector<std::string> variables;
  const auto configured = find_configuration([](const std::string&) {}).and_then([](const auto& files) { return read_configuration(files); });
  if (!configured) return variables;
  for (const char* name : {"max_size", "idle"}) {
    const SettingKey& key = *find_setting_key(name);
    const FileSetting* file = first_of(configured->settings, name);
    const std::string said = variable(key);
    if (file && (said.empty() || !key.wrong(said).empty())) variables.push_back(fmt::format("{}={}", key.variable, file->value));
  }
  return variables;
}

}  // namespace broker
