#!/bin/bash
# _run_tool: tools run in the tree that ./root is, and run again only if something that they needed is another.
. "$SOURCE/tests/end_to_end/cli.sh"
trees_can_be_entered || { echo 'not possible here: overlayfs and /proc in namespaces of a user'; exit 77; }
PATH=$(dirname "$VESTAL"):/usr/bin:/bin

# ---- a root with a compiler and some tools, found by import ----
printf '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n' >hello.c
cat >all.sh <<'S'
gcc -O2 -c hello.c -o hello.o && gcc hello.o -o hello && cat hello.c >/dev/null
mkdir d; echo x >d/f; cp d/f d/g; mv d/g d/h; ln -s f d/l; rm -r d; ls >/dev/null; sort hello.c >/dev/null; env >/dev/null; test -e none; kill -0 $$; chmod 755 hello; touch x
S
mkdir project
vestal import -o project/os -- sh all.sh 2>import.text || { cat import.text; exit 1; }
rm -rf "project/os$(pwd -P)"
mkdir project/src && cp hello.c project/src/
# tools: what --trace tells of the last build. Calls are evaluated, so that tools are asked for.
tools() { grep -E '^vestal: (hit|miss|run) ' err.text | sed -E 's/^vestal: (hit|miss|run) +([^ ]*).*/\1 \2/' | tr '\n' ' '; }
build() { run vestal build --trace --cache runtool --result "$@"; }

cat >project/build.ves <<'V'
files os; src;
{
  . = [ root = os ++ [ tmp = [] ], envVars = [ PATH = "/usr/bin:/bin", LC_ALL = "C" ] ];
  compile(source) {
    . ++= [ root/.WD/"hello.c" = source ];
    return _run_tool("linux", < "gcc", "-O2", "-c", "hello.c", "-o", "hello.o" >)/root/.WD/hello.o;
  };
  link(objects) {
    . ++= [ root/.WD = objects ];
    return _run_tool("linux", < "gcc", "hello.o", "-o", "hello" >)/root/.WD/hello;
  };
  program = link([ hello.o = compile(src/hello.c) ]);
  . ++= [ root/.WD/hello = program ];
  said = _run_tool("linux", < "./hello" >, "", "value");
  return [ said = said/stdout + "", code = said/code, written = said/stdout_written, changed = said/root, program ];
}
V
build project
result 'compiled, linked and run' 0 '\[ said="hello\\n", code=0, written=TRUE, changed=\[  \], program=<file *> \]' '*'
is 'for the first time' 'miss gcc miss gcc miss ./hello ' "$(tools)"
build project
is 'nothing changed' 'hit gcc hit gcc hit ./hello ' "$(tools)"
first=$out
run vestal build project --shipto made --shipfrom program
is 'what was made can be executed' hello "$(./made)"
echo '// a comment' >>project/src/hello.c
build project
is 'a comment: compiled, and no more, for the object is the same' 'miss gcc hit gcc hit ./hello ' "$(tools)"
is 'a comment: the result' "$first" "$out"
echo >project/os/usr/other
mkdir -p project/os/usr/include/sub && echo >project/os/usr/include/sub/other.h
build project
is 'files that nobody looks at' 'hit gcc hit gcc hit ./hello ' "$(tools)"
mkdir -p project/os/usr/local/include && printf 'int puts(const char*);\n' >project/os/usr/local/include/stdio.h
build project
is 'a header that is found earlier' 'miss gcc hit gcc hit ./hello ' "$(tools)"
rm project/os/usr/local/include/stdio.h
build project
is 'and gone again' 'hit gcc hit gcc hit ./hello ' "$(tools)"
sed -i 's/LC_ALL = "C"/LC_ALL = "C", UNRELATED = "1"/' project/build.ves
build project
is 'a variable that nobody asks for' 'hit gcc hit gcc hit ./hello ' "$(tools)"
sed -i 's/UNRELATED = "1"/C_INCLUDE_PATH = "\/x"/' project/build.ves
build project
is 'a variable that the compiler asks for' 'miss gcc hit gcc hit ./hello ' "$(tools)"
sed -i 's/hello"/changed"/' project/src/hello.c
build project
like 'another text' '*said="changed\\n"*' "$out"
is 'another text: all run' 'miss gcc miss gcc miss ./hello ' "$(tools)"
run vestal build --trace --cache none --result project
is 'without a cache' 'run gcc run gcc run ./hello ' "$(tools)"
for ((n = 0; n < 10; ++n)); do
  sed -i "s/puts(\".*\")/puts(\"version $n\")/" project/src/hello.c
  build project
