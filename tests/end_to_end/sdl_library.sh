#!/bin/bash
# The models that come with vestal: where they are imported from, and what the standard environment does with components.
. "$SOURCE/tests/end_to_end/cli.sh"

# evaluates WHAT EXPECTED: the model of standard input
evaluates() {
  cat >it.ves
  run vestal build --result it
  result "$1" 0 '*' ''
  is "$1" "$2" "$out"
}
fails() { # WHAT PATTERN
  cat >it.ves
  run vestal build --result it
  result "$1" 1 '' "$2"
}

# ---- where absolute paths lead ----
evaluates 'a model that comes with vestal' '"a-b"' <<<'from /vestal import generic; { help = generic(); return help/join(< "a", "b" >, "-"); }'
evaluates 'is called the same everywhere' '"/vestal/generic.ves"' <<<'from /vestal import generic; { return _model_name(generic); }'
fails 'one that is not there' '*it.ves:1:*there is no model /vestal/gneric.ves*' <<<'from /vestal import gneric; { return 1; }'
fails 'elsewhere' '*/etc is not in /vestal, where absolute paths may lead*' <<<'import x = /etc/x; { return 1; }'
here=$(sed 's,[^/]*,"&",g; s,^"",,' <<<"$PWD")  # as a path in a model
mkdir -p repository/part model && echo '{ return "from there"; }' >repository/part/build.ves && echo '{ return 1; }' >model/other.ves
fails "the model's own directory" '*is not in /vestal, where absolute paths may lead*' <<<"import x = $here/model/other; { return x(); }"
echo "import part = $here/repository/part; { return part(); }" >model/it.ves
run vestal build --result model/it --repository repository
result 'in the repository' 0 '"from there"' ''
echo "import other = $here/model/other; { return other(); }" >model/it.ves
run vestal build --result model/it --repository repository
result 'beside the repository' 1 '' "*$PWD/model is not in /vestal or in $PWD/repository, *"
mkdir -p alone/bin && cp "$VESTAL" alone/bin/vestal
echo '{ return 1; }' >it.ves
run env VESTAL_SHIM="$BUILD/lib/vestal/libvestal_shim.so" VESTAL_DIR="$TMPDIR/other" alone/bin/vestal build --result it
result 'a program alone' 0 1 ''
echo 'from /vestal import generic; { return 1; }' >it.ves
run env VESTAL_SHIM="$BUILD/lib/vestal/libvestal_shim.so" VESTAL_DIR="$TMPDIR/other" alone/bin/vestal build --result it
result 'has no models' 1 '' "*the models that come with vestal: $PWD/alone/share/vestal/sdl: No such file*"
kill "$(broker_pid "$TMPDIR/other")"

# ---- functions on texts, lists and bindings ----
generic() { evaluates "$1" "$2" <<<"from /vestal import generic; { help = generic(); return < $1 >; }"; }
generic 'help/join(<>), help/join(< "a" >, ", "), help/join(< "a", "b" >)' '< "", "a", "ab" >'
generic 'help/split("a//b", "/"), help/split("", "/"), help/split("a--", "--")' '< < "a", "", "b" >, < "" >, < "a", "" > >'
generic 'help/replace("a.b.c", ".", "::"), help/ends_with("a.c", ".c"), help/ends_with("c", ".c")' '< "a::b::c", TRUE, FALSE >'
generic 'help/without_suffix("a.b/c.d.c"), help/without_suffix("a.b/c"), help/without_suffix("a/.c")' '< "a.b/c.d", "a.b/c", "a/.c" >'
generic 'help/append_all(< [ a = 1 ], [ b = 2 ] >), help/names([ a = 1, b = 2 ]), help/at([ a/b = 1 ], "a//b")' '< [ a=1, b=2 ], < "a", "b" >, 1 >'
generic 'help/words([ a = "1", b = < "2", "3" >, c = [ d = "4" ], e = <> ]), help/words(< "5" >), help/words("6")' '< < "1", "2", "3", "4" >, < "5" >, < "6" > >'

