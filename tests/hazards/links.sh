#!/bin/bash
# Symbolic and hard links: what leads where, and what is one and the same.
. "$SOURCE/tests/hazards/play.sh"

l='echo 1 > a; echo 2 > b; ln -s a l'
hazard 'retargeted' "$l" 'cat l' '= touch other' '! ln -sfn b l' '! ln -sfn a l' '! echo 3 > a' '= echo 4 > b'
hazard 'only read' "$l" 'readlink l' '= echo 3 > a' '! ln -sfn b l' '! ln -sfn ./b l' '! rm l; echo > l'
hazard 'the real path' "mkdir d e; echo 1 > d/f; echo 2 > e/f; ln -s d l" 'realpath l/f' '= echo 3 > d/f' '! ln -sfn e l' '! rm l; mkdir l; echo > l/f'
hazard 'readlink -f' "$l; ln -s l m" 'readlink -f m' '! ln -sfn b l' '! ln -sfn b m'
hazard 'a chain' 'echo 1 > a; echo 2 > b; ln -s a l1; ln -s l1 l2; ln -s l2 l3' 'cat l3' '= touch other' '! ln -sfn b l1' '! ln -sfn a l2' '! rm l2' '! cp b l2'
hazard 'dangling' 'ln -s none l' "sh -c 'cat l; test -e l || test -L l && echo link'" '= touch other' '! echo 1 > none' '! rm none' '! rm l'
hazard 'a circle' 'ln -s m l; ln -s l m' "sh -c 'cat l; echo \$?'" '= :' '! ln -sfn n m; echo n > n' '! ln -sfn l m'
hazard 'a directory that a link leads to' 'mkdir d e; echo 1 > d/f; echo 2 > e/f; ln -s d l' 'cat l/f' '! ln -sfn e l' '= echo 3 > d/f' '! echo 4 > e/f' '! rm l; cp -r d l'
hazard 'a directory becomes a link to its like' 'mkdir d; echo 1 > d/f; cp -r d e' "sh -c 'cd d && pwd -P && cat f'" '! mv d x; ln -s e d' '! rm d; mv x d'
hazard 'a link becomes a copy of its target' "$l" "sh -c 'test -L l && echo link || echo file; cat l'" '! rm l; cp a l' '! rm l; ln -s a l'
hazard 'find -type l' "$l" 'find . -type l' '! rm l; cp a l' '! ln -s b m'
hazard 'ls of a link' "$l" "sh -c 'ls -F; ls -d l'" '! rm l; cp a l'
hazard '.. behind a link' 'mkdir -p x/y z/y; echo x > x/f; echo z > z/f; ln -s x/y l' 'cat l/../f' '! ln -sfn z/y l' '= echo q > x/f' '! echo q > z/f'
hazard '.. in the text of a link' 'mkdir x z; echo z > z/f; ln -s x/../z l' "sh -c 'cd l && cat f || test -e l && echo there'" '= :' '! rm -r x' '! mkdir x' '! rm -r x; ln -s z x'
hazard 'a directory that .. leads out of' 'mkdir x z; echo z > z/f' "sh -c 'cat x/../z/f'" '= touch x/g' '! rm -r x' '! echo > x' '! rm x; mkdir x'
hazard 'a program that is named by ..' 'mkdir x b; printf "#!/bin/sh\necho hi\n" > b/p; chmod +x b/p; touch -d @1000000 b/p' "sh -c 'x/../b/p; echo \$?'" '= touch x/f' '! rm -r x' '! mkdir x'
uncached 'written through a link' "$l" "sh -c 'echo new > l'" '! :' '= ln -sfn a l' '! ln -sfn b l' '! rm l' '! ln -s c l'
uncached 'appended through a link' "$l" "sh -c 'echo more >> l; cat l'" '! ln -sfn b l' '! ln -sfn a l'
hazard 'a link on the way to an output' 'mkdir d e; ln -s d l' "sh -c 'echo out > l/f'" '! ln -sfn e l' '! rm l; mkdir l'
hazard 'cp of a link, and its target' "$l" "sh -c 'cp -P l m; cp -L l n; cat n'" '! ln -sfn b l; rm m' '! rm l m; cp a l' '! rm -f l m n; ln -s none l'
uncached 'tar of a link' "$l; touch -hd @1000000 l; touch -d @1000000 a" 'tar cf t.tar l a' '= :' '! ln -sfn b l; touch -hd @1000000 l' '! rm l; ln a l'
hazard 'links that are made' 'echo 1 > a' "sh -c 'ln -s a l; ln -sf a l2; ln -sfn ./a l; cat l'" '! rm -f l' '! ln -sfn none l2' '! rm -f l l2; echo file > l2'
hazard 'ln -s where something is' 'echo 1 > a' "sh -c 'ln -s a l; echo \$?'" '! :' '! rm l; mkdir l' '! rm -r l'
hazard 'a program that is a link' "mkdir d; ln -s /bin/echo d/p; export PATH=\$PWD/d:\$PATH" "sh -c 'p hello'" '! ln -sfn /bin/basename d/p' '! rm d/p'
hazard 'a program behind a directory link' "mkdir d e; ln -s /bin/echo d/p; ln -s /bin/basename e/p; ln -s d l; export PATH=\$PWD/l:\$PATH" "sh -c 'p hello/x'" '! ln -sfn e l' '! ln -sfn d l'
hazard 'a header behind a link' 'mkdir d e; echo "#define H 1" > d/h.h; echo "#define H 2" > e/h.h; ln -s d i; printf "#include <h.h>\nint x = H;\n" > m.c' 'gcc -E -P -Ii m.c' '! ln -sfn e i' '! echo "#define H 3" > e/h.h'
hazard 'a library behind a link' "echo 'int f(void) { return 1; }' | gcc -shared -fPIC -x c - -o l1.so; echo 'int f(void) { return 2; }' | gcc -shared -fPIC -x c - -o l2.so; ln -s l1.so libl.so; echo 'int f(void); int main(void) { return f(); }' | gcc -x c - -L. -ll -Wl,-rpath,\$PWD -o p" \
  "sh -c './p; echo \$?'" '= :' '! ln -sfn l2.so libl.so' '! ln -sfn l1.so libl.so'
