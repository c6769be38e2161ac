#!/bin/bash
# Whatever happens to the cache directory, the command does what it does without vestal.
set -u
faults=0
check() { # WHAT WANTED GOT
  [ "$2" = "$3" ] && return
  printf '%s:\n  wanted: %s\n  got:    %s\n' "$1" "$2" "$3"
  faults=$((faults + 1))
}
run() { "$VESTAL" run -- "$@" 2>&1; }
echo 1 > in
run sh -c 'cat in > out; cat out' > first
check 'the first run' 1 "$(cat first)"

# images, while their broker lives
for damage in 'truncate -s 1000000' 'rm -f' 'cp /dev/null'; do
  for image in "$VESTAL_DIR"/images/libc-*.so.6; do
    case $damage in cp*) cp /dev/null "$image" ;; *) $damage "$image" ;; esac
  done
  check "after '$damage' of the image of libc" hi "$(run echo hi)"
  check "after '$damage', again" 'hi again' "$(run sh -c 'echo hi again')"
done

# blobs: flipped, cut off, gone
run sh -c 'cat in > o2' ; rm -f o2
for blob in "$VESTAL_DIR"/blobs/*/*; do chmod u+w "$blob"; printf X | dd of="$blob" bs=1 conv=notrunc status=none; done
run sh -c 'cat in > o2'
check 'after blobs were flipped' 1 "$(cat o2)"
rm -f o2
for blob in "$VESTAL_DIR"/blobs/*/*; do chmod u+w "$blob"; : > "$blob"; done
run sh -c 'cat in > o2'
check 'after blobs were cut off' 1 "$(cat o2)"
rm -rf o2 "$VESTAL_DIR"/blobs/*
run sh -c 'cat in > o2'
check 'after blobs were deleted' 1 "$(cat o2)"

# the whole cache, while a command runs
printf 'made: ; sleep 1; /bin/echo hi > made 2>&1; ls nofile >> made 2>&1 || true\n' > Makefile
(sleep 0.5; rm -rf "$VESTAL_DIR") &
"$VESTAL" make > make.out 2>&1
wait
check 'a build whose cache was deleted' "hi
ls: cannot access 'nofile': No such file or directory" "$(cat made)"
check 'its own words' 0 "$(grep -c ld.so make.out)"
check 'the next command' hello "$(run echo hello | tail -n 1)"

# a broker is not started with limits that others would suffer from
export VESTAL_DIR=$PWD/other
check 'few open files' "1 there" "$( (ulimit -n 64; run echo there) | awk '/^vestal: /{n++; next} {print n+0, $0}')"
check 'files of a limited size' "1 there" "$( (ulimit -f 1000; run echo there) | awk '/^vestal: /{n++; next} {print n+0, $0}')"
check 'without such limits' there "$(run echo there)"
[ -f "$VESTAL_DIR/broker.pid" ] && kill "$(cat "$VESTAL_DIR/broker.pid")"

[ $faults -eq 0 ] || { echo "$faults faults"; exit 1; }
