#!/bin/bash
# Programs whose system calls cannot be patched, or not all: another libc, another loader, calls of their own, code that
# can be written to. They are seen and replayed like others, and what they do with threads, signals and children works.
. "$SOURCE/tests/hazards/play.sh"
command -v musl-gcc >/dev/null || { echo "there is no musl-gcc"; exit 77; }

cat >calls.c <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
extern char** environ;
static volatile int heard;
static sigjmp_buf back;
static char other_stack[65536], stack[65536];
static long call(long n, long a, long b, long c) {
  long r;
  asm volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return r;
}
static void show(const char* who, const char* name) {
  char text[100];
  long fd = call(SYS_open, (long)name, O_RDONLY, 0), n = fd < 0 ? 0 : call(SYS_read, fd, (long)text, sizeof text);
  if (n < 0) n = 0;
  if (fd >= 0) call(SYS_close, fd, 0, 0);
  printf("%s %ld %.*s\n", who, fd < 0 ? fd : 0, (int)n, text);
  fflush(stdout);
}
static void* in_thread(void* name) { show("thread", name); return 0; }
static int in_child(void* name) { show("clone", name); return 5; }
static void hear(int s) { ++heard; show("handler", "a"); }
static void leave(int s) { siglongjmp(back, 1); }
static void clean(void* p) { puts("cleaned"); }
static void* sleeper(void* p) { pthread_cleanup_push(clean, 0); for (;;) sleep(100); pthread_cleanup_pop(0); }
static int wait_for(pid_t pid) { int status = 0; while (waitpid(pid, &status, 0) < 0 && errno == EINTR); return WEXITSTATUS(status); }
int main(int count, char** arguments) {
  pthread_t thread;
  pid_t child;
  char *cat[] = {"cat", "a", 0}, *none[] = {"no-such-program", 0};
  show("main", "a");
  pthread_create(&thread, 0, in_thread, "b"); pthread_join(thread, 0);
  if ((child = fork()) == 0) { show("fork", "c"); _exit(3); }
  printf("%d\n", wait_for(child)); fflush(stdout);
  volatile int error = 0;
  if ((child = vfork()) == 0) { execl("/no/such/program", "x", (char*)0); error = errno; _exit(4); }
  printf("%d %d\n", wait_for(child), error); fflush(stdout);
  if ((child = vfork()) == 0) { execvp("cat", cat); _exit(9); }
  printf("%d\n", wait_for(child));
  if ((child = call(SYS_vfork, 0, 0, 0)) == 0) { call(SYS_exit_group, 6, 0, 0); }
  printf("%d %d\n", wait_for(child), posix_spawnp(&child, none[0], 0, 0, none, environ)); fflush(stdout);
  if (posix_spawnp(&child, "cat", 0, 0, cat, environ)) return 20;
  printf("%d\n", wait_for(child)); fflush(stdout);
  printf("%d\n", system("cat b; exit 8") >> 8); fflush(stdout);
  child = clone(in_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, "d");
  printf("%d\n", wait_for(child)); fflush(stdout);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = hear;
  sigfillset(&action.sa_mask);
  sigaction(SIGUSR1, &action, 0);
  sigset_t all, before, now;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before); kill(getpid(), SIGUSR1); printf("heard %d\n", heard);
  sigdelset(&all, SIGUSR1); sigsuspend(&all); printf("heard %d\n", heard);
  sigprocmask(SIG_SETMASK, &before, 0); sigprocmask(0, 0, &now);
  printf("blocked %d %d\n", sigismember(&now, SIGUSR1), sigismember(&now, SIGSYS));
  stack_t other = {.ss_sp = other_stack, .ss_size = sizeof other_stack}, found;
  sigaltstack(&other, 0);
  action.sa_handler = leave; action.sa_flags = SA_ONSTACK; sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, 0);
  for (int i = 0; i < 3; ++i) if (!sigsetjmp(back, 1)) *(volatile int*)8 = 1; else { puts("caught"); show("after", "c"); }
  sigaltstack(0, &found); printf("stack %d %d\n", found.ss_sp == other_stack, found.ss_flags);
  if (count > 1) { pthread_create(&thread, 0, sleeper, 0); usleep(20000); pthread_cancel(thread); pthread_join(thread, 0); }
  int fd = call(SYS_open, (long)"out", O_CREAT | O_WRONLY | O_TRUNC, 0640);
  call(SYS_write, fd, (long)"made\n", 5);
  call(SYS_close, fd, 0, 0);
  printf("%s\n", getenv("X") ? getenv("X") : "(none)");
  return 7;
}
C
loader=$(readlink -f /lib64/ld-linux-x86-64.so.2)
cp "$loader" "$here/another-ld.so"
build() { # NAME COMMAND...
  local name=$1; shift
  "$@" -w -pthread calls.c -o "$bin/$name" || { echo "$*: does not compile"; exit 1; }
}
build own_calls gcc
build own_stack gcc -O2 -z execstack
build static_stack gcc -static -z execstack
build musl musl-gcc
build musl_optimised musl-gcc -O2 -s
build other_loader gcc "-Wl,--dynamic-linker=$here/another-ld.so"
strip --strip-section-headers "$bin/static_stack" -o "$bin/no_sections" 2>/dev/null || $python - "$bin/static_stack" "$bin/no_sections" <<'P'
import struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
data[40:48] = struct.pack("<Q", 0)
data[58:64] = bytes(6)
open(sys.argv[2], "wb").write(data)
P
chmod +x "$bin/no_sections"
# Nothing is known of these programs, so times count too.
files='echo 1 > a; echo 2 > b; echo 3 > c; touch -d @1000000000 a b c'
changes=('= :' '= touch other' '! echo 2 > a' '! rm c' '! echo new > d' '! rm out' '! export X=1' '! rm b; mkdir b')
for name in own_calls own_stack static_stack musl musl_optimised other_loader; do
  hazard "$name" "$files" "\$V $bin/$name" "${changes[@]}"
  places='top sh' uncached "$name, a thread that is cancelled" "$files" "\$V $bin/$name cancel" '! echo 2 > a'