done
sed -i 's/puts(".*")/puts("version 3")/' project/src/hello.c
build project
is 'an earlier version' 'hit gcc hit gcc hit ./hello ' "$(tools)"
# While it is evaluated somebody changes the directory: what was there at the beginning counts.
sed -i 's/puts(".*")/puts("before")/' project/src/hello.c
(for n in {1..100}; do grep -q 'gcc -O2' trace.text 2>/dev/null && sed -i 's/"before"/"after"/' project/src/hello.c && break; sleep 0.02; done) &
vestal build --trace --cache runtool --result project >out.text 2>trace.text
wait $!
like 'edited while it is built' '*said="before\\n"*' "$(cat out.text)"

# ---- one tool: one MODEL-EXPRESSION VALUE: of a root with these files in it ----
mkdir one && cp -a project/os one/os
one() { # WHAT EXPECTED STATEMENTS EXPRESSION [MODIFIED ROOT]
  cat >one/build.ves <<V
files os;
{
  . = [ root = os ++ [ tmp = [], .WD = [ input = "input\n", keep = "kept\n", d = [ f = "1", g = "2" ], link = < "input" > ] ],
        envVars = [ PATH = "/usr/bin:/bin" ] ];
  sh(script) { return _run_tool("linux", < "sh", "-c", script >, "", "value", "value", "report", "report"); };
  $3
  return $4;
}
V
  run vestal build --result one
  is "$1" "$2" "$out"
  [ "$status" = 0 ] || { is "$1: status" 0 "$status"; cat err.text; }
  local before=$out
  run vestal build --trace --cache runtool --result one
  is "$1, again" "$before" "$out"
  [ "${again-}" = no ] || case $(tools) in *miss*) is "$1, again" 'hits only' "$(tools)" ;; esac
}
one 'what a tool makes' '[ .WD=[ a=[ b="x\n" ], e=[  ], l=< "input" > ] ]' 'r = sh("mkdir a e; echo x > a/b; ln -s input l");' '[ .WD = [ a = [ b = r/root/.WD/a/b + "" ], e = r/root/.WD/e, l = r/root/.WD/l ] ]'
one 'what a tool changes and removes' '[ .WD=[ d=[ f=FALSE ], keep=FALSE ] ]' 'r = sh("rm keep d/f");' 'r/root'
one 'a directory that is removed' '[ .WD=[ d=FALSE ] ]' 'r = sh("rm -r d");' 'r/root'
one 'changes are applied by ++' '< "input", "d", "link", "new" >' 'r = sh("rm keep; echo > new"); new = ./root ++ r/root; names = <>; foreach [ n = v ] in new/.WD do names += if v == FALSE then <> else < n >;' 'names'
one 'a file that is there may not be written to' '< 2, FALSE >' 'r = sh("echo other > input");' '< r/code, _defined(r/root, ".WD") >'
one 'or may, if that is wanted' '< 0, "other\n" >' 'r = _run_tool("linux", < "sh", "-c", "echo other > input" >, "", "value", "value", "report", "report", -1, ".WD", TRUE);' '< r/code, r/root/.WD/input + "" >'
one 'it may be replaced all the same' '< 0, "1" >' 'r = sh("mv d/f input");' '< r/code, r/root/.WD/input + "" >'
one 'standard input' '"typed\n"' 'r = _run_tool("linux", < "cat" >, "typed\n", "value");' 'r/stdout + ""'
again=no one 'long input of which little is read' '"xx"' 'long = "x"; foreach i in < 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18 > do long += long; r = _run_tool("linux", < "sh", "-c", "read a; echo xx" >, long, "value");' '_sub(r/stdout, 0, 2)'
one 'standard error' '< "", "words\n", FALSE, TRUE >' 'r = sh("echo words >&2");' '< r/stdout + "", r/stderr + "", r/stdout_written, r/stderr_written >'
one 'a status' '< 3, 0, FALSE >' 'r = sh("exit 3");' '< r/code, r/signal, r/dumped_core >'
again=no one 'a signal' '< 0, 15 >' 'r = sh("kill -TERM $$");' '< r/code, r/signal >'
one 'the environment is what ./envVars is' '"PATH=/usr/bin:/bin\nA=1\n"' '. ++= [ envVars/A = "1" ]; r = _run_tool("linux", < "env" >, "", "value");' 'r/stdout + ""'
one 'another working directory' '"f\ng\n"' 'r = _run_tool("linux", < "ls" >, "", "value", "report", "report_nocache", "report_nocache", -1, ".WD/d");' 'r/stdout + ""'
one 'symbolic links lead where they should' '< "input\n", "input" >' 'r = _run_tool("linux", < "cat", "link" >, "", "value");' '< r/stdout + "", _head(./root/.WD/link) >'
one 'an executable file' '"ran\n"' 'r = sh("printf \"#!/bin/sh\\necho ran\\n\" > s; chmod 755 s"); . ++= [ root = r/root ]; q = _run_tool("linux", < "./s" >, "", "value");' 'q/stdout + ""'
one 'an eleventh argument is its environment' '"2\n"' 'r = _run_tool("linux", < "sh", "-c", "echo $A" >, "", "value", "report", "report_nocache", "report_nocache", -1, ".WD", FALSE, . ++ [ envVars/A = "2" ]);' 'r/stdout + ""'

