#!/bin/bash
# Sequences in which a cache that looks at too little replays the wrong thing. Each is run as it is, and the last command
# of each is what must be as plain. `same NAME RECORD CHANGE COMMAND...`: RECORD is shell text in which $V stands for vestal
# or for nothing; everything it prints and leaves is compared.
. "$SOURCE/tests/end_to_end/same.sh"

same() { # NAME TEXT
  local name=$1 text=$2 round
  V= fill :
  ( cd "$here/t" && V= bash -c "$text" ) >"$here/plain.out" 2>"$here/plain.err" </dev/null
  echo "status $?" >"$here/plain.status"
  tree "$here/t" >"$here/plain.tree"
  for round in first second; do
    fill :
    ( cd "$here/t" && V="$VESTAL run --" bash -c "$text" ) >"$here/$round.out" 2>"$here/$round.err" </dev/null
    echo "status $?" >"$here/$round.status"
    tree "$here/t" >"$here/$round.tree"
    compare "$name" $round
  done
}

same 'a file written through an open descriptor' "\$V sh -c 'exec 5>>log; for i in 1 2 3 4 5 6; do echo \$i >&5; tail -n1 log; done'"
same 'a file written through standard output' "\$V sh -c '{ echo 1; tail -n1 log; echo 2; tail -n1 log; } > log; cat log'"
same 'a hard link made by an inner step that is a hit' "echo x>a; \$V sh -c 'ln a b; :'; rm b; \$V sh -c 'ln a b; true;:'; rm b; \$V sh -c 'ln a b; true;:'; stat -c %h a b"
same 'a moved file that has another name' "echo x>a; ln a z; \$V mv a c; mv c a; \$V mv a c; stat -c %h c z"
same 'diagnostics after a run without them' "\$V ls nosuch 2>/dev/null; \$V ls nosuch; \$V sh -c 'echo x; echo y >&2' 2>/dev/null; \$V sh -c 'echo x; echo y >&2'"
same 'streams apart after a run with one' "\$V sh -c 'echo o; echo e >&2' >m 2>&1; \$V sh -c 'echo o; echo e >&2' >m1 2>m2"
same 'one stream after a run with two' "\$V sh -c 'echo o; echo e >&2' >m1 2>m2; \$V sh -c 'echo o; echo e >&2' >m 2>&1"
same 'the text behind options that take a word' "FOO=1 \$V bash -eo pipefail -c 'echo \$FOO'; FOO=2 \$V bash -eo pipefail -c 'echo \$FOO'; FOO=1 \$V sh -o errexit -c 'echo \$FOO'; FOO=2 \$V sh -o errexit -c 'echo \$FOO'"
same 'a shell that make was told to use' "printf 'SHELL=/bin/bash\n.SHELLFLAGS=-eo pipefail -c\nall:;@echo \$\$A\n' > Makefile; A=1 \$V make; A=2 \$V make"
same 'a text on standard input' "echo 'echo \$FOO' >p; FOO=1 \$V sh <p; FOO=2 \$V sh <p; FOO=3 \$V sh -s <p; FOO=4 \$V sh -s <p"
same 'times compared in a text that is read' "echo '[ a -nt b ] && echo newer' >q; touch -d @100 b; touch -d @200 a; \$V sh -c '. ./q'; touch -d @300 b; \$V sh -c '. ./q'"
same 'a failed link removes the old program' "echo 'int f(){}' >c.c; \$V gcc -w c.c -o prog 2>/dev/null; echo old >prog; chmod +x prog; \$V gcc -w c.c -o prog 2>/dev/null; ls"
same 'the mode of a file that was there' "touch f; chmod 755 f; \$V sh -c 'echo hi >f'; rm f; \$V sh -c 'echo hi >f'; stat -c %a f"
same 'rmdir of what is empty now' "mkdir d; touch d/x; \$V rmdir d; rm d/x; \$V rmdir d; ls"
same 'a directory moved onto what is empty now' "mkdir a b; touch b/x; \$V mv -T a b; rm b/x; \$V mv -T a b; ls"
same 'mkdir twice' "\$V mkdir d; \$V mkdir d"
same 'how many names a file has that the step gave another one' "echo x >a; \$V sh -c 'rm -f h; ln a h; stat -c %h h'; ln a other; \$V sh -c 'rm -f h; ln a h; stat -c %h h'"
same 'a limit of the stack' "\$V sh -c 'ulimit -s 4096; sh -c \"ulimit -s\"'; \$V sh -c 'ulimit -s 2048; sh -c \"ulimit -s\"'; \$V sh -c 'sh -c \"ulimit -s; ulimit -c\"'"
same 'permissions asked for just before they change' "echo 'int main(int n, char** a) { return -access(a[1], 2); }' >m.c; sed -i '1i #include <unistd.h>' m.c; gcc -o m m.c; echo x >a; [ \$(id -u) = 0 ] && chown nobody . a m; for i in 1 2 3; do \$V setpriv --reuid 65534 --clear-groups sh -c 'chmod 600 a; ./m a; echo \$?; chmod 400 a; ./m a; echo \$?' 2>/dev/null || \$V sh -c 'chmod 600 a; ./m a; echo \$?; chmod 400 a; ./m a; echo \$?'; done"
same 'a lock directory' "\$V sh -c 'if mkdir lock; then echo got; else echo busy; fi' 2>/dev/null; \$V sh -c 'if mkdir lock; then echo got; else echo busy; fi' 2>/dev/null"
same 'test as a program' ": > a; \$V /usr/bin/test -s a; echo \$?; echo x > a; \$V /usr/bin/test -s a; echo \$?; touch -d @100 a; touch -d @200 b; \$V /usr/bin/test a -nt b; echo \$?; touch -d @300 a; \$V /usr/bin/test a -nt b; echo \$?"
same 'times that ls shows in other ways' "touch -d @100 a; \$V ls -n --time-style=+%s a; touch -d @200 a; \$V ls -n --time-style=+%s a; \$V ls --format=long --time-style=+%s a; touch -d @300 a; \$V ls --format=long --time-style=+%s a"
same 'shortened options' "echo x > a; touch -d @100 a; \$V cp --preserv=timestamps a b; stat -c %Y b; rm b; touch -d @200 a; \$V cp --preserv=timestamps a b; stat -c %Y b"
same 'times that objcopy keeps' "echo 'int x;' > c.c; gcc -c c.c; touch -d @1000 c.o; \$V objcopy -p c.o d.o; stat -c %Y d.o; rm d.o; touch -d @2000 c.o; \$V objcopy -p c.o d.o; stat -c %Y d.o"
same 'cd -' "mkdir x y; OLDPWD=\$PWD/x \$V sh -c 'cd -'; OLDPWD=\$PWD/y \$V sh -c 'cd -'"
same 'exported functions of bash' "foo() { echo 1; }; export -f foo; \$V bash -c foo; foo() { echo 2; }; export -f foo; \$V bash -c foo"
same 'awk reads its program' "echo 'BEGIN { print ENVIRON[\"FOO\"] }' > p; FOO=1 \$V awk -f - < p; FOO=2 \$V awk -f - < p"
same 'what standard input is' "echo x > a; \$V sh -c '[ -s /dev/stdin ] && echo nonempty' < a; : > a; \$V sh -c '[ -s /dev/stdin ] && echo nonempty' < a; echo done"
same 'where a descriptor leads' "echo 1 > a; echo 2 > b; \$V readlink /proc/self/fd/0 < a; \$V readlink /proc/self/fd/0 < b"
same 'a directory as standard input' "mkdir d; echo x > f; \$V cat < d; \$V cat < f"
same 'standard output that cannot be written' "echo x > f; \$V sh -c 'echo q1' 1< f; \$V sh -c 'echo q1'"
same 'limits' "(ulimit -Sn 300; \$V sh -c 'ulimit -n'); (ulimit -Sn 200; \$V sh -c 'ulimit -n')"
same 'chmod, then touch' "echo x > f; touch -d @100 f; \$V sh -c 'chmod 600 f; touch f'; [ \$(stat -c %Y f) -gt 1000 ] && echo now; touch -d @100 f; chmod 644 f; \$V sh -c 'chmod 600 f; touch f'; [ \$(stat -c %Y f) -gt 1000 ] && echo now"
same 'exclusive creation' "set -C; \$V sh -c 'set -C; echo x > f' 2>/dev/null; echo \$?; \$V sh -c 'set -C; echo x > f' 2>/dev/null; echo \$?"
same 'an input changed from outside while it runs' "echo 1 > in; (sleep 0.3; echo 2 > in) & \$V sh -c 'cat in; sleep 0.8'; wait; echo 1 > in; \$V sh -c 'cat in; sleep 0.1'; \$V sh -c 'cat in; sleep 0.8'"
same 'a script that is a FIFO' "mkfifo p; (echo 'echo hi' >p &); timeout 20 \$V sh p; (echo 'BEGIN { print 1 }' >p &); timeout 20 \$V awk -f p"
same 'process substitution' "FOO=1 \$V bash -c 'cat <(echo \$FOO)'; FOO=2 \$V bash -c 'cat <(echo \$FOO)'"
same 'a text from process substitution' "FOO=1 \$V bash -c 'bash <(echo echo \$FOO)'; FOO=2 \$V bash -c 'bash <(echo echo \$FOO)'"
same 'output by process substitution' "FOO=1 \$V bash -c 'echo \$FOO | tee >(cat >o) >/dev/null; sleep 0.2'; cat o; FOO=2 \$V bash -c 'echo \$FOO | tee >(cat >o) >/dev/null; sleep 0.2'; cat o"
same 'thirty versions and back to the first' "for i in \$(seq 30) 1; do echo \$i > v; \$V sh -c 'cat v > o; cat o'; done"

