#!/bin/bash
# Times, modes, owners, sizes, link counts and attributes of files, to programs that care.
. "$SOURCE/tests/hazards/play.sh"

t='touch -d @1000000' n='touch -d @2000000'
f="echo x > a; echo x > b; $t a b ."
uncached 'the time in an archive' "$f" 'tar cf t.tar a' '= touch other' "! $n a" "! $t a"
# With such a word what find does with the clock counts.
uncached 'find -newer' "$f" 'find a b -newer a' '= touch -d @500000 b' "! $n b" "! touch -d @3000000 a"
hazard 'test -nt' "$f" "sh -c 'test a -nt b && echo newer; test a -ot b && echo older; :'" '= :' "! $n a" "! touch -d @3000000 b"
hazard 'test -nt, the value of a variable' "$f" "sh -c 'op=-nt; test a \$op b; echo \$?'" "! $n a" "! touch -d @3000000 b"
hazard 'test -nt, quoted' "$f" "sh -c 'test a \"-nt\" b; echo \$?'" "! $n a" "! touch -d @3000000 b"
hazard 'test -ot, one of a list' "$f" "sh -c 'for o in -ot; do test a \$o b; echo \$?; done'" "! $n a" "! touch -d @3000000 b"
hazard 'test -nt, put together' "$f" "sh -c 'c() { test a -\$1 b; echo \$?; }; c nt'" "! $n a" "! touch -d @3000000 b"
hazard 'a script of Python that tells when a directory was changed' 'echo "import os; print(os.listdir(\"d\"), os.stat(\"d\").st_mtime)" > s.py; mkdir d; touch -d @1000000 d s.py .' '$python s.py' '! touch -d @2000000 d'
uncached 'files that another command gives another mode' ':' "sh -c 'for i in 1 2 3 4 5 6 7 8; do touch b\$i; chmod 600 b\$i; done'" '> rm -r b1 b2 b3 b4 b5 b6 b7 b8' '> touch b1' '> touch b2' '> touch b3' '> touch b4' '> touch b5' '> touch b6' '> touch b7' '> touch b8'
hazard 'a directory and a file made under another umask' ':' "sh -c 'umask 027; mkdir d; echo x > d/f'" '= rm -r d'
for mode in 700 511; do
  uncached "a directory that another command gives the mode $mode" ':' "sh -c 'for i in 1 2 3 4; do mkdir b\$i; chmod $mode b\$i; done'" '> rm -r b1 b2 b3 b4' '> mkdir b2' '> mkdir b3' '> mkdir b4'