# ---- the environment ----
environment() { # WHAT EXPECTED EXPRESSION
  evaluates "$1" "$2" <<V
from /vestal import std_env;
{
  root_of(file, contents) { made() { return [ usr/bin = [ \$file = contents ] ]; }; return made; };
  borrowed() { return [ lib = ./compiler/root(.)/usr/bin ]; };
  more(variables) { return [ PATH = variables/PATH + ":/opt/bin" ]; };
  . = std_env([ components = [
    compiler = [ root = root_of("cc", "compiler"), requires = < "library", "assembler" >, env = [ CC = "cc" ] ],
    assembler = [ root = root_of("as", "assembler"), requires = < "library" >, env = more ],
    library = [ root = borrowed, requires = < "compiler" > ],
    other = [ root = root_of("cc", "another") ],
  ] ]);
  return $3;
}
V
}
environment 'components make one root' '[ usr=[ bin=[ cc="compiler", as="assembler" ] ] ]' './build_root(< "compiler", "assembler" >)'
environment 'the later one counts' '[ usr=[ bin=[ cc="another" ] ] ]' './build_root(< "compiler", "other" >)'
environment 'one takes files of another' '[ lib=[ cc="compiler" ] ]' './build_root(< "library" >)'
environment 'a root for later' '[ usr=[ bin=[ cc="another" ] ] ]' '{ later = ./delayed_build_root(< "other" >); value later(); }'
environment 'what is required, in circles' '< "compiler", "library", "assembler" >' './required(< "compiler" >)'
environment 'what is required, from elsewhere' '< "other", "library", "compiler", "assembler" >' './required(< "other", "library" >)'
environment 'variables, one from those before' '[ PATH="/usr/bin:/bin:/opt/bin", LC_ALL="C", CC="cc" ]' './build_envVars(< "compiler", "assembler", "library" >)'
environment 'a name of the environment can be another in a scope' '< [ usr=[ bin=[ cc="another" ] ] ], "compiler" >' \
  '< { . ++= [ components/compiler/root = ./components/other/root ]; value ./build_root(< "compiler" >); }, ./build_root(< "compiler" >)/usr/bin/cc >'
fails 'an unknown component' "*_assert: there is no component 'none' in ./components*" <<<'from /vestal import std_env; { . = std_env(); return ./build_root(< "none" >); }'
fails 'what requires one' "*_assert: there is no component 'none' in ./components*" <<V
from /vestal import std_env;
{ . = std_env([ components = [ some = [ requires = < "none" > ] ] ]); return ./required(< "some" >); }
V
evaluates 'what is there already stays' '< [ A="1" ], "other" >' <<<'from /vestal import std_env; { . = std_env([ envVars = [ A = "1" ], target_platform = "other" ]); return < ./envVars, ./target_platform >; }'

