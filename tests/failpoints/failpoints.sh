#!/bin/bash
# Whatever fails inside vestal, at whatever time: the build ends as the plain one does, and later builds replay nothing
# wrong. For each named place (cache/base/failpoint.h), N = 1, 2, ... until the place is not reached so often: an error,
# and the death of the process there, with an empty cache, with one that knows everything, and with one that knows all but
# make itself.
#
# Wants a build with FAILPOINTS=1: make check-failpoints. FAILPOINTS_MAX is the largest N.
set -u
grep -qa VESTAL_FAILPOINT= "$VESTAL" || { echo "this build has no places that can be made to fail"; exit 77; }
faults=0 runs=0 reached=0
most=${FAILPOINTS_MAX:-8}
export VESTAL_IDLE=20

cat >Makefile <<'P'
all: overwriting count
overwriting: joined/upper copy
joined/sum: a b ; mkdir -p joined && cat a b >joined/sum
joined/upper: joined/sum ; tr a-z A-Z <joined/sum >joined/upper; wc -c joined/upper
copy: joined/upper ; cp joined/upper copy.tmp && mv copy.tmp copy && ln -sf copy link && chmod 600 copy && seq 20000
count: a ; cp a count && sh ./more && sed -i s/x/xy/ count && sh ./more && sh ./deeper && sh ./deeper
P
# More output than an answer has room for, and changes of what is there already, which would be seen if it were done twice.
echo 'echo x >>count' >more
echo 'mkdir -p nested/new && mv nested/new nested-new && rm -rf nested && mv nested-new nested && ln -f count nested/count && echo z >>nested/count' >deeper
end_broker() {
  local pid
  pid=$(tr -cd 0-9 2>/dev/null <"$VESTAL_DIR/broker.pid")
  [ -n "$pid" ] || return 0
  kill -9 "$pid" 2>/dev/null
  for _ in {1..200}; do grep -qs '^State:[^Z]*$' "/proc/$pid/status" || return 0; sleep 0.02; done
}
clean() { rm -rf joined copy copy.tmp link count nested nested-new; }
# What a build has left and said, but for what vestal itself says when it cannot work.
state() { cat joined/sum joined/upper copy count; stat -c '%h %n' count; find nested | sort; stat -c %a copy; readlink link; ls -A . joined; grep -v '^vestal: ' make.out; }
build() { # WHAT: builds from scratch and compares with the plain build of the same input
  local status
  clean
  timeout 60 "$VESTAL" make $goal >make.out 2>&1
  status=$?
  state >got 2>&1
  runs=$((runs + 1))
  cmp -s got "../wanted.$goal.$(cat a)" && [ $status = 0 ] && return
  echo "$1: status $status"
  diff "../wanted.$goal.$(cat a)" got
  faults=$((faults + 1))
}
# Every file that will be there, for the listing is compared as well.
touch got make.out
for goal in all overwriting; do
  for input in one two; do
    echo $input >a
    echo b >b
    clean
    make $goal >make.out 2>&1
    state >../wanted.$goal.$input 2>&1
  done
done
grep -q 'y$' ../wanted.all.one || { echo 'the plain build does not work'; exit 1; }

# The cache that knows everything, of which each round gets a copy.
export VESTAL_DIR=$PWD/../known
echo one >a
goal=all
cp Makefile ../Makefile.known
build 'without failures'
goal=overwriting
build 'without failures'
sleep 0.5
end_broker

try() { # POINT N ACTION CACHE
  local what="$1, time $2, $3, $4 cache"
  export VESTAL_DIR=$PWD/../cache
  rm -rf "$VESTAL_DIR" ../reached
  [ "$4" = empty ] || cp -a ../known "$VESTAL_DIR" && rm -f "$VESTAL_DIR/broker.pid" "$VESTAL_DIR/broker.sock"
  cp ../Makefile.known Makefile
  [ "$4" = parts ] && echo "# $what" >>Makefile
  echo one >a
  export VESTAL_FAILPOINT="$1:$2:$3:$PWD/../reached"
  # A change that cannot be made, after others have been: the program runs on what is there (docs/limits.md).
  goal=all
  [ "$1" = replay_apply ] && [ "$3" != kill ] && goal=overwriting
  build "$what"
  unset VESTAL_FAILPOINT
  end_broker
  [ -e ../reached ] || return 1
  reached=$((reached + 1))
  build "$what, then the same again"
  echo two >a
  build "$what, then another input"
  echo one >a
  build "$what, then the first input"
  end_broker
  return 0
}
points=$(grep -rhoE --include='*.cc' 'FAILPOINT\("[^"]+"' "$SOURCE"/{broker,cache,makecompat,preload} | cut -d'"' -f2 | sort -u)
[ -n "$points" ] || { echo 'the sources name no place'; exit 1; }
declare -A came
for point in ${FAILPOINTS_ONLY:-$points}; do
  for action in 28 5 kill; do
    # The client's own end is nobody's build.
    [ "$point $action" = 'broker_start kill' ] && continue
    for cache in empty full parts; do
      for ((n = 1; n <= most; ++n)); do try "$point" "$n" "$action" "$cache" || break; came[$point]=yes; done
    done
  done
  [ -n "${came[$point]-}" ] || { echo "$point was never reached"; faults=$((faults + 1)); }
done
echo "$runs builds, $reached failures"
[ $faults -eq 0 ] || { echo "$faults faults"; exit 1; }
