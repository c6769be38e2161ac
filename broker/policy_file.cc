#include "broker/policy_file.h"

#include <stdlib.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <functional>
#include <memory>

#include <fmt/format.h>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "broker/configuration.h"
#include "broker/policy_data.h"
#include "broker/setting_keys.h"
#include "broker/wording.h"
#include "cache/record.h"
#include "preload/protocol.h"

namespace broker {
namespace {

using cache::Fault;
using cache::Result;
using cache::fail;

constexpr std::uint32_t any_clock =
    preload::clock_by_gettime | preload::clock_by_monotonic | preload::clock_by_timeofday | preload::clock_by_time | preload::clock_by_usage | preload::clock_by_usage_again | preload::clock_by_machine;

// ---- the words of `ignores` ---------------------------------------------------------------------------------------------

struct Word : PolicyWord {
  void (*apply)(Policy&);
};

template <std::uint32_t aspect>
void without_aspect(Policy& policy) { policy.stat_aspects &= ~aspect; }
template <std::uint32_t clocks>
void without_clock(Policy& policy) { policy.ignored_clocks |= clocks; }
template <bool Policy::*flag>
void set(Policy& policy) { policy.*flag = true; }

constexpr Word words[] = {
    {{"size", "of what stat tells: the size, as far as contents are not read"}, without_aspect<cache::aspect_size>},
    {{"links", "of what stat tells: the number of links"}, without_aspect<cache::aspect_links>},
    {{"times", "of what stat tells: the times"}, without_aspect<cache::aspect_times>},
    {{"fstat", "what fstat tells of files it has opened"}, set<&Policy::ignores_fstat>},
    {{"earlier-outputs", "whether a file it makes was there before"}, set<&Policy::replaces_outputs>},
    {{"listed-directory-times", "times of directories that it also lists"}, set<&Policy::ignores_listed_directory_times>},
    {{"standard-input", "what its standard input is and where it stands, as long as it does not read from it"}, set<&Policy::ignores_standard_input>},
    {{"standard-output", "whether its standard output and error are files or pipes and where they stand; not whether they are terminals or the null device"}, set<&Policy::ignores_standard_output>},
    {{"memory-map", "where its own memory lies (/proc/self/maps), unless its arguments speak of /proc"}, set<&Policy::ignores_memory_map>},
    {{"file-system", "what statfs tells"}, set<&Policy::ignores_file_system>},
    {{"made-code", "that it makes code while it runs, which makes no system calls"}, set<&Policy::ignores_made_code>},
    {{"terminal-name", "what the terminal is called that it was given"}, set<&Policy::ignores_terminal_name>},
    {{"makeflags", "variables whose names begin with MAKE"}, set<&Policy::ignores_make>},
    {{"clocks", "every clock: those below, down to machine"}, without_clock<any_clock>},
    {{"clock_gettime", "the clock as clock_gettime tells it"}, without_clock<preload::clock_by_gettime | preload::clock_by_monotonic>},
    {{"monotonic", "clocks that tell how long something takes and no time of day"}, without_clock<preload::clock_by_monotonic>},
    {{"gettimeofday", "the clock as gettimeofday tells it"}, without_clock<preload::clock_by_timeofday>},
    {{"time", "the clock as time tells it"}, without_clock<preload::clock_by_time>},
    {{"usage", "how much time and memory was used"}, without_clock<preload::clock_by_usage | preload::clock_by_usage_again>},
    {{"usage-once", "the same, asked once: that does not tell how long something took"}, without_clock<preload::clock_by_usage>},
    {{"machine", "how much memory the machine has (sysinfo)"}, without_clock<preload::clock_by_machine>},
    {{"random", "random numbers"}, set<&Policy::ignores_random>},
};

// ---- reading ------------------------------------------------------------------------------------------------------------

class Reader {
 public:
  Reader(const std::string& text, const std::string& path, bool shipped) : text_(text), path_(path), shipped_(shipped) {}

  std::vector<FileSetting> take_settings() { return std::move(settings_); }

