#!/bin/bash
# `vestal make --compile-commands FILE` writes how the sources of a build are compiled, also of what is replayed.
. "$SOURCE/tests/end_to_end/cli.sh"

commands() { run "$VESTAL" make --compile-commands=db.json "$@"; }
# A line for each entry: directory below this one, file, output, words
entries() {
  python3 - "$PWD" "${1:-db.json}" <<'X'
import json, os, sys
for e in json.load(open(sys.argv[2])):
    print(os.path.relpath(e["directory"], sys.argv[1]), e["file"], e.get("output", "-"), *e.get("arguments", ["?"]), sep=" ")
X
}
mkdir project && cd project || exit 1
mkdir sub
echo 'int main(void) { return 0; }' >a.c
echo 'int b;' >b.c
echo 'int c;' >sub/c.c
echo 'int main() {}' >d.cc
cat >Makefile <<'X'
FLAGS = -O2
all: program script both
program: a.o b.o
	$(CC) -o $@ a.o b.o
%.o: %.c
	$(CC) $(FLAGS) -DTEXT='"two words"' -c -o $@ $<
script: build.sh
	sh build.sh
both: a.c b.c
	gcc -E a.c >/dev/null
	gcc -MM a.c >/dev/null
	gcc -I . -include b.c a.c -o both
	echo 'int gone;' >gone.c && gcc -c gone.c && rm gone.c
X
echo 'cd sub && gcc -c c.c && c++ -c ../d.cc && touch ../script' >build.sh
expected='. a.c - gcc -I . -include b.c a.c -o both
. a.c a.o cc -O2 -DTEXT="two words" -c -o a.o a.c
. b.c b.o cc -O2 -DTEXT="two words" -c -o b.o b.c
sub ../d.cc - c++ -c ../d.cc
sub c.c - gcc -c c.c'
commands
is 'make runs as it runs' 0 "$status"
is 'what was compiled' "$expected" "$(entries)"
clean() { rm -f ./*.o sub/*.o program script both; }
clean && mv db.json first.json
commands -j2
is 'what was replayed' "$expected" "$(entries)"
cmp -s db.json first.json || is 'it is the same file' same different
commands
result 'there is nothing to do' 0 "make: Nothing to be done for 'all'." ''
is 'and nothing is taken away' "$expected" "$(entries)"
clean
commands FLAGS=-O3
is 'other flags' "${expected//-O2/-O3}" "$(entries)"
clean
commands -j2
is 'and the ones from before' "$expected" "$(entries)"
touch a.c && rm -f b.c && sed -i 's/ b.o//; s/ b.c//g; s/-include//' Makefile
commands FLAGS=-Os
is 'a source is gone, one is compiled anew' '. a.c - gcc -I . a.c -o both
. a.c a.o cc -Os -DTEXT="two words" -c -o a.o a.c
sub ../d.cc - c++ -c ../d.cc
sub c.c - gcc -c c.c' "$(entries)"
echo '[{"directory": "'"$PWD"'", "file": "sub/c.c", "command": "cc -c sub/c.c"}, {"directory": "/nowhere", "file": "x.c", "arguments": []}]' >db.json
commands
is 'what another tool has written is kept' '. sub/c.c - ?' "$(entries)"
echo '{"mine": 1}' >db.json
clean
commands
result 'the file is something else' 125 '' 'vestal: db.json: is there and is no compilation database; move it away or choose another name'
is 'it stays' '{"mine": 1}' "$(cat db.json)"
[ ! -e program ] || is 'and nothing is made' nothing program
run "$VESTAL" make --compile-commands /nowhere/db.json
result 'it cannot be written' 125 '' 'vestal: /nowhere/db.json: cannot be written: No such file or directory'
echo '[{"directory": "/", "file": "x.c", "output": 3}]' >db.json
commands
is 'an entry of another kind' 125 "$status"
mkfifo pipe
run timeout 20 "$VESTAL" make --compile-commands pipe
result 'it is a pipe' 125 '' 'vestal: pipe: is no plain file; choose another name'
rm db.json
printf 'all: 1.o 2.o\n%%.o: ; cc -c -o $@ a.c\ngone: ; rm -r there && false\n.PHONY: all\n' >Two
commands -f Two
rm 1.o
commands -f Two
is 'one source, two objects, one of them made anew' '. a.c 1.o cc -c -o 1.o a.c
. a.c 2.o cc -c -o 2.o a.c' "$(entries)"
mkdir there
run "$VESTAL" make -f Two --compile-commands there/db.json gone
is 'make fails as it fails' 2 "$status"
VESTAL_DIR=/proc/nowhere run "$VESTAL" make --compile-commands db.json -f Two
is 'nobody tells what was compiled: status' 0 "$status"
like 'and that is said' '*vestal: db.json: not written, for the broker has not told what was compiled' "$err"
rm db.json
run "$VESTAL" make --compile-commands db.json --check
is 'with findings as well' 1 "$status"
is 'both are there' 4 "$(entries | wc -l)"
finish