# ---- the same tool in one root and then in another: what comes out is what comes out without a cache ----
two() { # WHAT COMMAND ROOT-1 ROOT-2 [ENVIRONMENT-1 ENVIRONMENT-2]
  local path='[ PATH = "/p1:/p2:/usr/bin:/bin" ]'
  cat >one/build.ves <<V
files os; f;
{
  one(more, variables) {
    . = [ root = (os ++ [ tmp = [], .WD = [] ]) ++ more, envVars = variables ];
    r = _run_tool("linux", < $2 >, "", "value", "value", "report", "report", -1, ".WD", TRUE);
    visible(b) { c = []; foreach [ n = v ] in b do c += [ \$n = if _is_text(v) then v + "" else v ]; return c; };
    wd = (./root ++ r/root)/.WD;
    return < r/code, r/stdout + "", r/stderr + "", if _is_binding(wd) then visible(wd) else wd, r/root >;
  };
  return < one($3, ${5-$path}), one($4, ${6-${5-$path}}) >;
}
V
  run vestal build --cache none --result one
  local plain=$out
  run vestal build --cache runtool --result one
  is "$1" "$plain" "$out"
  [ "$status" = 0 ] || { is "$1: status" 0 "$status"; cat err.text; }
}
mkdir -p one/f && for n in one two; do printf '#!/bin/sh\necho %s\n' $n >one/f/$n; chmod 755 one/f/$n; done
two 'an output that was there with other contents' '"sh", "-c", "echo new > t; mv t out"' '[ .WD = [ out = "new\n" ] ]' '[ .WD = [ out = "old\n" ] ]'
two 'an output that was there and is written to' '"sh", "-c", "echo new > out"' '[ .WD = [ out = "new\n" ] ]' '[ .WD = [ out = "old\n" ] ]'
two 'an output that was not there' '"sh", "-c", "echo new > out"' '[ .WD = [ out = "new\n" ] ]' '[]'
two 'an output that is a directory now' '"sh", "-c", "echo x > a"' '[ .WD = [ a = "1" ] ]' '[ .WD = [ a = [] ] ]'
two 'a directory that something is moved to' '"mv", "x", "d"' '[ .WD = [ x = "2", d = "1" ] ]' '[ .WD = [ x = "2", d = [] ] ]'
two 'an output that is a link now' '"sh", "-c", "echo x > f"' '[ .WD = [ f = "1" ] ]' '[ .WD = [ f = < "g" >, g = "2" ] ]'
two 'a program in the working directory' '"tool"' '[ p1 = [ tool = f/one ] ]' '[ .WD = [ tool = f/two ], p1 = [ tool = f/one ] ]'
two 'a program earlier on PATH' '"tool"' '[ p2 = [ tool = f/one ] ]' '[ p1 = [ tool = f/two ], p2 = [ tool = f/one ] ]'
two 'another PATH' '"tool"' '[ p1 = [ tool = f/one ], p2 = [ tool = f/two ] ]' '[ p1 = [ tool = f/one ], p2 = [ tool = f/two ] ]' '[ PATH = "/p1:/p2:/usr/bin:/bin" ]' '[ PATH = "/p2:/p1:/usr/bin:/bin" ]'
two 'a working directory that is a link' '"cat", "x"' '[ .WD = < "a" >, a = [ x = "1" ], b = [ x = "2" ] ]' '[ .WD = < "b" >, a = [ x = "1" ], b = [ x = "2" ] ]'
two 'what ld.so is told' '"cat", "a"' '[ .WD = [ a = "1" ] ]' '[ .WD = [ a = "1" ] ]' '[ PATH = "/usr/bin" ]' '[ PATH = "/usr/bin", LD_PRELOAD = "/none.so" ]'
two 'a name that is not UTF-8' '"cat", "n\xff"' '[ .WD = [ "n\xff" = "1" ] ]' '[ .WD = [ "n\xff" = "2" ] ]'
two 'a directory called sys' '"ls", "/sys"' '[ sys = [ x = "1" ] ]' '[ sys = [ y = "1" ] ]'
two 'a file on the way' '"cat", "e/d/e"' '[ .WD = [ e = [ d = [] ] ] ]' '[ .WD = [ e = [ d = "1" ] ] ]'
printf 'files os;\n{ . = [ root = os ++ [ .WD = [] ], envVars = [ PATH = "/usr/bin:/bin" ] ];\n  r = _run_tool("linux", < "sh", "-c", "ulimit -n; echo made > f" >, "", "value"); return < r/stdout + "", r/root/.WD/f + "" >; }\n' >one/build.ves
few=$(ulimit -n 99; vestal build --result one)
is 'limits: with few' '< "99\n", "made\n" >' "$few"
run vestal build --result one
[ "$out" != "$few" ] || is 'limits: others' another "$out"
all=$out
# What a result names is gone.
for blob in $(printf 'made\n' | sha256sum | sed 's/^\(..\)\([0-9a-f]*\).*/\1\/\2/'); do rm -f "$VESTAL_DIR/blobs/$blob"; done
run vestal build --trace --cache runtool --result one
is 'contents that are gone' "$all" "$out"
is 'contents that are gone: the tool runs' 'miss sh ' "$(tools)"
(umask 0111; VESTAL_DIR=$PWD/masked vestal build --result one >out.text 2>err.text; cat out.text)  >masked.text
is 'a first build under another umask' "$all" "$(cat masked.text)"
kill "$(broker_pid masked)"