  Result<std::vector<PolicyRow>> read() {
    const toml::parse_result parsed = toml::parse(std::string_view(text_));
    if (!parsed) return fail(Fault::invalid, at(parsed.error().source().begin.line) + std::string(parsed.error().description()));
    const toml::table& file = parsed.table();
    std::vector<std::string> keys{"policy"};
    if (shipped_) keys.emplace_back("places");
    else
      for (const SettingKey& key : setting_keys())
        if (key.may_stand_in_file()) keys.emplace_back(key.name);
    TRY(only(file, keys));
    if (!shipped_) TRY(read_settings(file));
    std::vector<PolicyRow> rows;
    if (const toml::node* places = file.get("places")) places_ = TRY(texts("places", *places));
    const toml::node* policy = file.get("policy");
    if (!policy) return rows;
    if (!policy->is_array_of_tables()) return fail(Fault::invalid, at(*policy) + "'policy' is not a list of tables: each row begins with [[policy]]");
    for (const toml::node& node : *policy->as_array()) rows.push_back(TRY(row(*node.as_table())));
    return rows;
  }

 private:
  std::string at(std::uint32_t line) const { return fmt::format("{}:{}: ", path_, line); }
  std::string at(const toml::node& node) const { return at(node.source().begin.line); }

  Result<bool> only(const toml::table& table, const std::vector<std::string>& keys) const {
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      if (std::find(keys.begin(), keys.end(), name) == keys.end())
        return fail(Fault::invalid, fmt::format("{}unknown key '{}'{}", at(key.source().begin.line), name, suggestion(name, keys)));
    }
    return true;
  }
  Result<std::string> text(const char* key, const toml::node& node) const {
    if (!node.is_string()) return fail(Fault::invalid, fmt::format("{}'{}' is not a text in quotes", at(node), key));
    if (node.as_string()->get().empty()) return fail(Fault::invalid, fmt::format("{}'{}' is empty", at(node), key));
    if (node.as_string()->get().find('\0') != std::string::npos) return fail(Fault::invalid, fmt::format("{}'{}' has a zero byte", at(node), key));
    return node.as_string()->get();
  }
  Result<std::vector<std::string>> texts(const char* key, const toml::node& node) const {
    const toml::array* list = node.as_array();
    if (!list || list->empty()) return fail(Fault::invalid, fmt::format("{}'{}' is not a list of texts", at(node), key));
    std::vector<std::string> all;
    for (const toml::node& one : *list) all.push_back(TRY(text(key, one)));
    return all;
  }
  Result<bool> flag(const char* key, const toml::node& node) const {
    if (!node.is_boolean()) return fail(Fault::invalid, fmt::format("{}'{}' is neither true nor false", at(node), key));
    return node.as_boolean()->get();
  }
  // One of a few words.
  Result<std::size_t> choice(const char* key, const toml::node& node, const std::vector<std::string>& names) const {
    const std::string word = TRY(text(key, node));
    const auto found = std::find(names.begin(), names.end(), word);
    if (found == names.end())
      return fail(Fault::invalid, fmt::format("{}'{}' cannot be '{}'{}", at(node), key, word, suggestion(word, names)));
    return static_cast<std::size_t>(found - names.begin());
  }

  Result<bool> read_settings(const toml::table& file) {
    for (const SettingKey& key : setting_keys()) {
      const toml::node* node = file.get(key.name);
      if (!node) continue;
      if (key.place == SettingKey::Place::not_of_project && is_of_project(path_))
        return fail(Fault::invalid, fmt::format("{}'{}' is about the cache, which all projects share; it can stand in ~/.config/vestal/config.toml", at(*node), key.name));
      std::string value;
      if (key.kind == SettingKey::Kind::flag) value = TRY(flag(key.name, *node)) ? "true" : "false";
      else if (node->is_integer()) value = std::to_string(node->as_integer()->get());
      else value = TRY(text(key.name, *node));
      if (const std::string wrong = key.wrong(value); !wrong.empty())
        return fail(Fault::invalid, fmt::format("{}'{}' cannot be '{}': {}", at(*node), key.name, value, wrong));
      if (key.name == std::string_view("dir") && !value.starts_with('/') && !value.starts_with("~/"))
        return fail(Fault::invalid, fmt::format("{}'dir' is not an absolute path, nor does it begin with ~/", at(*node)));
      settings_.push_back({key.name, std::move(value), fmt::format("{}:{}", path_, node->source().begin.line)});
    }
    return true;
  }

