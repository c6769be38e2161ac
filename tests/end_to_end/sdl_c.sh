#!/bin/bash
# A program of C, built by the bridge in a root of Debian packages: what is made, and what is made again.
. "$SOURCE/tests/end_to_end/cli.sh"
trees_can_be_entered || { echo 'not possible here: overlayfs and /proc in namespaces of a user'; exit 77; }
dpkg-query -W gcc-12 libc6-dev >/dev/null 2>&1 || { echo 'no packages gcc-12 and libc6-dev'; exit 77; }
run vestal component add gcc-12 libc6-dev
result 'the components' 0 '' '*vestal: component: * components in components, *'

mkdir -p src/inc include lib
printf '#include <stdio.h>\n#include <config.h>\n#include "inc/greet.h"\nint main(void) { greet(NAME); return 0; }\n' >src/main.c
printf '#include <stdio.h>\n#include "inc/greet.h"\nvoid greet(const char* name) { printf("hello, %%s: %%d\\n", name, twice(21)); }\n' >src/greet.c
printf '#include "inc/greet.h"\nint twice(int n) { return 2 * n; }\n' >lib/twice.c
printf 'void greet(const char* name);\nint twice(int n);\n' >src/inc/greet.h
echo '#define NAME "world"' >include/config.h
cat >program.ves <<'V'
files src; include; lib;
import components = components;
from /vestal import std_env;
{
  . = std_env([ components = components() ]);
  needed = ./required(< "gcc-12", "libc6-dev" >);
  . += [ root = ./build_root(needed), envVars = ./build_envVars(needed) ];
  . ++= [ C/options/compiler = "gcc-12" ];
  headers = [ include, src ];

  program = ./C/program("hello", ./C/sources(src), src, headers, ./C/library("libtwice.a", < "twice.c" >, lib, headers));
  shared = {
    . ++= [ C/switches/compile/position = < "-fPIC" > ];
    libtwice = ./C/shared_library("libtwice.so", ./C/objects(< "twice.c" >, lib, headers));
    value ./C/program("hello-shared", ./C/sources(src), src, headers, libtwice) + libtwice;
  };
  return program + shared;
}
V
built() { # WHAT STEPS: builds it, and looks at which steps were run, by what they make
  run vestal build --trace --cache runtool program --shipto out
  is "$1: status" 0 "$status"
  is "$1" "$2" "$(sed -n 's,^vestal: miss .*/\.made/\([^ ]*\).*,\1,p' err.text | sort | tr '\n' ' ' | sed 's/ $//')"
}
built 'all of it' 'greet.o greet.o hello hello-shared libtwice.a libtwice.so main.o main.o twice.o twice.o'
is 'it runs' 'hello, world: 42' "$(out/hello)"
is 'with its own shared library' 'hello, world: 42' "$(LD_LIBRARY_PATH=out out/hello-shared)"
like 'which it needs' '*libtwice.so*not found*' "$(LD_LIBRARY_PATH= ldd out/hello-shared)"
gcc-12 -O2 -Iinclude -Isrc -c src/greet.c -o greet.o && gcc-12 -O2 -Iinclude -Isrc -c src/main.c -o main.o && gcc-12 -O2 -Isrc -c lib/twice.c -o twice.o &&
  gcc-12 greet.o main.o twice.o -o hello && hello=$(./hello)
is 'as without vestal' "$hello" "$(out/hello)"
built 'nothing' ''
echo '/* a comment */' >>src/greet.c
built 'a comment: compiled, not linked' 'greet.o greet.o'
sed -i 's/world/reader/' include/config.h
built 'a header: what includes it, and the programs' 'hello hello-shared main.o main.o'
is 'the new one runs' 'hello, reader: 42' "$(out/hello)"
echo 'int unused;' >src/inc/unused.h && echo '#define NAME 1' >src/inc/config.h
built 'headers that nothing looks for' ''
echo '#define NAME "nearer"' >src/config.h
built 'one that stands in front in another directory, not before' ''
sed -i 's/\[ include, src \]/[ src, include ]/' program.ves
built 'before' 'greet.o greet.o hello hello-shared main.o main.o twice.o twice.o'
is 'is taken' 'hello, nearer: 42' "$(out/hello)"
echo 'error here' >>lib/twice.c
run vestal build program --shipto out
is 'what cannot be compiled: status' 1 "$status"
like 'what cannot be compiled' "*twice.c:3:*error: *gcc-12 * -c twice.c *ended with status 1*called at program.ves:11:*" "$err"

# C++, and objects of C in one program with it.
if dpkg-query -W g++-12 >/dev/null 2>&1; then
  run vestal component add g++-12
  like 'what C++ wants besides' '*vestal: component: * components in components, *' "$err"
  mkdir mixed
  printf '#include <iostream>\n#include <string>\nextern "C" int twice(int);\nint main() { std::cout << std::string("twice: ") << twice(4) << "\\n"; }\n' >mixed/main.cpp
  printf 'int twice(int n) { return 2 * n; }\n' >mixed/twice.c
  cat >mixed.ves <<'V'
files mixed;
import components = components;
from /vestal import std_env;
{
  . = std_env([ components = components() ]);
  . += [ root = ./build_root(./required(< "g++-12" >)) ];
  . ++= [ C/options/compiler = "gcc-12", Cxx/options/compiler = "g++-12" ];
  . ++= [ Cxx/switches/compile/other = < "-std=c++20" > ];
  return ./Cxx/link("mixed", ./Cxx/objects(./Cxx/sources(mixed), mixed) + ./C/objects(./C/sources(mixed), mixed));
}
V
  run vestal build --trace --cache runtool -j 1 mixed --shipto out
  result 'C++: its tools' 0 '' "vestal: miss   g++-12 -O2 -std=c++20 -c main.cpp -o /.made/main.o
vestal: miss   gcc-12 -O2 -c twice.c -o /.made/twice.o
vestal: miss   g++-12 -o /.made/mixed main.o twice.o"
  is 'C++: it runs' 'twice: 8' "$(out/mixed)"
fi
finish