# ---- what cannot be done ----
refused() { # WHAT MESSAGE STATEMENTS
  printf 'files os;\n{\n  . = [ root = os ++ [ .WD = [ input = "x" ] ], envVars = [ PATH = "/usr/bin:/bin" ] ];\n  %s\n  return 1;\n}\n' "$3" >one/build.ves
  run vestal build --result one
  result "$1" 1 '' "*build.ves:4:*: error: _run_tool: $2"
}
refused 'no ./root' 'there is no ./root*' '. = []; r = _run_tool("linux", < "cat" >);'
refused 'a root that is no binding' './root is t_text, not t_binding*' '. = [ root = "x", envVars = [] ]; r = _run_tool("linux", < "cat" >);'
refused 'no ./envVars' 'there is no ./envVars*' '. = . - [ envVars = 1 ]; r = _run_tool("linux", < "cat" >);'
refused 'a variable that is no text' './envVars/A is t_int, not t_text*' '. ++= [ envVars/A = 1 ]; r = _run_tool("linux", < "cat" >);'
refused 'no program' 'command names no program*' 'r = _run_tool("linux", <>);'
refused 'a program that is not there' 'there is no none in the working directory, nor in ./envVars/PATH*' 'r = _run_tool("linux", < "none" >);'
refused 'a path that is not there' './root has no file /bin/none*' 'r = _run_tool("linux", < "/bin/none" >);'
refused 'a word that is no text' 'command has t_int in it*' 'r = _run_tool("linux", < "cat", 1 >);'
refused 'no such treatment' 'stdout_treatment is "loud"*' 'r = _run_tool("linux", < "cat" >, "", "loud");'
refused 'no such working directory' 'wd: ./root/none is no directory*' 'r = _run_tool("linux", < "cat" >, "", "report", "report", "report", "report", -1, "none");'
refused 'what cannot be a file' './root/.WD/x is t_bool, which cannot stand in a file system*' '. ++= [ root/.WD/x = FALSE ]; r = _run_tool("linux", < "cat" >);'
refused 'a name that cannot be a file' './root/.WD/..: no file can have this name*' '. ++= [ root/.WD/".." = "x" ]; r = _run_tool("linux", < "cat" >);'
refused 'a tool that fails' 'cat none ended with status 1*' 'r = _run_tool("linux", < "cat", "none" >);'
like 'and what it said' '*cat: none: No such file*' "$err"
refused 'a tool that is killed' 'sh -c kill -9 $$ was ended by signal 9 (Killed)*' 'r = _run_tool("linux", < "sh", "-c", "kill -9 $$" >);'
printf 'files os;\n{ . = [ root = os ++ [ .WD = [] ], envVars = [ PATH = "/usr/bin:/bin" ] ];\n  r = _run_tool("linux", < "cat", "none" >, "", "ignore", "ignore"); return r/code; }\n' >one/build.ves
build -k one
result 'a tool that fails, going on' 1 1 '*miss*cat none*vestal: build: cat none ended with status 1'
build -k one
like 'and it is not kept' '*miss*cat none*' "$err"