done
uncached 'test -nt of a file that is not there' "$f; rm b" "sh -c 'test a -nt b && echo newer; :'" '! touch -d @3000000 b' '! rm b'
hazard 'stat %Y' "$f" 'stat -c %Y a' '= touch other' "! $n a"
hazard 'stat %y, finely' "$f" 'stat -c %y a' "! touch -d '1970-01-12 13:46:40.000000001' a" "! touch -d '1970-01-12 13:46:40.000000002' a"
uncached 'ls -l' "$f" 'ls -ln --time-style=+%s a' "! $n a" '! chmod 600 a' '! ln a c' '! echo longer > a; touch -d @2000000 a'
hazard 'ls -t' "$f" 'ls -t a b' "! $n b" "! touch -d @3000000 a"
hazard 'make' "$f; printf 'b: a; @echo made; cp a b\n' > Makefile; $t Makefile" 'make' "! $n a; $t b" "! $t a; $n b"
hazard 'make and a directory' "$f; mkdir d; printf 'b: d; @echo made; touch b\n' > Makefile; $t Makefile d" 'make' "! $t b; $n d" "! $t d; $n b"
uncached 'cp -p' "$f" "sh -c 'rm -f c; cp -p a c'" "! $n a" '! chmod 600 a' '= touch other'
hazard 'cp -u' "$f; echo y > b; $t b" 'cp -u a b' "! echo y > b; $n a; $t b" "! echo z > b; $n b; $t a"
hazard 'cp without -p' "$f" 'cp a c' '! :' "= $n a" "= $t a c"
uncached 'install -p' "$f" 'install -p a c' "! $n a" '= :'
hazard 'touch -r' "$f" 'touch -r a b' "! $n a" '! touch -d @3000000 a'
hazard 'date -r' "$f" 'date -ur a' "! $n a" "! $t a"
hazard 'ar that keeps times' "$f" 'ar rcU t.a a' "! $n a; rm t.a" "! $t a; rm t.a"
uncached 'ar that does not' "$f" "sh -c 'rm -f t.a; ar rcD t.a a'" "! $n a" '= :' "= $t a" '= chmod 600 a'
uncached 'cpio by tar, other formats' "$f" 'tar cf t.tar --format=v7 a' "! $n a" '! chmod 600 a'
hazard 'gzip keeps name and time' "$f" "sh -c 'gzip -c a > a.gz'" "! $n a" '= :'
hazard 'gzip -n' "$f" "sh -c 'gzip -nc a > a.gz'" '! echo y > a'
hazard 'diff and its heads' "$f; echo y > b; $t b" 'diff -u a b' "! $n a" "! $t a"
hazard 'find -perm' "$f; chmod 644 a" 'find . -perm 644 -name a' '! chmod 600 a' '! chmod 644 a'
uncached 'find -size' "$f" 'find a -size +1c' '! echo > a' '! echo longer > a'
uncached 'find -links' "$f" 'find a -links 2' '! ln a c' '! rm c'
hazard 'the count of links' "$f" 'stat -c %h a' '! ln a c' '! rm c' '= touch c'
hazard 'the size' "$f" "sh -c 'test -s a && echo some; wc -c a'" '! : > a' '! echo longer > a'
hazard 'modes' "$f; chmod 644 a" 'stat -c %a a' '! chmod 755 a' '! chmod 4755 a' '! chmod 644 a'
hazard 'modes of directories' 'mkdir d; chmod 755 d; touch -d @1000000 d' 'stat -c %a d' '! chmod 700 d' '! chmod 1777 d'
hazard 'modes that are copied' "$f; chmod 640 a" "sh -c 'rm -f c; cp a c'" '! chmod 755 a' '! chmod 600 a'
uncached 'modes that are archived' "$f" 'tar cf t.tar a' '! chmod 600 a' '! chmod 700 a'
hazard 'test -x' "$f; chmod 644 a" "sh -c 'test -x a && echo yes || echo no'" '! chmod 755 a' '! chmod 644 a'
hazard 'test -k -u -g' "$f" "sh -c 'test -u a && echo u; test -g a && echo g; test -k a && echo k; :'" '! chmod u+s a' '! chmod g+s a' '! chmod 644 a'
hazard 'mv -u' "$f; echo y > b; $t a; $n b" 'mv -u a b' "! touch -d @3000000 a" "! echo 1 > a; $t a"
hazard 'find -links of directories' 'mkdir -p d/e f' 'find . -maxdepth 1 -links 2' '= touch d/x' '! mkdir f/g' '! rmdir d/e'
hazard 'find -links, all the way' 'mkdir -p d/e f' 'find . -links 2' '= touch d/x; rm d/x' '! mkdir f/g' '! rmdir d/e'
hazard 'links and size of a directory' 'mkdir d; touch -d @1000000 d' 'stat -c "%h %s" d' '= :' '! mkdir d/x; touch -d @1000000 d' '! rmdir d/x; (cd d; seq -f "$(printf %0200d 1)%02g" 25 | xargs touch); touch -d @1000000 d'
hazard 'test -nt, told from outside' "$f" "\$V sh -c 'test a \$1 b; echo \$?' x -nt" "! $n a" "! touch -d @3000000 b"
hazard 'mkdir where groups are inherited' 'mkdir d' 'mkdir d/x' '= rmdir d/x' '! rmdir d/x; chmod g+s d' '! rmdir d/x; chmod g-s d'
hazard 'mkdir -p, mkdir -m where groups are inherited' 'mkdir d' "sh -c 'mkdir -p d/x/y; mkdir -m 750 d/z'" '= rm -r d/*' '! rm -r d/*; chmod g+s d' '! rm -r d/*; chmod g-s d'
uncached 'a file from the future' "$f; printf 'b: a; @echo made; cp a b\n' > Makefile; $t Makefile; touch -d '+2 seconds' a; rm b" 'make 2>&1 | sed "s/time .* s in/time in/"' "! sleep 2.2"
program attributes_of <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
int main(int n, char** a) { int flags = -1, f = open("a", O_RDONLY); if (!ioctl(f, FS_IOC_GETFLAGS, &flags) && n > 1) flags ^= FS_NODUMP_FL, ioctl(f, FS_IOC_SETFLAGS, &flags); printf("%x\n", flags); }
C
uncached 'attributes that only a file system knows' "$f" "\$V $bin/attributes_of" "! $bin/attributes_of change" "> \$V $bin/attributes_of change" "! :"
# A file that is written to keeps its mode and its names.
hazard 'written, then chmod +x' 'echo 1 > in' "sh -c 'cat in > out; chmod +x out'" '= rm out' '! :' '! chmod 600 out' '! chmod 444 out' '! rm out; echo 2 > in'
uncached 'added to, then chmod +x' 'echo 1 > in; echo 0 > out' "sh -c 'cat in >> out; chmod +x out'" '! echo 0 > out; chmod 600 out' '! rm out'
hazard 'written, then looked at' 'echo 1 > in' "sh -c 'cat in > out; stat -c %a:%h out; test -x out; echo \$?'" '= rm out' '! chmod 700 out' '! ln out other' '! rm out'
hazard 'written, and not looked at' 'echo 1 > in' "sh -c 'cat in > out; cat out'" '= :' '= chmod 600 out' '= rm out'
program makes_or_reads <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(void) { char text[20] = ""; printf("%d\n", (int)read(open("o", O_CREAT | O_RDONLY, 0600), text, 19)); puts(text); }
C
hazard 'opened to be read, or made' 'echo hello > o' "\$V $bin/makes_or_reads" '= :' '! echo longer > o' '! rm o' '! rm o; ln -s q o' '! echo q > q'
hazard 'made to be read' ':' "\$V $bin/makes_or_reads" '= rm o' '! echo longer > o; chmod 644 o' '! rm o'
program may_i <<'C'
#include <stdio.h>
#include <unistd.h>
int main(int n, char** a) { for (int i = 1; i < n; ++i) printf("%d%d%d\n", access(a[i], R_OK), access(a[i], W_OK), access(a[i], X_OK)); }
C
hazard 'access(2)' "$f; chmod 644 a" "\$V $bin/may_i a b" '! chmod 444 a' '! chmod 755 a' '! chmod 0 b' '! chmod 644 a b'
hazard 'a file that cannot be read' "$f" "sh -c 'cat a || echo no'" '! chmod 0 a' '! chmod 644 a'
hazard 'a script that may not be run' "printf '#!/bin/sh\necho ran\n' > s; chmod 755 s" "sh -c './s; echo \$?'" '= touch other' '! chmod 644 s' '! chmod 755 s'
hazard 'chmod of what was there' "$f; chmod 600 a" 'chmod u+x a' '! chmod 644 a' '! chmod 600 a'
hazard 'chmod that takes away' "$f; chmod 777 a" "sh -c 'chmod go-w a; stat -c %a a'" '! chmod 666 a' '! chmod 600 a'
program changes_by_number -D_GNU_SOURCE <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int n, char** a) {
  char name[40];
  const int f = open("g", a[1][0] == 'e' ? O_RDONLY : O_PATH | O_NOFOLLOW);
  sprintf(name, a[1][1] == 'd' ? "/dev/fd/%d" : "/proc/self/fd/%d", f);
  switch (a[1][0]) {
    case 'n': return fchmodat(AT_FDCWD, "g", 0600, AT_SYMLINK_NOFOLLOW) != 0;
    case 'm': return chmod(name, 0600) != 0;
    case 't': return utimensat(AT_FDCWD, name, (struct timespec[]){{1000000000, 0}, {1000000000, 0}}, 0) != 0;
    case 'o': return chown(name, getuid(), getgid()) != 0;
    case 'e': return syscall(452, f, "", 0600, AT_EMPTY_PATH) != 0 && chmod(name, 0600) != 0;
    case 'l': return truncate(name, 1) != 0;
    case 'i': return chmod("/proc/self/fd/5", 0600) != 0;
  }
}
C
for way in n m md t o e; do
  case $way in o | e) play=uncached ;; *) play=hazard ;; esac
  $play "changes by the number of a descriptor: $way" 'echo 1 > g; chmod 644 g; touch -d @500000000 g' "\$V $bin/changes_by_number $way" '= chmod 644 g; touch -d @500000000 g' '! rm g; echo 2 > g; chmod 644 g' '! rm g; ln -s h g; echo 3 > h'
