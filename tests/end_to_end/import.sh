#!/bin/bash
# vestal import: a root of what a command needs, in which it does the same.
. "$SOURCE/tests/end_to_end/cli.sh"

# inside ROOT COMMAND...: there, with the working directory of the same name, as who can do everything in it
cat >inside.pl <<'P'
use strict;
my $root = shift;
my $here = shift;
chroot $root or die "chroot: $!";
chdir $here or die "chdir: $!";
exec @ARGV or die "$ARGV[0]: $!";
P
if [ "$(id -u)" = 0 ]; then may=; else may='unshare -Ur'; fi
$may true 2>/dev/null || { echo 'not possible here: unshare -Ur'; exit 77; }
inside() { $may perl inside.pl "$1" "$PWD" "${@:2}"; }
perl=$(PATH=/usr/bin:/bin command -v perl)

# alike WHAT OUTPUT COMMAND...: plain, imported, and in the root, with nothing there that it has made
alike() {
  local what=$1 made=$2 plain
  shift 2
  rm -rf root root.json "$made"
  plain=$("$@" 2>&1; echo "status $?")
  [ -e "$made" ] && mv "$made" made.plain
  run "$VESTAL" import -o root -- "$@"
  is "$what, imported" "$plain" "$(cat out.text; grep -v '^vestal: import: ' err.text; echo "status $status")"
  like "$what, what is told" '*vestal: import: * file* in *root' "$err"
  is "$what, in its root" "$plain" "$(inside root "$@" 2>&1; echo "status $?")"
  [ ! -e made.plain ] || cmp made.plain "root/$PWD/$made" || is "$what: what it makes" same other
  rm -rf made.plain
}
printf '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n' >hello.c
alike 'gcc' hello gcc -O2 hello.c -o hello
is 'what was made runs' hello "$("root/$PWD/hello")"
files=$(find root -type f | wc -l)
# Another input of the same kind, by the same root.
sed 's/hello/other/; s/stdio.h/stdlib.h/; s/puts.*;/return 0;/' hello.c >other.c
cp hello.c "root/$PWD/second.c"
inside root gcc -c -O0 second.c || is 'a second input' compiled not
[ "$files" -lt 100 ] || is 'how many files there are' 'less than 100' "$files"
python3 - <<'P' || faults=1
import json
manifest = json.load(open("root.json"))
assert any(entry["path"].endswith("/stdio.h") for entry in manifest["entries"])
assert "PATH" in manifest["variables"] and not manifest["changed"] and not manifest["gone"], (manifest["changed"], manifest["gone"])
assert any(path.endswith("/hello") for path in manifest["absent"])
P
printf '%s\n' 'use strict; use List::Util qw(sum); use POSIX; print sum(1, 2, 3), floor(2.5), "\n";' >sum.pl
alike 'perl' none "$perl" sum.pl
printf 'import json, re\nprint(json.dumps({"a": re.sub("x", "y", "x")}))\n' >text.py
alike 'python' none /usr/bin/python3 -S text.py
printf '%%%%\nx: "a" ;\n' >grammar.y
alike 'bison' parser.c bison grammar.y -o parser.c
alike 'the root, which is not there yet' none sh -c 'test -e root; echo $?'
ln -s hello.c link.c
alike 'a shell and symbolic links' sorted sh -c 'sort link.c > sorted; readlink link.c; test -e none; echo $?'
! command -v busybox >/dev/null || alike 'a static program' none busybox wc -l hello.c
! command -v go >/dev/null || alike 'a program of Go that ld.so loads' none env HOME="$PWD" go version
alike 'a command that fails' none sh -c 'cat none; exit 3'

