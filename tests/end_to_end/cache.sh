#!/bin/bash
# The cache as a whole: what is damaged is found, all can be removed, and results are carried to another cache, where they are hits.
. "$SOURCE/tests/end_to_end/cli.sh"
first=$VESTAL_DIR other=$PWD/other
# Not by VESTAL_DIR, for that is a variable that make is given as well, and so one that it needs.
unset VESTAL_DIR
export HOME=$PWD/home
mkdir -p "$HOME/.config/vestal"
use() { echo "dir = \"$1\"" >"$HOME/.config/vestal/config.toml"; }
use "$first"
mkdir project
cat >project/main.c <<'C'
#include "value.h"
#include <stdio.h>
int main(void) { printf("%d\n", VALUE); return 0; }
C
echo '#define VALUE 41' >project/value.h
printf 'program: main.o ; $(CC) $^ -o $@ && ./program >said\nmain.o: main.c ; $(CC) $(CFLAGS) -c $< -o $@\n' >project/Makefile
summary() { ( cd project && rm -f main.o program said && "$VESTAL" --summary make "$@" 2>&1 | grep '^vestal: ' ); }
blobs() { find "$1/blobs" -mindepth 2 -type f; }
stop() { local pid; pid=$(broker_pid "$1"); VESTAL_DIR=$1 "$VESTAL" broker --stop; gone "$pid"; }
export CFLAGS=-O1
like 'a first time' 'vestal: 0 hits, [1-9]*' "$(summary)"
like 'again' 'vestal: 1 hit, 0 misses*' "$(summary)"

# verify
run "$VESTAL" cache verify
result 'nothing is damaged' 0 '[1-9]* stored files (*) and [1-9]* rows of the index: all sound' ''
blob=$(blobs "$first" | head -n 1)
chmod u+w "$blob"; printf X | dd of="$blob" bs=1 conv=notrunc status=none; chmod u-w "$blob"
run "$VESTAL" cache verify --keep
result 'what is damaged is listed' 1 "$blob: is damaged
* 1 damaged" ''
is 'and kept' yes "$([ -f "$blob" ] && echo yes)"
run "$VESTAL" cache verify
result 'what is damaged is removed' 1 "$blob: is damaged; removed
* 1 damaged" ''
is 'really' no "$([ -f "$blob" ] && echo yes || echo no)"
run "$VESTAL" cache verify
result 'then all is sound' 0 '*all sound' ''
summary >/dev/null
is 'the program is as ever' 41 "$(cat project/said)"
like 'and it is made again' 'vestal: 1 hit, 0 misses*' "$(summary)"

# export, import
run "$VESTAL" cache export all.tar
result 'export' 0 'Exported [1-9]* results, [1-9]* stored files (*)' ''
is 'nothing else is left' '' "$(ls ./*.part "$first"/carry-* 2>/dev/null)"
"$VESTAL" cache export all.tar.zst >/dev/null
is 'compressed by its name' 28b52ffd "$(od -An -tx1 -N4 all.tar.zst | tr -d ' ')"
"$VESTAL" cache export --compress - >piped.zst
is 'compressed by an option, to standard output' 28b52ffd "$(od -An -tx1 -N4 piped.zst | tr -d ' ')"
is 'tar reads it' vestal-cache.json "$(tar tf all.tar | head -n 1)"
for file in all.tar all.tar.zst; do
  use "$other"
  run "$VESTAL" cache import $file
  result "import of $file" 0 'Imported [1-9]* of [1-9]* results, *' ''
  like "a build with $file" 'vestal: 1 hit, 0 misses, *' "$(summary)"
  is 'what it made' 41 "$(cat project/said)"
  sed -i 's/41/42/' project/value.h
  like 'another value is another build' 'vestal: * hits, [1-9]* misses*' "$(summary)"
  is 'what that made' 42 "$(cat project/said)"
  sed -i 's/42/41/' project/value.h
  like 'another variable as well' 'vestal: * hits, [1-9]* misses*' "$(summary CFLAGS=-O0)"
  run "$VESTAL" cache verify
  result "what was imported from $file" 0 '*all sound' ''
  run "$VESTAL" cache import $file
  result "once more" 0 'Imported 0 of [1-9]* results, 0 of *' ''
  stop "$other"
  rm -rf "$other"
  use "$first"
