#!/bin/bash
# Variables: absent, set to nothing, changed, unset inside, passed on.
. "$SOURCE/tests/hazards/play.sh"

other='= export UNRELATED=$RANDOM'
vary=('! export X=' '! export X=1' '! export X=2' '! unset X')
program env_get <<'C'
#include <stdio.h>
#include <stdlib.h>
int main(int n, char** a) { char* v = getenv("X"); puts(v ? v : "(none)"); }
C
program env_secure -D_GNU_SOURCE <<'C'
#include <stdio.h>
#include <stdlib.h>
int main(int n, char** a) { char* v = secure_getenv("X"); puts(v ? v : "(none)"); }
C
program env_walk <<'C'
#include <stdio.h>
#include <string.h>
extern char** environ;
int main(int n, char** a) { for (char** e = environ; *e; ++e) if (!strncmp(*e, "X=", 2)) puts(*e); }
C
program env_third <<'C'
#include <stdio.h>
#include <string.h>
int main(int n, char** a, char** e) { int c = 0; for (; *e; ++e) c += (*e)[0] == 'X'; printf("%d\n", c); }
C
program env_ways -D_GNU_SOURCE <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <string.h>
#include <spawn.h>
#include <locale.h>
#include <sys/wait.h>
extern char**environ;
int main(int n,char**a,char**e){
 setlocale(LC_ALL,"");
 char*m=n>1?a[1]:"get";
 if(!strcmp(m,"get")) puts(getenv("X")?getenv("X"):"(none)");
 if(!strcmp(m,"walk")) for(char**p=environ;*p;p++) if(!strncmp(*p,"X=",2)) puts(*p);
 if(!strcmp(m,"third")) for(char**p=e;*p;p++) if(!strncmp(*p,"X=",2)) puts(*p);
 if(!strcmp(m,"past")) for(char**p=a+n+1;*p;p++) if(!strncmp(*p,"X=",2)) puts(*p);
 if(!strcmp(m,"set")) { setenv("X","inner",1); puts(getenv("X")); system("echo $X"); }
 if(!strcmp(m,"clear")) { clearenv(); puts(getenv("X")?"y":"n"); }
 if(!strcmp(m,"own")) { static char*o[]={"X=own",0}; environ=o; puts(getenv("X")); system("echo $X"); }
 if(!strcmp(m,"fork")) { if(!fork()){ for(char**p=environ;*p;p++) if(!strncmp(*p,"X=",2)) puts(*p); fflush(stdout); _exit(0);} wait(0); }
 if(!strcmp(m,"forkget")) { if(!fork()){ puts(getenv("X")?:"none"); fflush(stdout); _exit(0);} wait(0); }
 if(!strcmp(m,"spawn")) { pid_t p; char*av[]={"sh","-c","echo $X",0}; posix_spawnp(&p,"sh",0,0,av,environ); wait(0); }
 if(!strcmp(m,"exec")) { execlp("sh","sh","-c","echo $X",(char*)0); }
 if(!strcmp(m,"execfail")) { execl("/nonono","x",(char*)0); for(char**p=environ;*p;p++) if(!strncmp(*p,"X=",2)) puts(*p);}
 if(!strcmp(m,"vfork")) { if(!vfork()){ execlp("sh","sh","-c","echo $X",(char*)0); _exit(1);} wait(0); }
 if(!strcmp(m,"vforkwalk")) { if(!vfork()){ for(char**p=environ;*p;p++) if(!strncmp(*p,"X=",2)) write(1,*p,strlen(*p)); _exit(1);} wait(0); }
 if(!strcmp(m,"put")) { putenv("Y=1"); puts(getenv("Y")); puts(getenv("X")?:"none"); }
 return 0; }
