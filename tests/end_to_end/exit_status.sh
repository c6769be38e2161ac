#!/bin/bash
# The status of the command is the status of vestal, with and without a cache, a summary, or a hit.
. "$SOURCE/tests/end_to_end/cli.sh"

printf '#!/nowhere/sh\n' >no-interpreter
printf 'echo by the shell $0 "$@"\n' >no-magic
printf '#!/bin/sh\necho "$0" "$@"\n' >script
echo text >text
chmod +x no-interpreter no-magic script
mkdir folder

# What the shell would say to the same words, by the wait status a parent sees.
cat >statuses.py <<'P'
import os, subprocess, sys
vestal = os.environ['VESTAL']
commands = [['true'], ['false'], ['sh', '-c', 'exit 3'], ['sh', '-c', 'exit 255'], ['sh', '-c', 'exit 125'],
            ['sh', '-c', 'kill -TERM $$'], ['sh', '-c', 'kill -KILL $$'], ['sh', '-c', 'kill -INT $$'],
            ['sh', '-c', 'kill -SEGV $$'], ['sh', '-c', 'kill -PIPE $$'], ['./script', 'a b'], ['./no-magic', 'x', 'y']]
faults = 0
for command in commands:
    plain = subprocess.run(command if command[0] != './no-magic' else ['sh'] + command, stdout=subprocess.PIPE)
    for options in (['run', '--'], ['run', '--'], ['--summary', 'run', '--'], ['--fresh', 'run', '--']):
        cached = subprocess.run([vestal] + options + command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if (cached.returncode, cached.stdout) != (plain.returncode, plain.stdout):
            print(options, command, 'plain', plain.returncode, plain.stdout, 'vestal', cached.returncode, cached.stdout)
            faults = 1
sys.exit(faults)
P
python3 statuses.py || faults=1

for options in '' --summary; do
  run "$VESTAL" $options run no-such-command
  result "a command that is nowhere $options" 127 '' 'vestal: no-such-command: command not found'
  run "$VESTAL" $options run ./no-such-file
  result "a file that is not there $options" 127 '' 'vestal: ./no-such-file: No such file or directory'
  run "$VESTAL" $options run ./text
  result "a file that is not executable $options" 126 '' 'vestal: ./text: Permission denied'
  run "$VESTAL" $options run ./folder
  result "a directory $options" 126 '' 'vestal: ./folder: Is a directory'
  run "$VESTAL" $options run ''
  result "an empty word $options" 127 '' 'vestal: : command not found'
  run "$VESTAL" $options run ./no-interpreter
  is "a script whose interpreter is missing $options" 127 "$status"
done
run env PATH=/nowhere "$VESTAL" make
result 'no make' 127 '' 'vestal: make: command not found'
mkdir early late
printf '#!/bin/sh\necho late\n' >late/tool
cp text early/tool
chmod +x late/tool
run env "PATH=$PWD/early:$PWD/late:$PATH" "$VESTAL" run tool
result 'what may not be executed is passed over on PATH' 0 late ''
run env "PATH=$PWD/early" "$VESTAL" run tool
result 'what may not be executed is remembered' 126 '' 'vestal: tool: Permission denied'
cd late || exit 1
run env PATH=:/bin "$VESTAL" run tool
result 'an empty element of PATH' 0 late ''
cd ..

# As the shell sees it.
run "$VESTAL" run sh -c 'kill -TERM $$'
is 'death by signal' 143 "$status"
run "$VESTAL" --summary run sh -c 'kill -TERM $$'
is 'death by signal with a summary' 143 "$status"
printf 'all:\n\t@exit 3\n' >Makefile
run "$VESTAL" make
is "make's own failure" 2 "$status"

# Signals meant for the command reach it.
for options in '' --summary; do
  rm -f ready
  fresh 'trap "echo caught; exit 7" TERM; : >ready; while :; do PAUSE; done'
  "$VESTAL" $options run sh -c "$fresh_script" >out.text 2>/dev/null &
  child=$!
  appears ready || is 'the command has started' yes no
  kill -TERM $child
  wait $child
  is "a signal sent to vestal $options" '7 caught' "$? $(cat out.text)"
done
finish
