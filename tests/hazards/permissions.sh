#!/bin/bash
# What an ordinary user may not do is part of what a step saw: when it is allowed, the step runs. Root, who may do
# everything, plays this as nobody.
if [ "$(id -u)" = 0 ]; then
  command -v setpriv >/dev/null || { echo 'there is no setpriv'; exit 77; }
  # Where everybody may go, which the test's own directory is not.
  apart=$(mktemp -d /tmp/vestal-nobody.XXXXXX) || exit 1
  leave() {
    [ -f "$apart/cache/broker.pid" ] && kill "$(tr -cd 0-9 <"$apart/cache/broker.pid")" 2>/dev/null
    rm -rf "$apart"
  }
  trap leave EXIT
  trap 'exit 130' INT TERM HUP
  mkdir -p "$apart"/{bin,lib/vestal,tests/hazards,play}
  cp "$(readlink -f "$VESTAL")" "$apart/bin/vestal"
  cp "$(dirname "$(readlink -f "$VESTAL")")/../lib/vestal/libvestal_shim.so" "$apart/lib/vestal/"
  cp "$SOURCE"/tests/hazards/{play,permissions}.sh "$apart/tests/hazards/"
  chown -R 65534:65534 "$apart"
  cd "$apart/play" || exit 1
  env -u TMPDIR setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$apart" SOURCE="$apart" VESTAL="$apart/bin/vestal" VESTAL_DIR="$apart/cache" \
    PATH="$apart/bin:/usr/bin:/bin" VESTAL_IDLE=20 bash "$apart/tests/hazards/permissions.sh"
  exit
fi
. "$SOURCE/tests/hazards/play.sh"

# The first message of a program may say where it stands in the file it is written to; there is none here.
q='2>/dev/null'
# Permissions of files that were changed a moment ago are not taken for those that were asked for.
old='sleep .1'
o='echo x > in; touch -d @1000000 in; mkdir d e'
hazard 'a directory that may not be written to' "$o; chmod 500 d" "sh -c 'cp in d/out $q'" '= touch other' '! chmod 700 d' '! rm d/out; chmod 500 d'
hazard 'nor may what is in it go' "$o; echo y > d/f; chmod 500 d" "sh -c 'rm d/f $q </dev/null'" '! chmod 700 d' '! echo y > d/f; chmod 500 d'
hazard 'nor be moved' "$o; echo y > d/f; chmod 500 d" "sh -c 'mv d/f e/f $q </dev/null'" '! chmod 700 d' '! chmod 500 d'
hazard 'nor be moved into it' "$o; echo y > e/f; chmod 500 d; $old" "sh -c 'mv e/f d/f $q </dev/null'" '! chmod 700 d' '! echo y > e/f; chmod 500 d'
hazard 'nor be linked' "$o; chmod 500 d; $old" "sh -c 'ln in d/l $q; ln -s in d/s $q'" '! chmod 700 d' '! chmod 500 d'
hazard 'nor be made' "$o; chmod 500 d" "sh -c 'mkdir d/sub $q; mkfifo d/p $q; echo > d/n' $q" '! chmod 700 d' '! rm -r d/*; chmod 500 d'
hazard 'nor be removed as a directory' "$o; mkdir d/sub; chmod 500 d" "sh -c 'rmdir d/sub $q'" '! chmod 700 d' '! mkdir -p d/sub; chmod 500 d'
hazard 'a temporary file' "$o" "sh -c 'echo x > d/t && cat d/t && rm d/t' $q" '= :' '! chmod 500 d' '! chmod 700 d'
hazard 'a temporary directory' "$o" "sh -c 'mkdir d/t && echo done && rmdir d/t' $q" '= :' '! chmod 500 d' '! chmod 700 d'
hazard 'moved away at once' "$o" "sh -c 'echo x > d/t && mv d/t e/t' $q" '= :' '! chmod 500 d' '! chmod 700 d'
hazard 'a directory that may not be entered' "$o; echo y > d/f; chmod 600 d" "sh -c 'cat d/f $q'" '= touch other' '! chmod 700 d' '! chmod 600 d'
hazard 'a directory that may not be listed' "$o; echo y > d/f; chmod 300 d" "sh -c 'ls d $q; echo d/*'" '! chmod 700 d' '! chmod 300 d'
hazard 'further up' "$o; mkdir d/a; echo y > d/a/f; chmod 600 d" "sh -c 'cat d/a/f $q; cd d/a $q && pwd'" '! chmod 700 d' '! chmod 700 d/a'
hazard 'a file that may not be read' "$o; chmod 0 in" "sh -c 'cat in $q'" '= touch other' '! chmod 400 in' '! chmod 200 in'
hazard 'a file that may not be written to' "$o; chmod 400 in; $old" "sh -c 'echo y >> in' $q" '! chmod 600 in' '! chmod 400 in'
hazard 'a program that may not be executed' "$o; printf '#!/bin/sh\necho hi\n' > p; chmod 600 p" "sh -c './p' $q" '! chmod 700 p' '! chmod 600 p'
hazard 'what test says' "$o; chmod 400 in; chmod 500 d" "sh -c 'test -w in; echo \$?; test -w d; echo \$?; test -x d; echo \$?'" '! chmod 600 in' '! chmod 700 d' '! chmod 600 d'
program rename <<'C'
#include <errno.h>
#include <stdio.h>
int main(int argc, char** argv) { errno = 0; int r = rename(argv[1], argv[2]); printf("%d %d\n", r, errno); return 0; }
C
hazard 'a name that a directory has' "$o; rmdir d" "\$V $bin/rename in d" "! rm d; $o" '! rmdir d' "! rm d; $o"
finish