done
( use "$other"; cat all.tar.zst | "$VESTAL" cache import - >/dev/null; like 'from standard input' 'vestal: 1 hit, 0 misses, *' "$(summary)"; stop "$other"; rm -rf "$other"; exit $faults ) || faults=1
use "$first"
# Two that have a common origin can be joined; own results stay.
( use "$other"
  "$VESTAL" cache import all.tar >/dev/null
  sed -i 's/41/43/' project/value.h
  summary >/dev/null
  use "$first"
  summary >/dev/null
  "$VESTAL" cache export more.tar >/dev/null
  use "$other"
  sed -i 's/43/44/' project/value.h
  summary >/dev/null
  run "$VESTAL" cache import more.tar
  result 'a second import' 0 'Imported * of * results*' ''
  for value in 44 43 41; do
    sed -i "s/4[0-9]/$value/" project/value.h
    like "of both: $value" 'vestal: 1 hit, 0 misses, *' "$(summary)"
  done
  stop "$other"; rm -rf "$other"
  exit $faults ) || faults=1
sed -i 's/4[0-9]/41/' project/value.h

# What is no such archive is refused, and nothing is taken.
use "$other"
refused() { # WHAT FILE MESSAGE
  rm -rf "$other"
  run "$VESTAL" cache import "$2"
  result "$1" 1 '' "vestal: $2: $3; nothing has been imported"
  is "$1: stored files" '' "$(blobs "$other" 2>/dev/null)"
  is "$1: what is left" '' "$(ls "$other"/carry-* 2>/dev/null)"
  like "$1: a build" 'vestal: 0 hits, *' "$(summary)"
  stop "$other"
}
size=$(stat -c %s all.tar)
for part in 10 50 90 99; do
  head -c $((size * part / 100)) all.tar >cut.tar
  refused "a file of $part %" cut.tar '*'
done
head -c $(($(stat -c %s all.tar.zst) * 9 / 10)) all.tar.zst >cut.zst
refused 'a compressed one that is cut off' cut.zst '*'
mkdir parts && tar xf all.tar -C parts
pack() { tar cf "$1" -C parts vestal-cache.json rows "${@:2}"; }
mapfile -t names < <(cd parts && find blobs -type f | sort)
pack without.tar "${names[@]:1}"
refused 'a stored file that is missing' without.tar "is cut off: it has $((${#names[@]} - 1)) of ${#names[@]} stored files"
pack twice.tar "${names[0]}" "${names[0]}" --hard-dereference
refused 'a file twice' twice.tar "'${names[0]}' *"
echo evil >evil
tar cf outside.tar -P -C parts vestal-cache.json rows --transform 's,.*evil$,../../evil,' "$PWD/evil"
refused 'a file outside' outside.tar "'../../evil' does not belong there"
tar cf absolute.tar -P -C parts vestal-cache.json rows "$PWD/evil"
refused 'an absolute path' absolute.tar "'$PWD/evil' does not belong there"
ln -s /etc/passwd parts/link
pack link.tar link
refused 'a symbolic link' link.tar "'link' is no plain file, and none such belongs there"
mv "parts/${names[0]}" kept
ln -s /etc/passwd "parts/${names[0]}"
pack named.tar "${names[0]}"
refused 'a symbolic link with a proper name' named.tar "'${names[0]}' is no plain file, *"
rm "parts/${names[0]}"; mv kept "parts/${names[0]}"
chmod u+w "parts/${names[0]}"
printf X | dd of="parts/${names[0]}" bs=1 conv=notrunc status=none
pack flipped.tar "${names[@]}"
refused 'a damaged file' flipped.tar "'${names[0]}' is damaged"
printf X | dd of=parts/rows bs=1 seek=300 conv=notrunc status=none
pack rows.tar "${names[@]}"
refused 'damaged rows' rows.tar 'its rows are damaged'
# The digest agrees, the row does not.
sed -i "s/\"rows\": \"[0-9a-f]*\"/\"rows\": \"$(sha256sum parts/rows | cut -c1-64)\"/" parts/vestal-cache.json
pack forged.tar "${names[@]}"
refused 'rows that make no sense' forged.tar '*'
sed -i 's/"format": 1/"format": 2/' parts/vestal-cache.json
pack version.tar
refused 'another format' version.tar 'was written by another version of vestal'
tar cf foreign.tar evil
refused 'another archive' foreign.tar 'is no archive of a cache, as `vestal cache export` writes it'
refused 'no archive' evil '*'
run "$VESTAL" cache import nowhere.tar
result 'no file' 125 '' 'vestal: nowhere.tar: No such file or directory'
summary >/dev/null
run "$VESTAL" cache import all.tar
result 'a cache with results of its own' 125 '' "vestal: $other: has results of its own, *"
like 'which stay' 'vestal: 1 hit, 0 misses, *' "$(summary)"
stop "$other"
rm -rf "$other"
run "$VESTAL" cache export nothing.tar
result 'no cache' 125 '' "vestal: there is no cache at $other yet"
is 'no file is made of it' no "$([ -e nothing.tar ] && echo yes || echo no)"