# What happens around a step belongs to it, or keeps it out of the cache.
same 'a reader that goes away early' "for i in 1 2; do \$V sh -c 'seq 1 100000; echo after >aft' | head -n 1; echo \${PIPESTATUS[*]}; ls; rm -f aft; done"
same 'output longer than a file may be' "head -c 40000 /dev/zero >src; \$V cat src >f; rm f; (ulimit -f 20; trap '' XFSZ; \$V cat src >f 2>/dev/null; echo \$?); stat -c %s f"
same 'a made file that another step removes meanwhile' "printf 'echo start >f; until [ -e gone ]; do :; done; echo end >>f\n' >w.sh; \$V sh -c 'sh w.sh & until [ -e f ]; do :; done; rm f; : >gone; wait'; rm -f f; cat f 2>/dev/null; \$V sh w.sh; cat f"
same 'a made file that another step writes meanwhile' "printf 'echo start >f; until [ -e gone ]; do :; done; echo end >>f\n' >w.sh; \$V sh -c 'sh w.sh & until [ -s f ]; do :; done; echo intruder >>f; : >gone; wait'; rm -f f; \$V sh w.sh; cat f"
same 'variables that shells set by themselves' "for o in / /tmp /var; do OLDPWD=\$o \$V printenv OLDPWD; env _=\$o \$V printenv _; OLDPWD=\$o \$V awk 'BEGIN { print ENVIRON[\"OLDPWD\"] }'; done; printf 'all:;@echo \$(OLDPWD) \$(SHLVL)\n' >Makefile; for o in / /tmp; do OLDPWD=\$o SHLVL=\${#o} \$V make; done"
same 'processors it may use' "\$V nproc; taskset -c 0 \$V nproc; \$V nproc; \$V sh -c 'nproc; taskset -c 0 nproc; nproc'"
same 'the personality of the kernel' "\$V uname -m; linux32 \$V uname -m; \$V uname -m; \$V sh -c 'uname -m; linux32 uname -m; uname -m'"
same 'limits set by an outer step' "echo x >in; \$V sh -c 'ulimit -n 20; ulimit -n; sh -c \"ulimit -n\"'; \$V sh -c 'sh -c \"ulimit -n\"'; \$V sh -c 'ulimit -n 21; sh -c \"ulimit -n\"'"
if unshare -m -u true 2>/dev/null; then
  same 'another mount namespace and host name' "echo A >f; mkdir m; echo A >m/f; \$V cat m/f; unshare -m sh -c 'mount -t tmpfs none m; echo B >m/f; \$V cat m/f' 2>/dev/null; \$V cat m/f; \$V hostname; unshare -u sh -c 'hostname other; \$V hostname' 2>/dev/null; \$V hostname"
  same 'namespaces made by an inner step' "mkdir m; echo A >m/f; \$V cat m/f; \$V unshare -m sh -c 'mount -t tmpfs none m; echo B >m/f; cat m/f'; \$V cat m/f; \$V unshare -u sh -c 'hostname other; hostname'; \$V hostname"