# Once more, in the root alone.
verified() { # WHAT STATUS OUT ERR COMMAND...
  local what=$1 wanted=$2 out_pattern=$3 err_pattern=$4
  shift 4
  rm -rf root root.json
  run "$VESTAL" import --verify --env LC_ALL -o root -- "$@" </dev/null
  result "$what, verified" "$wanted" "$out_pattern" "$err_pattern"
}
same='*vestal: import: verify: in the root alone the command did the same'
rm -f hello
if trees_can_be_entered; then
verified 'gcc' 0 '' "$same" gcc -O2 hello.c -o hello
verified 'what there was already is made again' 0 '' "$same" gcc -O1 hello.c -o hello
python3 - <<'P' || faults=1
import hashlib, json
manifest = json.load(open("root.json"))
by = {entry["path"]: entry["by"] for entry in manifest["entries"]}
stdio = next(path for path in by if path.endswith("/stdio.h"))
assert "cc1" in by[stdio], by[stdio]
assert "gcc" in by[next(path for path in by if path.endswith("/cc1"))]
assert manifest["values"] == {"LC_ALL": "C"}, manifest["values"]
entry = next(entry for entry in manifest["entries"] if entry["path"] == stdio)
assert entry["sha256"] == hashlib.sha256(open(stdio, "rb").read()).hexdigest()
P
verified 'both streams and a status' 3 out "err*$same" sh -c 'echo out; echo err >&2; exit 3'
verified 'a signal' 143 '' "$same" sh -c 'kill -TERM $$'
mkdir listed && touch listed/one listed/two
cp hello.c input
rm -rf root root.json; run "$VESTAL" import --verify -o root -- cat <input
result 'input from a file, verified' 0 "$(cat input)" "$same"
(umask 077; rm -rf root root.json; "$VESTAL" import --verify -o root -- sh -c 'echo 1 >own' </dev/null 2>umask.text) || is 'another umask, verified' 0 "$(cat umask.text)"
verified 'directories on the way to nothing' 0 yes "$same" sh -c 'test -e listed/none; test -d listed && echo yes'
verified 'names that were listed' 0 'one two' '*2 paths were missing at first, and added*'"$same" sh -c 'cd listed; echo *'
verified 'something that is not the same' 125 '*' '*verify: standard output differs from line 1 on*verify: in the root alone the command did something else' date +%N
verified 'another file' 125 '' '*verify: *stamp: other contents*' sh -c 'date +%N >stamp'
fi
run sh -c 'echo | "$VESTAL" import --verify -o root5 -- touch ran'
result 'input that cannot be repeated' 2 '' 'vestal: import: --verify: standard input cannot be read a second time*'

# In one piece.
rm -rf root root.json hello
run "$VESTAL" import --tar root.tar --oci image --env LC_ALL -- gcc -O2 hello.c -o hello
is 'tar and image' 0 "$status"
like 'where it is' '*vestal: import: * files, *in *root.tar' "$err"
is 'nothing besides' '' "$(ls -d ./*.XXXXXX ./root.tar.* ./image.* 2>/dev/null)"
mkdir unpacked && tar xf root.tar -C unpacked
rm -f hello
is 'the archive is a root' hello "$(inside unpacked gcc -O2 hello.c -o hello && "unpacked$PWD/hello")"
"$VESTAL" import --tar again.tar -- gcc -O2 hello.c -o hello 2>/dev/null
cmp root.tar again.tar || is 'the same archive' same other
umoci unpack --rootless --image image:latest bundle >umoci.text 2>&1 || is 'umoci unpacks the image' well "$(cat umoci.text)"
is 'the image is a root' hello "$(inside bundle/rootfs gcc -O2 hello.c -o hello && "bundle/rootfs$PWD/hello")"
umoci stat --image image:latest >umoci.text 2>&1 || is 'umoci reads the image' well "$(cat umoci.text)"
python3 - <<'P' || faults=1
import hashlib, json, os
read = lambda digest: open("image/blobs/sha256/" + digest.split(":")[1], "rb").read()
manifest = json.loads(read(json.load(open("image/index.json"))["manifests"][0]["digest"]))
config = json.loads(read(manifest["config"]["digest"]))["config"]
assert config["Env"] == ["LC_ALL=C"] and config["Cmd"] == ["gcc", "-O2", "hello.c", "-o", "hello"], config
assert config["WorkingDir"] == os.path.realpath("."), config
for name in os.listdir("image/blobs/sha256"):
    assert hashlib.sha256(open("image/blobs/sha256/" + name, "rb").read()).hexdigest() == name
