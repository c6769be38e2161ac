#!/bin/bash
# What a command is given: where its descriptors lead, where in a file they stand, what can be done with them.
. "$SOURCE/tests/hazards/play.sh"

f='printf "1\n2\n3\n" > a; printf "4\n5\n" > b'
hazard 'standard input is a file' "$f" 'sort -r < a' '= touch other' '! echo 9 >> a' '> sort -r < b'
hazard 'standard input, within' "$f" "sh -c 'sort -r < a > out'" '= rm out' '! echo 9 >> a'
hazard 'where in the file it stands' "$f" '{ read x; $V cat; } < a' '! echo 9 >> a' '> { read x; read x; $V cat; } < a' '> $V cat < a'
hazard 'what is left of the input' "$f" '{ $V head -n 1; cat; } < a' '= :' '! printf "9\n8\n" > a'
hazard 'read line by line' "$f" '{ $V sh -c "read x; echo got \$x"; cat; } < a' '! printf "9\n8\n" > a'
hazard 'standard input is closed' "$f" 'cat <&-' '= :' '> cat < a' '> cat <&-'
hazard 'standard output is closed' "$f" '$V sh -c "echo x || exit 3" >&-' '= :' '> $V sh -c "echo x || exit 3"' '> $V sh -c "echo x || exit 3" >&-'
hazard 'standard error is closed' "$f" '$V sh -c "cat none; echo \$?" 2>&-' '= :' '> $V sh -c "cat none; echo \$?"'
hazard 'all three are closed' "$f" '$V sh -c "cat a > c" <&- >&- 2>&-' '= rm c' '! echo 9 > a'
uncached 'nothing as input, and a file' ': > a' '$V sh -c "[ -s /dev/stdin ] && echo some; wc -c" < a' '! echo x > a' '! : > a'
uncached 'a kind of input' "$f" '$V sh -c "[ -p /dev/stdin ] && echo pipe; [ -c /dev/stdin ] && echo device; [ -f /dev/stdin ] && echo file; :" < a' \
  '> $V sh -c "[ -p /dev/stdin ] && echo pipe; [ -c /dev/stdin ] && echo device; [ -f /dev/stdin ] && echo file; :" < /dev/null' \
  '> echo | $V sh -c "[ -p /dev/stdin ] && echo pipe; [ -c /dev/stdin ] && echo device; [ -f /dev/stdin ] && echo file; :"'
