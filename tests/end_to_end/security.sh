#!/bin/bash
# What belongs to the user stays the user's: cache directory, socket and region are closed to others from the moment
# they are made, planted symlinks are not followed, other users are not served, a step that writes garbage into the
# region harms only itself, and values of variables are not kept.
set -u
faults=0
check() { # WHAT WANTED GOT
  [ "$2" = "$3" ] && return
  printf '%s:\n  wanted: %s\n  got:    %s\n' "$1" "$2" "$3"
  faults=$((faults + 1))
}
run() { "$VESTAL" run -- "$@" 2>&1; }
end_broker() {
  local pid
  pid=$(tr -cd 0-9 <"$VESTAL_DIR/broker.pid" 2>/dev/null)
  [ -n "$pid" ] || return 0
  kill "$pid" 2>/dev/null
  for _ in {1..200}; do
    # who is to bury it may take its time
    grep -qs '^State:[^Z]*$' "/proc/$pid/status" || return 0
    sleep 0.05
  done
}
echo 1 >in
prefix=/dev/shm/vestal-$(id -u)-

# ---- modes, with a umask that would let everybody in -----------------------------------------------------------------

( umask 0; run sh -c "cat in >out; ls -l $prefix* >regions" >/dev/null )
check 'the step ran' 1 "$(cat out)"
check 'regions that others may open' '' "$(grep -v '^-rw-------' regions)"
check 'there was a region' yes "$([ -s regions ] && echo yes)"
# The images are copies of what everybody may read, in a directory that nobody else may enter.
check 'what others may enter, read or write in the cache directory' '' \
  "$(find "$VESTAL_DIR" -perm /077 ! -type l ! -path '*/images/*'; find "$VESTAL_DIR/images" -perm /022)"
check 'the socket' 600 "$(stat -c %a "$VESTAL_DIR/broker.sock")"
end_broker

# From the first moment on: what is created is created closed, not closed afterwards.
export VESTAL_DIR=$PWD/traced
if strace -V >/dev/null 2>&1; then
  # strace stays as long as the broker does.
  ( umask 0; exec strace -f -qq -o trace -e trace=%file,bind,umask,fchmod "$VESTAL" run -- sh -c ': >ran' >/dev/null 2>&1 ) &
  for _ in {1..400}; do [ -e ran ] && break; sleep 0.05; done
  sleep 0.3
  end_broker
  wait
  if [ -s trace ]; then
    check 'files made with a mode for others, umask or not' '' \
      "$(grep -E "\"($VESTAL_DIR|$prefix|/dev/shm/vestal|broker|tmp-)[^\"]*\", [^\"]*O_CREAT" trace | grep -v ENOENT |
        grep -vE ', 0[0-7]00\)' | grep -vF "$VESTAL_DIR/index/")"
    check 'directories made with a mode for others' '' "$(grep -E "mkdir(at)?\(.*\"$VESTAL_DIR" trace | grep -vE ', 0700\)' | grep -vF "$VESTAL_DIR/index")"
    check 'the umask of the broker before it binds' yes \
      "$(awk '/umask\(0?177\)|umask\(0?77\)/ {closed[$1] = 1} /bind\(/ {print closed[$1] ? "yes" : "no"}' trace)"
  fi
fi

# ---- symlinks in the way ---------------------------------------------------------------------------------------------

export VESTAL_DIR=$PWD/planted
echo precious >victim
mkdir elsewhere
for name in broker.lock broker.log broker.pid explanations broker.sock; do
  rm -rf "$VESTAL_DIR"
  mkdir -m 700 "$VESTAL_DIR"
  ln -s "$PWD/victim" "$VESTAL_DIR/$name"
  check "with a symlink as $name" hello "$(run echo hello | tail -n 1)"
  run sh -c 'cat in >out2' >/dev/null
  "$VESTAL" stats >/dev/null 2>&1
  check "the file that $name was made to lead to" precious "$(cat victim)"
  end_broker
done
for name in blobs images index; do
  rm -rf "$VESTAL_DIR"
  mkdir -m 700 "$VESTAL_DIR"
  ln -s "$PWD/elsewhere" "$VESTAL_DIR/$name"
  check "with a symlink as $name" hello "$(run echo hello | tail -n 1)"
  check "the directory that $name was made to lead to" '' "$(ls -A elsewhere)"
  end_broker
done
rm -rf "$VESTAL_DIR"
ln -s "$PWD/elsewhere" "$VESTAL_DIR"
check 'with a symlink as the cache directory' hello "$(run echo hello | tail -n 1)"
check 'the directory it was made to lead to' '' "$(ls -A elsewhere)"
rm -f "$VESTAL_DIR"
for mode in 770 707; do
  rm -rf "$VESTAL_DIR"
  mkdir "$VESTAL_DIR"
  chmod $mode "$VESTAL_DIR"
  check "a cache directory of mode $mode" 'hello' "$(run echo hello | tail -n 1)"
  check "what was put there" '' "$(ls -A "$VESTAL_DIR")"
done
rm -rf "$VESTAL_DIR"

# ---- another user ----------------------------------------------------------------------------------------------------

