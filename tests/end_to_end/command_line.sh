#!/bin/bash
# What can be said to vestal, and what it says to that.
. "$SOURCE/tests/end_to_end/cli.sh"
see=$'\nvestal: see `vestal --help`'

run "$VESTAL"
result 'no words at all' 2 '' '*Usage: vestal *'
run "$VESTAL" --help
result '--help' 0 '*Usage: vestal *make *run *stats *why *--summary*--fresh*--version*' ''
run "$VESTAL" -h
result '-h' 0 '*Usage: vestal *' ''
run "$VESTAL" help
result 'help' 0 '*Usage: vestal *' ''
is 'help says what --help says' "$("$VESTAL" --help)" "$out"
for word in run stats why; do
  run "$VESTAL" $word --help
  result "$word --help" 0 "*Usage: vestal $word *" ''
  run "$VESTAL" help $word
  result "help $word" 0 "*Usage: vestal $word *" ''
done
run "$VESTAL" help make
result 'help make' 0 '*vestal*make*--precise*' ''
run "$VESTAL" help help
result 'help help' 0 '*Usage: vestal help *' ''
run "$VESTAL" help mae
result 'help on nothing' 2 '' "vestal: no help on 'mae'; did you mean 'make'[?]$see"
run "$VESTAL" --version
result '--version' 0 'vestal [0-9]*Licence: Apache-2.0' ''

run "$VESTAL" mak
result 'a word like make' 2 '' "vestal: unknown command 'mak'; did you mean 'make'[?]$see"
run "$VESTAL" biuld
result 'a word like build' 2 '' "vestal: unknown command 'biuld'; did you mean 'build'[?]$see"
run "$VESTAL" frobnicate
result 'a word like nothing' 2 '' "vestal: unknown command 'frobnicate'$see"
run "$VESTAL" --sumary make
result 'an option like --summary' 2 '' "vestal: unknown option '--sumary'; did you mean '--summary'[?]$see"
run "$VESTAL" -q make
result 'an option of one letter' 2 '' "vestal: unknown option '-q'$see"
run "$VESTAL" --quiet make
result 'an option like nothing' 2 '' "vestal: unknown option '--quiet'$see"
run "$VESTAL" --sumary=yes make
result 'an option like --summary, with a value' 2 '' "vestal: unknown option '--sumary=yes'; did you mean '--summary'[?]$see"
run "$VESTAL" run
result 'run without a command' 2 '' "vestal: run: no command is given$see"
run "$VESTAL" run --
result 'run -- without a command' 2 '' "vestal: run: no command is given$see"
run "$VESTAL" run -x true
result 'run with an unknown option' 2 '' "vestal: unknown option '-x'$see"
run "$VESTAL" stats --jsn
result 'stats with an unknown option' 2 '' "vestal: unknown option '--jsn'; did you mean '--json'[?]$see"
run "$VESTAL" stats now
result 'stats with a word' 2 '' "vestal: unexpected 'now'$see"
[ -e "$VESTAL_DIR" ] && is 'no cache is made for words that are wrong' '' "$(ls "$VESTAL_DIR")"

# Before there is a cache.
run "$VESTAL" stats
result 'stats without a cache' 0 "*$VESTAL_DIR*Hits*0*" ''
run "$VESTAL" stats --json
result 'stats --json without a cache' 0 '*"hits": 0,*"misses": 0,*"not_cacheable": 0,*' ''
run "$VESTAL" why
result 'why without a cache' 1 '' 'vestal: there is no cache at * yet'
[ -e "$VESTAL_DIR" ] && is 'stats makes no cache' no yes