fi
same 'a file removed by one inner step and made again by another has the mode of a new one' "r='rm -f f; sh -c \"echo y >f\"'; echo x >f; \$V sh -c \"\$r\"; chmod 600 f; \$V sh -c \"\$r\"; stat -c %a f"
same 'a directory removed and made again has the mode of a new one' "mkdir d; \$V sh -c 'rmdir d; mkdir d'; chmod 700 d; \$V sh -c 'rmdir d; mkdir d'; stat -c %a d"
same 'a file with another name is written, then moved' "for i in 1 2; do rm -f o l g; echo 1 >o; ln o l; \$V sh -c 'echo 2 >o; mv o g'; stat -c %h g; cat l; done"
same 'a new name is written to' "for i in 1 2; do rm -f h; echo 1 >a; \$V sh -c 'ln a h; echo 2 >h'; cat a; stat -c %h h; done"
same 'moved by one inner step, the mode set by another' "for i in 1 2; do rm -f b; echo x >a; touch -d @1000 a; \$V sh -c 'mv a b; chmod 600 b'; stat -c '%Y %a' b; done"

# What is looked at a moment after it was seen.
same 'a write by a symbolic link after a read' "ln -s real link; \$V sh -c 'echo old >real; cat real; echo new >link'; \$V cat real"
same 'a write by a hard link after a read' "echo old >real; ln real link; \$V sh -c 'echo older >real; cat real; echo new >link'; \$V cat real"
same 'a directory made after it was missed' "\$V sh -c 'mkdir z; cat d/f; head d/f; mkdir d; echo hi >d/f' 2>/dev/null; \$V head d/f 2>/dev/null"
same 'a directory emptied after it was not empty' "\$V sh -c 'rm -f z; mkdir d; >d/x; rmdir --ignore-fail-on-non-empty d; rm d/x'; \$V rmdir --ignore-fail-on-non-empty d; ls"
same 'the interpreter of a script that the step made' "cp /bin/cat tool; C='printf \"#!\$PWD/tool\n\" >s; chmod +x s; ./s'; \$V sh -c \"\$C\"; cp /usr/bin/wc tool; \$V sh -c \"\$C\""
same 'a library of a program that the step made' "echo 'int f(void) { return 1; }' >f.c; gcc -shared -fPIC f.c -o libf.so; echo 'int f(void); int main(void) { return f(); }' >m.c; gcc m.c -L. -lf -Wl,-rpath,\$PWD -o kept; \$V sh -c 'cp kept m; ./m; echo \$?'; echo 'int f(void) { return 2; }' >f.c; gcc -shared -fPIC f.c -o libf.so; rm m; \$V sh -c 'cp kept m; ./m; echo \$?'; rm f.c m.c libf.so kept m"
same 'the time of a file that the step moved' "echo x >a; touch -d @1000 a; \$V sh -c 'mv a b; stat -c %Y b'; rm b; echo x >a; touch -d @2000 a; \$V sh -c 'mv a b; stat -c %Y b'"
same 'more positions than fit into an answer' "for f in a b c d e; do echo \$f >\$f; done; for i in 1 2; do rm -f log; \$V bash -c 'for n in 3 4 5 6 7; do eval \"read x <&\$n\"; echo \$x >>log; done' 3<a 4<b 5<c 6<d 7<e; cat log; done"
same 'read after its mode and before its contents were changed' "echo 1 >f; S='chmod u+w f; sh -c \"cat f; sleep .3\" & sleep .1; echo new >f; wait'; \$V sh -c \"\$S\"; echo 2 >f; \$V sh -c \"\$S\""
same 'both streams into one pipe whose reader goes' "for i in 1 2; do \$V sh -c 'seq 9000; seq 9000 >&2; echo after >aft' 2>&1 | head -n 1; echo \${PIPESTATUS[*]}; ls; rm -f aft; done"
same 'the mode of a file that is cut later' "echo x >f; chmod 755 f; \$V sh -c 'echo hi >f; truncate -c -s 3 f'; rm f; \$V sh -c 'echo hi >f; truncate -c -s 3 f'; stat -c %a f"

