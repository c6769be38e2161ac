#!/bin/bash
# Processes of every shape: what they leave and how they end.
. "$SOURCE/tests/hazards/play.sh"

f='echo 1 > in'
e='! echo 2 > in'
program shape -D_GNU_SOURCE <<'C'
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <pthread.h>
extern char** environ;
static int copy(void* to) { char b[9] = ""; int f = open("in", O_RDONLY); int n = read(f, b, 8); close(f); f = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0666); write(f, b, n); close(f); return 0; }
static void* copy_thread(void* to) { copy(to); return 0; }
static char stack[1 << 16];
int main(int n, char** a) {
  char* cat[] = {"cat", "in", 0};
  pid_t child;
  int status = 0;
  if (!strcmp(a[1], "fork")) { if (!fork()) { copy("out"); _exit(3); } wait(&status); }
  if (!strcmp(a[1], "vfork")) { if (!vfork()) { execvp("cat", cat); _exit(9); } wait(&status); }
  if (!strcmp(a[1], "clone")) { clone(copy, stack + sizeof stack, SIGCHLD, "out"); wait(&status); }
  if (!strcmp(a[1], "clone_vm")) { clone(copy, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, "out"); wait(&status); }
  if (!strcmp(a[1], "raw_fork")) { if (!syscall(SYS_fork)) { copy("out"); _exit(0); } wait(&status); }
  if (!strcmp(a[1], "spawn")) { posix_spawnp(&child, "cat", 0, 0, cat, environ); waitpid(child, &status, 0); }
  if (!strcmp(a[1], "thread")) { pthread_t t; pthread_create(&t, 0, copy_thread, "out"); pthread_join(t, 0); }
  if (!strcmp(a[1], "thread_exec")) { if (!fork()) { pthread_t t; pthread_create(&t, 0, copy_thread, "out"); pthread_join(t, 0); execvp("cat", cat); } wait(&status); }
  if (!strcmp(a[1], "fexecve")) { int f = open("/bin/cat", O_RDONLY | O_CLOEXEC); fexecve(f, cat, environ); }
  if (!strcmp(a[1], "group")) { if (!fork()) { setsid(); if (!fork()) { copy("out"); _exit(0); } wait(0); _exit(0); } wait(&status); }
  if (!strcmp(a[1], "orphan")) { if (!fork()) { if (!fork()) { usleep(50000); copy("out"); _exit(0); } _exit(0); } wait(&status); while (access("out", 0)) usleep(1000); usleep(20000); }
  if (!strcmp(a[1], "kill")) raise(atoi(a[2]));
  if (!strcmp(a[1], "quick")) { puts("lost?"); quick_exit(3); }
  if (!strcmp(a[1], "unflushed")) { printf("lost"); _exit(4); }
  if (!strcmp(a[1], "fd")) { int f = open("in", O_RDONLY); char t[40]; sprintf(t, "cat <&%d", f); return system(t); }
  return status >> 8;
}
C
hazard 'fork' "$f" "\$V $bin/shape fork" '= rm out' "$e"
hazard 'vfork' "$f" "\$V $bin/shape vfork" '= :' "$e"
hazard 'clone' "$f" "\$V $bin/shape clone" "$e"
uncached 'clone that shares memory' "$f" "\$V $bin/shape clone_vm" "$e"
uncached 'fork by syscall(2)' "$f" "\$V $bin/shape raw_fork" "$e"
hazard 'posix_spawn' "$f" "\$V $bin/shape spawn" '= :' "$e"
hazard 'a thread' "$f" "\$V $bin/shape thread" '= rm out' "$e"
hazard 'a thread, then another program' "$f" "\$V $bin/shape thread_exec" '= rm out' "$e"
uncached 'fexecve' "$f" "\$V $bin/shape fexecve" "$e"
hazard 'a session of its own' "$f" "\$V $bin/shape group" '= rm out' "$e"
uncached 'an orphan' "$f" "\$V $bin/shape orphan" "! rm out; echo 2 > in"
hazard '_exit' "$f" "\$V $bin/shape unflushed" '= :' '> '"\$V $bin/shape quick"
hazard 'a file that a child inherits' "$f" "\$V $bin/shape fd" '= :' "$e"
uncached 'death by a signal' "$f" "sh -c 'ulimit -c 0; $bin/shape kill 15; echo \$?; $bin/shape kill 11; echo \$?'" '! :'
uncached 'death by a signal, at the top' "$f" "\$V $bin/shape kill 9" '! :' "> \$V $bin/shape kill 15"
program confine <<'C'
#if __has_include(<linux/landlock.h>)
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int n, char** a) {
  struct landlock_ruleset_attr no_new_files = {LANDLOCK_ACCESS_FS_MAKE_REG};
  int set = syscall(SYS_landlock_create_ruleset, &no_new_files, sizeof no_new_files, 0);
  if (set < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, set, 0)) return 77;
  if (n > 1) execvp(a[1], a + 1);
  return n > 1;
}
#else
int main(void) { return 77; }
#endif
C
write="sh -c 'echo x > o; echo \$?' 2>/dev/null"
"$bin/confine" &&
  uncached 'with permissions taken away' ':' "$write" "> rm o; \$V $bin/confine $write" "! rm -f o" "> $write"
