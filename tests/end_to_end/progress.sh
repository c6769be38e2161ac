#!/bin/bash
# --progress: one line on a terminal while a command runs, which is gone in the end; nothing elsewhere.
. "$SOURCE/tests/end_to_end/cli.sh"
command -v script >/dev/null || { echo 'not possible here: there is no script(1)'; exit 77; }
mkdir -p work && cd work || exit 1
PATH=$(dirname "$VESTAL"):/usr/bin:/bin
export TERM=xterm
cat >Makefile <<'M'
all: first second third
first: ; @sleep 0.91; echo first >first
second: ; @sleep 0.92; echo said
third: ; @sleep 0.93
M
in_terminal() { on_terminal 70 "$1"; }
# What is left on the terminal: of each line what stands behind the last time that it was erased.
left() { sed 's/.*\^\[K//; s/^\^\[1mvestal:.*\.\.\.said/said/' <<<"$out"; }

in_terminal 'vestal --progress make'
is 'status' 0 "$status"
like 'a step runs' '*vestal: 0:00  0 done, 0 hits, 1 running  sleep 0.91*' "$(drawn)"
like 'later another one' '*[1-9] done, 0 hits, 1 running  sleep 0.93*' "$(drawn)"
is 'no line is longer than the terminal' yes "$(drawn | awk 'length > 69 { long = 1 } END { if (!long) print "yes" }')"
like 'what the command says is there' '*said*' "$out"
is 'in the end no line is left' '' "$(left | tail -n 1 | grep 'vestal:')"
like 'it has some colour' '*^\[1mvestal:^\[0m*' "$out"
is 'nothing is said in the end' no "$(grep -q 'saved' <<<"$out" && echo yes || echo no)"

in_terminal 'NO_COLOR=1 vestal --progress make'
like 'of what took its time before the rest is known' '*1 running, about 0:0[0-9] left  sleep*' "$(drawn)"
is 'without colour' no "$(case $out in *'[1m'*) echo yes ;; *) echo no ;; esac)"
in_terminal 'vestal --progress --summary make first; exit $?'
like 'the summary comes after it' $'*vestal: *saved' "$(left | tail -n 1)"
in_terminal 'vestal --progress run sh -c "sleep 0.94; exit 3"'
is 'status of a command that fails' 3 "$status"
in_terminal 'vestal make third'
is 'it is shown only if it is asked for' '' "$(drawn)"
for terminal in dumb ''; do
  in_terminal "TERM=$terminal vestal --progress make third"
  is "nothing on a terminal that is '$terminal'" '' "$out"
done
run vestal --progress make third
result 'nothing without a terminal' 0 '' ''
finish
