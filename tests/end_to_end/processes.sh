#!/bin/bash
# Processes of every shape: each command leaves what it leaves plain, cold and replayed.
. "$SOURCE/tests/end_to_end/same.sh"

scenario 'builtin writes a file' hit '' 'echo hello > out'
scenario 'standard output and error' hit '' 'echo out; echo err >&2; echo out2'
scenario 'exit status' hit 'echo x > in' 'cat in; exit 3'
scenario 'fork: sub-shell' hit 'echo x > in' '(cat in; echo sub) > out; (exit 4)'
scenario 'pipeline' hit 'printf "b\na\n" > in' 'cat in | sort | tr a-z A-Z > out'
scenario 'pipeline to standard output' hit 'printf "b\na\n" > in' 'cat in | sort'
scenario 'command substitution' hit 'echo name > in' 'x=$(cat in); echo "$x" > "$x.out"'
scenario 'waited background children' hit 'echo a > in' 'cat in > o1 & cat in > o2 & wait; cat o1 o2'
scenario 'script with #!' hit 'printf "#!/bin/sh\ncat in > out\n" > script; chmod +x script; echo y > in' './script'
scenario 'script with an interpreter argument' hit 'printf "#!/usr/bin/sed -f\ns/a/b/\n" > script; chmod +x script; echo banana > in' './script in'
scenario 'script without #!' hit 'echo "echo plain script; cat in" > script; chmod +x script; echo y > in' './script'
scenario 'exec of another program' hit 'echo x > in' 'exec cat in'
scenario 'system and popen' hit 'cat > p.c <<E
#include <stdio.h>
#include <stdlib.h>
int main(void) { int s = system("cat in > copied; exit 3"); FILE* p = popen("sort in", "r"); char line[80];
  while (fgets(line, sizeof line, p)) fputs(line, stdout); return pclose(p) + (s >> 8); }
E
printf "b\na\n" > in' 'gcc -o p p.c && ./p'
scenario 'vfork and posix_spawn' hit 'cat > p.c <<E
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
extern char** environ;
int main(void) { char* a[] = {"cat", "in", 0}; pid_t c; int s;
  if (vfork() == 0) { execvp("cat", a); _exit(9); } wait(&s);
  posix_spawnp(&c, "cat", 0, 0, a, environ); waitpid(c, &s, 0); return s ? 1 : 5; }
E
echo x > in' 'gcc -o p p.c && ./p'
scenario 'fork without exec' hit 'cat > p.c <<E
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) { for (int i = 0; i < 3; ++i) if (fork() == 0) { char n[9]; sprintf(n, "f%d", i); FILE* f = fopen(n, "w");
  fprintf(f, "%d", i); fclose(f); _exit(i); } int s, t = 0; while (wait(&s) > 0) t += s >> 8; printf("%d\n", t); return 0; }
