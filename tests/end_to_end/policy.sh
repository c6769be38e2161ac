#!/bin/bash
# What each row of the policy table says is true: a command is replayed although what the row ignores has changed, and
# only because of the row; and it runs when something has changed that the row does not ignore, as with the arguments
# that bring strictness back. tests/checks/policy.sh reads the names of the scenarios.
. "$SOURCE/tests/end_to_end/same.sh"

with_row() { XDG_CONFIG_HOME=$here/none; }
# A row of the user's in front, by which nothing is ignored.
without_row() { # PROGRAM...
  local program list=
  for program; do list+="\"$(readlink -f "$(command -v "$program")")\", "; done
  mkdir -p "$here/strict/vestal"
  printf '[[policy]]\nprograms = [%s]\nreason = "nothing is known of it"\n' "$list" >"$here/strict/vestal/config.toml"
  XDG_CONFIG_HOME=$here/strict
}
export XDG_CONFIG_HOME
have() {
  local program
  for program; do command -v "$program" >/dev/null || { echo "not tried: there is no $program"; return 1; }; done
}
# hits ROW PROGRAMS SETUP COMMAND EDIT: the programs are those without whose row it would run
hits() {
  # shellcheck disable=SC2086
  have $2 || return
  with_row
  edited "$1" hit "$3" "$4" "$5"
  # shellcheck disable=SC2086
  without_row $2
  edited "$1, without its row" run "$3" "$4" "$5"
  with_row
}
# runs ROW SETUP COMMAND EDIT
runs() {
  have "${3%% *}" || return
  edited "$1" run "$2" "$3" "$4"
}
# shows ROW PROGRAM PATTERN PATTERN COMMAND SETUP: what vestal -v says when COMMAND is run again with the row, and without
shows() {
  local pattern row=with_row
  have "$2" || return
  eval "$6"
  for pattern in "$3" "$4"; do
    $row "$2"
    eval "\"$VESTAL\" run -- $5; \"$VESTAL\" -v run -- $5" >/dev/null 2>notes
    if ! grep -q "^vestal: $pattern" notes; then
      echo "$1: not '$pattern' $row: $(cat notes)"
      faults=$((faults + 1))
    fi
    row=without_row
  done
  with_row
}
with_row
later='touch -d 2022-01-01'
c='echo "int f(void) { return 1; }" > m.c; touch -d 2020-01-01 m.c'
objects='echo "int f(void) { return 1; }" > m.c; gcc -c m.c; touch -d 2020-01-01 m.o'
lines='printf "3\n1\n2\n" > in; touch -d 2020-01-01 in; echo x > old; touch -d 2021-01-01 old'
cc1=$(gcc -print-prog-name=cc1)

hits 'compilers' "$cc1" "$c" 'gcc -c m.c' "$later m.c"
runs 'compilers' "$c" 'gcc -c m.c' 'echo "int x;" >> m.c'
runs 'compilers' 'echo "char t[] = __TIME__;" > m.c' 'gcc -c m.c && rm m.o' :

hits 'drivers' gcc "$c" 'gcc -c m.c' "$later m.c"
runs 'drivers' "$c; echo -DA > options" 'gcc @options -c m.c' 'echo -g > options'

s='printf ".globl _start\n_start: nop\n" > m.s; touch -d 2020-01-01 m.s'
hits 'assembler and linker' as "$s" 'as m.s -o m.o' "$later m.s"
hits 'assembler and linker' ld "$s; as m.s -o m.o" 'ld m.o -o m' "$later m.o"
runs 'assembler and linker' "$s" 'as m.s -o m.o && ld m.o -o m' 'echo " nop" >> m.s'

hits 'archives' ar "$objects" 'ar rc l.a m.o' "$later m.o"
# Without an index, which would have the time of its making.
runs 'archives' "$objects" 'ar rcSU l.a m.o' "$later m.o"
runs 'archives' "$objects" 'ar -rcSU l.a m.o' "$later m.o"