P
run "$VESTAL" import --oci image -- touch ran
result 'an image where there is one' 125 '' 'vestal: import: *image: is there, and no empty directory'

# Packages.
if command -v dpkg-query >/dev/null; then
  run "$VESTAL" import -o packaged -- "$perl" sum.pl
  like 'what comes from which package' '*vestal: import: *files* of perl-base*' "$err"
  is 'each file' "$(dpkg-query -S "$(readlink -f "$(command -v sort)")" 2>/dev/null | cut -d: -f1)" "$(
    "$VESTAL" import -o sorted.root -- sort hello.c >/dev/null 2>&1
    python3 -c 'import json; print([entry["package"] for entry in json.load(open("sorted.root.json"))["entries"] if entry["path"].endswith("/bin/sort")][0])')"
fi

# Something that goes on.
run "$VESTAL" import -o behind -- sh -c 'sleep 2 & sort hello.c >/dev/null'
is 'a command that leaves something behind' 0 "$status"
[ -e "behind/$(readlink -f "$(command -v sort)")" ] || is 'what has ended is there' sort "$(find behind -type f)"
like 'what goes on is told' '*has not ended with the command*' "$err"

if trees_can_be_entered; then
  # What it leaves behind has its output, and keeps nobody waiting.
  run timeout 60 "$VESTAL" import --verify -o kept -- sh -c 'sleep 240 & echo begun' </dev/null
  result 'something that never ends, verified' 0 begun '*has not ended with the command*'"$same"
  for process in /proc/[0-9]*; do
    [ "$(readlink "$process/cwd")" = "$(pwd -P)" ] && [ "$(tr '\0' ' ' <"$process/cmdline")" = 'sleep 240 ' ] && kill "${process#/proc/}"
  done 2>/dev/null
fi

# Several runs for one root.
rm -f hello sorted
run "$VESTAL" import --session both -o together -- gcc -O2 hello.c -o hello
is 'the first of a session' 0 "$status"
run "$VESTAL" import --session both -o together -- "$perl" sum.pl
is 'the second' 0 "$status"
is 'the root is for the second' 62 "$(inside together "$perl" sum.pl)"
is 'and for the first' hello "$(inside together gcc -O2 hello.c -o hello && "together$PWD/hello")"
run "$VESTAL" import --session other -o together -- touch ran
result 'the root of another session' 125 '' 'vestal: import: *together: is there, and no empty directory'
run "$VESTAL" import --session a/b -o other -- touch ran
result 'no name' 125 '' 'vestal: import: --session a/b: *'

