#!/bin/bash
# vestal doctor: what works is ok, what does not is told with what to do, each by really doing it. Nothing is left behind.
. "$SOURCE/tests/end_to_end/cli.sh"
top=$PWD base=${VESTAL_DIR%/*}
# doctor [NAME=VALUE...]: sets out, err and status
doctor() { run timeout 60 env "$@" "$VESTAL" doctor; }
line() { grep -E "^(ok|skipped|warning|failed) +$1  " <<<"$out"; }
says() { like "$1: $2" "$3" "$(line "$2")"; } # WHAT CHECK PATTERN
trial_is_gone() {
  is "$1: standard error" '' "$err"
  is "$1: what is left" '' "$(find "$base" /dev/shm -name 'vestal-doctor-*' 2>/dev/null)"
  is "$1: brokers that are left" '' "$(pgrep -u "$(id -u)" -f "broker --serve $base/.*vestal-doctor-" | paste -sd ' ')"
}
checks='configuration
cache directory
space
broker
shared memory
shim
dynamic programs
static programs
trees
Landlock
shared blocks'

# Where there is no cache yet, none is made.
SECONDS=0
doctor
trial_is_gone 'no cache yet'
# Mostly 1 to 2 s; it must not wait for what never comes.
is 'it is quick' yes "$([ $SECONDS -le 15 ] && echo yes || echo "$SECONDS s")"
is 'no cache yet: status' 0 "$status"
is 'the checks' "$checks" "$(sed -E 's/^[a-z]+ +//; s/  .*//' <<<"$out")"
says 'no cache yet' 'cache directory' "ok *$VESTAL_DIR: is not there yet; the first command makes it"
says 'no cache yet' broker 'ok *none runs; the first command starts it'
says 'no cache yet' 'dynamic programs' 'ok */bin/cat: runs, is replayed, and runs again after its file has changed'
is 'no cache is made' no "$([ -e "$VESTAL_DIR" ] && echo yes || echo no)"
static=$(command -v busybox)
if [ -n "$static" ] && ldd "$static" 2>&1 | grep -q "not a dynamic"; then says 'busybox' 'static programs' "ok *$static cat: runs, is replayed, and runs again*"
else says 'no busybox' 'static programs' 'skipped *there is no static busybox to try'; fi
if trees_can_be_entered; then says 'namespaces' trees 'ok *'; else says 'no namespaces' trees 'warning * -- *'; fi
mkdir empty
out=$(PATH=$top/empty; "$VESTAL" doctor)
says 'without busybox' 'static programs' 'skipped *there is no static busybox to try'

# A cache with a broker; it is left as it is.
"$VESTAL" run true
before=$("$VESTAL" stats)
doctor
trial_is_gone 'a cache'
is 'a cache: status' 0 "$status"
says 'a cache' 'cache directory' "ok *$VESTAL_DIR: yours, mode 0700"
says 'a cache' broker "ok *process $(broker_pid) runs and answers"
is 'its counters are what they were' "$(grep -v -i size <<<"$before")" "$("$VESTAL" stats | grep -v -i size)"
run "$VESTAL" run "$VESTAL" doctor
result 'in a session' 0 '*skipped  dynamic programs *this is a session of vestal already*' ''
run "$VESTAL" doctor --json
result 'JSON' 0 '{*' ''
is 'the same checks in JSON' "$checks" "$(sed -n 's/^      "name": "\(.*\)",$/\1/p' <<<"$out")"
command -v python3 >/dev/null && is 'it is JSON' '' "$(python3 -c 'import json, sys; json.load(sys.stdin)' <<<"$out" 2>&1)"

# What makes commands run without the cache is a failure.
red() { # WHAT CHECK PATTERN [NAME=VALUE...]: this check fails, and says what to do
  local what=$1 check=$2 pattern=$3; shift 3
  doctor "$@"
  trial_is_gone "$what"
  is "$what: status" 1 "$status"
  says "$what" "$check" "failed *$pattern -- ?*"
}
amber() { # the same of what not everybody needs
  local what=$1 check=$2 pattern=$3; shift 3
  doctor "$@"
  trial_is_gone "$what"
  is "$what: status" 0 "$status"
  says "$what" "$check" "warning *$pattern -- ?*"
}
chmod 755 "$VESTAL_DIR"
amber 'others can look' 'cache directory' "$VESTAL_DIR: yours, mode 0755: other users can look into it"
chmod 770 "$VESTAL_DIR"
red 'others can write' 'cache directory' "$VESTAL_DIR: mode 0770: other users can write to it"
chmod 700 "$VESTAL_DIR"
kill -STOP "$(broker_pid)"
red 'a broker that has been stopped' broker "process $(broker_pid) does not answer within 2 s"
kill -CONT "$(broker_pid)"
ln -s "$VESTAL_DIR" link
red 'a symlink' 'cache directory' "$top/link: is a symlink, *" VESTAL_DIR="$top/link"
rm link
echo text >file
red 'a file' 'cache directory' "$top/file: is no directory" VESTAL_DIR="$top/file"
red 'a place below a file' 'cache directory' "$top/file/below: Not a directory" VESTAL_DIR="$top/file/below"
red 'a place where nothing can be made' 'cache directory' '/proc/vestal: cannot be made, *' VESTAL_DIR=/proc/vestal
red 'a path with a blank' 'cache directory' '* a path with * blanks *' VESTAL_DIR="$top/a b"
mkdir project home
echo 'sumary = true' >project/.vestal.toml
cd project || exit 1
red 'a key that is none' configuration "$top/project/.vestal.toml:1: unknown key 'sumary'*"
run "$VESTAL" config
is 'as vestal config says it' "vestal: $(doctor; line configuration | sed -E 's/^failed +configuration +//; s/ -- .*//')" "$err"
cd "$top" || exit 1
amber 'a variable that makes no sense' configuration '*VESTAL_IDLE*' VESTAL_IDLE=soon

# A shim that is none, in an installation like any other.
mkdir -p inst/bin inst/lib/vestal
ln "$VESTAL" inst/bin/vestal 2>/dev/null || cp "$VESTAL" inst/bin/vestal
cp "$BUILD/lib/vestal/libvestal_shim.so" inst/lib/vestal
original=$VESTAL VESTAL=$top/inst/bin/vestal
doctor VESTAL_DIR="$top/other"
is 'a copy: status' 0 "$status"
says 'a copy' shim "ok *$top/inst/lib/vestal/libvestal_shim.so"
: >inst/lib/vestal/libvestal_shim.so
red 'an empty shim' shim "$top/inst/lib/vestal/libvestal_shim.so: *" VESTAL_DIR="$top/other"
says 'an empty shim' 'dynamic programs' 'failed */bin/cat: the first time *'
cp /bin/true inst/lib/vestal/libvestal_shim.so
doctor VESTAL_DIR="$top/other"
trial_is_gone 'a shim that is something else'
is 'a shim that is something else: status' 1 "$status"
says 'a shim that is something else' 'dynamic programs' 'failed */bin/cat: the first time * -- *'
rm inst/lib/vestal/libvestal_shim.so
red 'no shim' shim "$top/inst/lib/vestal/libvestal_shim.so: No such file or directory" VESTAL_DIR="$top/other"
VESTAL=$original

# Whoever wants it to end finds nothing left either.
for pause in 0.05 0.2 0.6; do
  timeout -s INT $pause "$VESTAL" doctor >/dev/null 2>err.text
  err=$(cat err.text)
  trial_is_gone "ended after $pause s"
done

if [ "$(id -u)" = 0 ]; then
  mkdir -m 700 foreign && chown 12345 foreign
  red "another user's directory" 'cache directory' "$top/foreign: belongs to user 12345, *" VESTAL_DIR="$top/foreign"
else
  mkdir -m 500 sealed
  red 'a directory that cannot be written' 'cache directory' "$top/sealed: mode 0500: *" VESTAL_DIR="$top/sealed"
  red 'a place below it' 'cache directory' "$top/sealed/below: cannot be made, for $top/sealed: Permission denied" VESTAL_DIR="$top/sealed/below"
  mkdir -p home/.config/vestal
  echo 'summary = true' >home/.config/vestal/config.toml
  chmod 000 home/.config/vestal/config.toml
  red 'a file that cannot be read' configuration "$top/home/.config/vestal/config.toml: Permission denied" HOME="$top/home"
fi
# Mounts of one's own, where they can be made.
mounted() { # MOUNT-ARGUMENTS PLACE SCRIPT
  unshare -m sh -c "mount -t tmpfs $1 none '$2' && { $3; }" 2>err.text >out.text
  status=$?
  out=$(cat out.text) err=$(cat err.text)
}
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
  mkdir place
  mounted '-o size=1m,mode=700' "$top/place" "VESTAL_DIR=$top/place '$VESTAL' doctor"
  is 'a small place: status' 1 "$status"
  says 'a small place' space 'failed *1.0 MiB free; * -- make room*'
  says 'a small place' 'dynamic programs' 'ok *'
  mounted '-o mode=700' "$top/place" "mount -o remount,ro '$top/place'; VESTAL_DIR=$top/place '$VESTAL' doctor"
  is 'a place that is read-only: status' 1 "$status"
  says 'a place that is read-only' 'cache directory' "failed *$top/place: Read-only file system -- *"
  mounted '-o mode=700,noexec' "$top/place" "VESTAL_DIR=$top/place '$VESTAL' doctor"
  is 'a place with noexec: status' 1 "$status"
  says 'a place with noexec' 'cache directory' 'failed *mounted with noexec -- *'
  mounted '-o size=1m' /dev/shm "'$VESTAL' doctor"
  is 'little shared memory: status' 1 "$status"
  says 'little shared memory' 'shared memory' 'failed */dev/shm: 1.0 MiB are free, and each session wants * -- *'
  says 'little shared memory' 'dynamic programs' 'failed *there is not enough room in /dev/shm -- *'
  # Programs in the place of cat: one whose output is right, and not to be replayed, and one whose output is wrong.
  swapped() { # PROGRAM
    run unshare -m sh -c "mount --bind '$1' '$(readlink -f /bin/cat)' && '$VESTAL' doctor"
    is "$1 as cat: status" 1 "$status"
  }
  swapped "$(command -v wc)"
  says 'wc as cat' 'dynamic programs' 'failed */bin/cat: the first time its output is wrong -- *'
  if command -v gcc >/dev/null; then
    # By the policy row for cat random numbers would not matter.
    printf '%s\n' '#include <stdio.h>' '#include <arpa/inet.h>' 'int main(int n, char** a) {' 'struct sockaddr_in to = {AF_INET, 9, {htonl(0x7f000001)}};' \
      'connect(socket(AF_INET, SOCK_DGRAM, 0), (struct sockaddr*)&to, sizeof to);' \
      'FILE* f = fopen(a[n - 1], "r"); for (int c; (c = getc(f)) != EOF;) putchar(c); return 0; }' >talks.c
    gcc -o talks talks.c
    swapped "$top/talks"
    says 'talks as cat' 'dynamic programs' 'failed */bin/cat: the first time a miss was expected, and it was not cacheable: * -- *'
  fi
  trial_is_gone 'after all these'
fi
# As many user namespaces as there may be.
if unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces' 2>/dev/null; then
  run unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; VESTAL_DIR=$PWD/inner "$VESTAL" doctor'
  is 'no user namespaces: status' 0 "$status"
  says 'no user namespaces' trees 'warning *no namespaces of one'"'"'s own: * -- let root say `sysctl user.max_user_namespaces=*'
fi

run "$VESTAL" doctor now
result 'a word too many' 2 '' 'vestal: *'
finish