done
# Where malloc keeps its random mark is not found without a table of sections.
uncached 'no table of sections' "$files" "\$V $bin/no_sections" '! echo 2 > a' '! rm c' '! echo new > d'

# Handlers make calls too, whatever they were told to block, and while whatever they were told to block.
cat >masks.c <<'C'
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <unistd.h>
static void hear(int s) { free(malloc(1 << 20)); if (getppid() > 0) write(1, "heard\n", 6); }
int main(int count, char** arguments) {
  struct sigaction action = {.sa_handler = hear};
  sigset_t all, none;
  sigfillset(&action.sa_mask);
  sigaction(SIGUSR1, &action, 0);
  if (count > 1) { char* p = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); *p = 0xc3; ((void (*)(void))p)(); }
  raise(SIGUSR1);
  sigfillset(&all); sigprocmask(SIG_SETMASK, &all, 0);
  sigdelset(&all, SIGUSR1);
  struct timespec time = {1, 0};
  raise(SIGUSR1); printf("ppoll %d\n", ppoll(0, 0, &time, &all)); fflush(stdout);
  raise(SIGUSR1); printf("pselect %d\n", pselect(0, 0, 0, 0, &time, &all)); fflush(stdout);
  struct epoll_event event;
  raise(SIGUSR1); printf("epoll %d\n", epoll_pwait(epoll_create1(0), &event, 1, 1000, &all)); fflush(stdout);
  raise(SIGUSR1); printf("suspend %d\n", sigsuspend(&all)); fflush(stdout);
  return 0;
}
C
gcc -w -z execstack masks.c -o "$bin/masks" && gcc -w masks.c -o "$bin/masks_late" && musl-gcc -w masks.c -o "$bin/masks_musl" || exit 1
hazard 'masks' ':' "\$V $bin/masks" '= touch other'
hazard 'masks, of musl' ':' "\$V $bin/masks_musl" '= touch other'
hazard 'masks, before there was code to trap' ':' "\$V $bin/masks_late late" '= touch other'

# A child that has memory of its own leaves its parent's alone.
cat >apart.c <<'C'
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static char big[65536] __attribute__((aligned(16)));
static int f(void*p){ volatile char x[100]; x[0]=1; return getppid() > 0 ? 3 : 4; }
int main(){ memset(big,'y',sizeof big); int s,n=0; int p=clone(f,big+sizeof big,SIGCHLD,0); waitpid(p,&s,0); for(unsigned i=0;i<sizeof big;i++) n+=big[i]!='y'; printf("%d %d\n",WEXITSTATUS(s),n > 16); fflush(stdout);
 return 0; }
C
gcc -w -z execstack apart.c -o "$bin/apart" && musl-gcc -w apart.c -o "$bin/apart_musl" || exit 1
hazard 'clone with memory of its own' ':' "\$V $bin/apart" '= touch other'
hazard 'clone with memory of its own, of musl' ':' "\$V $bin/apart_musl" '= touch other'

