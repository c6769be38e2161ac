#!/bin/bash
# Clock, random numbers, host name and network by choice: --clock, --random, --hostname, --network.
. "$SOURCE/tests/end_to_end/cli.sh"
see=$'\nvestal: see `vestal --help`'

# twice WHAT hit|run PATTERN OPTIONS COMMAND...: both times the same, status 0 and like PATTERN; the second is a hit or not
twice() {
  local what=$1 expect=$2 pattern=$3 options=$4 first
  shift 4
  # shellcheck disable=SC2086
  run "$VESTAL" -v $options run -- "$@"
  result "$what, first" 0 "$pattern" '*'
  like "$what, first: not a hit" "*vestal: [mn]* $1*" "$(tail -n 2 err.text)"
  first=$out
  # shellcheck disable=SC2086
  run "$VESTAL" -v $options run -- "$@"
  is "$what, second" "0 $first" "$status $out"
  if [ "$expect" = hit ]; then like "$what, second" "vestal: hit *" "$err"
  else like "$what, second: run again" "*not cacheable*" "$err"; fi
}

# ---- what can be said ----------------------------------------------------------------------------------------------

for wrong in --clock=5 --clock=@x --clock=tick --clock= --random= --hostname=a/b --network=none --network=localhost:0 \
  --network=127.0.0.1:80,::1:80 --network=name.invalid:80 --clock --clok=@5; do
  run "$VESTAL" "$wrong" run touch started
  result "$wrong" 2 '' "vestal: *${wrong%%=*}*$see"
  run "$VESTAL" run "$wrong" touch started
  result "run $wrong" 2 '' "vestal: *${wrong%%=*}*$see"
done
[ -e started ] && is 'nothing is started for words that are wrong' '' started
run "$VESTAL" --clock=@5 --clock=@6 run --clock=@7 date +%s
result 'the last one counts' 0 7 ''
printf 'all:;@date +%%s\n' >Makefile
run "$VESTAL" --clock=@4000000000 make
result 'before make' 0 4000000000 ''
run env VESTAL_DIR="$PWD/a b" "$VESTAL" --clock=@5 run touch started
result 'not run without a session' 125 '' 'vestal: not run, for there would be no --clock=@5: *'
run env VESTAL_DIR="$PWD/a b" "$VESTAL" --summary --clock=@5 run touch started
result 'not run without a session, by a child' 125 '' 'vestal: not run, for there would be no --clock=@5: *'
[ -e started ] && is 'nothing is started without a session' '' started

# ---- by default all is real ----------------------------------------------------------------------------------------

for i in 1 2; do
  "$VESTAL" run sh -c 'date +%s.%N >f; head -c 8 /dev/urandom >g'
  "$VESTAL" --clock=real --random=real --network=allow run sh -c 'date +%s.%N >>f; head -c 8 /dev/urandom >>g'
  cat f >>dates
  xxd -p -c 8 g >>numbers
done
is 'other dates and numbers each time' '4 4' "$(sort -u dates | wc -l) $(sort -u numbers | wc -l)"
[ "$(head -n 1 dates | cut -d. -f1)" -ge 1600000000 ] || is 'the real date' 'now' "$(cat dates)"

# ---- clock ---------------------------------------------------------------------------------------------------------

twice 'date' hit 1000000000.250000000 --clock=@1000000000.25 date +%s.%N
twice 'another date is another step' hit 1000000001.000000000 --clock=@1000000001 date +%s.%N
run "$VESTAL" -v run date +%s.%N
like 'without a policy it is real' '*not cacheable*' "$err"
run "$VESTAL" why date
like 'why names the policies' '*in a session with --clock=@1000000001*' "$out"
twice 'ticking' hit '100.000000000 100.000000000' --clock=tick:@100 bash -c 'echo $(date +%s.%N) $(date +%s.%N)'
twice 'variables of bash' hit '77 77.000000 0' --clock=@77 bash -c 'echo $EPOCHSECONDS $EPOCHREALTIME $SECONDS'
twice 'printf of bash' hit '1970' --clock=@77 bash -c "printf '%(%Y)T\n'"
twice 'a process id is not the clock' run '*' --clock=@77 bash -c 'echo $SECONDS $$ >/dev/null'
echo 'const char* when = __DATE__ " " __TIME__;' >when.c
twice '__DATE__ and __TIME__' hit '*Feb 13 2009 23:31:30*' --clock=@1234567890 sh -c 'TZ=UTC gcc -c when.c && strings when.o'
cat >clocks.cc <<'C'
#include <dlfcn.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
int main() {
  struct timespec a; struct timeval b;
  clock_gettime(CLOCK_REALTIME, &a); printf("%ld ", a.tv_sec);
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &a); printf("%ld ", a.tv_sec);
  ((int (*)(int, void*))dlsym(dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD), "__vdso_clock_gettime"))(CLOCK_REALTIME, &a); printf("%ld ", a.tv_sec);
  gettimeofday(&b, 0); printf("%ld %ld\n", b.tv_sec, (long)time(0));
}
C
g++ -o clocks clocks.cc || exit 1
twice 'libc, system call, vDSO' hit '5 5 5 5 5' --clock=@5 ./clocks
is 'the same plain is real' 5 "$(./clocks | tr ' ' '\n' | awk '$1 > 1600000000' | wc -l)"
run "$VESTAL" --clock=@5 run sh -c 'sleep 0.1; timeout 0.2 sleep 30; echo $?; bash -c "read -t 0.1 x < <(sleep 0.5); echo \$((\$? > 128))"'
result 'waiting is real' 0 $'124\n1' ''
touch in
printf 'out: in; cp in out\n' >Makefile
run "$VESTAL" --clock=@5 make
result 'make under an old date goes on' 0 'cp in out' '*modification time*'
run "$VESTAL" --clock=@4000000000 make
result 'make under a late date has nothing to say' 0 '*up to date*' ''