uncached 'hard links that are made' 'echo 1 > a' "sh -c 'ln a b; ln -f a c; cat c'" '! :' '! rm -f b c; echo 2 > a' '! echo 5 > c'
uncached 'a hard link that is cut' 'echo 1 > a' "sh -c 'ln a b; echo 2 > n; mv n b; cat a b'" '= rm b' '! rm b; echo 3 > a'
hazard 'moved, with another name' 'echo 1 > a' "sh -c 'mv a b; mv b c; cat c'" '= rm c; echo 1 > a' '! rm c; echo 1 > a; ln a l' '! rm c l; echo 1 > a; ln a b'
uncached 'written where it is, and moved' 'echo 1 > a' "sh -c 'echo new > a; mv a b'" '! rm b' '! rm b; echo 1 > a; ln a l' '! rm b l; echo 1 > a; ln a b'
uncached 'written where it is, and removed' 'echo 1 > a' "sh -c 'echo new > a; rm a; echo newer > a'" '! :' '! ln a l' '! rm l; ln a l'
uncached 'written where it is, and removed by another' 'echo 1 > a' "sh -c 'echo new > a; sh -c \"rm a\"; echo newer > a'" '! :' '! ln a l' '! rm l; ln a l'
uncached 'written where it is, and replaced' 'echo 1 > a; echo 2 > b' "sh -c 'echo new > a; cp b c; mv c a'" '! :' '! ln a l' '! rm l; ln a l'
uncached 'a second name for what is written where it is' 'echo 1 > a; echo 2 > b' "sh -c 'rm -f a; echo new > b; ln b a; echo newer > a; cat b'" '! :' '! ln a l' '! :'
m='echo "int x;" > m.c'
hazard 'an object where something is' "$m; echo 1 > m.o" 'gcc -c m.c' '= rm m.o' '! ln m.o l' '! rm -f l; : > m.o; ln m.o l' '! rm m.o l; : > m.o; chmod 600 m.o'
hazard 'written through a hard link' 'echo 1 > a; ln a b' "sh -c 'echo new > b'" '= echo 1 > a' '! rm b' '! ln a b -f'
program nofollow <<'C'
#include <fcntl.h>
#include <stdio.h>
int main(void) { int f = open("l", O_RDONLY | O_NOFOLLOW); puts(f < 0 ? "a link" : "a file"); }
C
one='echo 1 > a; cp a b'
hazard 'test -ef' "$one" "sh -c 'test a -ef b && echo one || echo two'" '= touch other' '! ln -f a b' '! rm b; cp a b'
hazard 'cp of one file to itself' "$one" "sh -c 'cp a b; echo \$?'" '! rm b; ln a b' '! rm b; cp a b'
hazard 'mv of one file to itself' 'echo 1 > a; ln a b' "sh -c 'mv a b; echo \$?; ls'" '! echo 1 > a; rm b; cp a b' '! ln b a'
cat >"$bin/one.py" <<'P'
import os
print(os.path.samefile('a', 'b'))
P
cat >"$bin/one.pl" <<'P'
print +(stat "a")[1] == (stat "b")[1] ? "one" : "two", "\n";
P
cat >"$bin/led.py" <<'P'
import os
print(os.path.realpath('l/x'), os.path.islink('l'))
P
cat >"$bin/led.pl" <<'P'
use Cwd; print Cwd::abs_path("l/x"), -l "l" ? readlink "l" : "none", "\n";
P
for text in '$python $bin/one.py' '$perl $bin/one.pl'; do
  hazard "two names of one file for a script: $text" "$one; touch -d @1000000 a b" "\$V $text" '= touch other' '! ln -f a b' '! rm b; cp a b'