# What one process does to another.
same 'niceness set from outside' "\$V sh -c 'renice -n 5 -p \$\$ >/dev/null; nice; true'; \$V sh -c 'nice; true'"
same 'limits set from outside' "\$V sh -c 'prlimit --pid \$\$ --nofile=100:100; sh -c \"ulimit -n\"; true'; \$V sh -c 'sh -c \"ulimit -n\"; true'"
same 'processors set from outside' "\$V sh -c 'taskset -p -c 0 \$\$ >/dev/null; nproc; true'; \$V sh -c 'nproc; true'"
same 'a child in namespaces of its own' "LC_ALL=C \$V perl -e '\$p=syscall(56,0x10000000|17,0,0,0,0); if(!\$p){exec \"id\",\"-u\"} waitpid(\$p,0)'; LC_ALL=C \$V id -u"
same 'a process that allows itself to read, write and end' "\$V perl -e 'syscall(157,22,1); syscall(1,1,\$x=\"x\n\",2); syscall(60,0)'; echo \$?"
same 'a program that ends with its last thread' "cat >e.c <<'C'
static long call(long n, long a, const void* b, long c) { long r; __asm__ volatile(\"syscall\" : \"=a\"(r) : \"a\"(n), \"D\"(a), \"S\"(b), \"d\"(c) : \"rcx\", \"r11\", \"memory\"); return r; }
void _start(void) { char b[4]; call(0, 0, b, 4); call(1, 1, b, 4); call(60, 0, 0, 0); }
C
gcc -O1 -nostdlib -static -fno-stack-protector -o e e.c; printf abcdefgh >in; \$V sh -c '{ ./e; cat; } <in'; echo; \$V sh -c '{ ./e; cat; } <in; echo 1; true'; rm e e.c"
finish