# ---- a build that is killed takes its tool with it ----
printf 'files os;\n{ . = [ root = os ++ [ .WD = [] ], envVars = [ PATH = "/usr/bin:/bin" ] ];\n  r = _run_tool("linux", < "sh", "-c", "while :; do :; done; exit 271828" >); return 1; }\n' >one/build.ves
vestal build one 2>/dev/null & pid=$!
for round in {1..200}; do pgrep -f 'exit 271828' >/dev/null && break; sleep 0.05; done
is 'a tool that does not end' yes "$(pgrep -f 'exit 271828' >/dev/null && echo yes)"
kill -KILL $pid
wait $pid 2>/dev/null
for round in {1..200}; do pgrep -f 'exit 271828' >/dev/null || break; sleep 0.05; done
is 'ends with its build' '' "$(pgrep -f 'exit 271828')"

# ---- what may be another next time is not kept ----
for script in '(while :; do :; done) & echo x > f' 'echo $$ > f'; do
  printf 'files os;\n{ . = [ root = os ++ [ .WD = [ f = "1" ] ], envVars = [ PATH = "/usr/bin:/bin" ] ];\n  r = _run_tool("linux", < "sh", "-c", "%s" >, "", "ignore", "ignore", "report", "report", -1, ".WD", TRUE); return 1; }\n' "$script" >one/build.ves
  build one
  build one
  is "not kept: $script" 'miss sh ' "$(tools)"
done

# ---- what has gone from the cache is made again ----
build project
before=$out
run vestal gc --size 0 --unused 0s
result 'gc' 0 'Removed *forgotten' ''
is 'no result is left' '' "$(find "$VESTAL_DIR/tools" -type f)"
for times in 'miss gcc miss gcc miss ./hello ' 'hit gcc hit gcc hit ./hello '; do
  build project
  is 'after all has gone' "$times" "$(tools)"
  is 'the same after all has gone' "$before" "$out"
done
# Their contents alone.
find "$VESTAL_DIR/tools" -type f -exec touch -a -d 'tomorrow' {} +
find "$VESTAL_DIR/blobs" -type f -exec touch -a -d '3 days ago' {} +
find "$VESTAL_DIR/trees" -mindepth 1 -maxdepth 1 -exec touch -a -d '3 days ago' {} +
run vestal gc --size 0 --unused 1h
build project
is 'results without contents' 'miss gcc miss gcc miss ./hello ' "$(tools)"
is 'the same' "$before" "$out"

# ---- a damaged result is none ----
build project
for file in "$VESTAL_DIR"/tools/*/*; do printf '\377\377\377\377' | dd of="$file" bs=1 seek=$(($(stat -c %s "$file") / 2)) conv=notrunc 2>/dev/null; done
build project
is 'damaged results' 'miss gcc miss gcc miss ./hello ' "$(tools)"
finish
