#include "broker/cli/options.h"

#include <algorithm>
#include <cstdio>
#include <istream>
#include <ostream>
#include <sstream>

// CLI11 includes <iostream> for a way to leave that is not used here. That header has every program that contains it set
// up all streams and locales when it starts, which takes as long as a quarter of the start itself.
#define _GLIBCXX_IOSTREAM 1
namespace std {
extern ostream cout, cerr;
}

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace broker::cli {
namespace {

class FormatterWithUsage final : public CLI::Formatter {
 public:
  explicit FormatterWithUsage(std::string text) : text_(std::move(text)) {}
  std::string make_usage(const CLI::App*, std::string) const override { return text_ + "\n"; }

 private:
  std::string text_;
};

// None is empty, for shells take two tabs for one.
std::string column(const std::string& text) { return text.empty() ? "-" : text; }

}  // namespace

struct Options::App {
  CLI::App app;
  std::string usage;  // lines
  std::vector<std::string> acts;  // rows of the table, without the command
  std::vector<std::string> acts_with_options;

  // `; did you mean '--X'?`. Of one letter nobody can tell what was meant.
  std::string suggestion_for(const std::string& word) const {
    if (!word.starts_with("--")) return {};
    std::vector<std::string> all;
    for (const CLI::Option* option : app.get_options())
      for (const std::string& name : option->get_lnames()) all.push_back("--" + name);
    return suggestion(word.substr(0, word.find('=')), all);
  }
};

Options::Options(const std::string& usage, const std::string& purpose) : app_(std::make_unique<App>()) {
  app_->usage = usage;
  app_->app.description(purpose);
  app_->app.formatter(std::make_shared<FormatterWithUsage>("Usage: " + usage));
  app_->app.set_help_flag("-h,--help", "Print this and exit");
  app_->app.allow_extras();
}

Options::~Options() = default;

void Options::flag(const std::string& names, bool& value, const std::string& purpose) {
  app_->app.add_flag(names, value, purpose);
}

void Options::word(const std::string& name, const std::string& type, std::string& value, const std::string& purpose) {
  app_->app.add_option(name, value, purpose)->type_name(type);
}

void Options::words(const std::string& name, const std::string& type, std::vector<std::string>& values, const std::string& purpose) {
  app_->app.add_option(name, values, purpose)->type_name(type)->allow_extra_args(false);
}

void Options::command_options(CommandOptions& options) {
  flag("--summary", options.summary, "One line on standard error at the end: hits, misses, time saved");
  flag("-v,--verbose", options.verbose, "What happened to each step, and the summary");
  flag("--fresh", options.fresh, "Run everything and record it, replay nothing");
  flag("--progress", options.progress, "One line on the terminal meanwhile: steps done and running, hits, how long it may still take");
  word("--trace", "FILE", options.files.trace, "Write when each step ran, for ui.perfetto.dev");
  word("--report", "FILE", options.files.page, "Write a page of HTML: timeline, reasons, slowest steps");
  for (const char* name : {"summary", "verbose", "fresh"})
    app_->app.get_option("--" + std::string(name))->each([name, &options](const std::string& value) { options.said.push_back({name, value}); });
  policy("--clock", "real|@EPOCH|tick:@EPOCH", options, choose_clock, "What the wall clock tells");
  policy("--random", "real|SEED", options, choose_random, "Where random numbers come from");
  policy("--hostname", "NAME", options, choose_host_name, "What the host is called");
  policy("--network", "allow|deny|HOST:PORT,...", options, choose_network, "Whom the command may reach");
}

void Options::policy(const std::string& name, const std::string& words, CommandOptions& options, Choose choose, const std::string& purpose) {
  auto take = [name, &options, choose](const std::string& word) {
    if (const auto chosen = choose(options.policies, word); !chosen) throw CLI::ValidationError(name, chosen.error().message);
    options.said.push_back({name.substr(2), word});
  };
  app_->app.add_option_function<std::string>(name, take, purpose)->type_name(words)->take_last();
}

void Options::act(const std::string& name, const std::string& synopsis, const std::string& purpose, bool has_options) {
  app_->acts.push_back(name + '\t' + column(synopsis) + '\t' + purpose + '\t' + (has_options ? "own" : "none"));
  if (has_options) app_->acts_with_options.push_back(name);
}

std::string Options::help() const { return app_->app.help(); }

std::string Options::table() const {
  const std::string of = '\t' + table_of + '\t';
  std::string rows;
  // The list of acts that may follow is in rows of its own.
  std::istringstream usage(app_->usage.substr(0, app_->usage.find("\n\n")));
  for (std::string line; std::getline(usage, line);) rows += "usage" + of + line.substr(std::min(line.find_first_not_of(' '), line.size())) + '\n';
  rows += "about" + of + app_->app.get_description() + '\n';
  for (const std::string& act : app_->acts) rows += "act" + of + act + '\n';
  for (const CLI::Option* option : app_->app.get_options()) {
    if (option->get_positional()) continue;
    rows += "option" + of + option->get_name(false, true) + '\t' + column(option->get_type_name()) + '\t' +
            (option->get_expected_max() > 1 ? "many" : "once") + '\t' + option->get_description() + '\n';
  }
  return rows;
}

void Options::print_help() const {
  std::fputs((table_of.empty() ? help() : table()).c_str(), stdout);
  acts_with_table = app_->acts_with_options;
}

int Options::parse(std::vector<std::string> words) {
  std::reverse(words.begin(), words.end());
  try {
    app_->app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    print_help();
    return 0;
  } catch (const CLI::ParseError& error) {
    return wrong_usage(error.what());
  }
  const std::vector<std::string> unknown = app_->app.remaining();
  if (unknown.empty()) return -1;
  const bool is_option = unknown[0].starts_with('-');
  return wrong_usage((is_option ? "unknown option '" : "unexpected '") + unknown[0] + "'" +
                     (is_option ? app_->suggestion_for(unknown[0]) : ""));
}

int wrong_usage(const std::string& text) {
  complain(text);
  complain("see `vestal --help`");
  return status_wrong_usage;
}

std::vector<std::string> words_of(char* const* arguments) {
  std::vector<std::string> words;
  for (; *arguments; ++arguments) words.emplace_back(*arguments);
  return words;
}

}  // namespace broker::cli
