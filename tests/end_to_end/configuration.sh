#!/bin/bash
# Configuration files: rows of the user's own are used, told of and part of what a step is; what is wrong in a file is
# told before anything is started.
. "$SOURCE/tests/end_to_end/cli.sh"
mkdir -p home/.config/vestal other/vestal project/deep/er outside
cd project
project=$PWD
HOME=$(readlink -f ../home)
export HOME
user=$HOME/.config/vestal/config.toml

# A program that says what time it is, but in its comments only.
printf '#include <stdio.h>\n#include <time.h>\nint main(void) { if (time(0) > 1) puts("done"); return 0; }\n' >tool.c
gcc tool.c -o tool
notes() { # COMMAND...
  "$VESTAL" -v run -- "$@" 2>&1 | grep '^vestal: ' | head -n -1
}
row() { printf '[[policy]]\nprograms = ["%s"]\nignores = ["%s"]\nreason = "its clock reaches nobody"\n' "$1" "$2"; }
outcome() { # WHAT PATTERN COMMAND...: of the command's first step
  local what=$1 pattern=$2
  shift 2
  like "$what" "vestal: $pattern" "$(notes "$@" | tail -n 1)"
}

outcome 'without a row' 'not cacheable *tool: reads the clock' ./tool
row ./tool clocks >.vestal.toml
outcome 'the first time with a row' "miss *; by the policy row for $project/tool ($project/.vestal.toml:1)" ./tool
outcome 'with a row' "hit *./tool: by the policy row for $project/tool ($project/.vestal.toml:1)" ./tool
run "$VESTAL" why -v ./tool
like 'why names the row' "*    by the policy row for $project/tool ($project/.vestal.toml:1)*" "$out"
"$VESTAL" run gcc -c tool.c
run "$VESTAL" why -v gcc
like 'why names a shipped row' '*    by the policy row for x86_64-linux-gnu-gcc\* (shipped)*' "$out"

# Editing the row is another program: also for who only started it.
outcome 'the step around it' 'miss *' sh -c './tool; echo outer'
outcome 'the step around it again' 'hit *' sh -c './tool; echo outer'
row ./tool time >.vestal.toml
outcome 'the step around it after the row was edited' "miss *sh -c *$project/tool is another program*policy row*" sh -c './tool; echo outer'
# From a shell again, which gives it the variables in another order than they have here.
like 'it itself, made new inside that' 'vestal: hit *./tool*' "$(notes sh -c './tool; echo again' | head -n 1)"
row ./tool random >.vestal.toml
outcome 'a row that says too little' 'not cacheable *reads the clock*' ./tool
outcome 'the step around it, with a row that says too little' 'not cacheable *inside it `./tool`: reads the clock*' sh -c './tool; echo outer'
{ echo '# another line'; row ./tool time; } >.vestal.toml
like 'a row that has only moved' 'vestal: hit *./tool*(*.vestal.toml:2)' "$(notes sh -c './tool; echo moved' | head -n 1)"
rm .vestal.toml
outcome 'a row that is gone' 'not cacheable *' ./tool

# Places, the nearest first.
row "$project/to?l" clocks >"$user"
outcome "the user's file" "* ($user:1)" ./tool
( cd deep/er && outcome 'a pattern, from elsewhere' "* ($user:1)" ../../tool; exit $faults ) || faults=1
row ./tool clocks >.vestal.toml
( cd deep/er && outcome 'the project comes before the user' "* ($project/.vestal.toml:1)" ../../tool; exit $faults ) || faults=1
row /nothing clocks >deep/.vestal.toml
( cd deep/er && outcome 'of two projects the nearer one' "* ($user:1)" ../../tool; exit $faults ) || faults=1
rm deep/.vestal.toml
row "$project/tool" clocks >../other/vestal/config.toml
( cd ../outside && XDG_CONFIG_HOME=$project/../other outcome '$XDG_CONFIG_HOME' "* (*/other/vestal/config.toml:1)" ../project/tool; exit $faults ) || faults=1
ln -s tool link
row ./link clocks >.vestal.toml
outcome 'symbolic links are followed' "* (*/.vestal.toml:1)" ./link
# Of a program with a shipped row the own one holds.
row /usr/bin/cat times >.vestal.toml
outcome 'an own row before a shipped one' "*by the policy row for /usr/bin/cat ($project/.vestal.toml:1)" cat tool.c
run "$VESTAL" policy
like 'policy lists own rows first' "/usr/bin/cat
    $project/.vestal.toml:1
    ignores times