C
program env_set <<'C'
#include <stdlib.h>
int main(int n, char** a) { setenv("X", "inner", 1); return system("echo $X") + (unsetenv("X"), system("echo ${X-none}")); }
C
hazard 'a shell' '' "sh -c 'echo \${X-none}'" "$other" "${vary[@]}"
hazard 'a shell, tested only' '' "sh -c 'if [ -n \"\$X\" ]; then echo yes; else echo no; fi'" "$other" "${vary[@]}"
hazard 'bash, by a name made up' '' "bash -c 'n=X; echo \${!n-none}'" "${vary[@]}"
hazard 'bash -v' '' "bash -c '[[ -v X ]] && echo set || echo not'" "${vary[@]}"
uncached 'eval' '' "sh -c 'n=X; eval echo \\\$\$n'" "${vary[@]}"
hazard 'set, export -p' '' "sh -c 'export -p | grep X=; set | grep ^X=; :'" "${vary[@]}"
uncached 'in a file that is sourced' 'echo "echo \$X" > f' "sh -c '. ./f'" "$other" "${vary[@]}"
hazard 'in a script' 'printf "#!/bin/sh\necho \$X\n" > s; chmod +x s' './s' "${vary[@]}"
hazard 'in a here document' 'printf "cat <<EOF\n\$X\nEOF\n" > s' 'sh s' "${vary[@]}"
hazard 'in arithmetic' 'export X=3' "bash -c 'echo \$((X + 1))'" '! export X=4' '! unset X'
uncached 'printenv' '' 'printenv X' "$other" "${vary[@]}"
hazard 'env' '' "sh -c 'env | grep X='" "${vary[@]}"
hazard 'awk' '' "awk 'BEGIN { print ENVIRON[\"X\"] }'" "${vary[@]}"
echo 'print exists $ENV{X} ? "[$ENV{X}]\n" : "none\n"' >"$bin/variable.pl"
echo 'import os; print(os.environ.get("X"))' >"$bin/variable.py"
hazard 'Perl' '' "\$V \$perl $bin/variable.pl" '= :' "${vary[@]}"
hazard 'Python' '' "\$V \$python $bin/variable.py" '= :' "${vary[@]}"
hazard 'make' 'printf "all:; @echo [\$(X)] \$(origin X)\n" > Makefile; touch -d @1000000 Makefile' 'make' '= :' "${vary[@]}"
hazard 'a recipe of make' 'printf "all:; @echo [\$\$X]\n" > Makefile; touch -d @1000000 Makefile' 'make' '= :' "${vary[@]}"
hazard 'make that overrides' 'printf "X = own\nall:; @echo [\$(X)] [\$\$X]\n" > Makefile; touch -d @1000000 Makefile' 'make' "${vary[@]}" '> make X=argument'
hazard 'getenv' '' "\$V $bin/env_get" "$other" "${vary[@]}"
hazard 'a replayed program that asks by name' 'echo 1 > f' "sh -c '$bin/env_get; cat f'" '! echo 2 > f' "$other" '= unset UNRELATED' '! export X=1'
# Only who looks at variables otherwise than by name needs them all.
for way in get clear own forkget spawn exec vfork; do
  hazard "a program that asks by name: $way" '' "\$V $bin/env_ways $way" "$other" '= unset UNRELATED' "${vary[@]}"
done
for way in walk third past set fork execfail vforkwalk put; do
  hazard "a program that looks for itself: $way" '' "\$V $bin/env_ways $way" '= :' "${vary[@]}"
