#!/bin/bash
# A name that was looked for and not found is part of what a step saw: when it appears, the step runs.
. "$SOURCE/tests/hazards/play.sh"

c='mkdir i1 i2; echo "#define H 2" > i2/h.h; printf "#include \"h.h\"\nint x = H;\n" > m.c'
hazard 'a header earlier on -I' "$c" 'gcc -Ii1 -Ii2 -c m.c' '= touch unrelated' '! echo "#define H 1" > i1/h.h' '! rm i1/h.h' '= :'
hazard 'a header beside the source' "$c" 'gcc -E -P -Ii2 m.c' '! echo "#define H 3" > h.h' '! rm h.h'
hazard 'a directory of -I that was not there' "$c; rmdir i1" 'gcc -E -P -Ii1 -Ii2 m.c' '= mkdir other' '! mkdir i1; echo "#define H 4" > i1/h.h'
hazard 'a header of -include, of -iquote' "$c" 'gcc -E -P -iquote i1 -include h.h -Ii2 m.c' '! echo "#define H 5" > i1/h.h' '! echo "#define H 6" > h.h'
hazard '__has_include' 'printf "#if __has_include(\"opt.h\")\nint yes;\n#else\nint no;\n#endif\n" > m.c' \
  'gcc -E -P m.c' '= touch other.h' '! touch opt.h' '! rm opt.h' '! mkdir opt.h'
hazard '#include_next' 'mkdir a b; echo "#include_next <n.h>" > a/n.h; echo "int b;" > b/n.h; mkdir c; echo "int c;" > c/n.h; echo "#include <n.h>" > m.c' \
  'gcc -E -P -Ia -Ib -Ic m.c' '! rm b/n.h' '! echo "int b2;" > b/n.h'
hazard 'a header that was missing' 'echo "#include \"late.h\"" > m.c' 'gcc -E -P m.c' '= :' '! echo "int late;" > late.h' '! rm late.h'
hazard 'a library earlier on -L' \
  'mkdir l1 l2; echo "int f(void) { return 2; }" > f.c; gcc -c f.c; ar rc l2/libf.a f.o; echo "int f(void) { return 1; }" > f.c; gcc -c f.c; ar rc new.a f.o; echo "int f(void); int main(void) { return f(); }" > m.c; gcc -c m.c' \
  'gcc m.o -Ll1 -Ll2 -lf -o m' '= touch l1/other' '! cp new.a l1/libf.a' '! rm l1/libf.a'
hazard 'a shared library beside an archive' \
  'echo "int f(void) { return 2; }" > f.c; gcc -c -fPIC f.c; ar rc libf.a f.o; echo "int f(void); int main(void) { return f(); }" > m.c; gcc -c m.c; gcc -shared f.o -o ../f.so' \
  'gcc m.o -L. -lf -o m' '! mv ../f.so libf.so' '! rm libf.so'
hazard 'an assembler in a directory of -B' 'mkdir b; echo "int x;" > m.c' 'gcc -B b/ -c m.c -o m.o' \
  '! printf "#!/bin/sh\necho my as >&2\nexit 3\n" > b/as; chmod +x b/as' '! rm b/as'
hazard 'a program earlier on PATH' 'mkdir b; echo x > in; export PATH=$PWD/b:$PATH' "sh -c 'cat in'" '= touch b/other' \
  '! printf "#!/bin/sh\necho mine\n" > b/cat; chmod +x b/cat' '! chmod -x b/cat' '! chmod +x b/cat' '! rm b/cat'
hazard 'a program earlier on the PATH of env' 'mkdir b; echo x > in; export PATH=$PWD/b:$PATH' 'env cat in' \
  '! printf "#!/bin/sh\necho mine\n" > b/cat; chmod +x b/cat' '! rm b/cat'
hazard 'the interpreter that env finds' 'mkdir b; printf "#!/usr/bin/env tac\n1\n2\n" > s; chmod +x s; export PATH=$PWD/b:$PATH' './s' \
  '! printf "#!/bin/sh\necho mine\n" > b/tac; chmod +x b/tac' '! rm b/tac'
