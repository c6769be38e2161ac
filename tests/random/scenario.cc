#include "tests/random/scenario.h"

namespace random_builds {
namespace {

std::string write_file(const std::string& name, const std::string& text) {
  return "printf '%s\\n' " + quoted(text) + " > " + quoted(name) + "\n";
}

std::string for_make(const std::string& text) {
  std::string recipe;
  for (const char c : text) recipe += c == '$' ? "$$" : std::string(1, c);
  return recipe;
}

std::string step_file(const Step& step, const char* suffix) { return "steps/" + std::to_string(step.number) + suffix; }

// The step's line in the build script; what it needs besides is added to `files`.
std::string wrapped(const Step& step, std::string& files) {
  // ${up} leads from the directory the build is started in to the tree's top.
  const auto place = [](const std::string& name) { return "${up}" + name; };
  switch (step.wrapping) {
    case Wrapping::subshell: return "( " + step.text + " )";
    case Wrapping::sh_text: return "sh -c " + quoted(step.text);
    case Wrapping::bash_text: return "bash -c " + quoted(step.text);
    case Wrapping::environment: return "env XB=inner sh -c " + quoted(step.text);
    case Wrapping::sh_file:
      files += write_file(step_file(step, ".sh"), step.text);
      return "sh " + place(step_file(step, ".sh"));
    case Wrapping::sh_input:
      files += write_file(step_file(step, ".sh"), step.text);
      return "sh < " + place(step_file(step, ".sh"));
    case Wrapping::sh_pipe:
      files += write_file(step_file(step, ".sh"), step.text);
      return "cat " + place(step_file(step, ".sh")) + " | sh";
    case Wrapping::executable:
      files += write_file(step_file(step, ""), "#!/bin/sh\n" + step.text) + "chmod 755 " + step_file(step, "") + "\n";
      return place(step_file(step, ""));
    case Wrapping::make_file:
      files += write_file(step_file(step, ".mk"), "all:\n\t@" + for_make(step.text));
      return "make -s -f " + place(step_file(step, ".mk"));
    default: return step.text;
  }
}

std::string makefile(const Scenario& scenario) {
  std::string all, rules, phony = ".PHONY: all";
  for (const Step& step : scenario.steps) {
    all += " " + step.target;
    if (step.always) phony += " " + step.target;
    rules += step.target + ": " + step.prerequisites + "\n\t" + for_make(step.text) + "\n";
  }
  return "all:" + all + "\n" + phony + "\n" + rules;
}

}  // namespace

std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

std::string fill_text(const Scenario& scenario) {
  std::string text, files, build;
  for (const std::string& line : scenario.fill) text += line + "\n";
  if (scenario.is_make) return text + write_file("Makefile", makefile(scenario));
  for (const Step& step : scenario.steps) build += (build.empty() ? "" : "\n") + wrapped(step, files);
  if (!files.empty()) text += "mkdir steps\n" + files;
  return text + write_file("build.sh", build);
}

std::string round_text(const Scenario& scenario, std::size_t round, const std::string& tool) {
  std::string files, shell;
  for (std::size_t i = 0; i < round; ++i)
    for (const Edit& edit : scenario.rounds[i]) {
      if (i + 1 == round && !edit.files.empty()) files += edit.files + "\n";
      if (!edit.shell.empty()) shell += edit.shell + "\n";
    }
  if (!files.empty()) files = "( " + files + ") >/dev/null 2>&1\n";
  return files + shell + "exec " + tool + (tool.empty() ? "" : " ") + scenario.command;
}

std::string script_text(const Scenario& scenario) {
  std::string text = fill_text(scenario);
  for (std::size_t round = 0; round <= scenario.rounds.size(); ++round) {
    if (round > 0)
      for (const Edit& edit : scenario.rounds[round - 1]) text += edit.files + (edit.files.empty() ? edit.shell : "") + "\n";
    text += "$V " + scenario.command + "\n";
  }
  return text;
}

}  // namespace random_builds