case $(cat /proc/sys/kernel/core_pattern) in
  core | core.%p)
    # The number of the process stands in it.
    uncached 'an image of its memory' 'ulimit -Sc unlimited' "\$V sh -c '$bin/shape kill 11; echo \$?'; mv core* core.noise" '! rm core.noise' '> ulimit -Sc 0; $V sh -c "$bin/shape kill 11; echo \$?"; ls'
    ;;
esac
# What a writer does when its reader has gone is not in a record.
uncached 'a pipe that is closed early' 'seq 100000 > in' "sh -c 'cat in | head -n 1'" '= :' '! echo 2 > in'
uncached 'yes' "$f" "sh -c 'yes | head -n 3; cat in'" '= :' "$e"
hazard 'status of a pipe' "$f" "bash -c 'false | true; echo \${PIPESTATUS[@]}; set -o pipefail; false | cat in; echo \$?'" "$e"
hazard 'background and wait' "$f" "sh -c 'cat in > o1 & cat in > o2 & wait; cat o1 o2'" '= rm o1' "$e"
hazard 'background, waited for by number' "$f" "bash -c '(cat in; exit 7) & wait -n; echo \$?'" "$e"
uncached 'left in the background' "$f" "sh -c '(sleep 0.8; cat in > late) & :'" '! sleep 1' '! sleep 1; rm late; echo 2 > in' '! sleep 1'
hazard 'coprocess' "$f" "bash -c 'coproc cat; cat in >&\${COPROC[1]}; exec {COPROC[1]}>&-; cat <&\${COPROC[0]}'" "$e"
program disposition <<'C'
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int n, char** a) {
  struct sigaction s;
  sigset_t set;
  const int signal = atoi(a[2]);
  sigemptyset(&set);
  sigaddset(&set, signal);
  switch (a[1][0]) {
    case 'r': raise(signal); puts("alive"); break;
    case 'a': sigaction(signal, 0, &s); puts(s.sa_handler == SIG_IGN ? "ignored" : "not ignored"); break;
    case 'm': sigprocmask(0, 0, &set); puts(sigismember(&set, signal) ? "blocked" : "not blocked"); break;
    case 'w': if (!fork()) _exit(3); puts(wait(0) < 0 ? "no child" : "a child"); break;
    case 'b': sigprocmask(SIG_BLOCK, &set, 0); execvp(a[3], a + 3);
    case 'i': sigaction(signal, &(struct sigaction){.sa_handler = SIG_IGN}, 0); execvp(a[3], a + 3);
    case 'd': sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, 0); execvp(a[3], a + 3);
    case 's': printf("%s\n", setsid() < 0 ? "leads a group and stays" : "begins a session"); break;
    case 'l': printf("%s\n", getpgrp() == getpid() ? "leads a group" : "in a group"); break;
    case 'g': kill(0, signal); puts("sent"); break;
    case 'k': puts(kill(signal, 0) ? "nobody" : "somebody"); break;
  }
}
C
d=$bin/disposition
hazard 'a signal that is ignored from the beginning' '' "$d i 10 \$V $d a 10" '= :' "> \$V $d a 10" "> $d b 10 \$V $d m 10" "> \$V $d m 10"
uncached 'a signal that is ignored when it comes' '' "$d i 12 \$V sh -c '$d r 12; echo \$?'" "> \$V sh -c '$d r 12; echo \$?'"
hazard 'a signal that an outer step ignores' '' "sh -c \"trap '' USR1; $d a 10\"" '= :' "> sh -c '$d a 10'"
hazard 'children that are not waited for' '' "$d i 17 \$V $d w 0" "> $d d 17 \$V $d w 0"
hazard 'bash tells what is ignored' '' "$d i 10 \$V bash -c 'trap -p USR1'" "> \$V bash -c 'trap -p USR1'"
uncached 'who compares process ids' '' "\$V $d l 0" "> set -m; \$V $d l 0; set +m" "> setsid -w \$V $d l 0" "> \$V $d l 0"
hazard 'who leads a group, or a session' '' "\$V $d s 0" '= :' "> set -m; \$V $d s 0; set +m" "> setsid -w \$V $d s 0" "> \$V $d s 0"
uncached 'whether a process is there' '(while [ ! -e go ]; do sleep 0.02; done) & echo $! > pid.noise; disown' "\$V sh -c 'kill -0 \$(cat pid.noise) 2> /dev/null && echo alive || echo dead'" '! touch go; while kill -0 $(cat pid.noise); do sleep 0.02; done'
uncached 'whether a process is there, by its number' '(while [ ! -e go ]; do sleep 0.02; done) & echo $! > pid.noise; disown' "$d k \$(cat pid.noise)" '! touch go; while kill -0 $(cat pid.noise); do sleep 0.02; done'
# What goes on in the background is plain.
places=sh uncached 'a signal to another step' '' "sh -c 'trap \"echo got it; exit\" TERM; echo \$\$ > pid.noise; while :; do sleep 0.05; done' & while [ ! -s pid.noise ]; do sleep 0.05; done; p=\$(cat pid.noise); rm pid.noise; sh -c \"kill \$p\"; wait" '! :'
program lock -D_GNU_SOURCE <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>
int main(int n, char** a) {
  const int f = open("l", O_RDWR | O_CREAT, 0666);
  struct flock whole = {.l_type = F_WRLCK};
  if (a[1][0] == 'f') puts(flock(f, LOCK_EX | LOCK_NB) ? "refused" : "locked");
  if (a[1][0] == 'p') puts(fcntl(f, F_SETLK, &whole) ? "refused" : "locked");
  if (a[1][0] == 'o') puts(fcntl(f, F_OFD_SETLK, &whole) ? "refused" : "locked");
  if (a[1][0] == 'g') fcntl(f, F_GETLK, &whole), puts(whole.l_type == F_UNLCK ? "free" : "taken");
  if (n > 2) for (close(open("held", O_CREAT | O_WRONLY, 0666)); access("go", 0);) usleep(10000);
}
C
for way in f p o g; do
  hold=$way
  [ $way = g ] && hold=p
  places='top sh make' uncached "a lock that somebody else has: $way" "$bin/lock $hold hold & while [ ! -e held ]; do sleep 0.02; done" "\$V $bin/lock $way" '! touch go; wait'