hazard 'a program that was missing' 'mkdir b; export PATH=$PATH:$PWD/b' "sh -c 'newtool; echo \$?'" '= :' \
  '! printf "#!/bin/sh\necho new\n" > b/newtool; chmod +x b/newtool' '! rm b/newtool'
hazard 'command -v' 'mkdir b; export PATH=$PATH:$PWD/b' "sh -c 'command -v newtool || echo none'" '= :' \
  '! printf "#!/bin/sh\n" > b/newtool; chmod +x b/newtool' '! chmod -x b/newtool'
hazard 'CDPATH' 'mkdir -p p/sub sub2; export CDPATH=$PWD/p' "sh -c 'cd sub2 && pwd'" '! mkdir p/sub2'
hazard 'a file that the shell finds on PATH' 'mkdir b1 b2; echo "echo two" > b2/lib.sh; export PATH=$PWD/b1:$PWD/b2:$PATH' "bash -c '. lib.sh'" \
  '= :' '! echo "echo one" > b1/lib.sh' '! rm b1/lib.sh'
hazard 'a module of Python beside the script' 'mkdir a b; echo "x = 2" > b/mod.py; echo "import sys; sys.dont_write_bytecode = 1; import mod; print(mod.x)" > s.py; touch -d @1000000 a b b/mod.py s.py .; export PYTHONPATH=$PWD/a:$PWD/b' \
  '$V $python s.py' '= :' '! echo "x = 1" > a/mod.py' '! mkdir mod; echo "x = 0" > mod/__init__.py' '! rm -r mod a/mod.py'
hazard 'a module of Perl' 'mkdir a b; echo "package M; sub x { 2 } 1" > b/M.pm; echo "use M; print M::x(), qq{\n}" > s.pl; touch -d @1000000 a b b/M.pm s.pl .; export PERL5LIB=$PWD/a:$PWD/b' "\$V \$perl s.pl" \
  '= :' '! echo "package M; sub x { 1 } 1" > a/M.pm' '! rm a/M.pm'
hazard 'a Makefile with precedence' 'printf "all:; @echo Makefile\n" > Makefile; touch -d @1000000 Makefile' 'make' '= :' '! printf "all:; @echo GNUmakefile\n" > GNUmakefile' '! rm GNUmakefile'
hazard 'an optional part of a Makefile' 'printf -- "-include opt.mk\nall:; @echo [\$(X)]\n" > Makefile; touch -d @1000000 Makefile' 'make' '= :' '! echo "X = 1" > opt.mk' '! rm opt.mk'
hazard 'VPATH' 'mkdir a b; echo two > b/f.in; printf "VPATH = a b\nf.out: f.in; cat \$< > \$@\n" > Makefile; touch -d @1000000 b/f.in Makefile' 'make' '! touch -d @2000000 f.out; echo one > a/f.in' \
  '! rm a/f.in f.out'
