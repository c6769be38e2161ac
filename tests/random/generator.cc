#include "tests/random/generator.h"

#include <algorithm>
#include <cctype>

#include "tests/random/dice.h"
#include "tests/random/vocabulary.h"

namespace random_builds {
namespace {

using Names = std::vector<std::string>;

const Names directories = {"src", "src/sub", "inc", "data", "ld"};
const Names sources = {"src/a.txt", "src/b.txt", "src/c.txt", "src/h.h",  "src/m.c",  "src/sub/d.txt", "src/sub/a.txt",
                       "inc/h.h",   "inc/e.txt", "data/f",    "data/g.txt", "data/a.txt", "data/x y.txt"};
const Names links = {"la", "lb", "lc", "ld", "src/le", "data/lf"};
const Names absent = {"src/n.txt", "src/a0.txt", "inc/n.h", "data/none", "new", "src/sub/n", "nodir/x"};
const Names compared = {"times/t1", "times/t2", "times/t3"};
const Names scripts = {"./tools/one", "tools/two", "./tools/one"};
// Many of one length, so that another content is often of the same size; letters that ciphers of `tr a-y b-z` meet.
const Names words = {"one", "two", "six", "ten", "oak", "elm", "ash", "fir", "a", "longer", "o", "e"};

const Phrase& picked(Dice& dice, const std::vector<Phrase>& phrases) {
  unsigned sum = 0;
  for (const Phrase& phrase : phrases) sum += phrase.weight;
  unsigned at = static_cast<unsigned>(dice.below(sum));
  for (const Phrase& phrase : phrases) {
    if (at < phrase.weight) return phrase;
    at -= phrase.weight;
  }
  return phrases.back();
}

class Generator {
 public:
  Generator(std::uint64_t seed, const GeneratorOptions& options) : dice_(seed), options_(options) {}

  Scenario scenario() {
    scenario_.is_make = dice_.chance(30);
    parallel_ = scenario_.is_make && dice_.chance(40);
    scenario_.streams = static_cast<Streams>(dice_.below(static_cast<std::size_t>(Streams::count)));
    scenario_.again = dice_.chance(30);
    command();
    fill();
    // Of compilers one is enough: it takes as long as ten others.
    const std::size_t count = 3 + dice_.below(6), compiler = dice_.chance(10) ? dice_.below(count) : count;
    for (std::size_t i = 0; i < count; ++i) step(static_cast<int>(i), i == compiler);
    const std::size_t rounds = 3 + dice_.below(2);
    for (std::size_t i = 0; i < rounds; ++i) round();
    return std::move(scenario_);
  }

 private:
  void command() {
    if (parallel_)
      scenario_.command = "make -s -k -j2 ${up:+-C ..}";
    else if (scenario_.is_make)
      scenario_.command = dice_.pick(Names{"make", "make -s", "make -k"}) + " ${up:+-C ..}";
    else
      scenario_.command = dice_.pick(Names{"sh", "sh", "sh", "sh -e", "bash"}) + " ${up}build.sh";
  }

  std::string content() {
    std::string text;
    const std::size_t lines = dice_.chance(10) ? 0 : 1 + dice_.below(3);
    for (std::size_t i = 0; i < lines; ++i) text += dice_.pick(words) + "\\n";
    return text;
  }