hits 'objects and their sources' objdump "$objects" 'objdump -d m.o' "$later m.o"
runs 'objects and their sources' "$objects" 'objdump -S m.o' "$later m.o"
hits 'object files' nm "$objects" 'nm m.o' "$later m.o"
hits 'object files' objcopy "$objects" 'objcopy m.o n.o' "$later m.o"
runs 'object files' "$objects" 'objcopy -p m.o n.o' "$later m.o"
runs 'object files' "$objects; echo -p > opt" 'objcopy @opt m.o n.o' "$later m.o"
runs 'object files' "$objects" 'strip --preserve m.o -o n.o' "$later m.o"

mk='printf "all: m.o\n%%.o: %%.c\n\tgcc -c \$<\n" > Makefile; echo "int a;" > m.c; touch -d 2020-01-01 Makefile m.c'
hits 'make' make "$mk" 'make' 'touch x; rm x'
runs 'make' "$mk; gcc -c m.c; touch -d 2021-01-01 m.o" 'make' "$later m.c"

hits 'dash' dash "$lines" '[ -f in ] && echo yes' "$later in"
runs 'dash' "$lines" '[ in -nt old ] && echo newer || echo older' "$later in"
runs 'dash' '' 'echo "${GREETING-none}"' 'export GREETING=hello'
runs 'dash' '' 'echo $$ >/dev/null' :

hits 'bash' bash "$lines" "bash -c '[ -f in ] && echo yes'" "$later in"
runs 'bash' "$lines" "bash -c '[[ in -nt old ]] && echo newer || echo older'" "$later in"
runs 'bash' '' "bash -c 'echo \$RANDOM >/dev/null'" :

hits 'test' /usr/bin/test "$lines" '/usr/bin/test -f in && echo yes' "$later in"
runs 'test' "$lines" '/usr/bin/test in -nt old && echo newer || echo older' "$later in"
runs 'test' "$lines" "/usr/bin/[ in -ot old ] && echo older || echo newer" "$later in"

# Not replayed by itself, but with what is around it.
edited 'sleep' hit '' 'sleep 0.0102; echo done' :
shows 'sleep' sleep 'not cacheable *sleep 0.0101: waits;' 'hit *sleep 0.0101' 'sleep 0.0101'
runs 'sleep' '' 'sleep 0.01$MORE; echo done' 'export MORE=1'

hits 'mktemp' mktemp '' 'd=$(mktemp -d ./dXXXXXX) && rmdir "$d" && echo done' :
runs 'mktemp' 'mkdir a; chmod 755 a' 'test -d a && mktemp -u a/fXXXXXX >/dev/null; echo $?' 'rmdir a'
runs 'mktemp' '' 'mktemp -u ./fXXXXXX >/dev/null' :

hits 'names of files' rm "$lines" 'rm in' "$later in"
hits 'names of files' mkdir 'mkdir d; touch -d 2020-01-01 d' 'mkdir -p d' "$later d"
runs 'names of files' 'ln -s a l' 'readlink l' 'ln -sfn b l'
runs 'names of files' "$lines" 'rm -f in' 'rm in'

hits 'moves' mv "$lines" 'mv in old' "$later in"
runs 'moves' "$lines" 'mv -u in old' "$later in"
runs 'moves' "$lines" 'mv in out' 'echo 4 > in'

hits 'sort' sort "$lines" 'sort in' "$later in"
runs 'sort' "$lines" 'sort -R in >/dev/null' :
runs 'sort' "$lines" 'sort --random-sor in >/dev/null' :
runs 'sort' "$lines" 'sort -k 1R in >/dev/null' :
hits 'sort' sort "$lines" 'sort -k 1,1n in' "$later in"
runs 'sort' "$lines" 'sort in' 'echo 0 >> in'

hits 'contents' cat "$lines" 'cat in' "$later in"
hits 'sed' sed "$lines" 'sed s/1/one/ in' "$later in"
runs 'sed' "$lines" 'sed -i s/1/one/ in' 'chmod 600 in'
hits 'contents' wc "$lines" 'wc in' "$later in"
runs 'contents' "$lines" 'cat in' 'echo 0 >> in'
runs 'contents' '' 'cat /proc/self/maps >/dev/null' :