  Result<PolicyRow> row(const toml::table& table) {
    std::vector<std::string> keys{"programs", "ignores",   "reason",          "environment", "language", "before_script",
                                  "waits",    "only_with", "makes_new_files", "strict",      "test"};
    if (shipped_) keys.push_back("places");
    TRY(only(table, keys));
    for (const char* wanted : {"programs", "reason", "test"})
      if (!table.contains(wanted) && (shipped_ || std::string_view(wanted) != "test"))
        return fail(Fault::invalid, fmt::format("{}the row has no '{}'", at(table), wanted));

    PolicyRow row;
    row.origin = shipped_ ? "shipped" : fmt::format("{}:{}", path_, table.source().begin.line);
    row.policy.stat_aspects = look_aspects;
    row.reason = TRY(text("reason", *table.get("reason")));
    TRY(read_programs(table, row));
    if (const toml::node* node = table.get("ignores")) TRY(read_ignores(*node, row));
    if (const toml::node* node = table.get("language")) {
      const std::size_t language = TRY(choice("language", *node, {"shell", "awk", "perl", "python"}));
      constexpr std::array languages{&Policy::is_shell, &Policy::is_awk, &Policy::is_perl, &Policy::is_python};
      row.policy.*languages[language] = true;
    }
    if (const toml::node* node = table.get("environment")) {
      constexpr std::array uses{EnvironmentUse::whole, EnvironmentUse::asked, EnvironmentUse::shell};
      row.policy.environment = uses[TRY(choice("environment", *node, {"whole", "getenv", "text"}))];
      if (row.policy.environment == EnvironmentUse::shell && !row.policy.is_shell)
        return fail(Fault::invalid, at(*node) + "'environment' can be 'text' only with language = \"shell\"");
    }
    if (const toml::node* node = table.get("before_script")) TRY(read_before_script(*node, row));
    if (const toml::node* node = table.get("waits")) row.policy.waits = TRY(flag("waits", *node));
    if (const toml::node* node = table.get("makes_new_files")) row.policy.makes_new_files = TRY(flag("makes_new_files", *node));
    if (const toml::node* node = table.get("only_with")) row.only_with = TRY(texts("only_with", *node));
    if (const toml::node* node = table.get("strict")) TRY(read_strict(*node, row));
    if (const toml::node* node = table.get("test")) row.test = TRY(text("test", *node));
    row.effect = effect_of(row);
    return row;
  }

  Result<bool> read_programs(const toml::table& table, PolicyRow& row) const {
    const toml::node& node = *table.get("programs");
    row.programs = TRY(texts("programs", node));
    if (shipped_) {
      row.places = places_;
      if (const toml::node* places = table.get("places")) row.places = TRY(texts("places", *places));
      return true;
    }
    std::size_t index = 0;
    for (std::string& program : row.programs) {
      const toml::node& written = (*node.as_array())[index++];
      if (program.starts_with("./")) program = quoted(path_.substr(0, path_.rfind('/'))) + program.substr(1);
      if (!program.starts_with('/'))
        return fail(Fault::invalid, fmt::format("{}'{}' is not an absolute path, nor does it begin with ./", at(written), program));
      if (program.find_first_of("*?[\\") != program.npos) continue;
      // The file that runs is known with symbolic links followed.
      const std::unique_ptr<char, decltype(&::free)> real(::realpath(program.c_str(), nullptr), ::free);
      if (real) program = quoted(real.get());
    }
    return true;
  }
  // As a pattern that fits nothing else.
  static std::string quoted(const std::string& path) {
    std::string pattern;
    for (const char c : path) {
      if (c == '*' || c == '?' || c == '[' || c == '\\') pattern += '\\';
      pattern += c;
    }
    return pattern;
  }

  Result<bool> read_ignores(const toml::node& node, PolicyRow& row) const {
    row.ignores = TRY(texts("ignores", node));
    std::vector<std::string> names;
    for (const Word& one : words) names.emplace_back(one.word);
    for (const toml::node& one : *node.as_array()) words[TRY(choice("ignores", one, names))].apply(row.policy);
    return true;
  }