*    $user:1
*cc1 cc1plus *
    shipped
*" "$out"
rm .vestal.toml "$user"

# What is wrong is told with its place, and nothing is started.
wrong() { # WHAT TEXT MESSAGE
  printf '%s' "$2" >.vestal.toml
  run "$VESTAL" run -- touch started
  result "$1" 125 '' "vestal: $project/.vestal.toml:$3"
  run "$VESTAL" -v run -- touch started
  is "$1, with -v" 125 "$status"
  run "$VESTAL" make -f /dev/null
  is "$1, make" 125 "$status"
  run "$VESTAL" policy
  is "$1, policy" 125 "$status"
  [ -e started ] && { is "$1: nothing was started" no yes; rm started; }
  rm .vestal.toml
}
start='[[policy]]
programs = ["/bin/x"]
reason = "x"
'
wrong 'an unknown table' $'\n[[polcy]]\n' "2: unknown key 'polcy'; did you mean 'policy'[?]"
wrong 'an unknown key' "${start}ignore = []" "4: unknown key 'ignore'; did you mean 'ignores'[?]"
wrong 'a key like nothing' "${start}frobnicate = 1" "4: unknown key 'frobnicate'"
wrong 'an unknown word' "${start}ignores = [\"size\",
  \"tims\"]" "5: 'ignores' cannot be 'tims'; did you mean 'times'[?]"
wrong 'a word that is a number' "${start}ignores = [1]" "4: 'ignores' is not a text in quotes"
wrong 'a word without a list' "${start}ignores = 'size'" "4: 'ignores' is not a list of texts"
wrong 'an unknown use of the environment' "${start}environment = \"getenf\"" "4: 'environment' cannot be 'getenf'; did you mean 'getenv'[?]"
wrong 'a text without a shell' "${start}environment = \"text\"" "4: 'environment' can be 'text' only with *"
wrong 'an unknown strict key' "${start}strict.leters = \"p\"" "4: unknown key 'leters'; did you mean 'letters'[?]"
wrong 'strict without arguments' "${start}strict.bundle = true" "4: 'strict' has neither letters nor words"
wrong 'half of before_script' "${start}before_script.options = 'a'" "4: 'before_script' has no 'ignores'"
wrong 'more than clocks and random numbers before the script' "${start}before_script = {options = 'a', ignores = ['times']}" "4: 'before_script.ignores' cannot be 'times'; did you mean 'time'?"
wrong 'a flag that is a text' "${start}waits = 'yes'" "4: 'waits' is neither true nor false"
wrong 'no reason' $'[[policy]]\nprograms = ["/bin/x"]' "1: the row has no 'reason'"
wrong 'no programs' $'\n[[policy]]\nreason = "x"' "2: the row has no 'programs'"
wrong 'a program without a path' $'[[policy]]\nprograms = [\n  "cc"]\nreason = "x"' "3: 'cc' is not an absolute path*"
wrong 'places' "${start}places = ['/']" "4: unknown key 'places'"
wrong 'one table' $'[policy]\nprograms = ["/bin/x"]\nreason = "x"' "1: 'policy' is not a list of tables*"
wrong 'not TOML' $'[[policy]]\nprograms = ["/bin/x"' '2: *'
mkdir .vestal.toml
run "$VESTAL" run true
result 'a directory' 125 '' "vestal: $project/.vestal.toml: is not a file"
rmdir .vestal.toml
head -c 300000 /dev/zero | tr '\0' '#' >.vestal.toml
run "$VESTAL" run true
result 'a file that is too long' 125 '' "vestal: $project/.vestal.toml: is too long"
# As long as it may be.
{ row ./tool clocks; head -c 262000 /dev/zero | tr '\0' '#'; } >.vestal.toml
outcome 'a long file' "hit *./tool*" ./tool
: >.vestal.toml
run "$VESTAL" run echo hello
result 'an empty file' 0 hello ''
rm .vestal.toml
mkdir -p "$user"
run "$VESTAL" run true
result "the user's file is a directory" 125 '' "vestal: $user: is not a file"
rmdir "$user"
run "$VESTAL" run echo hello
result 'no file' 0 hello ''

# Anybody may put a file into /tmp.
if [ "$(id -u)" = 0 ]; then
  row ./tool clocks >.vestal.toml
  chown 12345 .vestal.toml
  run "$VESTAL" run echo hello
  result "another user's file" 0 hello "vestal: $project/.vestal.toml: belongs to another user and is not used"
fi
finish
