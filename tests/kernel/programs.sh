#!/bin/bash
# What the kernel saw of small programs of many kinds is what was logged of them.
. "$SOURCE/tests/kernel/watch.sh"
PATH=$BUILD/bin:/usr/bin:/bin
mkdir "$here/w" && cd "$here/w" || exit 1

watched 'changes' sh -c 'echo hi > a; cp a b; mv b c; ln a d; ln -s a e; readlink e; chmod 600 a; touch c; touch -d @5 c; mkdir -p f/g; rmdir f/g
  mv a f/a; rm c d e; echo more >> f/a; truncate -s 1 f/a; mkfifo p; rm p; ls -l; rmdir nothing f; mkdir f; ln f/a f/b; install -m 755 f/a h
  dd if=h of=k bs=1 conv=notrunc 2>/dev/null; cp -a f f2; mv -T f2 f3; rm -r f3 f h k'
watched 'shell' bash -c 'cat <<E | tr a-z A-Z | sort -u > up
here
E
for i in *; do test -f "$i" && echo "$i"; done; set -- .*; find . -name "u*" -newer /etc/passwd | xargs ls -l; printf "b\na\n" > t; sed -i s/a/c/ t
mkdir -p d/e; cp -r d d2; tar cf d.tar d; mkdir x; tar xf d.tar -C x; f=$(mktemp); echo x > "$f"; rm "$f"; grep -r c . ; (cd d; pwd; echo in > ../o); cat < o
exec 3< t; read line <&3; while read line; do echo "$line"; done < t; while read line <&3; do echo "$line"; done; cat nothing; test -x t -o -w t; [ t -nt o ]
cd d/e; cd ../..; pushd d; popd; diff t o; cmp t o; head -1 t; wc t; df . >/dev/null; date -r t >/dev/null; rm -rf d d2 x d.tar t o up'
cat >script.py <<'P2'
import glob, json, os, shutil, subprocess, sys, tempfile, xml.dom
os.makedirs("a/b"); open("a/b/c", "w").write("x" * 100000)
with open("a/b/c", "r+b") as f: f.seek(5); f.write(b"y"); f.truncate(50); os.fchmod(f.fileno(), 0o640); os.utime(f.fileno(), (1, 1))
os.listdir("a"); list(os.scandir("a/b")); list(os.walk("a")); glob.glob("*/*"); shutil.copytree("a", "d"); shutil.move("d", "e"); shutil.rmtree("e")
there = os.open("a", os.O_RDONLY | os.O_DIRECTORY)
for act in (lambda: os.stat("b", dir_fd=there), lambda: os.rename("b", "q", src_dir_fd=there, dst_dir_fd=there), lambda: os.symlink("q", "s", dir_fd=there),
            lambda: os.readlink("s", dir_fd=there), lambda: os.unlink("s", dir_fd=there), lambda: os.mkdir("m", dir_fd=there), lambda: os.rmdir("m", dir_fd=there),
            lambda: os.chmod("q", 0o755, dir_fd=there), lambda: os.utime("q", (2, 2), dir_fd=there), lambda: os.link("q/c", "l", src_dir_fd=there, dst_dir_fd=there),
            lambda: os.open("missing", os.O_RDONLY, dir_fd=there), lambda: os.access("l", os.R_OK, dir_fd=there), lambda: os.listxattr("a/l"), lambda: os.getxattr("a/l", "user.x"),
            lambda: os.statvfs("missing"), lambda: os.rmdir("a"), lambda: os.unlink("a"), lambda: os.rename("missing", "a"), lambda: os.readlink("a"), lambda: os.fchdir(there),
            lambda: os.listdir(there), lambda: open("l").read(), lambda: os.chdir("missing"), lambda: os.mkdir("q"), lambda: os.truncate("l", 3), lambda: os.lstat("l")):
    try: act()
    except OSError: pass
print(subprocess.run(["sh", "-c", "cat l; ls"], capture_output=True, text=True).stdout)
print(subprocess.run("wc l; exit 3", shell=True).returncode, os.system("true"))
if os.fork() == 0:
    open("child", "w").write("c"); os.stat("l"); os.dup2(os.open("l", os.O_RDONLY), 0); os.execv("/bin/cat", ["cat"])