hazard 'by its name in /dev' "$f" '$V cat /dev/stdin < a' '! echo 9 > a' '> $V cat /dev/stdin < b'
hazard 'by its name in /proc' "$f" '$V cat /proc/self/fd/0 < a' '! echo 9 > a' '> $V cat /proc/self/fd/0 < b'
hazard 'by its name in /dev, and what is left of it' "$f" '{ $V cat /dev/stdin; echo; cat; } < a' '= :' '! echo 9 > a' '> { $V head -n 1 /proc/self/fd/0; cat; } < a' '> { $V head -n 1 /proc/self/fd/0; cat; } < b'
hazard 'output added to by its name in /dev' "$f" '$V sh -c "echo abc; echo x >> /dev/stdout; echo q" >> f' '= rm f' '> $V sh -c "echo abc; echo x >> /dev/stdout; echo q" | cat'
uncached 'a place of its own in the output' "$f" '$V sh -c "echo abc; echo x >> /dev/stdout; echo q" > f' '! :' '> $V sh -c "echo abc; echo x >> /dev/stderr; echo q" > f 2>&1' '! :' '> $V sh -c "echo abc; echo x 1<> /dev/stdout; echo q" > f' '! :'
uncached 'one input, opened several times' "$f" '{ $V sh -c "read x <&3; read y <&4; read z <&4; echo \$x \$y \$z"; cat <&3; cat <&4; } 3< a 4< a' '! :' '! echo 9 > a'
hazard 'one input, twice' "$f" '{ $V sh -c "read x <&3; read y <&4; echo \$x \$y"; cat <&3; } 3< a 4<&3' '= :' '! printf "9\n8\n" > a'
hazard 'several inputs' "$f; seq 3 > c; seq 4 > d" '{ $V sh -c "read x <&3; read y <&4; read z <&5; read q <&6; echo \$x \$y \$z \$q"; cat <&3; cat <&6; } 3< a 4< b 5< c 6< d' '= :' '! printf "9\n8\n" > a'
uncached 'more inputs' "$f; seq 3 > c; seq 4 > d; seq 5 > e" '{ $V sh -c "read x <&3; read y <&4; read z <&5; read q <&6; read r <&7; echo \$x \$y \$z \$q \$r"; cat <&3; cat <&7; } 3< a 4< b 5< c 6< d 7< e' '! :'
hazard 'by its number' "$f" '$V sh -c "cat <&3" 3< a' '! echo 9 > a' '> $V sh -c "cat <&3" 3< b' '> $V sh -c "cat <&3"'
hazard '/dev/fd/3' "$f" '$V cat /dev/fd/3 3< a' '! echo 9 > a' '> $V cat /dev/fd/3 3< b'
uncached 'a pipe as input' "$f" 'cat a | $V cat' '! echo 9 > a' '> cat b | $V cat'
uncached 'a FIFO as input' "$f; mkfifo p" '(cat a > p &) ; $V cat p' '! echo 9 > a'
hazard 'output added to' "$f" '$V echo x >> log' '! :' '! echo 7 > log' '> $V echo x > log'
hazard 'output added to by several' "$f" '{ $V echo x; $V echo y; echo z; } > log' '= :' '> { $V echo x; $V echo y; echo z; } >> log'
hazard 'output in the middle of a file' 'echo 123456789 > log' '$V sh -c "echo x" 1<> log' '= echo 123456789 > log' '! echo abcdefghijk > log' '> { echo 12; $V sh -c "echo x"; } 1<> log'
hazard 'both into one file' "$f" '$V sh -c "echo a; echo b >&2; echo c" > log 2>&1' '= rm log' '> $V sh -c "echo a; echo b >&2; echo c" > log 2> log2'
uncached 'one file, opened twice' "$f" '$V sh -c "echo aaaa; echo b >&2" > log 2> log' '= :' '> $V sh -c "echo aaaa; echo b >&2" >> log 2>> log'
hazard 'a descriptor for writing' "$f" '$V sh -c "echo x >&4; echo y >&4" 4> log' '= rm log' '> $V sh -c "echo x >&4; echo y >&4" 4>> log'
uncached 'a descriptor for writing, that is read' "$f" '$V sh -c "echo x >&4; cat log" 4> log' '! echo 7 > log'
hazard 'a file that is input and output' 'printf "b\na\n" > f' 'sort -o f f' '! printf "9\n8\n" > f' '> $V sort -r -o f f'
uncached 'cut off before it is read' "$f" '$V cat a > a' '! echo 7 > a'
uncached '/dev/full' "$f" '$V sh -c "echo x; echo \$? >&2" > /dev/full' '= :' '> $V sh -c "echo x; echo \$? >&2"'
uncached 'a directory as input' 'mkdir d; touch d/x' '$V sh -c "ls /proc/self/fd/0/ || cat" < d' '! touch d/y' '> $V sh -c "ls /proc/self/fd/0/ || cat" < .'
uncached 'a directory by its descriptor' 'mkdir d e; echo 1 > d/f; echo 2 > e/f' '$V cat /dev/fd/3/f 3< d' '! echo 9 > d/f' '> $V cat /dev/fd/3/f 3< e'
cat >"$here/terminal.py" <<'P'
# Runs a command at a new terminal and prints what came there.
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
told = b''
try:
    while piece := os.read(terminal, 4096):
        told += piece
except OSError:
    pass
