#!/bin/bash
# `vestal make --check` tells where recipes do something else than their makefiles say, and only that.
. "$SOURCE/tests/end_to_end/cli.sh"

check() { run "$VESTAL" make --check "$@"; }
none() { # WHAT RECIPES: no findings
  is "$1: status" 0 "$status"
  is "$1" "vestal: check: 0 findings in $2" "$err"
}
finds() { # WHAT LINE...: just these
  local what=$1; shift
  is "$what: status" 1 "$status"
  is "$what" "$(printf '%s\n' "$@")" "$(grep -v '^vestal: check:' <<<"$err")"
}

mkdir complete && cd complete || exit 1
printf '#include "a.h"\nint main(void) { return A; }\n' >a.c
echo '#define A 0' >a.h
echo 'template' >text.in
cat >Makefile <<'X'
all: program text note
program: a.o b.o
	$(CC) -o $@ a.o b.o
a.o: a.c a.h
b.o: b.c
	$(CC) -MMD -c b.c
b.c: b.sh | out
	sh b.sh >b.c
out:
	mkdir out
-include b.d
text: text.in a.h
	cat text.in a.h >text.new
	cp text.new $@
	rm text.new
	echo $(shell cat value)
note: FORCE
	echo x >note
FORCE:
.PHONY: all
X
echo 'echo int b\;' >b.sh
echo value >value
make >../plain.out 2>../plain.err
mv program ../program && rm -rf out b.c ./*.o b.d text note
check
is 'make prints what it prints' "$(cat ../plain.out)" "$out"
none 'a complete makefile' '7 recipes'
cmp -s program ../program || is 'it makes what make makes' same different
rm -rf out b.c ./*.o b.d text note program
check -j3
none 'the same, replayed, with -j3' '7 recipes'
check
none 'almost nothing to do' '1 recipe'
cd ..

mkdir wrong && cd wrong || exit 1
printf '#include "a.h"\n#include "inc/b.h"\nint main(void) { return A; }\n' >a.c
echo '#define A 0' >a.h
mkdir inc && echo '//' >inc/b.h
echo '//' >spare.h
printf '#include "made.h"\nint c;\n' >c.c
printf '#include "a.h"\n#include "inc/b.h"\nint d;\n' >d.c
echo data >data
cat >Makefile <<'X'
all: a.o c.o d.o one other late
a.o: a.c spare.h
	$(CC) -c a.c
%.o: %.c
	$(CC) -c $<
c.o: c.c
late: made.h
	cat made.h >late
made.h:
	echo '#define MADE' >made.h
one: data
	cat data >one
	echo x >common
	echo x >side
other: data | after
	cat data after >other
	echo x >common
	echo again >after
after:
	echo a >after
.PHONY: all
X
expected=(
  'Makefile:3: a.o reads a.h, which is not among its prerequisites [undeclared-prerequisite]'
  'Makefile:3: a.o reads inc/b.h, which is not among its prerequisites [undeclared-prerequisite]'
  'Makefile:3: a.o does not look at its prerequisite spare.h [unused-prerequisite]'
  'Makefile:5: d.o reads a.h, which is not among its prerequisites [undeclared-prerequisite]'
  'Makefile:5: d.o reads inc/b.h, which is not among its prerequisites [undeclared-prerequisite]'
  'Makefile:5: c.o reads made.h, which another recipe makes, and no prerequisite says which comes first [unordered-prerequisite]'
  'Makefile:12: one leaves common, which is no target of the rule [written-outside]'
  'Makefile:12: one leaves side, which is no target of the rule [written-outside]'
  'Makefile:16: other reads after, which is only an order-only prerequisite [undeclared-prerequisite]'
  'Makefile:16: other writes after, which the recipe of after writes as well [written-twice]'
  'Makefile:16: other writes common, which the recipe of one writes as well, perhaps at once [written-twice]'
  'Makefile:16: other leaves after, which is the target of another rule [written-outside]'
  'Makefile:16: other leaves common, which is no target of the rule [written-outside]'
)
cp -a . ../again
check made.h all
finds 'what a makefile does not say' "${expected[@]}"
cd .. && mv wrong first && mv again wrong && cd wrong || exit 1
check made.h all --findings=../found.json
finds 'the same from replayed recipes' "${expected[@]}"
is 'as JSON' "8 Makefile 3 a.o a.h undeclared-prerequisite" \
  "$(python3 -c 'import json,sys; f=json.load(open("../found.json")); a=f["findings"][0]; print(f["recipes"], a["makefile"], a["line"], *a["targets"], a["path"], a["kind"])')"
is 'all of them' 13 "$(grep -c '"kind"' ../found.json)"
cd .. && rm -rf wrong && mv first wrong && cd wrong && rm -f ./*.o one other after late made.h common side || exit 1
check made.h all --findings ../found.sarif
is 'as SARIF' '2.1.0 13 written-outside Makefile 12' \
  "$(python3 -c 'import json; f=json.load(open("../found.sarif")); r=f["runs"][0]; a=[x for x in r["results"] if x["ruleId"]=="written-outside"][0]; p=a["locations"][0]["physicalLocation"]; assert all(r["tool"]["driver"]["rules"][x["ruleIndex"]]["id"]==x["ruleId"] for x in r["results"]); print(f["version"], len(r["results"]), a["ruleId"], p["artifactLocation"]["uri"], p["region"]["startLine"])')"
printf 'bad:\n\tcat a.h\n\tfalse\nall: bad\n' >Failing
check -f Failing
is 'make fails as it fails' 2 "$status"
check --findings found.txt
result 'a name that tells no format' 2 '' 'vestal: --findings found.txt: the name has to end in .json or .sarif'
check -B one --findings=/nowhere/found.json
result 'findings that cannot be written' 125 '*' '*vestal: /nowhere/found.json: cannot be written: No such file or directory'
cd ..

# Each make is asked in its own place, with its own arguments and variables.
mkdir -p outer/inner outer/shared && cd outer || exit 1
cat >Makefile <<'X'
export EXTRA = extra.h
all: first second
first:
	+$(MAKE) -C inner PART=one
second: first
	cd inner && $(MAKE) two
.PHONY: all first second
X
cat >inner/Makefile <<'X'
$(PART): ../shared/h $(EXTRA)
	cat ../shared/h $(EXTRA) >$@
two: ../shared/h
	cat ../shared/h extra.h one >two
X
echo h >shared/h
echo e >inner/extra.h
check
finds 'makes in makes' \
  'inner/Makefile:4: inner/two reads inner/extra.h, which is not among its prerequisites [undeclared-prerequisite]' \
  'inner/Makefile:4: inner/two reads inner/one, which is not among its prerequisites [undeclared-prerequisite]'
rm inner/one inner/two
sed -i 's/^second: first/second:/' Makefile
check
finds 'makes in makes that nothing puts in an order' \
  'inner/Makefile:4: inner/two reads inner/extra.h, which is not among its prerequisites [undeclared-prerequisite]' \
  'inner/Makefile:4: inner/two reads inner/one, which another recipe makes, and no prerequisite says which comes first [unordered-prerequisite]'
cd ..

# Makes beside each other.
mkdir -p race/lib race/prog && cd race || exit 1
printf 'all: lib prog\nlib prog:\n\t$(MAKE) -C $@\n.PHONY: all lib prog\n' >Makefile
printf 'libx: l.c\n\tcat l.c >libx\n' >lib/Makefile
printf 'prog: m.c ../lib/libx\n\tcat m.c ../lib/libx >prog\n' >prog/Makefile
echo l >lib/l.c && echo m >prog/m.c
check
finds 'a prerequisite that only another make makes' \
  'prog/Makefile:2: prog/prog reads lib/libx, which another recipe makes, and no prerequisite says which comes first [unordered-prerequisite]'
printf 'all: r1 r2\nr1 r2:\n\t$(MAKE) -B -f sub.mk common\n.PHONY: all r1 r2\n' >Makefile
printf 'common:\n\techo x >common\n' >sub.mk
check
finds 'one target made by two makes' 'sub.mk:2: common writes common, which the recipe of common writes as well [written-twice]'
cd ..

# Nothing is found where all is said, in whatever way.
mkdir -p said/headers && cd said || exit 1
cat >Makefile <<'X'
all: variable link log note.o
variable: X = 1
variable: Y := two words
variable: in ; cat in >variable
link: a.c headers/link.h ; cat a.c headers/link.h >link
log:: one ; cat one >>log
log:: two ; cat two >>log
note.o: note.c
	$(CC) -MMD -MF .x.Tpo -c note.c
	mv .x.Tpo .x.Po
.x.Po: ; echo '#' >$@
include .x.Po
.PHONY: all
X
for each in in a.c real.h one two; do echo "$each" >"$each"; done
echo 'int note;' >note.c
ln -s ../real.h headers/link.h
check -j2
is 'variables of targets, links, two colons, notes of compilers' 'vestal: check: 0 findings in 6 recipes' "$err"
cd ..

run "$VESTAL" run -- "$VESTAL" make --check -C said
is 'in a session nothing is seen: status' 125 "$status"
like 'and that is said' '*vestal: check: no make was seen*' "$err"
run "$VESTAL" make --check -f - <<<'all: ; @echo done'
is 'a makefile that cannot be read again: status' 125 "$status"
like 'and that is said' '*is standard input, and cannot be read again*' "$err"
run "$VESTAL" make all --findings
result 'no file is named' 2 '' 'vestal: --findings: needs a FILE behind it'
VESTAL_DIR=/proc/nowhere run "$VESTAL" make --check -C said
is 'no cache: status' 125 "$status"
like 'make runs all the same' "*make: Nothing to be done for 'all'.*" "$out"
like 'and nothing was checked' '*vestal: check: nothing was checked: *' "$err"

# Checking does not run a recipe once more, whatever it begins with.
mkdir once && cd once || exit 1
printf 'all: runs\nruns: always\n\t+echo run >>runs\nalways:\n.PHONY: always all\n' >Makefile
check
is 'a line that make -n would run is run once' 'run' "$(cat runs)"
check
is 'and once again' $'run\nrun' "$(cat runs)"
finish
