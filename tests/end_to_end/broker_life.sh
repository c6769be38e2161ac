#!/bin/bash
# Brokers come when they are needed and go when they are not, and no build depends on their health.
. "$SOURCE/tests/end_to_end/cli.sh"

check_run() { # WHAT
  run "$VESTAL" run sh -c 'echo out; exit 3'
  result "$1" 3 out ''
}
check_run 'the first command starts a broker'
first=$(broker_pid)
like 'it says who it is' '[0-9]*' "$first"
is 'its socket is for its owner alone' 600 "$(stat -c %a "$VESTAL_DIR/broker.sock")"
is 'the cache is for its owner alone' 700 "$(stat -c %a "$VESTAL_DIR")"
check_run 'the second command'
is 'one broker for both' "$first" "$(broker_pid)"
is 'regions are gone with their sessions' '' "$(sleep 0.5; find /dev/shm -name "vestal-$(id -u)-$first-*")"

kill -KILL "$first"
gone "$first"
check_run 'after the broker was killed, with its socket still there'
second=$(broker_pid)
[ "$second" != "$first" ] || is 'there is a new broker' yes no

# While a command runs.
slow() { # VESTAL-OPTIONS...: in the background, and never a hit
  rm -f ready b c
  fresh ': >ready; PAUSE; echo b >b; cat b b >c; exit 3'
  "$VESTAL" "$@" run sh -c "$fresh_script" &
  child=$!
  appears ready || is 'the command has started' yes no
}
for signal in KILL TERM; do
  slow
  kill -$signal "$(broker_pid)"
  wait $child
  is "the broker gets $signal while a command runs" '3 b b' "$? $(echo $(cat c))"
  is "$signal leaves no region behind for long" '' "$("$VESTAL" run true; sleep 0.5; find /dev/shm -name "vestal-$(id -u)-$second-*")"
  second=$(broker_pid)
done
slow --summary 2>err.text
kill -KILL "$(broker_pid)"
wait $child
is 'the same with a summary' '3' $?
like 'which cannot be given' 'vestal: no summary: *' "$(cat err.text)"

# The command is killed, and its directory put back as it was, before the broker has come to look at what steps have read.
rm -rf ready made made.d before.d
mkdir before.d made.d
echo old >before.d/in
echo new >made.d/in
mkfifo gate
sleep 0.1
"$VESTAL" run sh -c 'cat /dev/null; sleep 0.01; : >ready; read wait <gate; cat made.d/in >shown; : >made; read wait <gate; :' &
child=$!
appears ready
kill -STOP "$(broker_pid)"
echo >gate
appears made
kill -KILL $child
wait $child 2>/dev/null
mv made.d after.d
mv before.d made.d
kill -CONT "$(broker_pid)"
sleep 0.5
for attempt in 1 2; do
  # In the background, as before, for that is a part of the step.
  "$VESTAL" run cat made.d/in >shown &
  wait $!
  is "what a killed command has read is not taken for what stands there now ($attempt)" old "$(cat shown)"
done

# In a container whose first process waits for nobody a killed broker stays, as a process without anything.
kill "$(broker_pid)" && gone "$(broker_pid)"
rm -f ready
fresh ': >ready; PAUSE; /bin/echo on; cat b'
python3 - "$VESTAL" "$fresh_script" <<'P'
import ctypes, os, pathlib, signal, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: the broker becomes a child of this process
command = subprocess.Popen([sys.argv[1], "run", "sh", "-c", sys.argv[2]], stdout=subprocess.PIPE)
while not os.path.exists("ready"): time.sleep(0.01)
broker = int(pathlib.Path(os.environ["VESTAL_DIR"], "broker.pid").read_text())
os.kill(broker, signal.SIGKILL)
out = open("left.text", "w")
# Whoever waits for a broker that lives does so for a minute.
try: print(command.communicate(timeout=40)[0].decode().split(), command.returncode, file=out)
except subprocess.TimeoutExpired: print("waits for a dead broker", file=out); command.kill()
print(pathlib.Path(f"/proc/{broker}/stat").read_text().split()[2], file=out)
os.waitpid(broker, 0)
P
is 'a killed broker that nobody waits for holds nobody up' "['on', 'b'] 0 Z" "$(echo $(cat left.text))"

run "$VESTAL" run true
kill -TERM "$(broker_pid)"
gone "$(broker_pid)" || is 'SIGTERM ends it' yes no
is 'an ended broker leaves no socket' '' "$(find "$VESTAL_DIR" -name 'broker.sock' -o -name 'broker.pid')"

# Something else where its files should be.
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$VESTAL_DIR/broker.sock"
echo 999999 >"$VESTAL_DIR/broker.pid"
check_run 'with a socket nobody listens at'
kill "$(broker_pid)" && gone "$(broker_pid)"
echo text >"$VESTAL_DIR/broker.sock"
check_run 'with a file in place of the socket'