# All words behind make are make's.
printf 'all:\n\t@echo made $(V)\n' >Makefile
run "$VESTAL" make
result 'make' 0 made ''
run "$VESTAL" make -s V=1 --no-print-directory
result 'make with options' 0 'made 1' ''
run "$VESTAL" make --version
result 'make --version' 0 'GNU Make *' ''
run "$VESTAL" make --help
result 'make --help' 0 'Usage: make *' ''
run "$VESTAL" make -- all
result 'make --' 0 made ''
run "$VESTAL" make --summary
is "an option of vestal's behind make is make's" 2 "$status"
run "$VESTAL" run -- --version
result 'a command that looks like an option' 127 '' 'vestal: --version: command not found'
run "$VESTAL" run printf '%s,' -v --fresh -- a
result "words behind run's command are the command's" 0 '-v,--fresh,--,a,' ''

run "$VESTAL" --summary make
result '--summary' 0 made 'vestal: * hit*, * miss*, * not cacheable; * saved'
is '--summary is one line' 1 "$(wc -l <err.text)"
run "$VESTAL" -v make
result '-v' 0 made 'vestal: *make*vestal: * saved'
run "$VESTAL" run --summary -- true
result 'run --summary' 0 '' 'vestal: * saved'
run "$VESTAL" --fresh --summary make
result '--fresh' 0 made 'vestal: 0 hits, *'

run "$VESTAL" stats
result 'stats' 0 "*$VESTAL_DIR*Size*Hits*Misses*Not cacheable*Time saved*" ''
run "$VESTAL" -s
result '-s' 0 "*Hits*" ''
run "$VESTAL" stats --json
python3 - <<'P' || faults=1
import json
stats = json.load(open('out.text'))
assert all(isinstance(stats[name], int) for name in ('hits', 'misses', 'not_cacheable', 'cache_bytes')), stats
assert isinstance(stats['reasons'], dict) and stats['saved_seconds'] >= 0, stats
assert stats['misses'] > 0 and stats['cache_bytes'] > 0, stats
P
run "$VESTAL" -z
result '-z' 0 'Statistics cleared' ''
run "$VESTAL" stats --json
result 'stats after -z' 0 '*"hits": 0,*"misses": 0,*"not_cacheable": 0,*' ''

echo 'int x;' >x.c
run "$VESTAL" run gcc -c x.c
run "$VESTAL" why x.o
result 'why a file' 0 '*gcc -c x.c*' ''
is 'why names no value of a variable' '' "$(SECRET=canary "$VESTAL" run sh -c 'echo "$SECRET" >/dev/null'; "$VESTAL" why | grep canary)"
run "$VESTAL" why x.c
result 'why a word of a command' 0 '*gcc -c x.c*' ''
run "$VESTAL" why nothing-of-the-kind
result 'why nothing' 1 '' "vestal: nothing is known of 'nothing-of-the-kind'"

# What cannot be written is not passed over in silence.
for words in stats 'stats --json' policy 'policy --markdown' --help 'help make' 'stats --help' --version 'why x.o'; do
  # shellcheck disable=SC2086
  "$VESTAL" $words >/dev/full 2>err.text
  is "$words to a full disk: status" 125 $?
  is "$words to a full disk: message" 'vestal: standard output: No space left on device' "$(cat err.text)"
done

# Values of variables that make no sense cost a line, not the build.
wrong_value() { # WHAT MESSAGE ASSIGNMENT...
  run env "${@:3}" "$VESTAL" run sh -c 'echo out; exit 3'
  result "$1" 3 out "vestal: $2"
  is "$1: one line" 1 "$(wc -l <err.text)"
}
for value in abc 0 -1 1.5 '5 s' 9999999999; do
  wrong_value "VESTAL_IDLE=$value" "VESTAL_IDLE=$value: not a number of seconds from 1 to 1000000; 300 is used" "VESTAL_IDLE=$value"
done
wrong_value 'VESTAL_EVENTS is relative' 'VESTAL_EVENTS=x: not an absolute path; no events are written' VESTAL_EVENTS=x
wrong_value 'VESTAL_EVENTS leads nowhere' 'VESTAL_EVENTS=/nowhere/x: *; no events are written' VESTAL_EVENTS=/nowhere/x
run env VESTAL_IDLE= VESTAL_EVENTS= "$VESTAL" run echo out
result 'empty values count as none' 0 out ''
finish
