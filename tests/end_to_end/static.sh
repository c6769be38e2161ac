#!/bin/bash
# Programs without ld.so: rewritten copies of them are seen and replayed like others, and nobody notices.
. "$SOURCE/tests/end_to_end/same.sh"
command -v busybox musl-gcc >/dev/null || { echo "there is no busybox or no musl-gcc"; exit 77; }

# Nothing is known of these programs, so times count too: they are the same each time.
old='; find . -depth -exec touch -h -d @1600000000 {} +'

# ---- busybox
scenario 'busybox: a shell script' hit 'echo x > in'"$old" 'busybox sh -c "cat in > out; cp out out2; mkdir d; mv out2 d/o; rm out; ln -s d/o l; echo done; exit 3"'
scenario 'busybox: applets one by one' hit 'printf "b\na\n" > in'"$old" 'busybox cat in; busybox find . -type f; busybox sort in; busybox wc -l < in; busybox cp in out'
scenario 'busybox: by another name' hit 'echo x > in; ln -s "$(command -v busybox)" cat'"$old" './cat in > out'
scenario 'busybox: executes itself' hit 'echo x > in'"$old" 'busybox sh -c "busybox sh -c \"busybox cat in\"; busybox wc in | busybox tr x y; (exit 4)"'
scenario 'busybox: fork, pipe and background' hit 'echo x > in'"$old" 'busybox sh -c "cat in | sed s/x/y/ > o1 & cat in > o2 & wait; cat o1 o2"'
scenario 'busybox: a dynamic child' hit 'echo "int x;" > x.c'"$old" 'busybox sh -c "gcc -c x.c && test -f x.o && exit 4"'
scenario 'busybox: a script with #!' hit 'printf "#!%s sh\ncat in > out; echo \"\$0 \$1 \$#\"\n" "$(command -v busybox)" > script; chmod +x script; echo y > in'"$old" './script a b'
scenario 'busybox: a script of a script' hit 'b=$(command -v busybox); printf "#!%s sh\necho inner \"\$@\"\n" "$b" > inner; chmod +x inner; printf "#!%s/inner word\n" "$PWD" > outer; chmod +x outer'"$old" './outer a'
scenario 'busybox: xargs and find -exec' hit 'echo a > a; echo b > b; echo a b > in'"$old" 'busybox xargs busybox cat < in; busybox find . -name a -exec busybox cp {} c \;'
scenario 'busybox: the clock' run ':'"$old" 'busybox date > /dev/null'
scenario 'busybox: a process id' run ':'"$old" 'busybox sh -c "echo \$\$ > /dev/null"'
scenario 'busybox: a process id in a script' run 'printf "#!%s sh\necho \$\$ > /dev/null\n" "$(command -v busybox)" > script; chmod +x script'"$old" './script'
edited 'busybox: an input changed' run 'echo x > in'"$old" 'busybox cat in' 'echo y > in'
edited 'busybox: nothing changed' hit 'echo x > in'"$old" 'busybox cat in' ':'
edited 'busybox: a file that was not there' run ':'"$old" 'busybox cat in; busybox echo' 'echo y > in'
edited 'busybox: a new name in a listing' run 'touch a'"$old" 'busybox find .' 'touch b'
edited 'busybox: a new name for a pattern' run 'touch a.c'"$old" 'busybox sh -c "echo *.c"' 'touch b.c'
edited 'busybox: a variable changed' run ':'"$old" 'busybox sh -c "echo \$FOO"' 'export FOO=1'
edited 'busybox: a variable removed' run ':'"$old" 'busybox env | grep -v ^_= | busybox sort' 'unset LC_ALL'

