#!/bin/bash
# What stands where a replayed step would leave something, and steps whose changes get in each other's way.
. "$SOURCE/tests/hazards/play.sh"

o='echo x > in'
hazard 'the output is a directory' "$o" 'cp in out' '! rm out; mkdir out' '! rm -r out'
hazard 'a full directory stands there' "$o" 'cp in out' '! rm out; mkdir out; touch out/in' '! rm -r out'
hazard 'the output is read-only' "$o" 'cp in out' '! chmod 400 out' '! rm out; echo y > out; chmod 0 out'
hazard 'its directory is read-only' "$o; mkdir d" 'cp in d/out' '! rm d/out; chmod 500 d' '! chmod 700 d'
hazard 'its directory is gone' "$o; mkdir d" 'cp in d/out' '! rm -r d' '! touch d' '! rm d; mkdir d'
hazard 'its directory is a link' "$o; mkdir d e" 'cp in d/out' '! rm -r d; ln -s e d' '! rm d; ln -s none d'
hazard 'the output is a link' "$o" "sh -c 'cat in > out'" '! rm out; ln -s other out' '! rm out; ln -s /dev/null out' '! rm out other; ln -s in2 out'
hazard 'the output has other names' "$o" "sh -c 'cat in > out'" '= ln out other; echo old > out' '= rm out; echo old > other; ln other out'
hazard 'the output is longer' "$o" "sh -c 'cat in > out'" '= seq 100 > out' '= : > out'
hazard 'mkdir' "$o" 'mkdir d' '! :' '! rmdir d' '! rmdir d; touch d'
uncached 'mkdir -p' "$o" 'mkdir -p d/e/f' '= rmdir d/e/f' '! rm -r d; mkdir d; touch d/e' '! rm -r d; mkdir x; ln -s x d'
hazard 'rm -rf, then mkdir' "$o" "sh -c 'rm -rf d; mkdir d; cp in d'" '! touch d/old' '! rm -r d; touch d' '! chmod 700 d'
hazard 'mv over what is there' "$o; echo y > y" "sh -c 'cp in t; mv t y'" '= echo z > y' '! rm y; mkdir y' '! ls -R > log'
hazard 'mv onto a full directory' 'mkdir d e; touch d/x' "sh -c 'mv -T e d; echo \$?'" '= :' '! rmdir e' '! mkdir e; rm d/*'
hazard 'mv onto a directory' 'mkdir d' "sh -c 'mkdir e; mv -T e d; ls'" '! touch d/x' '! rm d/x; rmdir e'
hazard 'mv -n, cp -n' "$o; echo y > y" "sh -c 'cp -n in y; cp in t; mv -n t y; cat y'" '! rm y' '! echo z > y'
program no_replace -D_GNU_SOURCE <<'C'
#include <fcntl.h>
#include <stdio.h>
int main(void) { puts(renameat2(AT_FDCWD, "in", AT_FDCWD, "y", RENAME_NOREPLACE) ? "is there" : "moved"); }
C
hazard 'renamed to what must not be there' "$o" "\$V $bin/no_replace" '= mv y in' '! echo z > in' '! rm y' '! :' '! mkdir in' '! :'
hazard 'cp --backup' "$o; echo y > y" 'cp --backup=numbered in y' '! echo z > y' '! rm y*'
hazard 'rm' "$o" 'rm in' '! :' '! touch in' '! mkdir in'
hazard 'rm -f' "$o" "sh -c 'rm -f in out; ls'" '! :' '! touch out' '! rm -f out; mkdir out'
hazard 'rm -r' 'mkdir d; touch d/a' 'rm -r d' '! mkdir d; touch d/a d/b' '! mkdir d' '! touch d'
hazard 'rmdir -p' 'mkdir -p d/e' 'rmdir -p d/e' '! mkdir -p d/e; touch d/x' '! rm d/x; mkdir -p d/e'
hazard 'ln' "$o" 'ln in out' '! :' '! rm out; echo z > in' '! rm out; mkdir out'
hazard 'appended' "$o; echo 1 > log" "sh -c 'cat in >> log'" '! :' '! echo 7 > log' '! rm log' '! chmod 400 log'
hazard 'appended if there' 'echo 1 > log' "sh -c 'test -f log && echo 2 >> log; :'" '! rm log' '! echo 1 > log'
hazard 'changed in place' 'echo aXc > f' 'sed -i s/X/b/ f' '! :' '! echo qXq > f' '! rm f'
uncached 'patched' 'printf "1\n2\n3\n" > f; printf -- "--- f\n+++ f\n@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n" > p' "sh -c 'command -v patch > /dev/null || exit 0; patch -f f p'" '! :' '! printf "1\n2\n3\n" > f; rm -f f.rej f.orig'
hazard 'a member of an archive' 'echo 1 > a; echo 2 > b; ar rcD t.a a' 'ar rD t.a b' '! :' '! echo 3 > a; ar rcD t.a a' '! rm t.a' '! echo no > t.a'
hazard 'ranlib, strip in place' "echo 'int main(void) { return 0; }' > m.c; gcc -g m.c -o p" 'strip p' '! :' '! gcc m.c -o p' '! chmod 700 p'
uncached 'truncate' 'echo 12345 > f' 'truncate -s 3 f' '! echo abcdef > f' '! rm f' '! mkdir f'
uncached 'touch -c' "$o; touch -d @1000000 in" 'touch -c -d @2000000 in out' '! touch -d @1000000 out' '! rm in'
hazard 'chmod of what is gone' "$o" 'chmod 600 in' '! rm in' '! echo y > in; chmod 644 in'
hazard 'split' 'seq 10 > f' 'split -l 3 f part' '! rm partab' '! seq 4 > f; rm part*'
hazard 'an output that is removed again' "$o" "sh -c 'cp in t; cat t; rm t'" '! echo y > t' '! rm t 2>/dev/null; mkdir t' '! rmdir t'
hazard 'a directory that is removed again' "$o" "sh -c 'mkdir t; cp in t; cat t/in; rm -r t'" '! mkdir t' '! touch t/x' '! rm -r t'
hazard 'a directory that is moved from inside' 'echo 1 > a; echo q > f0' "sh -c 'rm -rf d e; mkdir d; cp f0 d/f; cd d; mv ../d ../e; sh -c \"cat ../a > g\"; touch t; ls ../e; pwd -P'" '! echo 2 > a' '! echo 3 > a'
hazard 'a tree that is moved' 'mkdir d; echo 1 > d/a; echo 2 > d/b' "sh -c 'mv d e'" '! mkdir d; echo 3 > d/c' '! rm -r d e; mkdir d' '! touch e d'
uncached 'unpacked' 'mkdir d; echo 1 > d/a; ln -s a d/l; ln d/a d/h; chmod 750 d; touch -d @1000000 d/a; touch -hd @1000000 d/l; touch -d @1000000 d; tar cf t.tar d; rm -r d' 'tar xf t.tar' '! echo y > d/a' '! rm -r d; touch d' '! rm -r d; mkdir d; ln -s ../x d/a'
hazard 'names with blanks and worse' 'echo 1 > "a b"; echo 2 > "c
d"; echo 3 > "\\*"' "sh -c 'cat *; cp \"a b\" \"x y\"; x=\$(ls); echo \"\$x\" > l'" '! echo 4 > "a b"' '! rm "x y"'
hazard 'a long name' "n=\$(printf %0200d 1); echo 1 > \$n" "sh -c 'cp 0* out; cp 0* 1\$(printf %0253d 1); echo \$?'" '! echo 2 > 0*' '! rm 1*'
hazard 'a deep directory' ':' "sh -c 'd=0123456789012345678901234567890123456789; for i in 1 2 3 4 5 6 7 8 9 10; do mkdir -p \$d && cd \$d && echo \$i > f; done; cat f'" '! rm -r 0*' '! :'
if [ "$(id -u)" = 0 ]; then
  uncached 'the output belongs to somebody else' "$o" "sh -c 'cat in > out'" '! chown 1 out' '! rm out; touch out; chown 1:1 out; chmod 600 out'