hits 'arguments' xargs "$lines" 'xargs echo < in' "$later in"
runs 'arguments' "$lines" 'xargs echo < in' 'echo 0 >> in'
runs 'arguments' "$lines" 'xargs echo < in' 'export XARGS_TEST=1'

hits 'contents and stack' grep "$lines" 'grep 1 in' "$later in"
hits 'contents and stack' cmp "$lines" 'cmp in old || echo other' "$later in"
hits 'contents and stack' m4 "$lines" 'm4 in' "$later in"
hits 'contents and stack' grep "$lines" 'grep -P "1(?=0)" in' "$later in"
runs 'contents and stack' "$lines" 'grep 1 in' 'echo 10 >> in'
runs 'contents and stack' "$lines" 'cmp in old || echo other' 'cp in old'
runs 'contents and stack' '' 'grep -c heap /proc/self/maps' :

hits 'awk' awk "$lines" "awk '{ print \$1 + 1 }' in" "$later in"
runs 'awk' '' "awk 'BEGIN { srand(); x = rand() }'" :
runs 'awk' '' "awk 'BEGIN { print ENVIRON[\"GREETING\"] }'" 'export GREETING=hello'

hits 'copies' cp "$lines" 'cp in out' "$later in"
hits 'copies' install "$lines" 'install -m 644 in out' "$later in"
runs 'copies' "$lines" 'cp -p in out' "$later in"
runs 'copies' "$lines" 'cp --pres=timestamps in out' "$later in"
runs 'copies' "$lines" 'cp -u in old' "$later in"

hits 'listings' ls "$lines" 'ls in' "$later in"
runs 'listings' "$lines" 'ls -l in' "$later in"
runs 'listings' "$lines" 'ls --sort=time' "$later in"
runs 'listings' "$lines" 'ls --numeric-uid-gid in' "$later in"
runs 'listings' "$lines" 'ls --num in' "$later in"
runs 'listings' "$lines" 'vdir in' "$later in"
runs 'listings' "$lines" 'ls' 'touch new'

hits 'find' find "$lines" 'find . -type f | sort' "$later in"
runs 'find' "$lines" 'find . -newer old | sort' "$later in"
runs 'find' "$lines" 'find -- . -type f -newermt 2021-06-01' "$later in"
runs 'find for sizes' "$lines" 'find . -type f -size +10c' 'echo 1234567890 >> in'
hits 'find for sizes' find "$lines" 'find . -type f -empty' :
runs 'find for sizes' "$lines" 'find . -type f -empty' ': > in'
runs 'find for sizes' "$lines" 'find . -type f -size -9c -mmin +1' :
# Which inode a file has is no need.
runs 'find' "$lines" 'find . -samefile in' :
runs 'find for sizes' "$lines" 'find . -size -9c -inum 1' :

hits 'xgettext' xgettext "$c" 'xgettext --omit-header -o - m.c' :
runs 'xgettext' "$c" 'xgettext -o - m.c >/dev/null' :

# It looks at the time of /tmp when it starts, so that it may be a miss at any time.
shows 'cmake' cmake '\(hit\|miss\) *cmake -E echo done' 'not cacheable *cmake -E echo done: reads random numbers' 'cmake -E echo done'
runs 'cmake' 'export SOME=1' 'cmake -E environment' 'export SOME=2'
runs 'cmake' 'echo "string(RANDOM r)" > s.cmake; touch -d 2020-01-01 s.cmake' 'cmake -P s.cmake' :

hits 'single variables' du "$lines" 'du -b in' 'export UNRELATED=1'
runs 'single variables' "$lines" 'date -r in' "$later in"
runs 'single variables' "$lines" 'date -r in' 'export TZ=XYZ5'
hits 'single variables of stat and diff' diff "$lines" 'diff in old' 'export UNRELATED=1'
runs 'single variables of stat and diff' "$lines" 'stat -c %y in' "$later in"
runs 'single variables of stat and diff' "$lines" 'stat -c %y in' 'export TZ=XYZ5'