done
uncached 'cut off by the number of a descriptor' 'echo 123 > g' "\$V $bin/changes_by_number l" '! echo 123 > g' '! echo 456 > g'
uncached 'a mode set by the number of a descriptor it was given' 'echo 1 > g; cp g h; chmod 644 g h' "\$V $bin/changes_by_number i 5< g" '! chmod 644 g' "> \$V $bin/changes_by_number i 5< h"
uncached 'a mode set where links are not followed' 'echo 1 > g; chmod 644 g' "\$python -c 'import os; os.chmod(\"g\", 0o600, follow_symlinks=False)'" '! chmod 644 g'
hazard 'a set-user-ID bit that is made' 'echo x > a' "sh -c 'cp a c; chmod 4755 c'" '= rm c' '! echo y > a'
program attribute <<'C'
#include <stdio.h>
#include <sys/xattr.h>
int main(void) { char v[99] = ""; printf("%zd ", getxattr("a", "user.hazard", v, 98)); puts(v); printf("%zd\n", listxattr("a", v, 98)); }
C
program set_attribute <<'C'
#include <string.h>
#include <sys/xattr.h>
int main(int n, char** a) { return setxattr(a[1], "user.hazard", a[2], strlen(a[2]), 0) != 0; }
C
uncached 'extended attributes' "$f; $bin/set_attribute a 1" "\$V $bin/attribute" "! $bin/set_attribute a 2" "! rm a; echo x > a" "! $bin/set_attribute a 1"
uncached 'extended attributes that are made' "$f" "sh -c '$bin/set_attribute a 7; $bin/attribute'" '! rm a; echo > a'
cat >"$bin/told.py" <<'P'
import os
s = os.stat('a')
print(s.st_mtime_ns, s.st_mode, s.st_nlink, s.st_size)
P
cat >"$bin/told.pl" <<'P'
print join(" ", (stat "a")[2, 3, 7, 9]), "\n";
P
cat >"$bin/newer.py" <<'P'
import os
print(os.path.getmtime('a') > os.path.getmtime('b'))
P
for text in '$python $bin/told.py' '$perl $bin/told.pl'; do
  hazard "stat of a script: $text" "$f" "\$V $text" '= touch other' "! $n a" '! ln a c' '! chmod 600 a' "! echo longer > a; $n a"
