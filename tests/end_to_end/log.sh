#!/bin/bash
# vestal log: what the last commands did, the newest first.
. "$SOURCE/tests/end_to_end/cli.sh"
work=$PWD/work
mkdir -p work/other && cd work || exit 1
# of FIELD [COUNT]: of the last COUNT sessions, the newest first, on one line
of() { "$VESTAL" log --json -n "${2:-1}" | python3 -c 'import json, sys; print(*(one[sys.argv[1]] for one in json.load(sys.stdin)))' "$1"; }
# step FIELD WORD...: of the last step with these words in its command
step() {
  "$VESTAL" log >/dev/null
  python3 - "$VESTAL_DIR/explanations" "$@" <<'P'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
print([line[sys.argv[2]] for line in lines if sys.argv[3] in line.get('command', '')][-1])
P
}

run "$VESTAL" log
result 'without a cache' 1 '' 'vestal: there is no cache at *'
cat >Makefile <<'M'
all: a.o stamp
a.o: a.c
	gcc -c $< -o $@
stamp: force
	@date >stamp
force:
M
echo 'int a;' >a.c
SECRET=open-sesame "$VESTAL" make >/dev/null
(cd other && "$VESTAL" run false)
{ "$VESTAL" run sh -c 'sleep 0.3; kill -9 $$'; } 2>/dev/null
run "$VESTAL" log
result 'three commands' 0 '*' ''
is 'the newest first' $'sh -c sleep 0.3; kill -9 $$\nfalse\nmake' "$(sed -n 's/^.................... .*  \(status .\|not seen\)  *//p' <<<"$out")"
like 'with directories' "*in $work/other"$'\n*' "$out"
like 'what came of make' '*  0      1             3  *status 0    make*' "$out"
is 'statuses; nobody saw how the first process ended that was killed' 'None 1 0' "$(of status 3)"
is 'directories' "$work $work/other $work" "$(of directory 3)"
is 'misses' '0 1 1' "$(of misses 3)"
is 'not cacheable' '2 0 3' "$(of not_cacheable 3)"
is 'how many' 2 "$(of hits 2 | wc -w)"
like 'not in a tree' 'False' "$(of in_tree)"
like 'the time it took' '0.[3-9]*' "$(of seconds)"
is 'it began before it ended' yes "$([ "$(of began_ns)" -lt "$(of ended_ns)" ] && echo yes)"

is 'a step took its time' yes "$([ "$(step took_ns 'sleep 0.3')" -ge 300000000 ] && echo yes)"
is 'it has a number' yes "$([ "$(step process gcc)" -gt 1 ] && echo yes)"
is 'it ended well' 0 "$(step status gcc)"
is 'or not' 256 "$(step status false)"
is 'a miss saves nothing' 0 "$(step saved_ns gcc)"
run "$VESTAL" why -v false
like 'why tells it' $'*\n    began 20*, took * s, process *, status 1\n*' "$out"

rm a.o && "$VESTAL" make >/dev/null
is 'a hit' 1 "$(of hits)"
is 'a step that is a hit has saved what it took' yes "$([ "$(step saved_ns gcc)" -gt 1000000 ] && echo yes)"
is 'and so has the command' "$(step saved_ns gcc)" "$(of saved_seconds | python3 -c 'print(round(float(input()) * 1e9))')"
run "$VESTAL" why -v a.o
like 'why tells that too' $'*\n    began 20*, replayed in * s what took * s, process *, status 0\n*' "$out"

# A command that becomes another one is one command, with the end of the other one.
"$VESTAL" run sh -c 'exec sh -c "exit 7"'
is 'its name' 'sh -c exec sh -c "exit 7"' "$(of command)"
is 'its status' 7 "$(of status)"

grep -rqa open-sesame "$VESTAL_DIR"/sessions "$VESTAL_DIR"/explanations && is 'values of variables are kept nowhere' no yes
run "$VESTAL" log -n x
result 'not a number' 2 '' 'vestal: log: -n x: not a number from 1*'
kill "$(broker_pid)" && gone "$(broker_pid)"
is 'it is known without a broker' 7 "$(of status)"
is 'none is started for that' no "$([ -e "$VESTAL_DIR/broker.sock" ] && echo yes || echo no)"
for i in {1..105}; do "$VESTAL" run true $i; done
is 'the last hundred are known' 100 "$("$VESTAL" log --json -n 1000 | grep -c '"command": "true ')"
finish