  Result<bool> read_before_script(const toml::node& node, PolicyRow& row) const {
    const toml::table* table = node.as_table();
    if (!table) return fail(Fault::invalid, at(node) + "'before_script' is not a table: before_script.options, before_script.ignores");
    TRY(only(*table, {"options", "ignores"}));
    const toml::node *options = table->get("options"), *ignores = table->get("ignores");
    if (!options || !ignores) return fail(Fault::invalid, fmt::format("{}'before_script' has no '{}'", at(node), options ? "ignores" : "options"));
    row.policy.script_options = TRY(text("before_script.options", *options));
    row.ignores_before_script = TRY(texts("before_script.ignores", *ignores));
    const std::vector<std::string> names{"clocks", "clock_gettime", "monotonic", "gettimeofday", "time", "usage", "machine", "random"};
    Policy before{};
    for (const toml::node& one : *ignores->as_array()) {
      const std::string& name = names[TRY(choice("before_script.ignores", one, names))];
      std::ranges::find(words, name, &Word::word)->apply(before);
    }
    row.policy.clocks_before_script = before.ignored_clocks;
    row.policy.random_before_script = before.ignores_random;
    return true;
  }

  Result<bool> read_strict(const toml::node& node, PolicyRow& row) const {
    const toml::table* strict = node.as_table();
    if (!strict) return fail(Fault::invalid, at(node) + "'strict' is not a table: strict.letters, strict.words");
    TRY(only(*strict, {"letters", "words", "bundle", "keeps"}));
    if (const toml::node* letters = strict->get("letters")) row.strict_letters = TRY(text("strict.letters", *letters));
    if (const toml::node* list = strict->get("words")) row.strict_words = TRY(texts("strict.words", *list));
    if (!row.can_be_strict()) return fail(Fault::invalid, at(node) + "'strict' has neither letters nor words");
    if (const toml::node* bundle = strict->get("bundle")) row.strict_bundle = TRY(flag("strict.bundle", *bundle));
    if (const toml::node* keeps = strict->get("keeps")) {
      TRY(texts("strict.keeps", *keeps));
      for (const toml::node& one : *keeps->as_array())
        (TRY(choice("strict.keeps", one, {"clocks", "random"})) == 0 ? row.strict_keeps_clocks : row.strict_keeps_random) = true;
    }
    return true;
  }

  // Of what the row does to a step: not which programs it names, for that is in the step's key, nor why.
  static cache::Digest effect_of(const PolicyRow& row) {
    const Policy& policy = row.policy;
    cache::Hasher hasher;
    hasher.add_piece("policy 2");
    for (const bool flag : {policy.replaces_outputs, policy.ignores_fstat, policy.ignores_listed_directory_times, policy.ignores_standard_input,
                            policy.ignores_standard_output, policy.ignores_memory_map, policy.ignores_random, policy.ignores_make, policy.makes_new_files,
                            policy.ignores_file_system, policy.ignores_made_code, policy.ignores_terminal_name, policy.is_shell, policy.is_awk, policy.is_perl, policy.is_python, policy.random_before_script, policy.waits, row.strict_bundle,
                            row.strict_keeps_clocks, row.strict_keeps_random})
      hasher.add(flag ? "1" : "0");
    hasher.add_piece(fmt::format("{} {} {} {}", policy.stat_aspects, policy.ignored_clocks, policy.clocks_before_script,
                                 static_cast<int>(policy.environment)));
    hasher.add_piece(row.strict_letters);
    hasher.add_piece(policy.script_options);
    for (const std::vector<std::string>* list : {&row.strict_words, &row.only_with}) {
      hasher.add_piece(std::to_string(list->size()));
      for (const std::string& word : *list) hasher.add_piece(word);
    }
    return hasher.finish();
  }

  const std::string& text_;
  const std::string path_;
  const bool shipped_;
  std::vector<std::string> places_;
  std::vector<FileSetting> settings_;
};

constexpr auto plain_words = [] {
  std::array<PolicyWord, std::size(words)> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = words[i];
  return all;
}();

}  // namespace

std::span<const PolicyWord> policy_words() { return plain_words; }

Result<std::vector<PolicyRow>> read_policy(const std::string& text, const std::string& path, std::vector<FileSetting>* settings) {
  Reader reader(text, path, false);
  auto rows = reader.read();
  if (settings)
    for (FileSetting& each : reader.take_settings()) settings->push_back(std::move(each));
  return rows;
}

std::vector<PolicyRow> read_shipped_policy() {
  const std::string text = vestal_policy_toml;
  auto rows = Reader(text, "broker/policy.toml", true).read();
  assert(rows && "broker/policy.toml");
  return std::move(*rows);
}

}  // namespace broker
