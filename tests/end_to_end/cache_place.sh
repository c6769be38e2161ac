#!/bin/bash
# Where the cache is, and what happens if it cannot be there: the command runs, and one line says why.
. "$SOURCE/tests/end_to_end/cli.sh"
directories=()
end_all() { local d; for d in "${directories[@]}"; do kill "$(broker_pid "$d")" 2>/dev/null; done; }
trap end_all EXIT

check_run() { # WHAT DIRECTORY: a cache is made there
  directories+=("$2")
  run "$VESTAL" run sh -c 'echo out; exit 3'
  result "$1" 3 out ''
  [ -S "$2/broker.sock" ] || is "$1: the cache is at $2" yes no
}
check_without() { # WHAT PATTERN
  run "$VESTAL" run sh -c 'echo out; exit 3'
  result "$1" 3 out "vestal: running without the cache: $2"
  is "$1: in one line" 1 "$(wc -l <err.text)"
  run "$VESTAL" --summary run sh -c 'echo out; exit 3'
  result "$1, with a summary" 3 out "vestal: running without the cache: $2"
}
top=$PWD
VESTAL_DIR=$top/a check_run 'VESTAL_DIR' "$top/a"
VESTAL_DIR=b check_run 'a relative VESTAL_DIR' "$top/b"
VESTAL_DIR=c/ check_run 'VESTAL_DIR with a slash at its end' "$top/c"
VESTAL_DIR='' XDG_CACHE_HOME=$top/xdg check_run 'XDG_CACHE_HOME' "$top/xdg/vestal"
VESTAL_DIR='' XDG_CACHE_HOME=relative HOME=$top/home check_run 'a relative XDG_CACHE_HOME' "$top/home/.cache/vestal"
VESTAL_DIR='' XDG_CACHE_HOME='' HOME=$top/home2 check_run 'HOME' "$top/home2/.cache/vestal"
VESTAL_DIR=$top/$(printf 'long%.0s' {1..20})/$(printf 'name%.0s' {1..20}) check_run 'a path too long for a socket' "$top/$(printf 'long%.0s' {1..20})/$(printf 'name%.0s' {1..20})"
VESTAL_DIR="$top/it's*\$a" check_run 'a path with what the shell takes for its own' "$top/it's*\$a"
directories+=("$top/with space")
VESTAL_DIR="$top/with space" check_without 'a path that LD_PRELOAD cannot hold' '*blanks*'
VESTAL_DIR='' XDG_CACHE_HOME='' HOME=relative check_without 'no place for a cache' 'there is no home directory *'

echo text >file
VESTAL_DIR=$top/file check_without 'a file' "$top/file: *"
VESTAL_DIR=$top/file/below check_without 'a place below a file' "$top/file*"
mkdir -m 700 real && ln -s real link
VESTAL_DIR=$top/link check_without 'a symlink' "$top/link: *"
mkdir -m 777 open && chmod 777 open
VESTAL_DIR=$top/open check_without 'a directory others can write to' "$top/open: *"
mkdir -m 770 group && chmod 770 group
VESTAL_DIR=$top/group check_without 'a directory the group can write to' "$top/group: *"
VESTAL_DIR=/proc/vestal check_without 'a place where nothing can be made' '/proc/vestal*'
mkdir -m 700 blocked && mkdir blocked/broker.lock
VESTAL_DIR=$top/blocked check_without 'a cache that cannot be locked' "$top/blocked: *"
VESTAL_SHIM=/nowhere/shim.so VESTAL_DIR=$top/shimless check_without 'a shim that is not there' '/nowhere/shim.so: *'
VESTAL_DIR=$top/file run "$VESTAL" stats
result 'stats of no cache' 125 '' "vestal: $top/file: *"
if [ "$(id -u)" = 0 ]; then
  mkdir -m 700 foreign && chown 12345 foreign
  VESTAL_DIR=$top/foreign check_without "another user's directory" "$top/foreign: *another user*"
else
  mkdir -m 500 sealed
  VESTAL_DIR=$top/sealed check_without 'a directory that cannot be written' "$top/sealed: *"
  VESTAL_DIR=$top/sealed/below check_without 'a place below it' "$top/sealed*"
fi

# What another version or an accident has left there is put aside.
mkdir -p -m 700 old/index && echo 'MANIFEST-of-another-time' >old/index/CURRENT && echo junk >old/index/000001.log
VESTAL_DIR=$top/old check_run 'an index nobody can read' "$top/old"
VESTAL_DIR=$top/old run "$VESTAL" stats
result 'and its statistics' 0 '*Hits*' ''

# Without shared memory, where that can be tried.
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
  export VESTAL_DIR=$top/memory
  run unshare -m sh -c 'mount -t tmpfs -o ro none /dev/shm && "$VESTAL" run sh -c "echo out; exit 3"'
  result 'a broker without /dev/shm' 3 out 'vestal: running without the cache: */dev/shm*'
  kill "$(broker_pid)" && gone "$(broker_pid)"
  run unshare -m sh -c 'mount -t tmpfs -o size=1m none /dev/shm && "$VESTAL" run sh -c "echo out; exit 3"'
  result 'a broker with a /dev/shm that is too small' 3 out 'vestal: running without the cache: */dev/shm*'
  kill "$(broker_pid)" && gone "$(broker_pid)"
  run "$VESTAL" run true
  run unshare -m sh -c 'mount -t tmpfs none /dev/shm && "$VESTAL" run sh -c "echo out; exit 3"'
  result "a command that does not see its broker's /dev/shm" 3 out 'vestal: running without the cache: the broker of this cache runs in another mount namespace'
  directories+=("$VESTAL_DIR")
fi
finish
