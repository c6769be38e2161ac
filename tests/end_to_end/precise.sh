#!/bin/bash
# In a precise session make runs the recipes that would do something else today, whatever the times of files and the
# prerequisites say, and no others.
. "$SOURCE/tests/end_to_end/cli.sh"

precise() { run "$VESTAL" make --precise "$@"; }
nothing="make: Nothing to be done for 'all'."
mkdir project && cd project || exit 1
printf '#define VALUE 1\n' >value.h
printf '#include "value.h"\n#include <stdio.h>\nint main(void) { return printf("%%d\\n", VALUE) < 0; }\n' >main.c
cat >Makefile <<'X'
FLAGS = -O1
all: program said
said: program
	./program >said.new
	mv said.new said
program: main.o
	$(CC) -o $@ main.o
main.o: main.c
	$(CC) $(FLAGS) -c main.c
X
plan=$'cc -O1 -c main.c\ncc -o program main.o\n./program >said.new\nmv said.new said'
precise
result 'a first build' 0 "$plan" ''
precise
result 'nothing has changed' 0 "$nothing" ''
touch -d '2001-01-01' said program
touch main.c value.h Makefile
precise
result 'only times have changed' 0 "$nothing" ''
printf '#define VALUE 2\n' >value.h
touch -d '2001-01-01' value.h
touch main.o program said
run make
result 'make does not know of a header that is no prerequisite' 0 '*' ''
is 'and leaves the old answer' 1 "$(cat said)"
precise
is 'a header that is no prerequisite has changed, with an old time' 2 "$(cat said)"
printf '#define VALUE 2 // two\n' >value.h
precise
result 'a comment ends at the same program' 0 $'cc -O1 -c main.c\ncc -o program main.o' ''
sed -i 's/-O1/-O2/' Makefile
precise
like 'a recipe that is not the same any more' 'cc -O2 -c main.c*' "$out"
precise FLAGS=-O0
like 'a variable given to make' 'cc -O0 -c main.c*' "$out"
precise
like 'and not given' 'cc -O2 -c main.c*' "$out"
precise
result 'again nothing has changed' 0 "$nothing" ''
echo damage >>main.o
precise
like 'what was made has been changed since' 'cc -O2 -c main.c*' "$out"
is 'and is mended' 2 "$(./program)"
rm said
precise
result 'what was made is gone' 0 $'./program >said.new\nmv said.new said' ''

run "$VESTAL" make
run "$VESTAL" make
like 'in other sessions make goes by times, as ever' "$nothing" "$out"
touch main.c
run "$VESTAL" make
like 'and takes what is newer for changed' 'cc -O2 -c main.c*' "$out"
echo 'precise = true' >.vestal.toml
touch main.c
run "$VESTAL" make
result 'it can be asked for in a file' 0 "$nothing" ''
echo 'precise = 1' >.vestal.toml
run "$VESTAL" make
result 'which has to be right' 125 '' "vestal: */.vestal.toml:1: 'precise' is neither true nor false"
rm .vestal.toml

# A target without prerequisites, and a rule that has been taken away.
cat >Makefile <<'X'
all: stamp
stamp:
	cat value.h >stamp
X
precise
echo 3 >value.h
precise
is 'a target without prerequisites' 3 "$(cat stamp)"
printf 'all: stamp\n' >Makefile
precise
result 'a file whose rule is gone is a source' 0 "$nothing" ''
# What a recipe left that failed.
printf 'all: half\nhalf: value.h\n\tcp value.h half; exit 3\n' >Makefile
for round in 1 2; do
  precise
  result "a recipe that fails, time $round" 2 'cp value.h half; exit 3' '*Error 3'
done
# A program that comes to stand before another one on PATH; make itself looks for it.
mkdir bin
printf 'all: copy again\ncopy:\n\tcp value.h copy\nagain:\n\tcp value.h again\n' >Makefile
PATH=$PWD/bin:$PATH precise
PATH=$PWD/bin:$PATH precise
result 'before' 0 "$nothing" ''
printf '#!/bin/sh\necho mine >$2\n' >bin/cp
chmod +x bin/cp
PATH=$PWD/bin:$PATH precise
is 'another program of that name is found first' 'mine mine' "$(cat copy) $(cat again)"

# A script without a first line that says what it is: make tries to execute it, and gives it to the shell then.
printf 'cat value.h >plain\n' >script
chmod +x script
printf 'all: plain\nplain:\n\t./script\n' >Makefile
precise
precise
result 'a script without #!' 0 "$nothing" ''
echo 4 >value.h
precise
is 'and what it reads' 4 "$(cat plain)"

# Two recipes that look at each other's files, the first of which makes something else as well.
printf 'all: one another\none:\n\tcat another >/dev/null 2>&1; cat value.h >side; echo one >one\nanother:\n\tcat one side >another\n' >Makefile
for round in 1 2 3; do precise; done
result 'in the end' 0 "$nothing" ''
echo 5 >value.h
precise
is 'recipes that look at each other' $'one\n5' "$(cat another)"

# A chain that is longer than is looked through.
{
  echo 'all: t700'
  printf 't0: value.h\n\tcp value.h t0\n'
  for i in {1..700}; do printf 't%d:t%d\n\tcp t%d t%d\n' $i $((i - 1)) $((i - 1)) $i; done
} >Makefile
precise
echo 6 >value.h
precise
is 'a long chain' 6 "$(cat t700)"

# What no precise session has made is judged by times, as by make, however recent they are.
printf 'all: plainly\nplainly: value.h\n\tcp value.h plainly\n' >Makefile
run make
sleep 0.1 # a tick of the clock of files is 10 ms at most
echo 8 >value.h
precise
is 'what make alone has made' 8 "$(cat plainly)"
run make
precise
result 'and is not made again' 0 "$nothing" ''

# A broker that is killed.
printf 'all: last\nfirst: value.h\n\tcp value.h first; kill -9 %s\nlast: first value.h\n\tcat first value.h >last\n' "$(broker_pid)" >Makefile
precise
is 'a broker that is killed meanwhile is not missed' $'0 8\n8' "$status $(cat last)"
printf 'all: last\nfirst: value.h\n\tcp value.h first\nlast: first value.h\n\tcat first value.h >last\n' >Makefile
sleep 0.1
echo 7 >value.h
precise
is 'nor later' $'0 7\n7' "$status $(cat last)"
cd ..

mkdir random && cd random || exit 1
read -r makefiles edits wrong_make wrong_precise nothing_done < <(python3 "$SOURCE/tests/end_to_end/random_makefiles.py" "$VESTAL" 1 15 | tee said | tail -n 1)
is 'after edits at random a precise make gives what a build from nothing gives' 0 "$wrong_precise"
[ "$wrong_precise" = 0 ] || cat said
[ "$((wrong_make * 4))" -gt "$edits" ]
is "where make alone often does not ($wrong_make of $edits)" 0 $?
[ "$((nothing_done * 10))" -gt "$((edits * 8))" ]
is "and another one has nothing to do ($nothing_done of $edits)" 0 $?
cd .. && mkdir complete && cd complete || exit 1
read -r makefiles edits wrong_make wrong_precise nothing_done < <(python3 "$SOURCE/tests/end_to_end/random_makefiles.py" "$VESTAL" 1 8 complete | tee said | tail -n 1)
is "so it does with two recipes at once, if no prerequisite is left out" "8 0 0" "$makefiles $wrong_make $wrong_precise"
[ "$wrong_precise" = 0 ] || cat said
finish
