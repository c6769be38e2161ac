#!/bin/bash
# What `vestal why` and `vestal stats` say: the answer first, with the one need that decided, and who inside did it.
. "$SOURCE/tests/end_to_end/cli.sh"
work=$PWD/work
mkdir -p work/src && cd work || exit 1
first() { head -n 1 <<<"$out"; }

cat >Makefile <<'M'
all: src/a.o src/b.o listed stamp
src/%.o: src/%.c src/common.h
	gcc -c $< -o $@
listed: force
	@for name in src/*.c; do echo $$name; done >listed
stamp: force
	@sh -c 'date; true' >stamp
force:
M
echo '#define X 1' >src/common.h
for name in a b; do printf '#include "common.h"\nint %s = X;\n' $name >src/$name.c; done
build() { "$VESTAL" make >/dev/null 2>&1; }

build
run "$VESTAL" why src/a.o
like 'of a new command' 'src/a.o: miss, because no result of this command *' "$(first)"
run "$VESTAL" why listed
like 'the innermost step that made it' '*/bin/sh -c for name in src/\*.c;*' "$out"

rm src/a.o && build
run "$VESTAL" why src/a.o
is 'a hit' 'src/a.o: hit' "$(first)"

echo '#define X 2' >src/common.h && build
run "$VESTAL" why src/a.o
is 'other contents' 'src/a.o: miss, because src/common.h has other contents' "$(first)"
is 'without a history' 3 "$(wc -l <<<"$out")"
run "$VESTAL" why -v src/a.o
like 'with what was asked for' '*by the policy row for *gcc*' "$out"
run "$VESTAL" why
like 'one cause is told once' $'2 commands: miss, because src/common.h has other contents\n    gcc -c src/a.c -o src/a.o\n    gcc -c src/b.c -o src/b.o\n*' "$out"
like 'and what is around it only counted' '*steps around these ran as well; -v tells all' "$out"
run "$VESTAL" why -v
like 'but told on demand' '*make: *' "$out"

echo 'int c;' >src/c.c && build
run "$VESTAL" why listed
is 'a new name in a directory' 'listed: miss, because src lists new: c.c' "$(first)"
for i in 1 2 3 4 5; do echo 'int x;' >src/more$i.c; done
build
run "$VESTAL" why listed
like 'many new names' 'listed: miss, because src lists *' "$(first)"
is 'are told by a few' yes "$([ "$(first | wc -c)" -lt 120 ] && echo yes)"

rm -f stamp && build
run "$VESTAL" why stamp
is 'who inside a step did it' 'stamp: not cacheable, because inside it `date`: reads the clock' "$(first)"
run "$VESTAL" why
like 'it is told of once' $'*1 command: not cacheable, because reads the clock\n    date*' "$out"

# Times.
touch -d '2020-02-03 04:05:06' dated && mkdir -p bin && ln -sf "$(command -v stat)" bin/looks
"$VESTAL" run bin/looks -c %Y dated >/dev/null
touch -d '2021-03-04 05:06:07' dated
"$VESTAL" run bin/looks -c %Y dated >/dev/null
run "$VESTAL" why bin/looks
like 'a time' '* miss, because dated was changed at 2021-03-04 05:06:07' "$(first)"

# Statistics count true causes; what is around one has a row of its own, the last.
"$VESTAL" -z >/dev/null
"$VESTAL" run sh -c 'readlink /proc/self/fd/1; true' >/dev/null
"$VESTAL" run sh -c 'sh -c "readlink /proc/self/fd/1; true"; true' >/dev/null
counted() {
  like "$1: the cause, with an example" $'*\n       2  reads /proc/self/fd/1; for example `readlink /proc/self/fd/1`\n*' "$out"
  like "$1: what is around it" $'*\n       3  contains a step that is not cacheable\nTime saved*' "$out"
  is "$1: no other reason" 2 "$(grep -c '^  ' <<<"$out")"
}
run "$VESTAL" stats
counted 'with a broker'
kill "$(broker_pid)" && gone "$(broker_pid)"
run "$VESTAL" stats
result 'without a broker' 0 "Cache directory    $VESTAL_DIR"$'\n*' ''
counted 'without a broker'
run "$VESTAL" why
like 'why without a broker' '*not cacheable, because reads /proc/self/fd/1*' "$out"
is 'none is started for that' no "$([ -e "$VESTAL_DIR/broker.sock" ] && echo yes || echo no)"

chmod 500 "$VESTAL_DIR"
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
  run unshare -m sh -c 'mount --bind "$VESTAL_DIR" "$VESTAL_DIR" && mount -o remount,bind,ro "$VESTAL_DIR" && "$VESTAL" stats'
else
  run "$VESTAL" stats
fi
chmod 700 "$VESTAL_DIR"
result 'a cache that cannot be written' 0 "Cache directory    $VESTAL_DIR (cannot be written)"$'\n*' ''
counted 'a cache that cannot be written'
VESTAL_DIR=$work/nowhere run "$VESTAL" stats
result 'a cache that is not there' 0 "Cache directory    $work/nowhere (not there yet)"$'\n*Hits*0*' ''
is 'and is not made for that' no "$([ -e nowhere ] && echo yes || echo no)"
VESTAL_DIR=$work/nowhere run "$VESTAL" stats --json
like 'the same for machines' '*"hits": 0,*"cache_bytes": 0*' "$out"
finish