done
hazard 'times that Python compares' "$f; $n a" "\$V \$python $bin/newer.py" '= touch other' '! touch -d @900000 a' "! $n a"
uncached 'times that the step sets' "$f" "sh -c 'cp a c; $t c; stat -c %Y c'" '! rm c; echo y > a' '= :'
hazard 'times of a step that only touches' "$f; printf 'b: a; touch b\n' > Makefile; $t Makefile; $n a" 'make' "! $t b" "! $n b"
hazard 'sed -i that changes nothing' "$f" 'sed -i s/q/r/ a' "! $t a" '! chmod 600 a'
hazard 'empty files and their times' ": > a; $t a" "sh -c ': > a'" "! $t a" '! echo x > a'
if [ "$(id -u)" = 0 ]; then
  hazard 'owners' "$f" 'stat -c %u:%g a' '! chown 1 a' '! chgrp 1 a' '! chown 0:0 a'
  hazard 'owners that find asks for' "$f" 'find . -user 1' '! chown 1 a' '! chown 0 a'
  uncached 'owners that are archived' "$f" 'tar cf t.tar a' '! chown 1 a' '! chown 0:1 a'
  uncached 'owners that the step gives' "$f" "sh -c 'cp a c; chown 1 c'" '! rm c' '! echo y > a'