hazard 'm4 and its -I' 'mkdir a b; echo two > b/x.m4; echo "include(x.m4)" > m' 'm4 -Ia -Ib m' '= :' '! echo one > a/x.m4' '! rm a/x.m4'
mkdir l1 l2
echo 'int f(void) { return 2; }' | gcc -shared -fPIC -x c - -o l2/libneg.so
echo 'int f(void) { return 1; }' | gcc -shared -fPIC -x c - -o lib1.so
echo 'int f(void); int main(void) { return f(); }' >m.c
gcc m.c -Ll2 -lneg -Wl,-rpath,"$here/l1:$here/l2" -o bin/neg
hazard 'a library earlier on the RUNPATH' "rm -rf $here/l1/*" "\$V $bin/neg" '= :' "! cp $here/lib1.so $here/l1/libneg.so" "! rm $here/l1/libneg.so"
gcc m.c -Ll2 -lneg -Wl,--disable-new-dtags,-rpath,"$here/l1:$here/l2" -o bin/neg_rpath
readelf -d bin/neg_rpath | grep -q '(RPATH)' || { echo 'the linker makes no RPATH'; exit 1; }
hazard 'a library earlier on the RPATH' "rm -rf $here/l1/*" "\$V $bin/neg_rpath" '= :' "! cp $here/lib1.so $here/l1/libneg.so" "! rm $here/l1/libneg.so"
# Unlike RUNPATH it goes before LD_LIBRARY_PATH, and holds for the libraries of libraries.
hazard 'RPATH before LD_LIBRARY_PATH' "rm -rf $here/l1/*; mkdir l; cp $here/lib1.so l/libneg.so; export LD_LIBRARY_PATH=\$PWD/l" "\$V $bin/neg_rpath" '= :' "= cp $here/l2/libneg.so l" "! cp $here/lib1.so $here/l1/libneg.so" "! rm $here/l1/libneg.so"
echo 'int f(void); int g(void) { return f(); }' | gcc -shared -fPIC -x c - -Ll2 -lneg -o libouter.so
echo 'int g(void); int main(void) { return g(); }' >g.c
gcc g.c -L. -louter -Wl,--disable-new-dtags,-rpath,"$here/l1:$here/l2:$here" -o bin/neg_inner
hazard 'the library of a library, earlier on the RPATH' "rm -rf $here/l1/*" "\$V $bin/neg_inner" '= :' "! cp $here/lib1.so $here/l1/libneg.so" "! rm $here/l1/libneg.so"
hazard 'a library in LD_LIBRARY_PATH' 'mkdir l; export LD_LIBRARY_PATH=$PWD/l' "\$V $bin/neg" '= :' "! cp $here/lib1.so l/libneg.so" '! rm l/libneg.so'
hazard 'a library by LD_LIBRARY_PATH that was not set before' ':' "\$V $bin/neg" '= :' "! mkdir l; cp $here/lib1.so l/libneg.so; export LD_LIBRARY_PATH=\$PWD/l" '! unset LD_LIBRARY_PATH'
hazard 'a library for better processors' "mkdir -p l; export LD_LIBRARY_PATH=\$PWD/l; cp $here/l2/libneg.so l" "\$V $bin/neg" \
  "! mkdir -p l/glibc-hwcaps/x86-64-v2; cp $here/lib1.so l/glibc-hwcaps/x86-64-v2/libneg.so" '! rm -r l/glibc-hwcaps'
program plugin -ldl <<'C'
#include <dlfcn.h>
#include <stdio.h>
int main(void) {
  void* p = dlopen("./plugin.so", RTLD_NOW);
  printf("%d\n", p ? ((int (*)(void))dlsym(p, "f"))() : 0);
}
C
hazard 'a plugin' ':' "\$V $bin/plugin" '= :' "! cp $here/lib1.so plugin.so" "! cp $here/l2/libneg.so plugin.so" '! rm plugin.so'
gcc -w -shared -fPIC -x c - -o raw.so <<'C'
static long call(long n, long a, long b, long c) { long r; asm volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory"); return r; }
int f(void) { char c = 0; long fd = call(2, (long)"hidden", 0, 0); call(0, fd, (long)&c, 1); call(3, fd, 0, 0); return c; }
C
uncached 'a plugin that makes system calls of its own' "echo 1 > hidden; cp $here/raw.so plugin.so" "\$V $bin/plugin" '! echo 2 > hidden' '! rm hidden'
for how in 'PROT_READ | PROT_WRITE | PROT_EXEC' 'PROT_READ | PROT_WRITE'; do
  { echo "#define HOW $how"; cat; } >code.c <<'C'
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
// long call(long number, long a, long b, long c)
static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x0f, 0x05, 0xc3};
int main(void) {
  char* p = mmap(0, 4096, HOW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), c = 0;
  memcpy(p, code, sizeof code);
  if (!((HOW) & PROT_EXEC)) mprotect(p, 4096, PROT_READ | PROT_EXEC);
  long (*call)(long, long, long, long) = (void*)p, fd = call(2, (long)"hidden", 0, 0);
  call(0, fd, (long)&c, 1);
  printf("%d\n", c);
}
C
  program made_code <code.c
  hazard "code that is made ($how) and makes system calls" 'echo 1 > hidden' "\$V $bin/made_code" '! echo 2 > hidden' '! rm hidden'
