#!/bin/bash
# Clocks, random numbers, process ids: what has another answer each time is asked anew each time.
. "$SOURCE/tests/hazards/play.sh"

# anew NAME TEXT: the answer of TEXT must be another than that of the command before.
anew() {
  uncached "$1" '' "sh -c '{ $2; } > t.noise 2>&1; cmp -s t.noise old.noise 2>/dev/null && echo stale; mv t.noise old.noise'" '! :' '! :'
}
program moment <<'C'
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
int main(void) { struct timespec t; struct timeval v; clock_gettime(CLOCK_MONOTONIC, &t); gettimeofday(&v, 0); printf("%ld %ld\n", t.tv_nsec, (long)v.tv_usec); }
C
program dice <<'C'
#include <stdio.h>
#include <sys/random.h>
int main(void) { unsigned long x = 0; getrandom(&x, sizeof x, 0); printf("%lx\n", x); }
C
# By instructions, which no call tells of. On a machine without the second one there is nothing to be seen.
program counter <<'C'
#include <stdio.h>
#include <x86intrin.h>
int main(void) { printf("%llx\n", __rdtsc()); }
C
program processor_dice <<'C'
#include <stdio.h>
int main(void) { unsigned long x = 1; __asm__ volatile("1: rdrand %0\n\tjnc 1b" : "=r"(x) : : "cc"); printf("%lx\n", x); }
C
printf '#include <cstdio>\n#include <random>\nint main() { std::random_device device; std::printf("%%x\\n", device()); }\n' >"$bin/device.cc"
g++ -o "$bin/device" "$bin/device.cc" || exit 1
g++ -static -o "$bin/device_static" "$bin/device.cc" || exit 1
anew 'rdtsc' "$bin/counter"
! grep -qw rdrand /proc/cpuinfo || anew 'rdrand' "$bin/processor_dice"
anew 'std::random_device' "$bin/device"
anew 'std::random_device, static' "$bin/device_static"
anew 'date' 'date +%N'
anew 'date, further in' 'sh -c "date +%N; :"'
anew 'clock_gettime' "$bin/moment"
anew 'getrandom' "$bin/dice"
anew '/dev/urandom' 'head -c 16 /dev/urandom | od -x'
anew 'a uuid' 'cat /proc/sys/kernel/random/uuid'
anew 'the process id' 'sh -c "echo \$\$; :"'
anew 'the process id, of a job' 'bash -c "true & jobs -p"'
anew 'the process id, of what is waited for' 'bash -c "true & wait -n -p v; echo \$v"'
anew 'the process id, of a coprocess' 'bash -c "coproc W { :; }; echo \$W_PID"'
anew 'the process id, of a job of sh' 'sh -c "true & jobs -p"'
anew 'RANDOM' 'bash -c "echo \$RANDOM\$RANDOM\$RANDOM"'
anew 'EPOCHREALTIME' 'bash -c "echo \$EPOCHREALTIME"'
anew 'mktemp -u' 'mktemp -u'
anew 'shuf' 'seq 500 | shuf'
anew 'sort -R' 'seq 500 | sort -R'
anew 'awk' 'awk "BEGIN { srand(); print rand() }"; date +%N'
anew 'Perl' '$perl -e "print rand"'
anew 'Python' '$python -c "import random; print(random.random())"'
anew 'the process id, in a text from a pipe' 'echo "echo \$\$" | sh'
anew 'the process id, in a text of its own making' 'sh -c "echo echo \\\$\\\$ > t.noise2; . ./t.noise2; rm t.noise2"'
anew 'the process id, in a text that is another one afterwards' 'sh -c "echo echo \\\$\\\$ > t.noise3; . ./t.noise3; echo : > t.noise3"'
program number -D_GNU_SOURCE <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int n, char** a) {
  char t[100];
  sprintf(t, "n%07dx", getpid());
  if (!strcmp(a[1], "own")) puts(t);
  if (!strcmp(a[1], "parent")) printf("%d\n", getppid());
  if (!strcmp(a[1], "group")) printf("%d %d\n", getpgrp(), getsid(0));
  if (!strcmp(a[1], "session")) printf("%d\n", setsid());
  if (!strcmp(a[1], "file")) { FILE* f = fopen("t.noise4", "w"); fputs(t, f); fclose(f); return system("cat t.noise4; rm t.noise4"); }
  if (!strcmp(a[1], "kept")) { FILE* f = fopen("t.noise5", "w"); fputs(t, f); fclose(f); }
  if (!strcmp(a[1], "name")) { mkdir(t, 0777); return system("echo n*x; rmdir n*x"); }
  if (!strcmp(a[1], "link")) { symlink(t, "t.noise6"); }
  if (!strcmp(a[1], "child")) { sprintf(t, "echo %d > t.noise7", getpid()); return system(t); }
  if (!strcmp(a[1], "input")) { while (getchar() != EOF) { } puts(t); }
  if (!strcmp(a[1], "pieces")) for (char* c = t; *c; ++c) { write(1, c, 1); write(2, ".", 1); }
  if (!strcmp(a[1], "peer")) { int s[2]; struct ucred c; socklen_t b = sizeof c; socketpair(AF_UNIX, SOCK_STREAM, 0, s); getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &c, &b); printf("%d\n", c.pid); }
  if (!strcmp(a[1], "quiet")) puts(getpid() == getpgrp() ? "leads" : "follows");
}
C
for number in own parent file name peer; do anew "the process id, of a program: $number" "$bin/number $number"; done
anew 'the process id, of a program: group' "setsid -w $bin/number group"
anew 'the process id, of a program: session' "setsid -w $bin/number session"
anew 'the process id, in a file' "$bin/number kept; cat t.noise5; rm t.noise5"
anew 'the process id, in a link' "$bin/number link; readlink t.noise6; rm t.noise6"
anew 'the process id, by a child' "$bin/number child; cat t.noise7; rm t.noise7"
anew 'the process id, of one that reads a pipe' "echo x | $bin/number input | cut -c 2-"
anew 'the process id, in pieces' "$bin/number pieces 2>/dev/null"
anew 'the process id, in pieces, to a pipe' "$bin/number pieces 2>t.dots | cat; rm t.dots"
hazard 'a process id that is not shown' ':' "sh -c '$bin/number quiet; :'" '= touch c'
anew 'the process id, by a script of Perl' 'echo "print \$\$" > t.noise8; $perl t.noise8; rm t.noise8'
anew 'the process id, of a child of Perl' 'echo "my \$p = fork; exit unless \$p; wait; print \$p" > t.noise9; $perl t.noise9; rm t.noise9'
anew 'the process id, of a child of Python' 'echo "import subprocess; p = subprocess.Popen([\"true\"]); p.wait(); print(p.pid)" > t.noise11; /usr/bin/python3 t.noise11; rm t.noise11'
anew 'the process id, by a script of Python' 'echo "import os; print(os.getpid())" > t.noise10; /usr/bin/python3 t.noise10; rm t.noise10'
two='touch -d @1000000 a; touch -d @2000000 b; echo "[ a -nt b ] && echo newer || echo older" > f'
hazard 'times compared by a text from a pipe' "$two" "sh -c 'cat f | sh'" '= touch c' '! touch -d @3000000 a' '! touch -d @4000000 b'
hazard 'a text from a pipe' 'echo 1 > a; echo "cat a" > f' "bash -c 'sed s/x/y/ f | bash'" '= touch c' '! echo 2 > a' '! echo "cat a a" > f'
hazard 'two dollars that nobody runs' 'echo 1 > a; export LANG=C.UTF-8' "bash -c 'echo \"a\\\$\\\$b\" > t; cat < t; rm t'" '= touch c'
uncached 'the time of a file made just now' 'touch -d @1000000 a' "sh -c 'touch b; test b -nt a && echo newer'" '! :'
uncached 'bash tells how long it took' 'export TIMEFORMAT=x' "bash -c 'time :'" '! export TIMEFORMAT=y'
old='find . -exec touch -d 2020-01-01 {} +'
# again NAME SETUP COMMAND: run once more a second later, it must tell another time, whatever the text of it.
again() {
  local once more
  rm -rf "$here/again"; mkdir "$here/again"; cd "$here/again" || exit 1
  eval "$2; $old"
  once=$(eval "$TOOL $3" 2>&1); sleep 1.1; more=$(eval "$TOOL $3" 2>&1)
  [ "$once" != "$more" ] || { echo "$1: tells an old time"; faults=$((faults + 1)); }
  cd "$here" || exit 1
}
mk='printf "all:\n\t@echo \$(MAKE)\nin:\n\t@\$(MAKE) -p all\n" > Makefile'
again 'make -p' "$mk" 'make -p'
again 'make --print-data' "$mk" 'make --print-data'
again 'make -qp' "$mk" 'make -qp'
again 'MAKEFLAGS' "$mk" 'env MAKEFLAGS=p make'
again 'make -p, further in' "$mk" 'make in'
again 'make -p, by its Makefile' "$mk; echo MAKEFLAGS += p >> Makefile" 'make'
again 'a prompt in a variable' : "bash -c 'x=\"\\t\"; echo \"\${x@P}\"'"
again 'a prompt with a format' : "bash -c 'x=\"\\D{%s}\"; echo \"\${x@P}\"'"
again 'PS4' : "bash -c 'PS4=\"\\t \"; set -x; echo'"
again 'a format of pieces' : "bash -c 'a=\"%(%s\"; printf \"\${a})T\"'"
again 'a name of pieces' : "bash -c 'a=EPOCHSEC; b=\${a}ONDS; echo \${!b}'"
c='echo "int main(void) { return 0; }" > m.c; echo --statistics > opt'
again 'the age of a file in Perl' 'echo "for (@ARGV) { printf qq(%.7f\n), -M }" > a.pl; touch ff' '$perl a.pl ff'
again 'the age of a file in Perl, of an argument' 'echo "sub f { printf qq(%.7f\n), -M shift } f(@ARGV)" > a.pl; touch ff' '$perl a.pl ff'
# Told in hundredths of a second, which may be the same twice by chance if there are few.
many="for i in {1..3000}; do echo \"int f\$i(int a) { return a * \$i; }\"; done > m.c"
again 'gcc -ftime-report' "$many" 'gcc -O2 -ftime-report -c m.c'
again 'gcc -Q' "$many" 'gcc -O2 -Q -c m.c'
again 'gcc -time' "$many" 'gcc -O2 -time -c m.c'
again 'as --statistics' "$c" 'as --statistics /dev/null'
again 'as @FILE' "$c" 'gcc -Wa,@opt -c m.c'
again 'as @FILE, a long one' "$c; { yes '' | head -n 2000000; cat opt; } > long" 'as @long /dev/null'
again 'ld --stats' "$c" 'gcc -Wl,--stats m.c'
again 'ar U' "$c; gcc -c m.c" "sh -c 'ar rcU l.a m.o; od -c l.a; rm l.a'"
hazard 'statistics that nobody asks for' "$c; $old" 'gcc -O2 m.c' '= touch c'
# Half of the orders of two lines would be the same.
again 'sort -k 1R' 'seq 50 > a' 'sort -k 1R a'
again 'sort --key' 'seq 50 > a' 'sort --key=1R a'
finish
