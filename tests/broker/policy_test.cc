#include "broker/policy_table.h"

#include "broker/policy_file.h"

#include <algorithm>
#include <cstring>
#include <string>

#include <catch2/catch.hpp>

#include "cache/record.h"
#include "preload/protocol.h"

using namespace broker;

namespace {

Policy policy_for(const std::string& program, const std::vector<std::string>& arguments) {
  static const PolicyTable table;
  return table.policy_for(program, arguments);
}

bool names(const std::string& text, const std::string& name) {
  const auto found = shell_names(text);
  REQUIRE(found);
  return std::find(found->begin(), found->end(), name) != found->end();
}

}  // namespace

TEST_CASE("for a program nobody has described everything counts") {
  const Policy policy = policy_for("/home/me/tool", {"tool"});
  CHECK((policy.stat_aspects & cache::aspect_times));
  CHECK(policy.environment == EnvironmentUse::whole);
  CHECK(policy.ignored_clocks == 0);
  CHECK_FALSE(policy.replaces_outputs);
}

TEST_CASE("a program of the user's that is called like a known one is not taken for it") {
  CHECK((policy_for("/home/me/bin/gcc", {"gcc"}).stat_aspects & cache::aspect_times));
}

TEST_CASE("a compiler's __TIME__ counts, the clock in its temporary names does not") {
  const Policy policy = policy_for("/usr/lib/gcc/x86_64-linux-gnu/12/cc1", {"cc1"});
  CHECK_FALSE((policy.ignored_clocks & preload::clock_by_time));
  CHECK((policy.ignored_clocks & preload::clock_by_timeofday));
}

TEST_CASE("who makes temporary names by the clock may draw them again with random numbers") {
  for (const char* name : {"ar", "ranlib", "strip", "objcopy", "as", "ld", "make", "gcc", "ar rcU"}) {
    INFO(name);
    const std::string program = std::string("/usr/bin/") + std::string(name, std::strcspn(name, " "));
    const Policy policy = policy_for(program, {name, std::strchr(name, ' ') ? "rcU" : "x"});
    CHECK((policy.ignored_clocks & preload::clock_by_gettime));
    CHECK(policy.ignores_random);
  }
}

TEST_CASE("cp looks at times only if told to") {
  CHECK_FALSE((policy_for("/usr/bin/cp", {"cp", "a", "b"}).stat_aspects & cache::aspect_times));
  CHECK((policy_for("/usr/bin/cp", {"cp", "-p", "a", "b"}).stat_aspects & cache::aspect_times));
  CHECK((policy_for("/usr/bin/cp", {"cp", "--preserve=timestamps", "a", "b"}).stat_aspects & cache::aspect_times));
  CHECK((policy_for("/usr/bin/ar", {"ar", "rU", "lib.a"}).stat_aspects & cache::aspect_times));
  CHECK_FALSE((policy_for("/usr/bin/ar", {"ar", "rc", "lib.a"}).stat_aspects & cache::aspect_times));
}

TEST_CASE("long options may be shortened, and their values count where the row says so") {
  for (const char* words : {"--numeric-uid-gid", "--num", "--full", "--so=time", "-n"}) CHECK((policy_for("/usr/bin/ls", {"ls", words}).stat_aspects & cache::aspect_times));
  for (const char* word : {"--key=1,1R", "--k=2R", "--sort=rand", "--sort", "1R", "-k1R", "--rand"}) CHECK_FALSE(policy_for("/usr/bin/sort", {"sort", word}).ignores_random);
  for (const char* word : {"--key=1,1n", "--sort=version", "1,1n", "-k1r", "in"}) CHECK(policy_for("/usr/bin/sort", {"sort", word}).ignores_random);
  CHECK((policy_for("/usr/bin/vdir", {"vdir", "a"}).stat_aspects & cache::aspect_times));
}

TEST_CASE("arguments that were too many to be told may be any") {
  CHECK((policy_for("/usr/bin/ls", {}).stat_aspects & cache::aspect_times));
}

TEST_CASE("statistics of a program's own time count, one look at its start does not") {
  const auto counts = [](const char* program, std::uint32_t clock) { return (policy_for(program, {"x"}).ignored_clocks & clock) == 0; };
  CHECK_FALSE(counts("/usr/bin/as", preload::clock_by_usage));
  CHECK(counts("/usr/bin/as", preload::clock_by_usage_again));
  CHECK(counts("/usr/bin/gcc", preload::clock_by_usage));
  CHECK(counts("/usr/bin/make", preload::clock_by_time));
  CHECK(counts("/usr/bin/bash", preload::clock_by_time));
  CHECK_FALSE(counts("/usr/bin/bash", preload::clock_by_timeofday));
}

TEST_CASE("find and test are told to look at times by words that stand behind -- too") {
  CHECK((policy_for("/usr/bin/find", {"find", "--", ".", "-newer", "x"}).stat_aspects & cache::aspect_times));
  CHECK((policy_for("/usr/bin/find", {"find", ".", "-newermt", "x"}).stat_aspects & cache::aspect_times));
  CHECK_FALSE((policy_for("/usr/bin/find", {"find", ".", "-type", "f"}).stat_aspects & cache::aspect_times));
  CHECK_FALSE((policy_for("/usr/bin/cp", {"cp", "--", "-p", "b"}).stat_aspects & cache::aspect_times));
}