done
add='n=$(cat c); sleep 0.05; echo $((n + 1)) > c'
uncached 'who waits for a lock' 'echo 0 > c' "sh -c 'for i in 1 2 3; do (flock 9; $add) 9> l & done; wait; cat c'" '! echo 0 > c'
uncached 'who waits for a lock, and does it himself' 'echo 0 > f; echo 1 > v' "sh -c 'flock l sh -c \"echo > go; sleep 0.3; cat v > f\" & while [ ! -e go ]; do sleep 0.02; done; flock l cat f; wait; rm go'" '! echo 0 > f; echo 2 > v'
program priority -D_GNU_SOURCE <<'C'
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int n, char** a) {
  if (n > 1 && a[1][0] == 'b') sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
  if (n > 1 && a[1][0] == 'i') syscall(SYS_ioprio_set, 1, 0, 3 << 13);
  if (n > 2) execvp(a[2], a + 2);
  printf("%d %ld\n", sched_getscheduler(0), (long)syscall(SYS_ioprio_get, 1, 0));
}
C
p=$bin/priority
hazard 'how it is scheduled' '' "\$V $p" '= :' "> $p b \$V $p" "> $p i \$V $p" "> \$V sh -c '$p b $p; $p i $p'" "> \$V sh -c '$p b $p; $p i $p'"
hazard 'xargs -P' 'seq 6 > in' "sh -c 'xargs -P 2 -n 1 touch < in'" '= rm 1 2 3 4 5 6' '! seq 8 > in'
uncached 'timeout' "$f" 'timeout 5 cat in' "$e"
hazard 'setsid' "$f" 'setsid -w cat in' "$e"
hazard 'nohup' "$f" 'nohup cat in' "$e"
uncached 'trap' "$f" "sh -c 'trap \"cat in\" EXIT; echo first; exit 3'" "$e"
hazard 'trap with success' "$f" "sh -c 'trap \"cat in\" EXIT; echo first'" '= :' "$e"
hazard 'exec in the middle' "$f" "sh -c 'echo first; exec cat in; echo never'" '= :' "$e"
hazard 'sub-shells' "$f" "sh -c '(cd /; (exit 5); echo \$?); x=\$(cat in; exit 6); echo \$? \$x'" '= :' "$e"
hazard 'find -exec' 'mkdir d; echo 1 > d/a; echo 2 > d/b' 'find d -type f -exec cat {} +' '! echo 3 > d/a' '! echo 4 > d/c'
# An interpreter named relative to the working directory.
uncached 'a script of a script' 'printf "#!/bin/sh\ncat in \$1\n" > s1; printf "#!./s1\n" > s2; chmod +x s1 s2; echo 1 > in' "sh -c './s2; ./s1 s2'" '= :' "$e" '! printf "#!/bin/sh\necho other\n" > s1'
hazard 'a program without #!' 'echo "cat in" > s; chmod +x s; echo 1 > in' "sh -c ./s" '= :' "$e" '! echo "echo other" > s'
hazard 'an empty script' ': > s; chmod +x s' "sh -c './s; echo \$?'" '= :' '! echo "echo now" > s'
hazard 'a program that cannot be run' 'printf "\177ELF nonsense" > p; chmod +x p' "sh -c './p; echo \$?'" '! printf "#!/bin/sh\necho now\n" > p'
hazard 'an interpreter that is missing' 'printf "#!/nonexistent/i\n" > s; chmod +x s' "sh -c './s; echo \$?'" '! printf "#!/bin/sh\necho now\n" > s'
hazard 'many arguments' "$f" "sh -c 'echo \$(seq 5000) | wc -c; cat in'" '= :' "$e"
hazard 'recursive make' 'printf "all:; \$(MAKE) -f sub.mk\n" > Makefile; printf "all:; @cat in\n" > sub.mk; touch -d @1000000 Makefile sub.mk; echo 1 > in' 'make -s' '= :' "$e"
hazard 'make -j' 'printf "all: a b c\na b c: in; cp in \$@\n" > Makefile; echo 1 > in; touch -d @1000000 Makefile in' 'make -s -j2' '! echo 2 > in; touch -d @1000000 a b c'
hazard 'make -k and a failure' 'printf "all: a b\na: in; cp in a\nb: in; false\n" > Makefile; echo 1 > in; touch -d @1000000 Makefile in' 'make -sk' '! echo 2 > in; touch -d @1000000 a'
hazard 'make -n' 'printf "a: in; cp in a\n" > Makefile; echo 1 > in; touch -d @1000000 Makefile in' 'make -n' '= :' '! touch a'
hazard 'make -q' 'printf "a: in; cp in a\n" > Makefile; echo 1 > in; touch -d @1000000 Makefile in' 'make -q' '= :' '! touch a'
# ld.so ends a program, and says why, before the shim is there to see it.
echo 'void f(void) { }' | gcc -shared -fPIC -x c - -o "$bin/libgone.so"
program needs_f -L"$bin" -lgone -Wl,-z,now,-rpath,"$bin" <<'C'
void f(void);
int main(void) { f(); }
C
echo 'int g;' | gcc -shared -fPIC -x c - -o "$bin/libgone.so"
uncached 'ended before the shim began' "$f" "\$V $bin/needs_f" '! :' '> $V sh -c "echo then"'
uncached 'ended before the shim began, further in' "$f" "sh -c 'cat in; sh -c \"$bin/needs_f; echo \\\$?; exit 3\"; echo \$?'" '! :' "$e"
# It begins without the shim, which has no memory or no descriptor for the session's region.
for way in '' -static; do
  program size$way $way <<'C'
