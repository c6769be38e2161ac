#!/bin/bash
# vestal tree: directories that are stored under a digest, looked at and made again.
. "$SOURCE/tests/end_to_end/cli.sh"

mkdir -p in/sub
echo hello >in/a
printf '#!/bin/sh\n' >in/sub/run
chmod 755 in/sub/run
ln -s ../a in/sub/up
mkfifo in/fifo
run "$VESTAL" tree add in
result 'add makes a cache if there is none' 0 '*/*' 'vestal: left out: fifo: a FIFO'
digest=$out
rm in/fifo
run "$VESTAL" tree add in/
result 'the same again' 0 "$digest" ''
run "$VESTAL" tree add in/../in
result 'by another name' 0 "$digest" ''
run "$VESTAL" tree show "$digest"
result 'show' 0 "${digest%/*}"$'\n  2 files, 2 directories, 1 symbolic link, 16 bytes' ''
run "$VESTAL" tree ls "$digest"
result 'ls' 0 '*- 0644          6  a'$'\n''d                  sub/' ''
run "$VESTAL" tree ls "${digest%/*}" sub
result 'ls of a directory, without the size' 0 '*0755*run'$'\n''*up -> ../a' ''
run "$VESTAL" tree cat "$digest" sub/up
result 'cat through a symbolic link' 0 hello ''
run "$VESTAL" tree checkout "$digest" out
result 'checkout' 0 '' ''
is 'is the same' '' "$(diff -r --no-dereference in out 2>&1)"
is 'modes as well' "$(cd in && find . -type f -printf '%P %m\n' | sort)" "$(cd out && find . -type f -printf '%P %m\n' | sort)"
echo changed >in/a
run "$VESTAL" tree diff "$digest" "$("$VESTAL" tree add in)"
result 'diff' 0 'M a' ''
is 'what was stored is as it was' hello "$("$VESTAL" tree cat "$digest" a)"

# Said and refused.
run "$VESTAL" tree checkout "$digest" out
result 'a directory that is not empty' 1 '' 'vestal: out: is not empty*'
is 'is left alone' hello "$(cat out/a)"
run "$VESTAL" tree cat "$digest" ../a
result 'a path out of the tree' 1 '' 'vestal: ../a: leads out of the tree'
run "$VESTAL" tree cat "$digest" sub
result 'cat of a directory' 1 '' 'vestal: sub: a directory'
run "$VESTAL" tree show "${digest//[0-9]/0}"
result 'a tree that is not there' 1 '' '*there is no tree of that digest'
run "$VESTAL" tree show abc
result 'no digest' 1 '' 'vestal: abc: no digest of a tree*'
run "$VESTAL" tree add none
result 'no directory' 125 '' 'vestal: *none: *'
run "$VESTAL" tree ad in
result 'a wrong word' 2 '' "*did you mean 'add'*"
run "$VESTAL" tree ls
result 'a word too few' 2 '' 'vestal: tree ls: wants DIGEST *PATH*'
if [ "$(id -u)" != 0 ]; then
  chmod 0 in/a
  run "$VESTAL" tree add in
  result 'a file that cannot be read' 125 '' 'vestal: *in/a: *'
fi
run "$VESTAL" tree --help
result 'help' 0 '*checkout DIGEST DIR*' ''

# A directory that is another one to the broker.
if unshare -Urm true 2>/dev/null; then
  mkdir elsewhere && echo 1 >elsewhere/secret
  run unshare -Urm sh -c 'mount --bind elsewhere in && exec "$VESTAL" tree add in'
  result 'from another mount namespace' 125 '' '*the broker of this cache runs in another *'
fi
# Patience, for as long as the broker lives: more than for other answers.
kill -STOP "$(broker_pid)"
{ sleep 8.5; kill -CONT "$(broker_pid)"; } &
run "$VESTAL" tree add out
result 'an answer that takes its time' 0 "$digest" ''
wait
kill -STOP "$(broker_pid)"
{ sleep 0.5; kill -KILL "$(broker_pid)"; } &
run "$VESTAL" tree add out
result 'a broker that dies' 0 "$digest" ''
wait

# A damaged blob is no contents.
hash=$(sha256sum <out/a | cut -c1-64)
blob=$VESTAL_DIR/blobs/${hash:0:2}/${hash:2}
chmod u+w "$blob" && echo jello >"$blob"
run "$VESTAL" tree cat "$digest" a
is 'nothing is shown of a damaged blob' '' "$out"
[ "$status" != 0 ] || is 'and that is a failure' failure success
# ---- a directory that the cache lies in ----
mkdir -p around/work && echo x >around/work/f
VESTAL_DIR=$PWD/around/cache "$VESTAL" tree add around >digest.text 2>err.text
is 'the cache is left out: status' 0 $?
is 'the cache is left out: told' 'vestal: left out: cache: the cache itself' "$(cat err.text)"
is 'the cache is left out' 'd                  work/' "$(VESTAL_DIR=$PWD/around/cache "$VESTAL" tree ls "$(cat digest.text)")"
kill "$(broker_pid around/cache)"
finish