done
hazard 'secure_getenv' '' "\$V $bin/env_secure" "$other" "${vary[@]}"
hazard 'environ' '' "\$V $bin/env_walk" "${vary[@]}"
hazard 'the third argument of main' '' "\$V $bin/env_third" "${vary[@]}" '! export XX=1'
hazard 'set and unset inside' 'export X=1' "\$V $bin/env_set" '! export X=2' '! unset X'
uncached '/proc/self/environ' '' "tr '\\0' '\\n' < /proc/self/environ | grep ^X=" "${vary[@]}"
hazard 'passed through, read by nobody' 'echo a > a; export X=1' "sh -c 'cat a'" '= export X=2' '= unset X' '= export X='
hazard 'passed through, read further in' 'export X=1' "sh -c 'sh -c \"echo \\\$X\"; :'" "$other" '! export X=2' '! unset X'
hazard 'set by the outer one' 'export X=1' "sh -c 'X=own sh -c \"echo \\\$X\"; :'" '= :' '! export X=2'
hazard 'unset by the outer one' 'export X=1' "sh -c 'unset X; printenv X; :'" '! export X=2' '! unset X'
hazard 'env -i' 'export X=1' "env -i sh -c 'echo \${X-none}'" '! export X=2'
hazard 'env -u' 'export X=1' "env -u X sh -c 'echo \${X-none}'" '! export X=2' '! unset X'
# One whose home cannot be written to is told so.
elsewhere=yes uncached 'without any' '' 'env -i $V /bin/sh -c "echo \${X-none} \${HOME-none}"' '> env -i X=1 $V /bin/sh -c "echo \${X-none} \${HOME-none}"'
hazard 'the order of variables' '' 'env A_A=1 B_B=2 $V env | grep ^._.=' '= :' '> env B_B=2 A_A=1 $V env | grep ^._.='
uncached 'names from the arguments' '' "\$V bash -c '[[ \$1 -eq 1 ]] && echo one || echo other' x FOO" '> FOO=1 $V bash -c "[[ \$1 -eq 1 ]] && echo one || echo other" x FOO'
uncached 'bash, -v of a name made up' '' "\$V bash -c 'n=FO; n+=O; [[ -v \$n ]]; echo \$?'" "> FOO=2 \$V bash -c 'n=FO; n+=O; [[ -v \$n ]]; echo \$?'"
hazard 'a text that awk is given in other ways' 'echo "BEGIN { print ENVIRON[\"Q\"] }" > p' 'Q=1 $V awk -f p' '> Q=2 $V awk -f p' '> Q=1 $V awk -W exec p' '> Q=2 $V awk -W exec p'
# What ld.so and malloc are told.
uncached 'LD_TRACE_LOADED_OBJECTS, LD_DEBUG, LD_SHOW_AUXV' '' '$V env /bin/true' '> $V env LD_TRACE_LOADED_OBJECTS=1 /bin/true | sed "s/ (0x.*//"' '> $V env LD_DEBUG=help /bin/true' '> $V env LD_SHOW_AUXV=1 /bin/true | grep PAGESZ' '> $V env /bin/true'
uncached 'ldd' 'echo > a' '$V ls' '> $V ldd /bin/ls | sed "s/ (0x.*//"' '> $V ls'
echo 'void nowhere(void); int f(int n) { if (n > 1) nowhere(); return 0; }' | gcc -w -shared -fPIC -x c - -Wl,-z,lazy -o "$bin/libunbound.so"
program unbound -L"$bin" -Wl,-rpath,"$bin" -Wl,-z,lazy -Wl,--unresolved-symbols=ignore-in-shared-libs -Wl,--no-as-needed -x none "$bin/libunbound.so" <<'C'
#include <stdio.h>
int f(int);
int main(int n, char** a) { f(n); puts("went well"); }
C
uncached 'LD_BIND_NOW' '' "$bin/unbound" '= :' "> LD_BIND_NOW=1 \$V sh -c '$bin/unbound 2> /dev/null; echo \$?'" "> sh -c '$bin/unbound 2> /dev/null; echo \$?'"
program leftover <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void) { char* p = malloc(64); memset(p, 'x', 64); free(p); p = malloc(64); printf("%d\n", p[40]); }
C
hazard 'MALLOC_PERTURB_' '' "\$V $bin/leftover" '= :' "> MALLOC_PERTURB_=165 \$V $bin/leftover" "> GLIBC_TUNABLES=glibc.malloc.perturb=90 \$V $bin/leftover"
hazard 'twice the same name' '' "env X=1 X=2 sh -c 'echo \$X'" '> env X=2 X=1 sh -c "echo \$X"'
hazard 'a value with newlines' 'export X="a
b"' "sh -c 'echo \"\$X\"'" '! export X="a
c"' '! export X="a b"'
hazard 'a name that is no name' '' "env 'a-b=1' env | grep ^a-b" '> env "a-b=2" env | grep ^a-b'
hazard 'a long value' 'export X=$(printf %050000d 1)' "sh -c 'echo \${#X}'" '! export X=$(printf %050001d 1)'
hazard 'PATH that finds another' 'mkdir p q; printf "#!/bin/sh\necho p\n" > p/t; printf "#!/bin/sh\necho q\n" > q/t; chmod +x p/t q/t; export PATH=$PWD/p:$PATH' "sh -c t" '! export PATH=$PWD/q:$PATH' '! export PATH=$PWD/p:$PATH'
hazard 'HOME' 'mkdir h; echo 1 > h/f; export HOME=$PWD/h' "sh -c 'cat ~/f'" '! mkdir g; echo 2 > g/f; export HOME=$PWD/g' '! unset HOME'
hazard 'ENV' 'echo "echo from ENV" > e' "sh -i -c 'echo x' 2>&1 | grep -v job" '! export ENV=$PWD/e' '! echo "echo otherwise" > e'
hazard 'BASH_ENV' 'echo "echo from BASH_ENV" > e' "bash -c 'echo x'" '! export BASH_ENV=$PWD/e' '! echo "echo otherwise" > e' '! unset BASH_ENV'
hazard 'SHELLOPTS' '' "bash -c 'false; echo x'" '! export SHELLOPTS; set -o noglob' "> bash -c 'echo *'"
hazard 'a function that is exported' '' "bash -c 'f || echo none' 2>/dev/null" '! f() { echo 1; }; export -f f' '! f() { echo 2; }; export -f f' '! unset -f f'
hazard 'PWD that tells another way' 'mkdir d; ln -s d l' "sh -c 'cd d; pwd'" '> sh -c "cd l; pwd"' '> sh -c "cd l; /bin/pwd"'
hazard 'TMPDIR' 'mkdir t1 t2; export TMPDIR=$PWD/t1' "sh -c 'echo \$TMPDIR; f=\$(mktemp); echo > \$f; rm \$f'" '! export TMPDIR=$PWD/t2' '! export TMPDIR=/nonexistent'
hazard 'CPATH of gcc' 'mkdir i j; echo "int i;" > i/h.h; echo "int j;" > j/h.h; echo "#include <h.h>" > m.c; export CPATH=$PWD/i' 'gcc -E -P m.c' "$other" '! export CPATH=$PWD/j' '! unset CPATH'
hazard 'LIBRARY_PATH of gcc' 'mkdir l m; echo "int f(void) { return 1; }" | gcc -c -x c - -o f.o; ar rc l/libf.a f.o; echo "int f(void) { return 2; }" | gcc -c -x c - -o f.o; ar rc m/libf.a f.o; echo "int f(void); int main(void) { return f(); }" > m.c; gcc -c m.c; export LIBRARY_PATH=$PWD/l' \
  'gcc m.o -lf -o p' "$other" '! export LIBRARY_PATH=$PWD/m' '! unset LIBRARY_PATH'
