#!/bin/bash
# ./tool_dep_control: what of ./root is in a tool's primary key, and which of its dependencies are kept coarser.
. "$SOURCE/tests/end_to_end/cli.sh"
trees_can_be_entered || { echo 'not possible here: overlayfs and /proc in namespaces of a user'; exit 77; }
PATH=$(dirname "$VESTAL"):/usr/bin:/bin

vestal import -o os -- sh -c 'cat /dev/null; :' 2>import.text || { cat import.text; exit 1; }
# build CONTROL ROOT: `$script` with d/a read and d/none, n/none, n/m/none looked for in vain, in a root with these changes
build() {
  cat >build.ves <<V
files os;
{
  . = [ root = (os ++ [ d = [ a = "a", b = "b" ], n = [ m = [ x = "x" ] ], tmp = [ t = "t" ], .WD = [] ]) ++ [ $2 ],
        envVars = [ PATH = "/usr/bin:/bin" ] ];
  . ++= [ $1 ];
  r = _run_tool("linux", < "sh", "-c", "$script" >, "", "value");
  return r/stdout + "";
}
V
  run vestal build --trace --fsdeps --cache runtool --result
  outcome=$(sed -n 's/^vestal: \(hit\|miss\) .*/\1/p' err.text)
  # of what is not the system's
  dependencies=$(sed -n 's/^  \([NBT!]\)\/\.\/root\/\(d\|n\|tmp\|\.WD\)\(\/.*\)\?$/\1 \2\3/p' err.text | tr '\n' ',')
}
script='/usr/bin/cat /d/a; for f in /d/none /n/none /n/m/none; do test -e $f; done; :'
build '' ''
is 'without control, as it is' 'T .WD,! .WD/sh,T d,N d/a,! d/none,T n,T n/m,! n/m/none,! n/none,' "$dependencies"
is 'what the tool says' '"a"' "$out"
build '' 'd/b = "other"'
is 'another file in the directory' hit "$outcome"

# ---- pk ----
build 'tool_dep_control/pk/d = TRUE' ''
is 'pk: nothing below is a dependency' 'T .WD,! .WD/sh,T n,T n/m,! n/m/none,! n/none,' "$dependencies"
is 'pk: it has a key of its own' miss "$outcome"
build 'tool_dep_control/pk/d = TRUE' ''
is 'pk: again' hit "$outcome"
build 'tool_dep_control/pk/d = TRUE' 'd/b = "other"'
is 'pk: all of the directory counts' miss "$outcome"
build 'tool_dep_control/pk = [ d/a = 1, n/m/x = FALSE ]' ''
is 'pk: a number is as good, FALSE is no leaf, a file is enough' 'T .WD,! .WD/sh,T d,! d/none,T n,T n/m,! n/m/none,! n/none,' "$dependencies"
build 'tool_dep_control/pk = [ d/a = 1, n/m/x = FALSE ]' 'd/b = "other"'
is 'pk: of a file another one does not count' hit "$outcome"
build 'tool_dep_control/pk = [ d/a = 1, n/m/x = FALSE ]' 'd/a = "other"'
is 'pk: of a file it counts' 'miss "other"' "$outcome $out"
build 'tool_dep_control/pk = [ d = [ a/x = TRUE, z = TRUE ] ]' ''
result 'pk: what is not there is warned of' 0 '*"a"' '*build.ves:6:7: warning: ./tool_dep_control/pk/d/a/x means nothing, for there is no ./root/d/a/x
*warning: ./tool_dep_control/pk/d/z means nothing, for there is no ./root/d/z*'
is 'pk: and means nothing' hit "$outcome"
run vestal build
like 'a call that has been warned of is evaluated again' '*pk/d/z means nothing*' "$err"
run vestal build
like 'and again' '*pk/d/z means nothing*' "$err"

# ---- coarse ----
script='/usr/bin/cat /d/a; for f in /d/none /tmp/none; do test -e $f; done; :'
build '' ''
is 'coarse: without control tmp is' 'T .WD,! .WD/sh,T d,N d/a,! d/none,N tmp,' "$dependencies"
build '' 'tmp/new = "n"'
is 'coarse: whatever is new there' miss "$outcome"
build 'tool_dep_control = []' ''
is 'coarse: what was found with another control is found' hit "$outcome"
script+=' x'
build 'tool_dep_control = []' ''
is 'coarse: with an empty control nothing is' 'T .WD,! .WD/sh,T d,N d/a,! d/none,T tmp,! tmp/none,' "$dependencies"
script+=' x'
build 'tool_dep_control/coarse/d = TRUE' ''
is 'coarse: one of the directory, nothing in it' 'T .WD,! .WD/sh,N d,T tmp,! tmp/none,' "$dependencies"
build 'tool_dep_control/coarse/d = TRUE' 'd/b = "other"'
is 'coarse: all of the directory counts' miss "$outcome"
script+=' x'
build 'tool_dep_control/coarse = [ d/a = TRUE, nowhere = TRUE ]' ''
is 'coarse: of what is no directory nothing changes' 'T .WD,! .WD/sh,T d,N d/a,! d/none,T tmp,! tmp/none,' "$dependencies"

# ---- coarse_names ----
script='/usr/bin/cat /d/a; for f in /d/none /n/none /n/m/none /n/m/k/none; do test -e $f; done; :'
build 'tool_dep_control/coarse_names/n = TRUE' ''
is 'coarse_names: the names of the directory, and of those below' 'T .WD,! .WD/sh,T d,N d/a,! d/none,B n,T n,B n/m,T n/m,' "$dependencies"
build 'tool_dep_control/coarse_names/n = TRUE' 'n/m = [ x = "other" ]'
is 'coarse_names: the same names' hit "$outcome"
build 'tool_dep_control/coarse_names/n = TRUE' 'n/m = [ x = "x", y = "y" ]'
is 'coarse_names: another name' miss "$outcome"
script+=' x'
build 'tool_dep_control/coarse_names = 1' ''
is 'coarse_names: everywhere' 'B .WD,T .WD,B d,T d,N d/a,B n,T n,B n/m,T n/m,' "$dependencies"

# ---- mistakes ----
build 'tool_dep_control = [ cpk = [ d = TRUE ] ]' ''
result 'a name that means nothing' 0 '"a"' '*warning: ./tool_dep_control/cpk means nothing; there are pk, coarse and coarse_names*'
build 'tool_dep_control = TRUE' ''
result 'no binding' 1 '' '*error: _run_tool: ./tool_dep_control is t_bool, not t_binding*'
build 'tool_dep_control/coarse/d/a = "yes"' ''
result 'no leaf' 1 '' '*error: _run_tool: ./tool_dep_control/coarse/d/a is t_text, not t_bool, t_int or t_binding*'
cat >many.ves <<'V'
files os;
{
  . = [ root = os ++ [ .WD = [] ], envVars = [ PATH = "/usr/bin:/bin" ], tool_dep_control = [ cpk = [] ] ];
  f(x) { return _run_tool("linux", < "sh", "-c", ": " + x >)/code; };
  return _par_map(f, < "1", "2", "3" >);
}
V
run vestal build many
is 'a warning of one place is told once' 1 "$(grep -c 'means nothing' err.text)"
finish