E' 'gcc -o p p.c && ./p'
scenario 'threads' hit 'cat > p.c <<E
#include <pthread.h>
#include <stdio.h>
static void* work(void* n) { FILE* f = fopen(n, "w"); fputs(n, f); fclose(f); return 0; }
int main(void) { pthread_t a, b; pthread_create(&a, 0, work, "one"); pthread_create(&b, 0, work, "two"); pthread_join(a, 0); pthread_join(b, 0); return 0; }
E' 'gcc -pthread -o p p.c && ./p'
scenario 'failed compiler' hit 'echo "int main(void) { return x; }" > bad.c' 'gcc -c bad.c; echo "status $?"; ls'
scenario 'death by its own signal' hit 'cat > p.c <<E
#include <stdlib.h>
int main(void) { abort(); }
E' 'ulimit -c 0; gcc -o p p.c && ./p; echo "status $?"'
scenario 'temporary file' hit 'echo x > in' 't=$(mktemp); cat in > "$t"; cat "$t" > out; rm "$t"'
scenario 'renamed over' hit 'echo old > out; echo new > in' 'cat in > out.tmp && mv out.tmp out'
scenario 'in-place edit' hit 'echo banana > f' 'sed -i s/a/o/g f'
scenario 'append to a file that was there' hit 'echo one > log' 'echo two >> log; echo three >> log'
scenario 'append to a file that was not there' hit '' 'echo two >> log'
scenario 'read, then overwritten' hit 'echo one > f' 'x=$(cat f); echo "$x two" > f'
scenario 'ar' hit 'echo "int f(void) { return 1; }" > a.c; echo "int g(void) { return 2; }" > b.c' 'gcc -c a.c b.c && ar rc lib.a a.o b.o && ranlib lib.a && rm a.o b.o'
scenario 'ar replaces a member' hit 'echo "int f(void) { return 1; }" > a.c; gcc -c a.c; ar rcD lib.a a.o; echo "int f(void) { return 2; }" > a.c' 'gcc -c a.c && ar rcD lib.a a.o'
scenario 'symbolic links' hit 'echo x > lib.so.1.2' 'ln -s lib.so.1.2 lib.so.1; ln -sf lib.so.1 lib.so; cat lib.so'
scenario 'symbolic link replaced' hit 'echo a > a; echo b > b; ln -s a l' 'ln -sf b l; cat l'
scenario 'hard links' hit 'echo x > in' 'cat in > a; ln a b; ln a c; rm a'
scenario 'hard link to a file that was there' hit 'echo x > in' 'ln in b'
scenario 'removals' hit 'echo x > a; mkdir d; echo y > d/b' 'rm a; rm -r d; rm -f none'
scenario 'directories and modes' hit '' 'mkdir -p a/b/c; mkdir -m 700 d; umask 077; mkdir e; echo x > e/f; chmod 755 e'
scenario 'executable outputs' hit 'echo "int main(void) { return 0; }" > m.c' 'gcc -o m m.c; ./m; cp m n; chmod 600 n'
scenario 'a directory renamed' hit 'echo x > in' 'mkdir new; cp in new/f; mv new final'
scenario 'install' hit 'echo x > in' 'install -d out/bin; install -m 755 in out/bin/x; install -m 644 -D in out/share/a/b'
scenario 'output to /dev/null' hit 'echo "int x;" > x.c' 'gcc -c x.c -o /dev/null; echo done > /dev/null; test -c /dev/null && echo device'
scenario 'umask of the command' hit 'umask 022' 'umask 027; echo x > f; umask'
scenario 'here document' hit '' 'cat > out <<E
text
E'
scenario 'standard input from a file' hit 'printf "b\na\n" > in' 'sort < in > out; wc -l < in'
scenario 'file read line by line' hit 'printf "b\na\n" > in' 'while read -r x; do echo "line $x"; done < in'
scenario 'both streams into one file' hit '' '(echo a; echo b >&2; echo c) > out 2>&1'
scenario 'listing' hit 'touch a.txt b.txt' 'echo *.txt > list; ls >> list'
scenario 'listing of what it made itself' hit 'touch a.txt' 'touch b.txt; echo *.txt'
scenario 'missing files' hit '' 'cat none 2>/dev/null; test -f none || echo absent'
scenario 'find' hit 'mkdir -p a/b; touch a/x a/b/y' 'find . -type f | sort'
scenario 'awk and sed' hit 'printf "1 2\n3 4\n" > in' 'awk "{s += \$1} END {print s}" in; sed -n 2p in'
scenario 'make with a recursive make' hit 'mkdir sub; printf "all:\n\tcd sub && \$(MAKE)\n\techo top\n" > Makefile; printf "x: y\n\tcp y x\n" > sub/Makefile; echo y > sub/y; touch -d "2020-01-01" Makefile sub/Makefile sub/y' 'make'
scenario 'make -j' hit 'printf "all: a b c\na b c:\n\techo \$@ > \$@\n" > Makefile; touch -d "2020-01-01" Makefile' 'make -j3 >/dev/null'
scenario 'a script that waits' hit 'printf "#!/bin/sh\nsleep 0.1\necho waited\n" > w; chmod +x w' './w'
scenario 'the clock' run '' 'date +%s%N > /dev/null'
scenario 'random bytes' run '' 'head -c 8 /dev/urandom > /dev/null'
scenario 'process id' run '' 'echo $$ > /dev/null'
scenario 'a statically linked program' hit 'echo "int main(void) { return 7; }" > s.c; gcc -static -o s s.c' './s'
scenario 'a program made with AddressSanitizer' run 'echo "int main(void) { return 7; }" > s.c; gcc -fsanitize=address -o s s.c' './s'
finish