# What a signal's handler would undo, and a thread that gives its own stack back.
cat >undone.c <<'C'
#include <fenv.h>
#include <pthread.h>
#include <stdio.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>
static void*w(void*a){ printf("round %x\n", fegetround()); return 0;}
static void h(int s,siginfo_t*i,void*u){ sigfillset(&((ucontext_t*)u)->uc_sigmask); }
int main(){ fesetround(FE_UPWARD); pthread_t t; pthread_create(&t,0,w,0); pthread_join(t,0); printf("round %x\n", fegetround());
 struct sigaction a={0}; a.sa_sigaction=h; a.sa_flags=SA_SIGINFO; sigaction(SIGUSR1,&a,0); raise(SIGUSR1); puts("after"); fflush(stdout);
 sigset_t e; sigemptyset(&e); sigprocmask(SIG_SETMASK,&e,0); signal(SIGSYS,SIG_IGN); raise(SIGSYS); puts("ignored"); return 0; }
C
cat >detached.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static void*w(void*a){ return 0;}
int main(){ for(int i=0;i<20;i++){ pthread_t t; pthread_create(&t,0,w,0); pthread_detach(t);} usleep(100000); puts("detached ok"); return 0;}
C
musl-gcc -w undone.c -o "$bin/undone_musl" -pthread && gcc -w -z execstack undone.c -o "$bin/undone" -pthread -lm && musl-gcc -w detached.c -o "$bin/detached" -pthread &&
  musl-gcc -w -static detached.c -o "$bin/detached_static" -pthread && musl-gcc -w -O2 -s -static detached.c -o "$bin/detached_bare" -pthread || exit 1
for name in undone undone_musl detached detached_static detached_bare; do hazard "$name" ':' "\$V $bin/$name" '= touch other'; done

# The same from a library.
gcc -w -shared -fPIC -x c - -o "$bin/libcalls.so" <<'C'
long own_call(long n, long a, long b, long c) { long r; asm volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory"); return r; }
C
gcc -w -x c - -o "$bin/with_library" -L"$bin" -lcalls "-Wl,-rpath,$bin" <<'C'
#include <stdio.h>
long own_call(long, long, long, long);
int main(void) { char c = '-'; long fd = own_call(2, (long)"a", 0, 0); own_call(0, fd, (long)&c, 1); putchar(c); return own_call(21, (long)"none", 0, 0) ? 3 : 4; }
C
hazard 'a library with calls of its own' 'echo 1 > a; touch -d @1000000000 a' "\$V $bin/with_library" '= :' '! echo 2 > a' '! rm a' '! touch none'

# What they are told by calls that stay in the kernel's own library.
musl-gcc -w -x c - -o "$bin/clock" <<'C'
#include <stdio.h>
#include <time.h>
int main(void) { struct timespec t; return clock_gettime(CLOCK_REALTIME, &t) != 0; }
C
gcc -w -z execstack -x c - -o "$bin/clock_beside" <<'C'
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
int main(void) {
  const char* base = (const char*)getauxval(AT_SYSINFO_EHDR);
  const Elf64_Ehdr* elf = (const void*)base;
  const Elf64_Phdr* segments = (const void*)(base + elf->e_phoff);
  const Elf64_Dyn* d = 0;
  const Elf64_Sym* symbols; const char* names; const unsigned* hash; unsigned long shift = 0, t[2] = {0, 0};
  for (int i = 0; i < elf->e_phnum; ++i) {
    if (segments[i].p_type == PT_LOAD) shift = (unsigned long)base + segments[i].p_offset - segments[i].p_vaddr;
    if (segments[i].p_type == PT_DYNAMIC) d = (const void*)(base + segments[i].p_offset);
  }
  for (; d->d_tag; ++d) {
    if (d->d_tag == DT_SYMTAB) symbols = (const void*)(shift + d->d_un.d_ptr);
    if (d->d_tag == DT_STRTAB) names = (const void*)(shift + d->d_un.d_ptr);
    if (d->d_tag == DT_HASH) hash = (const void*)(shift + d->d_un.d_ptr);
  }
  for (unsigned i = 0; i < hash[1]; ++i)
    if (!strcmp(names + symbols[i].st_name, "__vdso_clock_gettime")) return ((int (*)(int, void*))(shift + symbols[i].st_value))(0, t) != 0 || t[0] == 0;
  return 2;
}
C
for name in clock clock_beside; do
  "$VESTAL" run -- "$bin/$name" || { echo "$name: status $?"; faults=$((faults + 1)); }
  [ "$counts_hits" = no ] || "$VESTAL" why "$bin/$name" | grep -q 'reads the clock' ||
    { echo "$name: nobody says that it reads the clock:"; "$VESTAL" why "$bin/$name"; faults=$((faults + 1)); }
done
finish