fi
hazard 'an object where something empty is, and an assembler that was replayed' 'echo .text > m.s' '{ $V as m.s -o m.o; }' '> $V sh -c "as m.s -o m.o; echo hi"' '> rm m.o; : > m.o; chmod 600 m.o; ln m.o l; $V sh -c "as m.s -o m.o; echo hi"; stat -c "%h %a" m.o l'
hazard 'what is written last is the latest' ':' "sh -c 'echo 1 > a; sleep .05; echo 2 > b; sleep .05; echo 3 >> a'" '= rm a b' '> test a -nt b' '> test b -nt a'
hazard 'what is moved is as old as it is' ':' "sh -c 'echo 1 > t; sleep .05; echo 2 > b; sleep .05; mv t a'" '= rm a b' '> test a -nt b' '> test b -nt a'
hazard 'mv -S' 'echo 1 > a' 'mv -S .o a b' '! echo 1 > a' '! rm b b.o; echo 1 > a'
hazard 'mv --suffix' 'echo 1 > a' 'mv --suffix=.o a b' '! echo 1 > a' '! rm b b.o; echo 1 > a'
hazard 'objdump and a newer source' 'echo "int f(void) { return 1; }" > m.c; gcc -g -c m.c; touch -d @1000000 m.c m.o' 'objdump -S m.o' '! touch -d @2000000 m.c' '= :'
if command -v setfacl >/dev/null && touch try && setfacl -m u:5:rw try && setfattr -n user.k -v 1 try; then
  show='getfacl -cn o > shown; getfattr -d o >> shown'
  list='rm -f o; echo old > o; setfacl -m u:5:rw o; setfattr -n user.k -v 1 o'
  for each in "sh -c 'cat in > o'" 'cp in o' "sh -c 'tee o < in > /dev/null'" 'sort -o o in'; do
    hazard "the output has an access list: $each" "$o" "$each" '= rm o' "! $list" "! $show; setfacl -b o" '! rm o'
  done
  uncached 'what is added to has an access list' "$o; echo old > o" "sh -c 'cat in >> o'" "! $list" "! $show; setfacl -b o"
  default='setfacl -d -m u:5:rwx,g::rwx,o::rwx d'
  hazard 'its directory gives modes' "$o; mkdir d" "sh -c 'cat in > d/o; mkdir d/x'" '= rm -r d/*' "! rm -r d/*; $default" '! rm -r d/*; setfacl -k d'
  uncached 'its directory has given modes' "$o; mkdir d; $default" 'mkdir d/o' '! rmdir d/o; setfacl -k d' "! rmdir d/o; $default"
  hazard 'its directory gives access lists, the output has none' "$o; mkdir d; echo old > d/o" "sh -c 'cat in > d/o'" '= echo old > d/o' "! echo old > d/o; $default" '! getfacl -cn d/o > shown; echo old > d/o'
fi
# Who has a file open goes on with that one, whatever is replayed meanwhile.
o='echo 1 > f; echo 1 > v'
hazard 'what is written to is being read' "$o" "bash -c 'cat v; exec 3< f; sh -c \"echo 2 >> f\"; cat <&3;'" '! echo 1 > f; echo 2 > v' '! echo 1 > f; echo 3 > v'
hazard 'what is added to is open elsewhere, to be added to' "$o" "sh -c 'cat v; exec 3>> f; sh -c \"echo 2 >> f\"; echo 3 >&3; cat f'" '! echo 1 > f; echo 2 > v'
# Which of its commands are hits depends on how often the two look before the other one goes on.
uncached 'a log that two processes add to' "$o" "sh -c '(echo a; cat v; while [ ! -e go ]; do sleep 0.02; done; echo z) >> f & while [ \$(wc -l < f) -lt 3 ]; do sleep 0.02; done; sh -c \"echo b >> f\"; echo > go; wait; rm go; cat f'" '! echo 1 > f; echo 2 > v' '! echo 1 > f; echo 3 > v'
finish