python=/usr/bin/python3
script='echo "print(open(\"in\").read(), len({1, 2}))" > s.py; echo 1 > in'
shows 'python' $python "hit .*python3 .*" 'not cacheable .*python3 .*: reads \(random numbers\|the clock\)' "$python -S s.py" "$script"
runs 'python' "$script" "$python -S -u s.py" 'echo "print(3)" > s.py'
scenario 'python: the time' run 'echo "import time; print(time.time() > 0)" > s.py; find . -exec touch -d 2020-01-01 {} +' "$python -S s.py"
scenario 'python: random numbers' run 'echo "import os; print(len(os.urandom(24)))" > s.py; find . -exec touch -d 2020-01-01 {} +' "$python -S s.py"
scenario 'python: a text among its arguments' run 'echo > in; find . -exec touch -d 2020-01-01 {} +' "$python -S -c 'import time, sys; time.time(); open(sys.argv[1])' in"
scenario 'python: an option with a text in it' run 'echo > in; find . -exec touch -d 2020-01-01 {} +' "$python -SW ignore -c 'import time, sys; time.time(); open(sys.argv[1])' in"
scenario 'python: a directory as its script' run 'mkdir d; echo "import time; print(time.time() > 0)" > d/__main__.py; find . -exec touch -d 2020-01-01 {} +' "$python -S d"
scenario 'python: looks at the clock often' run 'echo "import time; a = [time.time() for _ in range(5000)]; print(1)" > s.py; find . -exec touch -d 2020-01-01 {} +' "$python -S s.py"
scenario 'python: how long it took' run 'echo "import time; print(time.monotonic() > 0)" > s.py; find . -exec touch -d 2020-01-01 {} +' "$python -S s.py"
scenario 'python: how long it took, in a module' run 'echo "import m" > s.py; mkdir __pycache__; echo "import time; print(time.perf_counter() > 0)" > m.py; find . -exec touch -d 2020-01-01 {} +' "$python -B -S s.py"
scenario 'python: a text before the script' run 'mkdir p; echo "import time; open(\"t\", \"w\").write(str(time.time() > 0))" > p/sitecustomize.py; echo "print(1)" > s.py; find . -exec touch -d 2020-01-01 {} +' "env PYTHONPATH=p $python -B s.py"
scenario 'python: with all that the system adds' hit 'echo "import os; print(os.getcwd() != 1)" > s.py; touch -d 2020-01-01 s.py .' "$python s.py"
scenario 'python: modules' hit 'echo "import m" > s.py; echo "import re, json, argparse, subprocess; print(1)" > m.py; touch -d 2020-01-01 *.py .' "$python -B -S s.py"
scenario 'python: a script that is executed' hit "printf '#!$python -S\nprint(1)\n' > s.py; chmod +x s.py; touch -d 2020-01-01 s.py" './s.py'

script='echo "open(F, q{<}, q{in}); print <F>, scalar(keys %ENV) > 0" > s.pl; echo 1 > in'
shows 'perl' perl "hit .*perl .*" 'not cacheable .*perl .*: reads random numbers' 'perl s.pl' "$script"
runs 'perl' "$script" 'perl -w s.pl' 'echo "print 3" > s.pl'
scenario 'perl: the time' run 'echo "print time > 0" > s.pl; find . -exec touch -d 2020-01-01 {} +' 'perl s.pl'
scenario 'perl: random numbers' run 'echo "print rand(1) < 2" > s.pl; find . -exec touch -d 2020-01-01 {} +' 'perl s.pl'
scenario 'perl: when it began' run 'echo "print \$^T > 0" > s.pl; find . -exec touch -d 2020-01-01 {} +' 'perl s.pl'
scenario 'perl: the age of a file' run 'echo "print -M q{in} ? 1 : 0" > s.pl; sed -i "s/q{in}/\"in\"/" s.pl; echo > in; find . -exec touch -d 2020-01-01 {} +' 'perl s.pl'
scenario 'perl: a text among its arguments' run 'echo > in; find . -exec touch -d 2020-01-01 {} +' "perl -e 'print time > 0; open F, shift' in"
scenario 'perl: a script that is executed' hit "printf '#!/usr/bin/perl -w\nprint 1;\n' > s.pl; chmod +x s.pl; touch -d 2020-01-01 s.pl" './s.pl'
finish