hazard 'GCC_COLORS and the terminal' 'echo "int x" > m.c' 'gcc -c m.c' '= :' '! export GCC_COLORS=' '> gcc -fdiagnostics-color=always -c m.c'
hazard 'SOURCE_DATE_EPOCH' 'echo "char d[] = __DATE__ __TIME__;" > m.c; export SOURCE_DATE_EPOCH=1000000' 'gcc -E -P m.c' "$other" '! export SOURCE_DATE_EPOCH=2000000' '! export SOURCE_DATE_EPOCH=1000000'
hazard 'LC_ALL and sorting' 'printf "b\nA\na\nB\n" > f' 'sort f' '! export LC_ALL=C.UTF-8' '! export LC_ALL=C'
hazard 'LC_ALL and characters' 'printf "\303\244\n" > f' 'wc -m f' '! export LC_ALL=C.UTF-8' '! export LC_ALL=C'
hazard 'POSIXLY_CORRECT' 'echo > -r' "sh -c 'ls . -r'" '! export POSIXLY_CORRECT=1' '! unset POSIXLY_CORRECT'
hazard 'LD_LIBRARY_PATH that is not needed' 'echo x > a' 'cat a' '! export LD_LIBRARY_PATH=/nonexistent' '! unset LD_LIBRARY_PATH'
echo 'int puts(const char* s) { return 0; } char* getenv(const char* n) { return "preloaded"; }' | gcc -w -shared -fPIC -x c - -o bin/preload.so
program wait_a_moment <<'C'
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
int main(void) { struct timeval v; gettimeofday(&v, 0); printf("%ld %ld\n", (long)time(0), (long)v.tv_sec); }
C
echo 'struct timeval { long s, u; }; long time(long* t) { if (t) *t = 7; return 7; } int gettimeofday(struct timeval* v, void* z) { v->s = 8; return 0; }' |
  gcc -w -shared -fPIC -x c - -o bin/old_time.so
uncached 'a clock that the user preloads' '' "env LD_PRELOAD=$bin/old_time.so $bin/wait_a_moment" '! :'
uncached 'LD_PRELOAD of the user' '' "env LD_PRELOAD=$bin/preload.so $bin/env_get" '! :'
hazard 'MAKEFLAGS' 'printf "all:; echo x\n" > Makefile; touch -d @1000000 Makefile' 'make' '! export MAKEFLAGS=s' '! export MAKEFLAGS=n' '! unset MAKEFLAGS'
hazard 'a function for a script without #!' 'printf "foo 2>/dev/null || echo none\n" > s; chmod +x s' "bash -c './s; :'" '= export OTHER=1' '! foo() { echo hi; }; export -f foo' '! unset -f foo'
hazard 'a function that is exported, by a computed name' '' "bash -c 'n=ff; \${n}f; echo \$?' 2>/dev/null" '! fff() { echo 1; }; export -f fff' '! unset -f fff'
hazard 'BASH_XTRACEFD' '' "bash -xc 'echo x' 2>/dev/null" '! export BASH_XTRACEFD=1' '! unset BASH_XTRACEFD'
! command -v cmake >/dev/null || uncached 'a command of cmake that prints variables' 'export QQQ=1' "sh -c 'cmake -E environment | grep QQQ'" '! export QQQ=2' '! unset QQQ'
for shell in sh bash; do
  hazard "a script without #!: $shell" 'printf "echo \$XA\n" > s; chmod +x s; export XA=1' "$shell -c './s; :'" '= export OTHER=1' '! export XA=2' '! unset XA'
  hazard "a text that is read with .: $shell" 'printf "echo \$XA\n" > s; export XA=1' "$shell -c '. ./s'" '! export XA=2' '! unset XA'
done
finish