# ---- commands of the bridges ----
# A compiler that is a script, and tells what it is asked to do.
if trees_can_be_entered; then
  vestal import -o os -- sh -c 'ls -R /tmp >/dev/null; cat /dev/null; rm -f none' 2>import.text || cat import.text
  printf '#!/usr/bin/sh\necho "$0 $*" >&2\nwhile [ "$1" != -o ]; do shift; done\necho made >"$2"\n' >os/usr/bin/compiler
  printf '#!/usr/bin/sh\necho "$0 $*" >&2; for last; do case $last in /.made/*) echo made >"$last";; esac; done\n' >os/usr/bin/ar
  chmod 755 os/usr/bin/compiler os/usr/bin/ar
  bridge() { # WHAT EXPECTED EXPRESSION: what the tools are asked to do
    cat >it.ves <<V
files os;
from /vestal import std_env;
{
  . = std_env([ root = os ]);
  . ++= [ C/options/compiler = "compiler" ];
  return $3;
}
V
    run vestal build --result --cache none it
    result "$1" 0 '*' '*'
    is "$1" "$2" "$(sed 's,^/usr/bin/,,; s,^/bin/,,' err.text)"
  }
  tree='[ a.c = "", b.c = "", c.h = "", src/a.c = "" ]'
  bridge 'compile' 'compiler -O2 -c a.c -o /.made/a.o' "./C/compile(\"a.c\", $tree)"
  bridge 'a source in a directory' 'compiler -O2 -c src/a.c -o /.made/src-a.o' "./C/compile(\"src/a.c\", $tree)"
  bridge 'directories of headers' 'compiler -O2 -I/.headers/one -I/.headers/two -c a.c -o /.made/a.o' "./C/compile(\"a.c\", $tree, [ one = [], two = [ c.h = \"\" ] ])"
  bridge 'switches of a scope' $'compiler -O0 -g -c a.c -o /.made/a.o\ncompiler -O2 -c a.c -o /.made/a.o' \
    "< { . ++= [ C/switches/compile = [ optimization = < \"-O0\" >, debug = \"-g\" ] ]; value ./C/compile(\"a.c\", $tree); }, ./C/compile(\"a.c\", $tree) >"
  bridge 'archive' 'ar rcsD /.made/liba.a a.o b.o' './C/archive("liba.a", [ a.o = "", b.o = "" ])'
  bridge 'shared library' 'compiler -shared -Wl,-soname,liba.so -o /.made/liba.so a.o b.so' './C/shared_library("liba.so", [ a.o = "" ], [ b.so = "" ])'
  bridge 'link' 'compiler -s -o /.made/p a.o libb.a -lm' \
    '{ . ++= [ C/switches/libraries/system = < "-lm" > ]; . ++= [ C/switches/link/other = "-s" ]; value ./C/link("p", [ a.o = "" ], [ libb.a = "" ]); }'
  bridge 'a root of its own' 'compiler -O2 -c a.c -o /.made/a.o' "{ . ++= [ C/options/root = ./root ]; . += [ root = [] ]; value ./C/compile(\"a.c\", $tree); }"
  bridge 'a root for later' 'compiler -O2 -c a.c -o /.made/a.o' "{ all = ./root; later() { return all; }; . ++= [ C/options/root = later ]; . += [ root = [] ]; value ./C/compile(\"a.c\", $tree); }"
  bridge 'sources, a program, a library' $'compiler -O2 -c a.c -o /.made/a.o\ncompiler -o /.made/p a.o\ncompiler -O2 -c b.c -o /.made/b.o\nar rcsD /.made/l.a b.o' \
    "< ./C/sources($tree), ./C/program(\"p\", < \"a.c\" >, $tree)!p, ./C/library(\"l.a\", < \"b.c\" >, $tree)!l.a >"
  is 'their values' '< < "a.c", "b.c" >, TRUE, TRUE >' "$out"
  fails 'two objects of one name' '*_append*a.o*' <<'V'
files os;
from /vestal import std_env;
{ . = std_env([ root = os ]);  . ++= [ C/options/compiler = "compiler" ];  return ./C/objects(< "a.c", "a.cc" >, [ a.c = "", a.cc = "" ]); }
V
  cat >shell.ves <<'V'
files os;
from /vestal import std_env;
{
  . = std_env([ root = os ]);
  work = [ a = "1\n", b = "2\n" ];
  made = ./shell/run("cat a b >c; rm a; echo \"$1\" >>b", work, < "word" >);
  return < made/a, made/b + "", made/c + "", ./shell/output("cat - b", work, <>, "in ") + "", ./shell/run(":") >;
}
V
  run vestal build --result shell
  result 'a shell' 0 '*' ''
  is 'what it makes' '< FALSE, "2\nword\n", "1\n2\n", "in 2\n", [  ] >' "$out"
fi
finish