fi
uncached 'the mode of what another one has written' 'echo 1 > a' "sh -c 'sh -c \"cat a > o\"; test -x o && echo yes || echo no'" '! :' '! chmod 755 o' '! :' '! rm o'
uncached 'the mode of what is looked for, written and moved' 'echo 1 > a' "sh -c 'test -e o; echo x > o; mv o p; mv p o'" '! :' '! chmod 700 o' '! :' '! rm o'
hazard 'the mode of what is written and moved' 'echo 1 > a' "sh -c 'echo x > o; mv o p; mv p o'" '= rm o' '! chmod 700 o' '! rm o'
# Times that come from other files.
uncached 'the time of what is made and copied' ':' "sh -c 'echo 1 > a; cp -p a b'" '! rm -f a b; touch ref; sleep 0.1' "> sh -c 'test b -nt ref && echo newer'"
program holes -D_GNU_SOURCE <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(int n, char** a) {
  const int f = n > 1 ? open(a[1], O_RDONLY) : 0;
  printf("%ld %ld\n", (long)lseek(f, 0, SEEK_DATA), (long)lseek(f, 0, SEEK_HOLE));
}
C
# What a replay writes has no holes, so not within one command.
zeros='dd if=/dev/zero of=s bs=1M count=1'
places='top sh make' uncached 'where a file has holes' 'truncate -s 1M s' "$bin/holes s" "! $zeros; touch -d @1000000 s" '! rm s; truncate -s 1M s; touch -d @1000000 s' "! rm s; truncate -s 512K s; seq 100 >> s"
places='top sh make' uncached 'where a file could have holes' "$zeros" "$bin/holes s" '! rm s; truncate -s 1M s; touch -d @1000000 s'
places='top sh make' uncached 'where its input has holes' 'truncate -s 1M s' "\$V $bin/holes < s" "! $zeros; touch -d @1000000 s"
places='top sh make' hazard 'where a file can have no holes' 'seq 100000 > s' "$bin/holes s" '= :' '! rm s; truncate -s 512K s; seq 100 >> s' '! seq 100001 > s'
hazard 'grep of a long file' 'seq 100000 > s' 'grep -c 77 s' '= :' '! seq 200000 > s'
places='top sh make' uncached 'grep of a file with holes' 'seq 100000 > s; truncate -s 1M s; seq 100 >> s' 'grep 777 s' "! cp --sparse=never s t; mv t s"
# A file that it is given open is looked at by fstat: by the time in the header of what gzip makes, too.
given="! $n a" ; mode='! chmod 600 a' names='! ln a a2'
hazard 'the file behind standard input' "$f" "sh -c \"stat -c '%a %u:%g %h %Y' - < a\"" '= touch other' "$given" "$mode" "$names"
hazard 'the file behind another descriptor' "$f" "bash -c \"exec 3< a; stat -c '%a %u:%g %h %Y' - <&3\"" '= touch other' "$given" "$mode" "$names"
hazard 'what gzip is given' "$f" "sh -c 'gzip -9 < a > a.gz'" '= touch other' "$given"
places='sh make' hazard 'the file behind its own standard input' "$f" "\$V stat -c '%a %h %Y' - < a" '= touch other' "$given" "$mode" "$names"
hazard 'what cat is given' "$f; echo 1 > other" "sh -c 'cat < a'" '= touch a' '! echo 2 > a'
# Files that were written within one tick of the clock have one time, and have it when they are replayed: else make would
# find one of them out of date.
program pair <<'C'
#include <stdio.h>
int main(void) {
  FILE *a = fopen("a.h", "w"), *b = fopen("b.h", "w"), *c = fopen("c.h", "w");
  fputs("1", c), fclose(c), fputs("2", b), fclose(b), fputs("3", a), fclose(a);
  return 0;
}
C
together=$(mktemp -d "$here/together.XXXXXX") && (
  cd "$together" || exit 1
  for round in {1..50}; do
    rm -rf cache ./?.h
    VESTAL_DIR=$PWD/cache "$VESTAL" run -- "$bin/pair"
    [ "$(stat -c %.9Y ./?.h | uniq | wc -l)" = 1 ] || continue
    rm ./?.h
    VESTAL_DIR=$PWD/cache "$VESTAL" -v run -- "$bin/pair" 2>said
    grep -q '^vestal: hit ' said || { echo 'files of one time: not replayed'; exit 1; }
    [ "$(stat -c %.9Y ./?.h | uniq | wc -l)" = 1 ] || { echo 'files of one time have several when they are replayed:'; stat -c '%n %.9Y' ./?.h; exit 1; }
    break
  done
) || faults=$((faults + 1))
for round in "$together"/cache; do [ -f "$round/broker.pid" ] && kill "$(cat "$round/broker.pid")"; done
shm=$(mktemp -d /dev/shm/vestal-hazard.XXXXXX) && if [ "$(stat -c %d "$shm")" != "$(stat -c %d .)" ]; then
  uncached 'the time of what comes from another file system' "echo 1 > $shm/a; $t $shm/a; echo 2 > b" "mv $shm/a b" "! echo 1 > $shm/a; $n $shm/a"
  uncached 'the time of what is made in another file system' 'echo 2 > b' "sh -c 'echo 1 > $shm/a; mv $shm/a b'" '! touch ref; sleep 0.1' "> sh -c 'test b -nt ref && echo newer'"
fi
rm -rf "$shm"
finish