TEST_CASE("the rows that may hold for a program are part of what it is") {
  const cache::Digest identity = cache::digest_of("tool");
  const auto with = [&](const std::string& row) {
    auto rows = read_policy("[[policy]]\nprograms = ['/home/me/*']\n" + row, "/home/me/.vestal.toml");
    REQUIRE(rows);
    return PolicyTable(std::move(*rows)).with_rows(identity, "/home/me/tool");
  };
  CHECK(PolicyTable().with_rows(identity, "/home/me/tool") == identity);
  const cache::Digest times = with("reason = 'x'\nignores = ['times']");
  CHECK(times != identity);
  CHECK(with("reason = 'another'\n# moved\nignores = ['times']") == times);
  for (const char* edited : {"ignores = ['times', 'fstat']", "ignores = ['times']\nstrict.letters = 'p'", "ignores = ['times']\nonly_with = ['-x']",
                             "ignores = ['times']\nenvironment = 'getenv'", "ignores = ['times']\nlanguage = 'python'",
                             "ignores = ['times']\nbefore_script = {options = 'a', ignores = ['time']}",
                             "ignores = ['times']\nbefore_script = {options = 'a', ignores = ['random']}",
                             "ignores = ['times']\nbefore_script = {options = 'ab', ignores = ['random']}",
                             "ignores = ['times']\nlanguage = 'awk'", "ignores = ['times']\nwaits = true",
                             "ignores = ['times']\nmakes_new_files = true"}) {
    INFO(edited);
    CHECK(with(std::string("reason = 'x'\n") + edited) != times);
  }
}

TEST_CASE("a row that holds only with an argument leaves other runs to the next row") {
  auto rows = read_policy("[[policy]]\nprograms = ['/usr/bin/cat']\nreason = 'x'\nonly_with = ['-u']\nignores = ['size']", "/home/me/.vestal.toml");
  REQUIRE(rows);
  const PolicyTable table(std::move(*rows));
  CHECK(table.policy_for("/usr/bin/cat", {"cat", "-u"}).row->origin == "/home/me/.vestal.toml:1");
  CHECK(table.policy_for("/usr/bin/cat", {"cat"}).row->origin == "shipped");
  CHECK_FALSE(table.always_ignores_fstat("/usr/bin/cat"));
  CHECK(PolicyTable().always_ignores_fstat("/usr/bin/cat"));
}

TEST_CASE("a shell may expand the variables its text names, and those it reads by itself") {
  CHECK(names("echo $FOO ${BAR:-x}", "FOO"));
  CHECK(names("echo $FOO ${BAR:-x}", "BAR"));
  CHECK(names("ls ~", "HOME"));
  CHECK_FALSE(names("echo $FOO", "OTHER"));
}

TEST_CASE("a text that can make up names may expand any variable") {
  for (const char* text : {"eval echo \\$$x", ". ./settings", "set | grep x", "export -p", "echo ${!name}", "cd x; . y"}) {
    INFO(text);
    CHECK_FALSE(shell_names(text));
  }
  CHECK(shell_names("gcc -c ./file.c"));
}

TEST_CASE("a text that asks for process ids, random numbers or the time is told apart") {
  for (const char* text : {"echo $$", "echo ${$}", "f & echo ${!}", "echo $COPROC_PID", "echo $RANDOM", "x=$SECONDS", "printf '%(%s)T'"}) CHECK(shell_text_varies(text));
  for (const char* text : {"time make", "{ time ls; } 2> x", "if a; then time b; fi", "a &&\n\ttime b", "! time a"}) CHECK(shell_text_varies(text));
  for (const char* text : {"# time flies", "echo time", "x=time", "time=1; echo $time", "a --time b"}) CHECK_FALSE(shell_text_varies(text));
  CHECK_FALSE(shell_text_varies("gcc -c x.c -o x.o"));
}

TEST_CASE("a text that compares times of files is told apart from one that has such letters in a word") {
  for (const char* text : {"[ a -nt b ]", "test a -ot b && x", "[[ -N f ]]"}) CHECK(shell_text_compares_times(text));
  for (const char* text : {"find . -not -name x", "sed -N5", "echo a-nt b"}) CHECK_FALSE(shell_text_compares_times(text));
}

TEST_CASE("an interpreter's script is its first argument behind options that have no value") {
  const auto script = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "python3");
    return std::string(script_argument(arguments, "BEs"));
  };
  CHECK(script({"s.py", "-c", "x"}) == "s.py");
  CHECK(script({"-B", "-Es", "s.py"}) == "s.py");
  CHECK(script({"-c", "import x", "s.py"}).empty());
  CHECK(script({"-Bc", "import x", "s.py"}).empty());
  CHECK(script({"--version", "s.py"}).empty());
  CHECK(script({"-", "s.py"}).empty());
  CHECK(script({"-B"}).empty());
  CHECK(script({}).empty());
}

TEST_CASE("a text of Perl that asks when the program began, or for the age of a file, is found") {
  for (const char* text : {"print $^T", "print ${^T}x", "use English; print $BASETIME", "print -M $file", "if (-A 'x')", "-C\"x\"", "sort { -M($a) }", "-M _", "-M FILE", "-M\n$x", "-M <F>"}) {
    INFO(text);
    CHECK(perl_text_varies(text));
  }
  for (const char* text : {"print time", "-e $file", "my $x = $y-Max;", "use Getopt::Long; '--Many'", "a -Mb", "-M", "-"}) {
    INFO(text);
    CHECK_FALSE(perl_text_varies(text));
  }
}
TEST_CASE("a name made up by mkstemp or gcc is told from one that somebody has chosen") {
  for (const char* name : {"/tmp/ccR3bX9a.s", "/tmp/ccqzzprx.s", "/var/tmp/bisonaB3dE6", "/var/tmp/made/ccabcdef"}) {
    INFO(name);
    CHECK(broker::is_temporary(name));
  }
  for (const char* name : {"/var/tmp/made/output", "/tmp/ccompiler.o", "/tmp/account", "/home/me/ccqzzprx.s", "/tmp/cc.s"}) {
    INFO(name);
    CHECK_FALSE(broker::is_temporary(name));
  }
}