#include <stdio.h>
#include <sys/stat.h>
int main(void) { struct stat s; stat("in", &s); printf("%ld\n", (long)s.st_size); }
C
done
unseen="ulimit -v 9000; $bin/size; (ulimit -n 3; $bin/size-static)"
uncached 'files may not be long' "$f" "bash -c '(ulimit -f 2; $bin/size); echo \$?'" '= :' '! echo longer > in'
uncached 'files may not be long, and the environment is read' "$f" "bash -c 'export LONG=\$(printf %100000s); (ulimit -f 1; cat /proc/self/environ | tr -d \"[:alnum:]\" | wc -c); echo \$?'" '! :'
hazard 'copied until a file may not be longer' 'seq 2000 > in' "bash -c 'trap \"\" XFSZ; (ulimit -f 2; cat in > out; echo \$?)'" '! echo 2 > in' '! seq 3000 > in'
program copy <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
static void try(int from, off_t* from_at, int to, off_t* to_at, size_t bytes, unsigned flags) {
  long done = copy_file_range(from, from_at, to, to_at, bytes, flags);
  dprintf(2, "%ld %d %ld %ld %ld %ld\n", done, done < 0 ? errno : 0, from_at ? (long)*from_at : -1, to_at ? (long)*to_at : -1, (long)lseek(from, 0, SEEK_CUR), (long)lseek(1, 0, SEEK_CUR));
}
int main(int n, char** a) {
  int in = open("in", O_RDONLY), written = open("in", O_WRONLY);
  off_t from = 2, to = 3, far = 1000000;
  try(in, 0, 1, 0, 4, 0);
  try(in, &from, 1, 0, 3, 0);
  if (n > 1) try(in, 0, 1, &to, 2, 0);
  try(in, &far, 1, 0, 3, 0);
  try(in, 0, 1, 0, 0, 0);
  try(in, 0, 1, 0, 3, 7);
  try(written, 0, 1, 0, 3, 0);
  try(77, 0, 1, 0, 3, 0);
  while (copy_file_range(in, 0, 1, 0, 1 << 30, 0) > 0) {}
  try(in, 0, 1, 0, 3, 0);
  close(1);
  try(in, 0, open("in", O_WRONLY | O_APPEND), 0, 3, 0);
}
C
hazard 'copied into what it was given' 'seq 40000 > in' "sh -c '$bin/copy > out'" '= rm out' '! echo a few more > in' '! : > in'
uncached 'copied into a place of what it was given' 'seq 400 > in' "sh -c '$bin/copy place > out'" '! rm out' '! echo a few more > in'
uncached 'copied to the end of what it was given' 'seq 400 > in; echo 1 > out' "sh -c '$bin/copy >> out'" '! echo a few more > in'
uncached 'without the shim' "$f" "sh -c '$unseen'" '! :' '! echo longer > in' '! rm in; echo long > in'
uncached 'without the shim, further in' "$f" "sh -c 'sh -c \"$unseen; :\"; :'" '! :' '! echo longer > in' '! rm in; echo long > in'
program await <<'C'
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int n, char** a) {
  int made = n > 1 && !access("go", F_OK);
  fclose(fopen("up", "w"));
  if (n > 1) { while (access("stop", F_OK)) usleep(1000); puts(made || mkdir("go", 0777) ? "somebody else made it" : "made"); return 0; }
  for (;; usleep(1000)) {
    if (!access("go", F_OK)) { puts("came"); return 0; }
    if (!access("stop", F_OK)) { puts("never"); return 0; }
  }
}
C
uncached 'a name that is waited for' 'echo 1 > A' "sh -c 'rm -f go stop up; $bin/await & until [ -e up ]; do :; done; read x < A; if [ \$x = 1 ]; then : > go; else : > stop; fi; wait'" \
  '! echo 0 > A' '! echo 1 > A' '! echo 0 > A'