print(told.decode().replace('\r\n', '\n'), end='', flush=True)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
P
terminal="\$python $here/terminal.py"
asked='$V sh -c "test -t 0 && echo terminal; test -t 1 && echo terminal; :"'
hazard 'test -t' "$f" "$asked" '= :' "> $terminal $asked" "> $asked"
hazard 'colours of ls' "$f" '$V ls --color=auto' '= :' "> $terminal \$V ls --color=auto" '> $V ls --color=auto | cat'
program at_position <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int n, char** a) {
  char c = '-';
  struct stat s;
  switch (a[1][0]) {
    case 's': printf("%ld\n", (long)lseek(0, 0, SEEK_CUR)); return 0;
    case 'p': pread(0, &c, 1, 1); putchar(c); return 0;
    case 'z': fstat(0, &s); printf("%ld\n", (long)s.st_size); return 0;
    case 't': return ftruncate(1, 2) != 0;
    case 'm': return fchmod(1, 0600) != 0;
    case 'f': printf("%x\n", fcntl(0, F_GETFL) & ~0100000); return 0;
    case 'c': printf("%d\n", fcntl(5, F_GETFD)); return 0;
    case 'w': return pwrite(1, "X", 1, 1) != 1;
  }
}
C
hazard 'lseek' "$f" "{ read x; \$V $bin/at_position s; } < a" "> \$V $bin/at_position s < a"
hazard 'pread' "$f" "\$V $bin/at_position p < b" '! echo 98 > b' "> \$V $bin/at_position p < a"
program by_descriptor -D_GNU_SOURCE <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(int n, char** a) {
  char name[40], text[9] = "";
  const int f = open("a", a[1][0] == 'r' ? O_PATH : O_RDONLY);
  sprintf(name, "/proc/self/fd/%d", f);
  const int again = open(name, a[1][0] == 'r' ? O_RDONLY : O_WRONLY);
  if (a[1][0] == 'r') read(again, text, 8), puts(text);
  else write(again, a[1], 1);
}
C
hazard 'a path that is opened again to be read' "$f" "\$V $bin/by_descriptor r" '= :' '! echo 9 > a' '! rm a; echo 8 > a'
uncached 'a file that is opened again to be written' "$f" "\$V $bin/by_descriptor w" '! echo 9 > a' '! rm a; echo 8 > a'
uncached 'written to by its own name too' "$f" '$V sh -c "echo a; echo b >> log; echo c" > log' '! :' '> $V sh -c "echo a; echo b >> log; echo c" >> log' '! :'
program told <<'C'
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
int main(int n, char** a) {
  struct pollfd p = {0, POLLIN, 0};
  switch (a[1][0]) {
    case 'p': poll(&p, 1, 0); printf("%x\n", p.revents); break;
    case 'o': printf("%d\n", open("a", O_RDONLY)); break;
    case 'd': printf("%d\n", dup(1)); break;
    case 'e': printf("%d\n", (int)write(2, "e\n", 2)); break;
  }
}
C
uncached 'what poll tells' "$f" "\$V $bin/told p < a" "> \$V $bin/told p < /dev/null" "> echo | { sleep 0.1; \$V $bin/told p; }" "> : | { sleep 0.1; \$V $bin/told p; }" "> \$V $bin/told p <&-"
hazard 'the number of what is opened' "$f" "\$V $bin/told o" '= :' "> \$V $bin/told o <&-" "> \$V $bin/told o" "> \$V $bin/told d" "> \$V $bin/told d <&-"
uncached 'the null device, for reading only' "$f" "\$V $bin/told e 2> /dev/null" "> \$V $bin/told e 2< /dev/null" "> \$V $bin/told e 2> /dev/null" "> \$V $bin/told e 2>&-"
program kinds <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int count, char** words) {
  struct stat s;
  char text[80];
  switch (*words[1]) {
    case 's': fstat(1, &s); sprintf(text, "%o\n", s.st_mode & S_IFMT); break;
    case 'f': sprintf(text, "%x\n", fcntl(1, F_GETFL)); break;
    case 'e': sprintf(text, "%ld\n", (long)lseek(1, 0, SEEK_END)); break;
    case 'i': sprintf(text, "%ld\n", (long)lseek(0, 0, SEEK_CUR)); break;
    case 't': sprintf(text, "%d %d\n", isatty(0), isatty(1)); break;
  }
  write(1, text, strlen(text));
}
C
for way in s f e; do
  play=hazard
  [ $way = e ] && play=uncached  # it moves in a file of others
  $play "what its output is: $way" "$f" "\$V $bin/kinds $way > o; cat o" '= :' "> \$V $bin/kinds $way | cat" "> \$V $bin/kinds $way >> o; cat o" "> \$V $bin/kinds $way | cat"