export VESTAL_DIR=$PWD/shared
run echo hello >/dev/null
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  # Even where directories have been opened, and the socket too.
  place=$(mktemp -d /tmp/vestal-security.XXXXXX)
  own=$VESTAL_DIR
  export VESTAL_DIR=$place/cache
  run echo hello >/dev/null
  chmod 755 "$place" "$VESTAL_DIR"
  chmod 666 "$VESTAL_DIR/broker.sock"
  cp "$BUILD/bin/vestal" "$place/vestal"
  cat >"$place/knock" <<'P'
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
peer.settimeout(5)
try:
    peer.sendall(bytes(40))
    print("served" if peer.recv(100) else "refused")
except OSError:
    print("refused")
P
  check 'another user at the socket' refused \
    "$(setpriv --reuid 65534 --regid 65534 --clear-groups env PATH=/usr/bin:/bin python3 "$place/knock" "$VESTAL_DIR/broker.sock" 2>&1)"
  check 'a command of another user with this cache directory' 'hello' \
    "$(cd / && setpriv --reuid 65534 --regid 65534 --clear-groups env VESTAL_DIR="$VESTAL_DIR" "$place/vestal" run -- echo hello 2>/dev/null)"
  check 'the broker still serves its owner' hello "$(run echo hello)"
  end_broker
  rm -rf "$place"
  VESTAL_DIR=$own
fi
end_broker

# ---- a step that writes into the region ------------------------------------------------------------------------------

cat >hostile.py <<'P'
import glob, mmap, os, random, sys
random.seed(int(sys.argv[1]))
path = max(glob.glob("/dev/shm/vestal-%d-*" % os.geteuid()), key=os.path.getmtime)
for path in glob.glob("/dev/shm/vestal-%d-*" % os.geteuid()):
    name = os.path.basename(path)
    maps = open("/proc/self/maps").read()
    if name not in maps:
        continue
    with open(path, "r+b") as file:
        region = mmap.mmap(file.fileno(), 0)
        size = len(region)
        if sys.argv[2] == "ring":
            for _ in range(20000):
                at = size - (4 << 20) + 8 * random.randrange((4 << 20) // 8)
                region[at:at + 8] = random.randbytes(8)
        elif sys.argv[2] == "head":
            region[64:512] = random.randbytes(448)
        else:
            for _ in range(20000):
                at = 4096 + 8 * random.randrange((size - 4096) // 8)
                region[at:at + 8] = random.randbytes(8)
P
export VESTAL_DIR=$PWD/hostile
cat >Makefile <<'P'
all: one two three
one: in ; cat in >one
two: one ; python3 hostile.py $(SEED) $(WHERE); cat one >two
three: two ; cat two two >three
P
for where in ring head all; do
  for seed in 1 2 3; do
    rm -f one two three
    timeout 100 "$VESTAL" make SEED=$seed WHERE=$where >make.out 2>&1
    check "a build with a step that writes garbage ($where $seed)" '0 11' "$? $(tr -d '\n' <three)"
    rm -f one two three
    echo 2 >in
    timeout 100 "$VESTAL" make SEED=0 WHERE=none >make.out 2>&1
    check "the next build, of another input ($where $seed)" '0 22' "$? $(tr -d '\n' <three)"
    echo 1 >in
  done
done
check 'the broker after all that' hello "$(run echo hello)"
end_broker

# ---- values of variables ---------------------------------------------------------------------------------------------

export VESTAL_DIR=$PWD/secrets
canary=canary-$RANDOM$RANDOM-value
export SECRET=$canary VESTAL_EVENTS=$PWD/events
printf 'int main(void) { return 0; }\n' >main.c
run sh -c 'test -n "$SECRET" && gcc -c main.c; cat in >out' >/dev/null
# Arguments and output are no secrets and would be kept; the contents of a file are not.
printf %s "$canary" >pattern
run sh -c "grep -l -a -F -f pattern $prefix* | wc -l >seen" >/dev/null
check 'the canary in the region' 0 "$(tr -d ' ' <seen)"
# What is told of a miss is made of fingerprints, too.
export SECRET=$canary-2
run sh -c 'test -n "$SECRET" && gcc -c main.c; cat in >out' >/dev/null
unset SECRET
"$VESTAL" -v --summary run -- sh -c 'test -n "$SECRET" && gcc -c main.c; cat in >out' >told 2>&1
for question in stats 'stats --json' why 'why -v' 'why -v main.o' 'why -v out'; do
  echo "$question:"
  # shellcheck disable=SC2086
  "$VESTAL" $question
done >>told 2>&1
export SECRET=$canary
unset VESTAL_EVENTS
end_broker
check 'why it ran is told' yes "$(grep -q 'SECRET' told && echo yes)"
check 'the canary in what vestal tells' '' "$(grep -a -F "$canary" told)"
check 'there were events' yes "$(grep -q SECRET events && echo yes)"
check 'the canary in events and cache' '' "$(grep -r -l -a -F "$canary" "$VESTAL_DIR" events)"
[ $faults -eq 0 ] || { echo "$faults faults"; exit 1; }