# clear
use "$first"
echo mine >"$first/mine"
mkfifo wait
"$VESTAL" run -- sh -c 'read x <wait; echo ended' >ended.text &
command=$!
exec 3>wait
run "$VESTAL" cache clear
result 'not while a command runs' 125 '' 'vestal: a command runs with this cache; try again when it has ended'
like 'nothing has gone' '[1-9]*' "$(blobs "$first" | wc -l)"
echo >&3
exec 3>&-
wait $command
is 'the command' ended "$(cat ended.text)"
run flock -s "$first/in-use" "$VESTAL" cache clear
result 'not while models are evaluated' 125 '' "vestal: $first: a command runs in one of its trees, or models are evaluated;*"
pid=$(broker_pid "$first")
run "$VESTAL" cache clear
result 'clear' 0 "Removed [1-9]* of $first
$first/mine is no part of the cache and stays" ''
gone "$pid" || is 'the broker' gone "$pid"
is 'what is left' 'broker.lock in-use mine' "$(ls "$first" | xargs)"
run "$VESTAL" cache clear
result 'nothing to clear' 0 "Removed 0 bytes of $first*" ''
like 'a build after that' 'vestal: 0 hits, [1-9]*' "$(summary)"
like 'and again' 'vestal: 1 hit, 0 misses*' "$(summary)"
is 'it makes the same' 41 "$(cat project/said)"

# While builds begin and end.
for round in {1..12}; do "$VESTAL" run -- sh -c "echo $round >$round.out" 2>>noise || echo "round $round fails"; sleep 0.3; done >builds.text &
builds=$!
cleared=0
while kill -0 $builds 2>/dev/null; do "$VESTAL" cache clear >/dev/null 2>&1 && cleared=$((cleared + 1)); done
wait $builds
is 'builds go on' '' "$(cat builds.text)"
is 'and make what they do' "$(seq 12 | xargs)" "$(cat {1..12}.out | xargs)"
is 'with the cache' '' "$(cat noise)"
like 'while it is cleared' '[1-9]*' $cleared

for words in '' clera 'verify x' export 'import a b' 'verify --keeep'; do
  # shellcheck disable=SC2086
  run "$VESTAL" cache $words
  result "cache $words" 2 '' 'vestal: *'
done
# What is not vestal's stays.
mkdir -p mine/images && echo x >mine/images/cat && chmod 700 mine
VESTAL_DIR=$PWD/mine run "$VESTAL" cache clear
result 'a directory with names like those of a cache' 1 '' "vestal: *mine: is no cache of vestal's (there is no broker.lock in it); nothing was removed"
is 'it stays' x "$(cat mine/images/cat)"
use "$first"
ln -s led_to.tar by_link.tar && echo part >by_link.tar.part && echo part >led_to.tar.part
run "$VESTAL" cache export by_link.tar
result 'by way of a link' 0 'Exported *' ''
is 'an archive by way of a link' 'yes yes part part' "$([ -L by_link.tar ] && echo yes) $(tar tf led_to.tar >/dev/null && echo yes) $(cat by_link.tar.part led_to.tar.part | xargs)"
mkfifo out_pipe && cat out_pipe >from_pipe.tar &
until [ -p out_pipe ]; do sleep 0.05; done
run timeout 20 "$VESTAL" cache export out_pipe
wait
is 'an archive into a pipe' 'yes yes' "$([ -p out_pipe ] && echo yes) $([ "$(tar tf from_pipe.tar)" = "$(tar tf led_to.tar)" ] && echo yes)"
finish