  void fill() {
    Names& fill = scenario_.fill;
    fill = {"mkdir -p src/sub inc data tools sub out times; ln -s . self"};
    for (const std::string& name : sources) {
      const std::size_t lines = fill.size();
      if (name == "src/m.c")
        fill.push_back("printf '#include \"h.h\"\\nint f(void) { return H; }\\n#ifdef MAIN\\nint main(void) { return f(); }\\n#endif\\n' > src/m.c");
      else if (name == "inc/h.h")
        fill.push_back("echo '#define H 1' > inc/h.h");
      else if (name == "src/h.h" && dice_.chance(50))
        fill.push_back("echo '#define H 2' > src/h.h");
      else if (name != "src/h.h" && dice_.chance(85))
        fill.push_back(dice_.chance(3) ? "printf '%020000d\\n' 7 > " + word(name) : "printf '" + content() + "' > " + word(name));
      if (fill.size() > lines && name.find(' ') == name.npos) present_.push_back(name);
    }
    fill.push_back("ln -s src/a.txt la; ln -s la lb; ln -s nothing lc; ln -s " + dice_.pick(Names{"src", "data", "src/sub", "./src/../inc"}) + " ld");
    fill.push_back("ln -s " + dice_.pick(Names{"sub/d.txt", "../data/f", "le"}) + " src/le; ln -s " + dice_.pick(sources_without_blanks()) + " data/lf");
    if (dice_.chance(20)) fill.push_back("ln src/b.txt data/linked.txt");
    if (dice_.chance(30)) fill.push_back("chmod " + dice_.pick(modes) + " " + dice_.pick(sources_without_blanks()));
    fill.push_back("printf '#!/bin/sh\\ncat \"$1\"\\n' > tools/one; chmod 755 tools/one");
    fill.push_back("printf 'sort \"$1\"; echo $XA\\n' > tools/two" + std::string(dice_.chance(70) ? "; chmod 755 tools/two" : ""));
    fill.push_back("echo SOURCED=1 > inc/vars.sh");
    fill.push_back("printf 'all: o1 o2\\no1: p1\\n\\tcat p1 > o1\\no2: o1 $(wildcard p*)\\n\\tcat o1 p* > o2\\nclean:\\n\\trm -f o1 o2\\n' > sub/Makefile");
    fill.push_back("echo one > sub/p1; echo two > sub/p2");
    fill.push_back("echo one > times/t1; echo two > times/t2; echo one > times/t3");
    fill.push_back("find . -type f -exec touch -d @1000000000 {} +");
    for (const std::string& name : compared) fill.push_back("touch -d @" + past() + " " + name);
  }

  void step(int number, bool compiler) {
    Step step;
    step.number = number;
    target_ = "out/" + std::to_string(number);
    in_step_.clear();
    prerequisites_.clear();
    const bool rough = !scenario_.is_make && dice_.chance(40);
    step.text = expanded(picked(dice_, compiler ? compiler_steps : rough ? rough_steps : pure_steps).text);
    // A shell that these change or end is better one of their own.
    const bool own_shell = step.text.starts_with("exec ") || step.text.starts_with(". ") || step.text.starts_with("set ") ||
                           step.text.starts_with("umask ") || step.text.starts_with("PATH=");
    step.wrapping = static_cast<Wrapping>(dice_.below(static_cast<std::size_t>(Wrapping::count)));
    if (dice_.chance(30)) step.wrapping = Wrapping::inline_text;
    if (own_shell && step.wrapping == Wrapping::inline_text) step.wrapping = Wrapping::subshell;
    if (scenario_.is_make) {
      if (parallel_) step.text = "{ ( " + step.text + " ) > " + target_ + ".log 2>&1 || :; } 2> /dev/null";
      step.target = target_;
      for (const std::string& name : prerequisites_) step.prerequisites += (step.prerequisites.empty() ? "" : " ") + name;
      if (dice_.chance(10)) step.prerequisites += " $(wildcard src/*.txt)";
      step.always = dice_.chance(15);
      targets_.push_back(target_);
    }
    scenario_.steps.push_back(std::move(step));
    for (const std::string& name : in_step_) outputs_.push_back(name);
  }

  void round() {
    std::vector<Edit> edits;
    in_edits_ = true;
    const std::size_t count = dice_.chance(15) ? 0 : 1 + dice_.below(3);
    for (std::size_t i = 0; i < count; ++i) {
      if (dice_.chance(15))
        edits.push_back({"", expanded(picked(dice_, shell_edits).text)});
      else if (options_.clock_jumps && dice_.chance(50))
        edits.push_back({expanded(picked(dice_, clock_edits).text), ""});
      else
        edits.push_back({expanded(picked(dice_, file_edits).text), ""});
    }
    scenario_.rounds.push_back(std::move(edits));
  }