os.wait()
with tempfile.NamedTemporaryFile(dir=".") as t: t.write(b"1")
sys.stdin.read()
P2
watched 'python' python3 script.py
cat >script.pl <<'P2'
use File::Find; use File::Temp; use File::Copy; use Cwd; use POSIX;
mkdir "pd"; open my $o, ">", "pd/o" or die; print $o "x\n" x 9; close $o; rename "pd/o", "pd/p"; copy "pd/p", "pd/q"; link "pd/q", "pd/r"; symlink "q", "pd/s";
find(sub { -d $_ && stat $_; lstat $_ }, "pd"); my @l = glob "pd/*"; chmod 0600, "pd/q"; utime 1, 1, "pd/q"; print -s "pd/q", readlink "pd/s", getcwd, `cat pd/q`;
open my $i, "<", "pd/q"; my @x = <$i>; open my $p, "-|", "wc", "pd/r"; print <$p>; close $p; system "true"; unlink glob "pd/*"; rmdir "pd"; -e "pd"; -r "script.pl"; -x "script.pl";
open my $r, "+<", "script.pl"; truncate $r, 10000; my $t = File::Temp->new; print STDERR "e\n"; exit 0;
P2
watched 'perl' perl script.pl
mkdir c && cd c || exit 1
printf '#include "h.h"\n#include <stdio.h>\nint main(void) { puts(W); return f(); }\n' >main.c
printf '#include "h.h"\nint f(void) { return 0; }\n' >f.c
printf '#define W "w"\nint f(void);\n' >h.h
printf 'CFLAGS = -O1 -MD -Iinclude\nall: prog\n\t./prog\nlibf.a: f.o ; rm -f $@; ar rcs $@ $^\nprog: main.o libf.a ; $(CC) -o $@ main.o -L. -lf; strip prog\n-include *.d\nclean: ; rm -f *.o *.d *.a prog\n' >Makefile
watched 'make' make -j2 CC=gcc
watched 'make again' make CC=gcc
watched 'a shared library' sh -c 'gcc -shared -fPIC -o libg.so f.c; gcc -o dyn main.c libg.so; LD_LIBRARY_PATH=$PWD ./dyn; nm libg.so >/dev/null; objdump -h dyn >/dev/null; make clean'
if command -v busybox >/dev/null; then
  watched 'busybox' busybox sh -c 'echo x > in; busybox cat in > out; busybox cp out o2; busybox mkdir d; busybox mv o2 d/o; busybox rm out; busybox ln -s d/o l
    busybox find . -type f; busybox ls -l; busybox sed -i s/x/y/ in; busybox tar cf t.tar d; busybox tar tf t.tar; busybox chmod 600 in; busybox touch -d @9 in
    cat in | sort > s; busybox stat in; busybox readlink l; busybox rm -r d l; exit 0'
fi
for way in '' -static; do
  mkdir "$here/w/calls$way" && cd "$here/w/calls$way" || exit 1
  gcc -w $way ${way:+-DSTATIC} -o "$here/calls$way" "$SOURCE/tests/kernel/calls.c" -lpthread || { echo "cannot compile calls.c $way"; exit 1; }
  echo input >given
  watched "calls$way" sh -c "$here/calls$way <given >out 2>err"
done
if command -v musl-gcc >/dev/null; then
  mkdir "$here/w/musl" && cd "$here/w/musl" || exit 1
  # It has no headers of the kernel.
  musl-gcc -w -static -DSTATIC -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu -o "$here/calls-musl" "$SOURCE/tests/kernel/calls.c" ||
    { echo 'cannot compile calls.c with musl'; exit 1; }
  echo input >given
  watched 'calls, musl' sh -c "$here/calls-musl <given >out 2>err"
fi
# Long builds use numbers again.
if [ -w /proc/sys/kernel/ns_last_pid ]; then
  cd "$here/w" || exit 1
  watched 'a number that is used again' bash -c 'for i in 1 2 3 4; do (cd c; echo "$BASHPID" >>../numbers; echo > /proc/sys/kernel/ns_last_pid "$((BASHPID - 1))"; exec cat h.h); sh -c "echo \$\$ >>numbers; cat c/f.c"; (cat c/h.h; :) | wc; done'
  [ -n "$(sort numbers | uniq -d)" ] || echo 'no number was used again'
fi
every_row_is_used
finish
