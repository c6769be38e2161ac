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
alike 'a command that fails' none sh -c 'cat none; exit 3'

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
result 'another option' 2 '' "vestal: import: unknown option '-x'*"
[ ! -e ran ] || is 'nothing has run' '' ran
run "$VESTAL" import -o root3 sh -c 'date >/dev/null; echo 2 >>hello.c'
like 'what no root can hold' '*hello.c: changed by the command*reads the clock, which no root can hold: date*' "$err"
rm -rf root3
run "$VESTAL" import -o root3 sh -c 'kill -TERM $$'
is 'a command that dies of a signal' 143 "$status"
run env VESTAL_DIR="$PWD/a b" "$VESTAL" import -o root4 touch ran
result 'not run where nobody would see it' 125 '' 'vestal: not run, for nobody would see what it needs: *'
[ ! -e ran ] || is 'nothing has run unseen' '' ran
finish
