#!/bin/bash
# --trace FILE: when each step ran, as Perfetto reads it.
. "$SOURCE/tests/end_to_end/cli.sh"
work=$PWD/work
mkdir -p work && cd work || exit 1
cat >Makefile <<'M'
all: a.o b.o stamp
%.o: %.c
	gcc -c $< -o $@
stamp: force
	@sleep 0.2; date >stamp
force:
M
echo 'int a;' >a.c
echo 'int b;' >b.c
cat >look.py <<'P'
# Looks at a trace: one word for each thing that it says.
import json, sys
trace = json.load(open(sys.argv[1]))
events = [event for event in trace['traceEvents'] if event['ph'] == 'X']
fault = 1e-6
def of(word): return [event for event in events if word in event['args']['command']]
def nests():
    for lane in {event['tid'] for event in events}:
        open_ones = []
        for event in sorted((event for event in events if event['tid'] == lane), key=lambda event: (event['ts'], -event['dur'])):
            while open_ones and open_ones[-1] <= event['ts'] + fault: open_ones.pop()
            if open_ones and event['ts'] + event['dur'] > open_ones[-1] + fault: return False
            open_ones.append(event['ts'] + event['dur'])
    return True
def inside(inner, outer): return outer['ts'] - fault <= inner['ts'] and inner['ts'] + inner['dur'] <= outer['ts'] + outer['dur'] + fault
print(eval(sys.argv[2]))
P
look() { python3 look.py t.json "$1"; }

run "$VESTAL" --trace t.json --summary make -j2
result 'the command' 0 '*gcc -c a.c -o a.o*' 'vestal: 0 hits, * misses, * not cacheable; 0.00 s saved'
is 'it is JSON' yes "$(python3 -m json.tool t.json >/dev/null && echo yes)"
steps=$(($(grep -o '[0-9]*' <<<"${err%;*}" | paste -sd+)))
is 'one event for each step' "$steps" "$(look 'len(events)')"
is 'in a lane they nest' True "$(look 'nests()')"
is 'all are inside make' True "$(look 'all(inside(one, of("make -j2")[0]) for one in events)')"
is 'those at once are in two lanes' 2 "$(look 'len({one["tid"] for one in of("gcc -c") + of("sleep 0.2; date")})')"
is 'a sleep of 0.2 s takes as long' True "$(look 'of("sleep 0.2; date")[0]["dur"] >= 200000')"
is 'misses' '{'"'miss'"'}' "$(look '{one["cat"] for one in of("gcc -c")}')"
is 'why' True "$(look 'of("gcc -c a.c")[0]["args"]["reasons"][0].startswith("no result of this command")')"
is 'what is to blame' 'inside it `date`: reads the clock' "$(look 'of("sleep 0.2; date")[0]["args"]["reasons"][0]')"
is 'where' "$work" "$(look 'of("gcc -c a.c")[0]["args"]["directory"]')"
is 'how it ended' 'status 0' "$(look 'of("gcc -c a.c")[0]["args"]["ended with"]')"

rm ./*.o
run "$VESTAL" --trace=t.json make
result 'again: nothing is said that nobody asked for' 0 '*' ''
is 'hits' "{'hit'}" "$(look '{one["cat"] for one in of("gcc -c")}')"
is 'what a hit has saved' True "$(look '"saved" in of("gcc -c a.c")[0]["args"]')"

echo 'int a' >a.c
run "$VESTAL" --trace t.json make
is 'a command that fails: its status' 2 "$status"
is 'it is told of all the same' 'status 1' "$(look 'of("gcc -c a.c")[0]["args"]["ended with"]')"
"$VESTAL" run --trace t.json -- sh -c 'exit 3'
is 'run: status' 3 $?
is 'run: one step' 1 "$(look 'len(events)')"
{ "$VESTAL" run --trace t.json -- sh -c 'kill -9 $$'; } 2>/dev/null
is 'killed: status' 137 $?
is 'killed: told of' 1 "$(look 'len(of("kill -9"))')"
"$VESTAL" run --trace t.json -- sh -c $'echo \'"\\<\x01\xff\' >/dev/null'
is 'whatever a command holds, it is JSON' 1 "$(look 'len(events)')"

run "$VESTAL" --trace nowhere/t.json run touch made
result 'a file that cannot be written' 125 '' "vestal: not run, for it could not be told of: --trace nowhere/t.json: No such file or directory"
is 'is told before anything runs' no "$([ -e made ] && echo yes || echo no)"
run "$VESTAL" --trace . run touch made
result 'a directory' 125 '' 'vestal: not run, for it could not be told of: --trace .: Is a directory'
run "$VESTAL" --trace /dev/full run sh -c 'exit 4'
result 'what fails later is told, and the command is what it was' 4 '' 'vestal: --trace /dev/full: No space left on device'
run "$VESTAL" run --trace t.json sh -c 'rm t.json; exit 5'
is 'a file that the command removes: status' 5 "$status"
is 'it is made again' 1 "$(look 'len(of("rm t.json; exit 5"))')"
run "$VESTAL" run --trace
result 'no file' 2 '' 'vestal: --trace*'
finish