done
printf '\110\211\370\110\211\367\110\211\326\110\211\312\017\005\303' >blob
program mapped_code <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
int main(int n, char** a) {
  char c = 0;
  long (*call)(long, long, long, long) = (void*)mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, open(a[1], O_RDONLY), 0);
  long fd = call(2, (long)"hidden", 0, 0);
  call(0, fd, (long)&c, 1);
  printf("%d\n", c);
}
C
uncached 'code in a file that is no library' "echo 1 > hidden; cp $here/blob blob" "\$V $bin/mapped_code blob" '! echo 2 > hidden' '! rm hidden'
cat >code.c <<'C'
#include <stdio.h>
static unsigned char code[] __attribute__((section(PLACE))) = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0xf, 0, 0xc3};
int main(void) {
  char c = 0;
  code[13] = 5;
#ifdef ON_STACK
  unsigned char copy[sizeof code];
  for (int i = 0; i < sizeof code; ++i) copy[i] = code[i];
  long (*call)(long, long, long, long) = (void*)copy;
#else
  long (*call)(long, long, long, long) = (void*)code;
#endif
  long fd = call(2, (long)"hidden", 0, 0);
  call(0, fd, (long)&c, 1);
  printf("%d\n", c);
}
C
program own_text '-DPLACE=".code,\"awx\",@progbits#"' <code.c
hazard 'code that is written over' 'echo 1 > hidden' "\$V $bin/own_text" '! echo 2 > hidden' '! rm hidden'
program own_stack '-DPLACE=".data"' -DON_STACK -z execstack <code.c
hazard 'code that is written to the stack' 'echo 1 > hidden' "\$V $bin/own_stack" '! echo 2 > hidden' '! rm hidden'
hazard 'a plugin that is only copied' "cp $here/raw.so plugin.so" 'cp plugin.so other.so' '= rm other.so'
# Looked for by one program, which does not make it, and made by another one of the same step.
hazard 'moved away before it is made' ':' "sh -c 'mv out x && mv x out; echo 1 > t; mv t out'" '! :' '! rm out' '! :'
hazard 'a header that is made behind the compiler' 'printf "#if __has_include(\"h.h\")\nint has_it;\n#endif\n" > m.c' "sh -c 'gcc -S -o - m.c; echo > t; mv t h.h'" '! :' '! rm h.h' '! :'
hazard 'a library that is made behind the linker' "echo 'int main(void) { return 0; }' | gcc -c -x c - -o m.o; ar rc lib.a m.o" "sh -c 'gcc m.o -L. -lh -o p; echo \$?; mv lib.a libh.a'" '! cp libh.a lib.a' '! mv libh.a lib.a'
hazard 'a header that the compiler makes itself, afterwards' 'printf "#if __has_include(\"h.h\")\nint has_it;\n#endif\n" > m.c' 'gcc -S -o - -MD -MF h.h m.c' '! :' '! rm h.h' '! :'
hazard 'a directory on the way' ':' "sh -c 'cat a/b/c; test -e a/b/c; echo \$?'" '= touch x' '! mkdir a' '! mkdir a/b; echo c > a/b/c' '! rm -r a; echo x > a'
echo 'import os; print(os.access("f", 0), os.path.lexists("f"))' >"$bin/there.py"
echo 'print -e "f" ? 1 : 0, -l "f" ? 1 : 0, -r "f" ? 1 : 0, "\n";' >"$bin/there.pl"
for text in '$python $bin/there.py' '$perl $bin/there.pl'; do
  hazard "a name that a script looks for: $text" ':' "\$V $text" '= touch g' '! ln -s none f' '! echo > none'
done
gcc -w -shared -fPIC -Wl,-z,initfirst -x c - -o "$bin/libfirst.so" <<'C'
#include <fcntl.h>
#include <unistd.h>
char text[8];
__attribute__((constructor)) static void early(void) { int f = open("a", O_RDONLY); read(f, text, 7); close(f); }
C
program with_first -L"$bin" -lfirst "-Wl,-rpath,$bin" <<'C'
#include <stdio.h>
extern char text[];
int main(void) { puts(text); return 0; }
C
uncached 'a constructor that runs before all others' 'echo 1 > a' "\$V $bin/with_first" '! echo 2 > a' '! rm a'
finish