  std::string expanded(const std::string& phrase) {
    std::string text;
    Names before;
    for (std::size_t i = 0; i < phrase.size(); ++i) {
      if (phrase[i] != '@') {
        text += phrase[i];
      } else if (const char what = phrase[++i]; what == '@') {
        text += '@';
      } else if (std::isdigit(static_cast<unsigned char>(what))) {
        text += before.at(static_cast<std::size_t>(what - '1'));
      } else {
        before.push_back(value(what));
        text += before.back();
      }
    }
    return text;
  }

  std::string value(char what) {
    switch (what) {
      case 'F': return input();
      case 'E': return source();
      case 'O': return output("o", !scenario_.is_make && dice_.chance(25));
      case 'Q': return output("q", false);
      case 'C': return output("c", false);
      case 'H': return output("h", false);
      case 'G': return output("g", false);
      case 'J': return output("j", false);
      case 'P': return outputs_.empty() ? output("o", false) : dice_.pick(outputs_);
      case 'D': return dice_.pick(directories);
      case 'L': return dice_.pick(links);
      case 'M': return dice_.pick(absent);
      case 'S': return dice_.pick(scripts);
      case 'T': return dice_.pick(compared);
      case 'K': return past();
      case 'W': return dice_.pick(words);
      case 'X': return dice_.pick(Names{"XA", "XB", "XC"});
      case 'A': return dice_.pick(modes);
      case 'B': return dice_.pick(Names{"755", "700", "711"});
      case 'U': return dice_.pick(Names{"22", "02", "77", "27"});
      case 'Y': return dice_.pick(Names{"f", "d", "l"});
      default: return std::to_string(1 + dice_.below(9));
    }
  }

  std::string input() {
    const std::size_t kind = dice_.below(100);
    if (kind < 60) return source();
    if (kind < 75) return dice_.pick(links);
    if (kind < 85) return dice_.pick(absent);
    if (kind < 90) return dice_.pick(directories);
    if (in_edits_) return source();
    if (scenario_.is_make) return targets_.empty() ? source() : needed(dice_.pick(targets_));
    return outputs_.empty() ? source() : dice_.pick(outputs_);
  }
  std::string source() {
    const std::string& name = dice_.pick(sources);
    // A rule that forgets one of its prerequisites is no rarity.
    const bool is_needed = std::find(present_.begin(), present_.end(), name) != present_.end() && dice_.chance(85);
    return is_needed && !in_edits_ ? needed(name) : word(name);
  }
  std::string needed(const std::string& name) {
    prerequisites_.push_back(name);
    return name;
  }

  // A kind's name is never one of another kind, nor twice in a step: texts rely on it.
  std::string output(const std::string& kind, bool known) {
    if (scenario_.is_make) {
      in_step_.push_back(in_step_.empty() ? target_ : target_ + "." + kind + std::to_string(in_step_.size()));
      return in_step_.back();
    }
    if (known) {
      Names usual;
      for (const std::string& name : outputs_)
        if (name.starts_with("out/o")) usual.push_back(name);
      if (!usual.empty()) return dice_.pick(usual);
    }
    const std::string name = "out/" + kind + std::to_string(++output_count_);
    if (kind != "j") in_step_.push_back(name);
    return name;
  }

  std::string past() { return std::to_string(1000000000 + 100 * dice_.below(50)); }
  static std::string word(const std::string& name) { return name.find(' ') == name.npos ? name : quoted(name); }
  static Names sources_without_blanks() { return {sources.begin(), sources.end() - 1}; }

  const Names modes{"644", "600", "755", "444", "640", "700"};
  Dice dice_;
  const GeneratorOptions options_;
  Scenario scenario_;
  bool parallel_ = false;
  bool in_edits_ = false;
  std::string target_;
  Names present_, in_step_, prerequisites_, outputs_, targets_;
  int output_count_ = 0;
};

}  // namespace

Scenario made_up(std::uint64_t seed, const GeneratorOptions& options) { return Generator(seed, options).scenario(); }

}  // namespace random_builds
