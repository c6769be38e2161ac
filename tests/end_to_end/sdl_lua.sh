#!/bin/bash
# Lua, from its source as Debian has it: an interpreter, a library and a compiler, built by a model in a root of packages.
. "$SOURCE/tests/end_to_end/cli.sh"
trees_can_be_entered || { echo 'not possible here: overlayfs and /proc in namespaces of a user'; exit 77; }
dpkg-query -W gcc-12 cpp-12 binutils libc6-dev >/dev/null 2>&1 || { echo 'no packages gcc-12, cpp-12, binutils and libc6-dev'; exit 77; }
archive=$(timeout 120 "$SOURCE/scripts/get-source.sh" lua5.4 "$BUILD/bench/source") || { echo 'the source of lua is not to be had'; exit 77; }
mkdir lua && tar xf "$archive" -C lua --strip-components=1 || exit 1
run vestal component add gcc-12 cpp-12 binutils libc6-dev
result 'the components' 0 '' '*vestal: component: * components in components, *'
cat >lua.ves <<'V'
files src = lua/src;
import components = components;
from /vestal import std_env;
{
  . = std_env([ components = components() ]);
  needed = ./required(< "gcc-12", "cpp-12", "binutils", "libc6-dev" >);
  . += [ root = ./build_root(needed), envVars = ./build_envVars(needed) ];
  . ++= [ C/options/compiler = "gcc-12" ];
  . ++= [ C/switches/compile/definitions = < "-DLUA_COMPAT_5_3", "-DLUA_USE_LINUX" > ];
  . ++= [ C/switches/libraries/system = < "-lm" > ];
  . ++= [ C/switches/link/other = < "-Wl,-E" > ];

  without(sources, others) {
    kept = <>;
    foreach source in sources do kept += if others!$source then <> else < source >;
    return kept;
  };
  mains = [ lua.c = TRUE, luac.c = TRUE ];
  library = ./C/library("liblua.a", without(./C/sources(src), mains), src);
  return ./C/program("lua", < "lua.c" >, src, [], library) + ./C/program("luac", < "luac.c" >, src, [], library) + library;
}
V
run vestal build --trace --cache runtool lua --shipto out
is 'the build' 0 "$status"
is 'what was run: a compiler for each source, an archiver, two linkers' "$(($(ls lua/src/*.c | wc -l) + 3))" "$(grep -c '^vestal: miss ' err.text)"
echo 'local t = {} for i = 1, 3 do t[i] = math.floor(i * 1.5) end print(_VERSION, table.concat(t, " "), os.getenv("HOME") ~= nil)' >try.lua
is 'lua runs' 'Lua 5.4	1 3 4	true' "$(HOME=/ out/lua try.lua)"
is 'and what luac makes of it' 'Lua 5.4	1 3 4	true' "$(out/luac -o try.out try.lua && HOME=/ out/lua try.out)"
# As without vestal.
cp -r lua/src plain && cd plain || exit 1
for source in *.c; do echo "$source"; done | xargs -P 2 -n 1 gcc-12 -O2 -DLUA_COMPAT_5_3 -DLUA_USE_LINUX -c
for program in lua luac; do mv $program.o $program.main; done
ar rcsD liblua.a *.o
for program in lua luac; do mv $program.main $program.o && gcc-12 -Wl,-E -o $program $program.o liblua.a -lm; done
cd ..
for file in liblua.a lua luac; do cmp plain/$file out/$file || is "$file: the same bytes as without vestal" yes no; done
run vestal build --trace --cache runtool lua --shipto out
is 'again nothing is run' '' "$(grep -v '^vestal: hit ' err.text)"
echo '/* a comment */' >>lua/src/lapi.c
run vestal build --trace --cache runtool lua --shipto out
is 'a comment: one source is compiled, nothing linked' 'lapi.o' "$(sed -n 's,^vestal: miss .*/\.made/\([^ ]*\).*,\1,p' err.text)"
finish
