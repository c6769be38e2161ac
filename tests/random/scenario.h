// A tree of files, a build over it, and what happens to the tree between one build and the next.
//
// Everything is shell text, so that what is run is also what is printed when it went wrong. All of it can be
// left out piece by piece: a scenario with fewer lines is a scenario.
#pragma once

#include <string>
#include <vector>

namespace random_builds {

// How a step stands in the build script.
enum class Wrapping {
  inline_text,
  subshell,
  sh_text,     // sh -c '...'
  bash_text,
  sh_file,     // sh steps/3.sh
  executable,  // steps/3, which begins with #!
  make_file,   // make -s -f steps/3.mk
  sh_input,    // sh < steps/3.sh
  sh_pipe,     // cat steps/3.sh | sh
  environment, // env XB=... sh -c '...'
  count,
};

struct Step {
  std::string text;  // one line
  Wrapping wrapping = Wrapping::inline_text;
  // If the build is a Makefile:
  std::string target;
  std::string prerequisites;
  bool always = false;  // phony
  int number = 0;
};

// `files` is run in the tree before the build; `shell` in the shell that starts this build and all later ones.
struct Edit {
  std::string files;
  std::string shell;
};

// Where the standard output and error of a build go.
enum class Streams { two_pipes, one_pipe, two_files, one_file, count };

struct Scenario {
  bool is_make = false;
  std::string command;  // starts the build
  Streams streams = Streams::two_pipes;
  bool again = false;   // run all of it a second time, when the cache knows everything
  std::vector<std::string> fill;
  std::vector<Step> steps;
  std::vector<std::vector<Edit>> rounds;  // before each build after the first
};

// A word of a shell text.
std::string quoted(const std::string& word);

// What fills the empty tree: `fill`, the build script and the files of the steps.
std::string fill_text(const Scenario& scenario);

// What is run for build number `round` (0 is the first) with `tool` in front of the command.
std::string round_text(const Scenario& scenario, std::size_t round, const std::string& tool);

// The whole as a bash script for an empty directory. $V stands for the tool.
std::string script_text(const Scenario& scenario);

}  // namespace random_builds