done
for text in '$python $bin/led.py' '$perl $bin/led.pl'; do
  hazard "where a link leads for a script: $text" 'mkdir d e; ln -s d l; touch -hd @1000000 d e l' "\$V $text" '= touch other' '! ln -sfn e l' '! rm l; mkdir l'
done
hazard 'one file by two names, among links' "$one; ln a c; ln b d" "sh -c 'test a -ef b && echo one; cat c d'" '= :' '! ln -f a b' '! ln -f d b'
hazard 'O_NOFOLLOW' "$l" "\$V $bin/nofollow" '= :' '! rm l; cp a l' '! rm l; ln -s b l'
hazard 'make -L' 'echo > a; ln -s a l; printf "o: l; cp l o\n" > Makefile; touch -d @1000000 Makefile a; touch -hd @1000000 l' 'make -L' '! touch -d @2000000 o; touch -hd @3000000 l' '! touch -d @4000000 o; touch -d @5000000 a'
hazard 'a link that has got another name' ':' "sh -c 'rm -f c; ln -s src c'" '! ln c c2' '> stat -c %h c'
# A file that is written has got another name since, which is one that the step looks at or writes to as well.
hazard 'an output that is an input by now' 'echo x > b' "sh -c 'echo 1 > a; cat b'" '= :' '! ln -f b a' '! rm a' '! echo y > b'
hazard 'an output given by redirection that is the input by now' 'echo x > in' "sh -c 'cat in > out'" '! rm out; ln in out' '! rm out in; echo z > in'
hazard 'two outputs that are one file by now' ':' "sh -c 'echo 1 > a; echo 2 > b; echo 3 > a'" '! ln -f a b' '! rm b' '= :'
uncached 'the name of a file goes, its second one stays' 'echo 1 > a' "sh -c 'ln a b; rm a'" '! rm b; echo 1 > a; ln a c' '> stat -c "%h %n" b c' '! rm -f b c; echo 1 > a; touch -d @1000000 a' '> stat -c %Y b'
uncached 'a mode given by a new name' 'echo 1 > a' "sh -c 'ln a b; chmod 700 b'" '! rm b; chmod 644 a' '> stat -c %a a' '! rm b; chmod 600 a' '> stat -c %a a'
uncached 'a mode given by a new name of a new name' 'echo 1 > a' "sh -c 'ln a b; ln b c; chmod 700 c'" '! rm b c; chmod 644 a' '> stat -c %a a'
uncached 'a new name of a symbolic link' 'echo 1 > f; ln -s f a' "sh -c 'rm -f c; ln a b; mv b c'" '> stat -c %h a c' '! rm a; ln -s f a' '> stat -c %h a c'
hazard 'what lstat tells of a symbolic link' 'echo 1 > f; ln -s f a; touch -hd @2000000 a' "stat -c '%h %Y' a" '= :' '! touch -hd @1000000 a' '= :' '! ln -f a c' '= :' '! rm c'
hazard 'a mode that other names have too' 'echo 1 > a' "sh -c 'chmod 600 a; rm a'" '! echo 1 > a; ln a c' '> stat -c %a c'
hazard 'a mode of what is moved over' 'echo 1 > a; echo 2 > b' "sh -c 'chmod 600 a; mv b a'" '! echo 1 > a; chmod 644 a; echo 2 > b; ln a c' '> stat -c %a c'
finish