# ---- random numbers ------------------------------------------------------------------------------------------------

numbers='mktemp -u; mktemp -u; a=$(mktemp -u); b=$(mktemp -u); echo $a; echo $b; head -c 8 /dev/urandom | xxd -p; head -c 8 </dev/random | xxd -p'
for shell in sh bash; do
  twice "names and numbers in $shell" hit '*' --random=1 $shell -c "$numbers"
  is "all different in $shell" 6 "$(sort -u <<<"$out" | wc -l)"
  one=$out
  twice "another seed in $shell" hit '*' --random=2 $shell -c "$numbers"
  is "nothing the same by another seed in $shell" 12 "$(sort -u <<<"$one"$'\n'"$out" | wc -l)"
  run "$VESTAL" -v run $shell -c "$numbers"
  like "real ones in $shell" '*not cacheable*' "$err"
  is "nothing the same as the real ones in $shell" 12 "$(sort -u <<<"$one"$'\n'"$out" | wc -l)"
done
for i in 1 2; do
  rm -rf made
  mkdir made
  run "$VESTAL" -v --random=1 run sh -c 'for i in 1 2 3; do mktemp made/XXXXXX; done'
done
like 'files made' 'vestal: hit *' "$err"
is 'under three names' 3 "$(ls made | wc -l)"
for i in 1 2; do run "$VESTAL" -v --random=1 run od -An -N8 -tx1 </dev/urandom; done
result 'a device as standard input' 0 ' ?? ?? ?? ?? ?? ?? ?? ??' 'vestal: hit *'
run "$VESTAL" -v --random=1 run od -An -N8 -tx1 </dev/zero
result 'another device as standard input' 0 ' 00 00 00 00 00 00 00 00' '*not cacheable*'

# ---- host name -----------------------------------------------------------------------------------------------------

twice 'host name' hit $'zuse\nzuse zuse' --hostname=zuse bash -c 'uname -n; echo $(hostname) $HOSTNAME'
twice 'another host name is another step' hit $'turing\nturing turing' --hostname=turing bash -c 'uname -n; echo $(hostname) $HOSTNAME'
run "$VESTAL" run uname -n
result 'without a policy it is real' 0 "$(uname -n)" ''

if command -v busybox >/dev/null; then
  twice 'a static program' hit 'hi' --random=7 busybox echo hi
fi

# ---- network -------------------------------------------------------------------------------------------------------

reach='exec 2>&1; exec 3<>/dev/tcp/127.0.0.1/9; echo $?'
twice 'denied' hit '*Network is unreachable*' --network=deny bash -c "($reach); echo done"
twice 'listed' run '*Connection refused*' --network=127.0.0.1:9,127.0.0.1:10 bash -c "($reach); echo done"
twice 'not listed' hit '*Network is unreachable*' --network=127.0.0.1:10 bash -c "($reach); echo done"
twice 'allowed' run '*Connection refused*' --network=allow bash -c "($reach); echo done"

# ---- all at once, in python ----------------------------------------------------------------------------------------

if [ -x /usr/bin/python3 ]; then
  cat >all.py <<'P'
import os, random, socket, tempfile, time, uuid
print(time.time(), time.localtime().tm_year, random.random(), os.urandom(8).hex(), uuid.uuid4(), tempfile.mktemp(), socket.gethostname())
time.sleep(0.01)
try: socket.create_connection(("127.0.0.1", 9))
except OSError as error: print(error)
P
  twice 'python' hit '5.0 1970 * zuse*Network is unreachable*' '--clock=@5 --random=1 --hostname=zuse --network=deny' /usr/bin/python3 all.py
fi
finish
