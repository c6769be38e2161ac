#!/bin/bash
# The cache keeps within a size: what was used longest ago goes, and what is wanted again afterwards is made again.
. "$SOURCE/tests/end_to_end/cli.sh"

blobs() { find "$VESTAL_DIR/blobs" -mindepth 2 -type f | wc -l; }
long_ago() { find "$VESTAL_DIR/blobs" "$VESTAL_DIR/trees" -mindepth 1 -maxdepth 2 -exec touch -a -d '3 days ago' {} + 2>/dev/null; }
made() { # WHAT HITS MISSES FILE: makes FILE anew under vestal
  rm -f "$4"
  run "$VESTAL" --summary run -- sh -c "tr a-z A-Z <$4.in >$4"
  like "$1" "vestal: $2 hit*, $3 miss*" "$err"
  is "$1: the file" "$(tr a-z A-Z <"$4.in")" "$(cat "$4")"
}
seq -f 'line %g' 5000 >a.in
seq -f 'row %g' 5000 >b.in
made 'a first time' 0 '[12]' a
made 'b first time' 0 '[12]' b
run "$VESTAL" gc --size 0
result 'what has just been used stays' 0 'Removed 0 bytes of *: 0 stored files, 0 trees*' ''
made 'a is still known' 1 0 a
long_ago
made 'a is used' 1 0 a
size=$(stat -c %s a)
run "$VESTAL" gc --size $((size + 100)) --unused 1h --dry-run
result 'what would go' 0 'Would remove * 1 stored file, 0 trees' ''
is 'nothing has gone' 2 "$(blobs)"
run "$VESTAL" gc --size $((size + 100)) --unused 1h
result 'what was used longest ago goes' 0 'Removed * 1 stored file, 0 trees*forgotten' ''
is 'one is left' 1 "$(blobs)"
made 'a stays' 1 0 a
made 'b has gone, and is made again' '[01]' '[12]' b
made 'b is known again' 1 0 b
# Its output is where it was made, so nothing has to be read.
long_ago
run "$VESTAL" --summary run -- sh -c 'tr a-z A-Z <a.in >a'
like 'a hit that finds its output' 'vestal: 1 hit*' "$err"
run "$VESTAL" gc --size $((size + 100)) --unused 1h
made 'is a use as well' 1 0 a
run "$VESTAL" gc --size 0 --unused 0s
result 'all of it' 0 'Removed *forgotten' ''
is 'nothing is left' 0 "$(blobs)"
made 'after all has gone' '[01]' '[12]' a
made 'and once more' 1 0 a

# Who evaluates models or stands on a tree holds this lock; such a use may be noted up to an hour late.
run flock -s "$VESTAL_DIR/in-use" "$VESTAL" gc --size 0 --unused 0s
result 'what may be in use stays' 0 'Removed 0 bytes*' ''
made 'as before' 1 0 a
find "$VESTAL_DIR/blobs" -type f -exec touch -a -d '3 hours ago' {} +
run flock -s "$VESTAL_DIR/in-use" "$VESTAL" gc --size 0 --unused 0s
like 'what is older goes' 'Removed * 1 stored file*' "$out"
made 'it is made again' '[01]' '[12]' a

for wrong in 5x -1 1.5.2G '' G 99999999999G; do
  run "$VESTAL" gc --size "x$wrong"
  result "--size x$wrong" 2 '' 'vestal: gc: --size=*: not a size like 500M or 20G*'
done
run "$VESTAL" gc --size=1.5GiB --unused=2w
result 'no time' 2 '' 'vestal: gc: --unused=2w: not a time like 30m, 12h or 7d*'
run "$VESTAL" gc --size=1.5GiB --unused=2d
result 'a size and a time' 0 'Removed 0 bytes*' ''
VESTAL_MAX_SIZE=unlimited run "$VESTAL" gc
result 'no limit' 0 'VESTAL_MAX_SIZE says that the cache may grow without limit*' ''
VESTAL_MAX_SIZE=much run "$VESTAL" run -- true
result 'a variable that makes no sense' 0 '' 'vestal: VESTAL_MAX_SIZE=much: not a size like 500M or 20G, nor `unlimited`; 20G is used'

# By itself, in a pause.
"$VESTAL" broker --stop
made 'b, for it to go' '[01]' '*' b
long_ago
"$VESTAL" broker --stop
VESTAL_IDLE=1 VESTAL_MAX_SIZE=1K made 'a small cache' 1 0 a
gone "$(broker_pid)" || { echo 'an idle broker stays'; faults=$((faults + 1)); }
is 'an idle broker keeps the size' 1 "$(blobs)"
made 'what was used then stays' 1 0 a

# A tree that is used keeps what it is made of.
if trees_can_be_entered; then
  mkdir -p tree/bin/deep
  cp /bin/busybox tree/bin/ 2>/dev/null || printf '#!/bin/busybox sh\n' >tree/bin/script
  echo deep >tree/bin/deep/file
  digest=$("$VESTAL" tree add tree)
  if [ -x tree/bin/busybox ]; then
    run "$VESTAL" run --tree "$digest" -- /bin/busybox cat /bin/deep/file
    result 'in a tree' 0 deep ''
    long_ago
    run "$VESTAL" run --tree "$digest" -- /bin/busybox cat /bin/deep/file
    run "$VESTAL" gc --size 0 --unused 1h
    run "$VESTAL" tree cat "$digest" bin/deep/file
    result 'what a used tree is made of stays' 0 deep ''
    long_ago
    run "$VESTAL" gc --size 0 --unused 1h
    result 'an unused one goes' 0 'Removed * 1 tree*' ''
    is 'with its files' base "$(ls "$VESTAL_DIR/trees")"
    is 'and all it was made of' 0 "$(blobs)"
    digest=$("$VESTAL" tree add tree)
    run "$VESTAL" run --tree "$digest" -- /bin/busybox cat /bin/deep/file
    result 'made again' 0 deep ''
    # Somebody stands on it.
    mkdir hole && mkfifo hole/wait
    "$VESTAL" run --tree "$digest" --hole "$PWD/hole" -- /bin/busybox sh -c "read x <$PWD/hole/wait; cat /bin/deep/file" >in.tree 2>&1 &
    inside=$!
    exec 3>hole/wait  # once it reads
    long_ago
    run "$VESTAL" gc --size 0 --unused 0s
    like 'a tree that somebody is in stays' '*0 trees*' "$out"
    echo >&3
    exec 3>&-
    wait $inside
    is 'and is whole' deep "$(cat in.tree)"
  fi
fi

# While builds run.
mkdir while && cd while || exit 1
for i in {1..20}; do seq -f "$i %g" 300 >$i.in; done
printf 'all: %s\n%%.out: %%.in\n\t@sort -r $< | tr 0-9 a-j >$@\n' "$(echo {1..20}.out)" >Makefile
make -s all && cat {1..20}.out >../plain
for round in {1..6}; do
  rm -f ./*.out
  "$VESTAL" make -s -j2 all || { echo "round $round fails"; faults=$((faults + 1)); }
  cat {1..20}.out | cmp -s - ../plain || { echo "round $round is not as plain"; faults=$((faults + 1)); }
done &
builds=$!
while kill -0 $builds 2>/dev/null; do "$VESTAL" gc --size 0 --unused 0s >/dev/null || { echo 'gc fails'; faults=$((faults + 1)); }; done
wait $builds
cd ..
finish
