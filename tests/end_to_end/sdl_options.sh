#!/bin/bash
# vestal build --fsdeps, --timings, --salt, --no-add: what they tell, and whose results are used.
. "$SOURCE/tests/end_to_end/cli.sh"
trees_can_be_entered || { echo 'not possible here: overlayfs and /proc in namespaces of a user'; exit 77; }
PATH=$(dirname "$VESTAL"):/usr/bin:/bin

vestal import -o os -- sh -c 'sort /dev/null; sleep 0' 2>import.text || { cat import.text; exit 1; }
cat >build.ves <<'V'
files os; words;
{
  . = [ root = os ++ [ .WD = [ words ] ], envVars = [ PATH = "/none:/usr/bin:/bin", LC_ALL = "C", UNRELATED = "1" ] ];
  sorted(name) { return _run_tool("linux", < "sort", name, "-o", "sorted" >)/root/.WD/sorted + ""; };
  return sorted("words");
}
V
printf 'b\na\n' >words
# What --trace-calls tells, each outcome with what it is of.
traced() { sed -n 's/^vestal: \(hit\|miss\|run\)  *\([a-z]*\) .*/\1 \2/p' err.text | tr '\n' ','; }
build() { run vestal build --trace-calls --result "$@"; }

# ---- salt ----
build
is 'for the first time' 'miss model,miss function,miss sort,' "$(traced)"
build
is 'once more' 'hit model,' "$(traced)"
build --salt one
is 'with a salt everything is done anew' 'miss model,miss function,miss sort,' "$(traced)"
build --salt one
is 'results with a salt are kept' 'hit model,' "$(traced)"
build -pk-salt two
is 'another salt, in the spelling of Vesta' 'miss model,miss function,miss sort,' "$(traced)"
is 'with a salt the result is the same' '"a\nb\n"' "$out"
build -salt two --cache runtool
is 'tools have the salt too' 'hit sort,' "$(traced)"
build
is 'without a salt again' 'hit model,' "$(traced)"
run vestal build --salt
result 'a salt has to be said' 2 '' '*--salt*'

# ---- no results are added ----
printf 'd\nc\n' >words
for round in 1 2; do
  build --no-add
  is "nothing is kept, $round" 'miss model,miss function,miss sort,' "$(traced)"
done
build
is 'nor is there anything afterwards' 'miss model,miss function,miss sort,' "$(traced)"
build -noaddentry
is 'what is known is used' 'hit model,' "$(traced)"
run vestal build --trace --no-add --cache runtool
like 'so are results of tools' 'vestal: hit *sort words -o sorted' "$err"

# ---- dependencies ----
dependencies() { sed -n '/^vestal: depends: /,$p' err.text; }
run vestal build --cache runtool --fsdeps
first=$(dependencies)
is 'the command' 'vestal: depends: sort words -o sorted' "$(head -n 1 <<<"$first")"
has() { like "$1" "*
  $2
*" "$first
"; }
is 'each is told once' '' "$(sort <<<"$first" | uniq -d)"
has 'the file that is read' 'N/./root/.WD/words'
has 'the program' 'N/./root/usr/bin/sort'
has 'a file that is made was not there' '!/./root/.WD/sorted'
has 'a place where the program is looked for' '!/./root/none/sort'
has 'a variable' 'N/./envVars/PATH'
has 'a variable that there is not' '!/./envVars/TMPDIR'
like 'not a variable that nobody asks for' no "$(case $first in *UNRELATED*) echo yes ;; *) echo no ;; esac)"
run vestal build --cache runtool --fsdeps --salt dependencies
is 'of a tool that runs they are the same' "$first" "$(dependencies)"
run vestal build -fsdeps
is 'of a call that is known no tool is asked for' '' "$err"

# ---- times ----
cat >slow.ves <<'V'
files os;
{
  . = [ root = os ++ [ .WD = [] ], envVars = [ PATH = "/usr/bin:/bin" ] ];
  slow(n) { return _run_tool("linux", < "sleep", n >)/code; };
  return _par_map(slow, < "0.5", "0.50", "0.500" >);
}
V
# seconds WHAT: of the last table, in milliseconds
milliseconds() { sed -n "s/^  $1  *\([0-9]*\)\.\([0-9]*\).*/\1\2/p" err.text | sed 's/^0*\(.\)/\1/'; }
at_least() { [ "${2:-0}" -ge "$3" ] || is "$1: at least $3 ms" "$3" "$2"; }
below() { [ "${2:-0}" -lt "$3" ] || is "$1: less than $3 ms" "$3" "$2"; }
run vestal build -j 1 --timings slow
result 'times are told' 0 '' '*vestal: where the time went:*seconds*times*all threads*beginning to end*'
at_least 'three tools, one after the other' "$(milliseconds 'run tools')" 1500
like 'how often' '*run tools *3*' "$(grep 'run tools' err.text)"
all=$(milliseconds 'all threads') passed=$(milliseconds 'beginning to end')
sum=$(awk '/^  [a-z]/ && !/all threads|beginning/ { for (i = NF; i > 0; --i) if ($i ~ /\./) { sum += $i * 1000; break } } END { printf "%d", sum }' err.text)
at_least 'the rows are all there is' $((sum + 10)) "$all"
at_least 'and no more' $((all + 10)) "$sum"
at_least 'one thread is always at something' $((all + 20)) "$passed"
run vestal build -j 3 --timings --salt times slow
at_least 'three at once' "$(milliseconds 'all threads')" 1500
below 'three at once, seen from outside' "$(milliseconds 'beginning to end')" $((all - 300))
run vestal build -timings slow
is 'of what is known no tool runs' '' "$(grep 'run tools' err.text)"
like 'it was looked up' '*look up calls*' "$err"
run vestal build --timings --parse slow
like 'of --parse' '*parse models*1*' "$err"
echo '{ return 1/x; }' >wrong.ves
run vestal build --timings wrong
result 'of a build that fails' 1 '' '*error:*where the time went:*evaluate*'
finish