done
for ends in '' '< a' '> o; cat o' '2> /dev/null'; do
  asked="\$V $bin/kinds t $ends"
  hazard "isatty at a terminal $ends" "$f" "$asked" '= :' "> $terminal sh -c '$asked'" "> $asked" "> $terminal sh -c '$asked'"
done
hazard 'where its input stands' "$f" "\$V $bin/kinds i < a" '= :' "> echo | \$V $bin/kinds i" "> \$V $bin/kinds i < /dev/null" "> \$V $bin/kinds i < b"
hazard 'its input is its output' ': > e; echo 1 > a; cp a b' "sh -c 'cat a >> b; cat b'" '= cp a b' "> sh -c 'cat a >> a; echo \$?; cat a'" "> sh -c 'cat a e > e; echo \$?; cat e'"
hazard 'fstat of what was given' "$f; touch -d @1000000 a" "\$V $bin/at_position z < a" '! echo 9 > a'
uncached 'ftruncate of what was given' 'echo 12345 > o' "\$V $bin/at_position t 1<> o" '! echo 6789 > o' "> \$V $bin/at_position t 1>> a"
uncached 'fchmod of what was given' 'touch o p; chmod 644 o p' "\$V $bin/at_position m 1<> o" '! chmod 644 o' "> \$V $bin/at_position m 1<> p"
uncached 'pwrite to what was given' 'echo 12345 > o; echo 6789 > p' "\$V $bin/at_position w 1<> o" '! echo 12345 > o' "> \$V $bin/at_position w 1<> p"
hazard 'the flags of what was given' "$f" "\$V $bin/at_position f < a" "> \$V $bin/at_position f 0<> a" "> \$V $bin/at_position f < /dev/null"
hazard 'whether a descriptor is open' "$f" "\$V $bin/at_position c" "> \$V $bin/at_position c 5< a" "> \$V $bin/at_position c"
hazard 'a descriptor far up' "$f" '$V sh -c "cat <&9" 9< a' '! echo 7 > a' '> $V bash -c "cat <&12" 12< a' '> $V bash -c "cat <&12" 12< b'
hazard 'much output' 'seq 20000 > a' 'cat a' '= :' '! seq 30000 > a'
hazard 'tee' "$f" 'tee o1 o2 < a' '= rm o1' '! echo 9 > a'
hazard 'output in pieces, in order' "$f" "sh -c 'for i in 1 2 3; do echo o\$i; echo e\$i >&2; done' 2>&1" '= :'
ways='ln -s /dev/stdout out; ln -s /dev/stdin in; ln -s out out2; ln -s /proc/self/fd/1 out3; mkdir d; ln -s ../../../../../../../../../../../../proc/self/fd/1 d/out; ln -s /dev dev'
for way in 'sh -c "echo hi > out"' 'sh -c "echo hi > out2"' 'sh -c "echo hi > out3"' 'sh -c "echo hi > d/out"' 'sh -c "echo hi > dev/stdout"' \
  'sh -c "echo hi > /dev/./stdout"' 'sh -c "echo hi > //dev/stdout"' 'sh -c "cd /dev; echo hi > stdout"' 'sh -c "cd /proc/self/fd; echo hi > 1"' \
  'sh -c "echo hi | tee -a out"' '$python -c "open(\"out\", \"w\").write(\"hi\n\")"'; do
  places='top sh one' uncached "output by another name of /dev/stdout: $way" "$ways" "\$V $way | cat" '! :' '! :'