# ---- other libcs, and what a C program can do
cat > "$here/all.c" <<'C'
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
extern char** environ;
static void* thread(void* name) { FILE* f = fopen(name, "w"); if (f) { fputs(name, f); fclose(f); } return 0; }
static int wait_for(pid_t pid) { int status; waitpid(pid, &status, 0); return WEXITSTATUS(status); }
int main(int argc, char** argv) {
  char line[4096], *cat[] = {"cat", "in", 0}, *self[] = {argv[0], "inner", 0};
  if (argc > 1) { printf("inner %s %d\n", argv[1], access("in", R_OK)); return 6; }
  FILE* in = fopen("in", "r");
  while (in && fgets(line, sizeof line, in)) fputs(line, stdout);
  fflush(stdout);
  pthread_t a, b;
  pthread_create(&a, 0, thread, "one"); pthread_create(&b, 0, thread, "two");
  pthread_join(a, 0); pthread_join(b, 0);
  pid_t child = fork();
  if (child == 0) { int f = open("forked", O_CREAT | O_WRONLY, 0640); write(f, "f\n", 2); _exit(3); }
  printf("fork %d\n", wait_for(child)); fflush(stdout);
  for (int i = 0; i < 200; ++i) if ((child = vfork()) == 0) { execvp(i ? "true" : "cat", cat); _exit(9); } else if (wait_for(child)) return 20;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "spawned", O_CREAT | O_WRONLY, 0600);
  if (posix_spawnp(&child, "cat", &actions, 0, cat, environ)) return 21;
  printf("spawn %d\n", wait_for(child)); fflush(stdout);
  if (posix_spawn(&child, "/proc/self/exe", 0, 0, self, environ)) return 22;
  printf("self %d\n", wait_for(child)); fflush(stdout);
  char* shell[] = {"dash", "-c", "cat in; exit 5", 0};
  if (posix_spawnp(&child, "dash", 0, 0, shell, environ)) return 24;
  printf("shell %d\n", wait_for(child)); fflush(stdout);
  ssize_t n = readlink("/proc/self/exe", line, sizeof line - 1);
  line[n < 0 ? 0 : n] = 0;
  char* real = realpath(argv[0], 0);
  int f = open("/proc/self/exe", O_RDONLY); struct stat own, named, followed;
  fstat(f, &own); stat(argv[0], &named); stat("/proc/self/exe", &followed);
  printf("exe %d %d %d execfn %d phdr %d\n", !strcmp(line, real), own.st_ino == named.st_ino, followed.st_ino == named.st_ino,
         !strcmp((char*)getauxval(AT_EXECFN), argv[0]), *(int*)getauxval(AT_PHDR) != 0);
  FILE* comm = fopen("/proc/self/comm", "r"); if (comm && fgets(line, sizeof line, comm)) fputs(line, stdout);
  int variables = 0; for (char** v = environ; *v; ++v) if (!strncmp(*v, "VESTAL", 6)) ++variables;
  printf("raw %ld %ld variables %d\n", syscall(SYS_access, "in", R_OK), syscall(SYS_access, "none", R_OK), variables);
  DIR* d = opendir("d"); int names = 0; while (d && readdir(d)) ++names; printf("names %d\n", names);
  return open((char*)16, O_RDONLY) == -1 ? 7 : 23;
}
C
# /proc/self/comm is read on purpose, in one of the runs only, for it is not cacheable.
sed 's/FILE\* comm.*$//; s/int f = open("\/proc\/self\/exe".*$/int f = open(argv[0], O_RDONLY); struct stat own, named, followed;/' "$here/all.c" > "$here/most.c"
fresh='echo x > in; mkdir d; touch d/a'
for how in 'gcc -static -pthread' 'gcc -static-pie -pthread' 'gcc -O2 -s -static -pthread' 'musl-gcc -static -pthread' 'musl-gcc -O2 -s -static -pthread'; do
  $how -w -o "$here/most" most.c && $how -w -o "$here/all" all.c || { echo "$how: does not compile"; faults=$((faults + 1)); continue; }
  scenario "$how" hit "$fresh; cp $here/most most$old" './most'
  scenario "$how: all" run "$fresh; cp $here/all all$old" './all'
  edited "$how: a new name" run "$fresh; cp $here/most most$old" './most' 'touch d/b'
done
scenario 'a static program inside make' hit "$fresh; cp $here/most most; printf 'all:\n\t./most >out; test \$\$? = 7\n' > Makefile$old" 'make'

# ---- what cannot be patched is trapped
cat > "$here/old.c" <<'C'
int main(void) { long pid; __asm__ volatile("int $0x80" : "=a"(pid) : "a"(20)); return pid > 0 ? 7 : 8; }
C
gcc -static -o "$here/old" "$here/old.c"
scenario 'calls as 32-bit programs make them' run "cp $here/old old$old" './old'
"$VESTAL" why ./old 2>&1 | grep -q 'a system call of 32-bit programs' || { echo "nobody says why ./old is not cached"; faults=$((faults + 1)); }
cat > "$here/code.c" <<'C'
#include <string.h>
#include <sys/mman.h>
int main(void) { unsigned char code[] = {0xb8, 7, 0, 0, 0, 0xc3};
  void* p = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(p, code, sizeof code); return ((int (*)(void))p)(); }
C
gcc -static -o "$here/code" "$here/code.c"
scenario 'code made while it runs' hit "cp $here/code code$old" './code'
sed -i 's/ | PROT_EXEC, /, /; s/memcpy(p, code, sizeof code);/& mprotect(p, 4096, PROT_READ | PROT_EXEC);/' "$here/code.c"
gcc -static -o "$here/code" "$here/code.c"
scenario 'code made in two steps' hit "cp $here/code code$old" './code'

# ---- images that were damaged are made anew
check_again() { # WHAT
  [ "$("$VESTAL" run -- busybox echo "$1" 2>&1)" = "$1" ] || { echo "busybox does not run after $1"; faults=$((faults + 1)); }
}
for damage in 'truncate -s 100' 'chmod 600'; do
  for image in "$VESTAL_DIR"/images/static-*; do case $image in *.note) ;; *) $damage "$image" ;; esac; done
  check_again "$damage"
  check_again "$damage, again"
done
for image in "$VESTAL_DIR"/images/static-*.note; do echo >> "$image"; done
check_again 'damaged notes'
finish