# Said and refused.
mkdir full && touch full/precious
run "$VESTAL" import -o full -- touch ran
result 'a root that is not empty' 125 '' 'vestal: import: *full: is there, and no empty directory'
run "$VESTAL" import -- touch ran
result 'no root' 2 '' 'vestal: import: -o DIR *'
run "$VESTAL" import -o none/root touch ran
result 'a root where there is no directory' 125 '' 'vestal: import: *none: nothing can be made there: *'
run "$VESTAL" import -o root2
result 'no command' 2 '' 'vestal: import: no command*'
run "$VESTAL" import -x root2 touch ran
result 'another option' 2 '' "vestal: unknown option '-x'*"
[ ! -e ran ] || is 'nothing has run' '' ran
run "$VESTAL" import -o root3 sh -c 'date >/dev/null; echo 2 >>hello.c'
like 'what no root can hold' '*hello.c: changed by the command*reads the clock, which no root can hold: date*' "$err"
rm -rf root3
run "$VESTAL" import -o root3 sh -c 'kill -TERM $$'
is 'a command that dies of a signal' 143 "$status"
run env VESTAL_DIR="$PWD/a b" "$VESTAL" import -o root4 touch ran
result 'not run where nobody would see it' 125 '' 'vestal: not run, for nobody would see what it needs: *'
[ ! -e ran ] || is 'nothing has run unseen' '' ran
# ---- as a model ----
if trees_can_be_entered; then
  printf '#include <stdio.h>\nint main(void) { puts("from a model"); return 0; }\n' >model.c
  rm -f model
  run "$VESTAL" import --sdl --env PATH -o imported -- gcc -O2 model.c -o model
  like 'a model: told' "*vestal: import: model: $PWD/imported.ves, with *" "$err"
  # Each file of the root stands in one component, or in what is of none.
  contents() { find "$@" -type f -printf '%P ' -exec md5sum {} \; | sed 's/  .*//' | sort; }
  is 'a model: its parts are the root' "$(contents imported)" "$(contents imported.sdl/root imported.sdl/components/*/root)"
  is 'a model: links as well' "$(find imported -type l -printf '%P %l\n' | sort)" "$(find imported.sdl -type l -printf '%P %l\n' | sed 's,^root/,,; s,^components/[^/]*/root/,,' | sort)"
  [ -f "imported.sdl/root$PWD/model.c" ] || is 'a model: a file of no package' there none
  if command -v dpkg-query >/dev/null && package=$(dpkg-query -S "$(readlink -f "$(command -v gcc)")" 2>/dev/null); then
    package=${package%%:*}
    like 'a model: a component' "*name = \"$package\",*version = \"$(dpkg-query -W -f '${Version}' "$package")\",*" "$(cat "imported.sdl/components/$package/build.ves")"
    [ -f "imported.sdl/components/$package/root$(readlink -f "$(command -v gcc)")" ] || is 'a model: a file of a package' there none
  fi
  run "$VESTAL" build --trace imported --shipto built --shipfrom "root$PWD/model"
  is 'a model: built' 0 "$status"
  is 'a model: what it makes' 'from a model' "$(./built)"
  cmp model built || is 'a model: the same bytes' yes no
  run "$VESTAL" build --trace --cache runtool --result imported.ves
  like 'a model: again' '*vestal: hit *gcc -O2 model.c -o model*' "$err"
  odd=$'a"b\\c\td'
  run "$VESTAL" import --sdl -o odd -- sh -c 'printf "%s" "$1" >made' sh "$odd"
  "$VESTAL" build odd.ves --shipto odd.made --shipfrom "root$PWD/made" && is 'a model: odd words' "$odd" "$(cat odd.made)"
  # A program that the command makes and runs is none of its root.
  run "$VESTAL" import --sdl --env PATH -o makes -- sh -c 'printf "#!/bin/sh\necho ran\n" >prog; chmod +x prog; ./prog'
  [ ! -e "makes$PWD/prog" ] || is 'a program of its own' none "makes$PWD/prog"
  run "$VESTAL" build makes --shipto prog.made --shipfrom "root$PWD/prog"
  is 'a model: a program that it makes' ran "$(./prog.made)"
  rm -rf makes makes.json
  run "$VESTAL" import --sdl -o makes -- touch ran
  result 'a model whose components would be in the way' 125 '' "vestal: import: $PWD/makes.sdl: is there, and not empty"
  [ ! -e ran ] || is 'nothing has run for a model' '' ran
  run "$VESTAL" import --session models --sdl -o several -- sort model.c
  run "$VESTAL" import --session models --sdl -o several -- wc -l model.c
  like 'a model of a session' '*model: */several.ves, with *' "$err"
  run "$VESTAL" build several
  result 'is of its last command' 0 '2 model.c' ''
  run "$VESTAL" import --sdl --tar x.tar -- true
  result 'a model without a directory' 2 '' 'vestal: import: --sdl goes with -o DIR*'
fi

finish