uncached 'a name that comes meanwhile' 'echo 1 > A' "sh -c 'rm -rf go stop up; $bin/await x & until [ -e up ]; do :; done; read x < A; if [ \$x = 1 ]; then mkdir go; fi; : > stop; wait'" \
  '! echo 0 > A' '! echo 1 > A' '! echo 0 > A'
program send <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>
int main(int n, char** a) {
  off_t at = 2;
  int file = n > 1 ? open(a[1], O_RDONLY) : 0;
  long sent = n > 2 ? sendfile(1, file, &at, atol(a[2])) : sendfile(1, file, 0, 100000);
  dprintf(2, "%ld %ld %ld\n", sent, (long)at, (long)lseek(file, 0, SEEK_CUR));
  return sent < 0;
}
C
places='top one' hazard 'sendfile' 'seq 3000 > a' "\$V $bin/send < a > o" '= rm o' '! seq 9 > a' "> \$V $bin/send < a >> o" "> \$V $bin/send 1< a" "> \$V $bin/send none > o"
hazard 'sendfile from a file of its own' 'seq 3000 > a' "$bin/send a" '= :' '! seq 9 > a' "> $bin/send a 5" "> $bin/send a 9999"
uncached 'sendfile to a pipe' 'seq 3000 > a' "sh -c '$bin/send < a | cat; $bin/send a 5 | cat'" '! seq 9 > a'
program moves <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>
int main() {
  int ends[2];
  pipe(ends);
  long moved = splice(0, 0, ends[1], 0, 100, 0), told = tee(ends[0], 1, 100, 0);
  struct iovec piece = {"hello\n", 6};
  long left = splice(ends[0], 0, 1, 0, 100, 0), given = vmsplice(1, &piece, 1, 0);
  fprintf(stderr, "%ld %ld %ld %ld\n", moved, told, left, given);
}
C
uncached 'bytes are moved into a pipe that was given' 'echo 1 > a' "sh -c '$bin/moves < a | cat'" '! echo 22 > a'
# Opened to be written to, and not written to.
hazard 'an open file that keeps its time' 'echo 1 > f; touch -d @1000000 f' "bash -c ': >> f; cat f'" '= :' '! echo 2 > f; touch -d @2000000 f' '! rm f; : > f; touch -d @3000000 f'
uncached 'a log that nothing is written to' 'printf "all: report\na.o: a.c\n\tgcc -c a.c 2>>err.log\nreport: err.log a.o\n\tcat err.log > report; echo made\n" > Makefile; : > err.log; touch -d @1000000 err.log; echo "int x;" > a.c' \
  'make' '! touch a.c' '! rm a.o'
finish