done
for way in 'cat in' 'cat /dev/../dev/stdin' 'sh -c "cd /dev; cat stdin"' 'cat /dev//fd/0' 'cat /proc/self/../self/fd/0' 'cat dev/fd/0' 'gcc -E -P -x c in'; do
  places='top sh one' uncached "input by another name of /dev/stdin: $way" "$ways; echo 1 > a; echo 2 > b" "\$V $way < a" '! echo 3 > a' "> \$V $way < b" "> echo 4 | \$V $way"
done
places='top one' uncached 'a header that is standard input' "$ways; ln -s in q.h; echo '#include \"q.h\"' > m.c" 'echo 1 | $V gcc -E -P m.c' '> echo 2 | $V gcc -E -P m.c'
for way in /proc/self/cwd /proc/thread-self/cwd /proc/self/root\$PWD here; do
  uncached "a look by way of $way" 'ln -s /proc/self/cwd here' "sh -c 'test -f $way/f && echo yes || echo no'" '! touch f' '! rm f; mkdir f'
  uncached "changes by way of $way" 'ln -s /proc/self/cwd here; touch y z; chmod 644 z' "sh -c 'chmod 600 $way/z; rm -f $way/y; [ -e $way/x ] || touch x; mkdir -p $way/m'" '! touch y; chmod 644 z; rm x; rmdir m' '! chmod 644 z'
done
uncached 'a directory by its descriptor, listed' 'mkdir d e; touch d/1 e/2' '$V ls /proc/self/fd/3 3< d' '! touch d/3' '> $V ls /proc/self/fd/3 3< e' '> $V ls /dev/fd/3/ 3< e'
uncached 'whether its input is empty' ': > a; echo 1 > b' '$V test -s /proc/self/fd/0 < a' '! echo 9 > a' '> $V test -s /proc/self/fd/0 < b'
uncached 'whether it has a descriptor' 'echo 1 > a' '$V test -e /proc/self/fd/5 5< a' '> $V test -e /proc/self/fd/5' '> $V test -e /proc/self/fd/5 5< a'
hazard 'what is opened by the name of a descriptor' 'echo 1 > a' '$V sh -c "cat /dev/fd/5 2>/dev/null || echo none"' '= :' '> $V sh -c "cat /dev/fd/5 2>/dev/null || echo none" 5< a' '> $V sh -c "cat /dev/fd/5 2>/dev/null || echo none"'
uncached 'a program by its descriptor' 'cp /bin/echo e; cp /bin/basename b' "\$V sh -c '/proc/self/fd/5 a/b' 5< e" "> \$V sh -c '/proc/self/fd/5 a/b' 5< b"
hazard 'what everybody has in /proc' 'echo 1 > a' 'sh -c "test -e /proc/self/exe && test -d /proc/self/fd && cat a"' '= :' '! echo 2 > a'
program change_by_number <<'C'
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
int main() { int f = open("z", O_RDWR); return fchmod(f, 0600) || ftruncate(f, 1); }
C
deep=$(printf 'd%.0s' {1..200})
uncached 'a file with a long name, by its number' "mkdir -p $deep/$deep/$deep; cd $deep/$deep/$deep; echo hello > z" "$bin/change_by_number" '! echo hello > z; chmod 644 z' '! echo hello > z; chmod 755 z'
echo 'import os, stat; print(stat.S_ISFIFO(os.fstat(0).st_mode), stat.S_ISREG(os.fstat(0).st_mode))' >"$bin/input.py"
for what in 'stat -c %F -' '$python $bin/input.py'; do
  eval "what=\"$what\""
  for first in "echo x | \$V $what" "\$V $what < a" "\$V $what < /dev/null"; do
    places='top one' uncached "what its input is: $first" 'echo 1 > a' "{ $first; }" "> { echo x | \$V $what; }" "> { \$V $what < a; }" "> { \$V $what < /dev/null; }" "> { echo x | \$V $what; }"
  done
done
uncached 'the time of an open file that was moved' 'echo 1 > a; touch -d @1000000 a' "bash -c 'exec 3<a; mv a c; stat -c %Y - <&3; mv c a'" '! touch -d @2000000 a' '! touch -d @3000000 a'
finish