# Idleness. A session of its own, however long, is not idle.
kill "$(broker_pid)" && gone "$(broker_pid)"
VESTAL_IDLE=1 run "$VESTAL" run true
idle=$(broker_pid)
fresh 'sleep 2.$$'
run "$VESTAL" run sh -c "$fresh_script"
is 'a broker with a session stays' "$idle" "$(broker_pid)"
gone "$idle" || is 'an idle broker leaves' yes no
check_run 'after the broker has left'

# Whose directory has been removed cannot be found any more, and leaves; what another has made there is not its own.
for what in "$VESTAL_DIR" "$VESTAL_DIR"/\*; do
  VESTAL_IDLE=600 run "$VESTAL" run true
  lost=$(broker_pid)
  # shellcheck disable=SC2086
  rm -rf $what
  check_run "after $what was removed"
  next=$(broker_pid)
  [ "$next" != "$lost" ] || is 'there is a new broker' yes no
  gone "$lost" || is "a broker that has lost $what leaves" yes no
  is 'and takes nothing from the new one' "$next yes" "$(broker_pid) $([ -S "$VESTAL_DIR/broker.sock" ] && echo yes)"
  kill "$next" && gone "$next"
done
VESTAL_IDLE=600 run "$VESTAL" run true
lost=$(broker_pid)
rm "$VESTAL_DIR/broker.sock"
gone "$lost" || is 'a broker whose socket was removed leaves' yes no

# Many at once, without a broker and with one.
for round in none one; do
  [ $round = none ] && kill "$(broker_pid)" && gone "$(broker_pid)"
  for i in {1..20}; do
    { "$VESTAL" run sh -c "echo $i-$round; exit $i" >out.$i 2>err.$i; echo $? >status.$i; } &
  done
  wait
  for i in {1..20}; do is "command $i of twenty, $round" "$i-$round $i " "$(cat out.$i) $(cat status.$i) $(cat err.$i)"; done
done
slow
check_run 'a second command while another runs'
wait $child
is 'the first one' '3' $?

# Another build of vestal takes over; while the first is in use it does without.
mkdir -p other/bin other/lib/vestal
cp "$(readlink -f "$VESTAL")" other/bin/vestal
cp "$(dirname "$(readlink -f "$VESTAL")")/../lib/vestal/libvestal_shim.so" other/lib/vestal/
slow
run other/bin/vestal run echo hello
result 'another build while the first is in use' 0 hello 'vestal: running without the cache: another build *'
wait $child
is 'the command of the first build' '3' $?
sleep 0.5
run other/bin/vestal run echo hello
result 'another build' 0 hello ''
is 'has a broker of its own' "$(readlink -f other/bin/vestal)" "$(readlink "/proc/$(broker_pid)/exe")"
check_run 'the first build again'
is 'has its own broker again' "$(readlink -f "$VESTAL")" "$(readlink "/proc/$(broker_pid)/exe")"
# A command that has ended is not in the way, though its session is not over yet.
first=$(broker_pid)
run "$VESTAL" run sh -c "kill -STOP $first; kill -9 \$\$"
{ sleep 0.3; kill -CONT "$first"; } &
run other/bin/vestal run echo hello
result 'another build right after a command' 0 hello ''
wait $!
check_run 'the first build once more'

# What a build has recorded is for builds of the same sources alone: another may see more.
echo 1 >seen.text
hits_of() { "$1" --summary run cat seen.text 2>&1 >/dev/null | grep -o '[0-9]* hit'; }
like 'a copy of a build finds what that has recorded' '1 hit*' "$(hits_of "$VESTAL" >hits.0; hits_of other/bin/vestal)"
id=$(readelf -n other/lib/vestal/libvestal_shim.so | sed -n 's/.*Build ID: //p')
perl -0777 -pi -e 'BEGIN { $id = pack "H*", shift } s/\Q$id\E/~$id/' "$id" other/lib/vestal/libvestal_shim.so
kill "$(broker_pid)" && gone "$(broker_pid)"
like 'one with another shim does not' '0 hit*' "$(hits_of other/bin/vestal)"

# Who connects and says nothing, or nonsense, disturbs nobody.
python3 - "$VESTAL_DIR/broker.sock" <<'P' || faults=1
import os, socket, subprocess, sys, time
silent = []
for i in range(8):
    silent.append(socket.socket(socket.AF_UNIX))
    silent[-1].connect(sys.argv[1])
    if i >= 4:
        silent[-1].send(os.urandom(60))
started = time.time()
done = subprocess.run([os.environ['VESTAL'], 'run', 'echo', 'hello'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
assert (done.returncode, done.stdout, done.stderr) == (0, b'hello\n', b''), done
assert time.time() - started < 5, time.time() - started
P
is 'and the broker is still there' yes "$(kill -0 "$(broker_pid)" && echo yes)"
finish
