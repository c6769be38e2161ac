#!/bin/bash
# The command gets what it would have got without vestal, and vestal adds nothing to what it gives.
. "$SOURCE/tests/end_to_end/cli.sh"

cat >look.py <<'P'
# Everything a process can see of what it inherited, but for what the session is documented to change.
import os, resource, signal, sys
print('descriptors', sorted(int(fd) for fd in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + fd)))
for fd in (0, 1, 2):
    try:
        print(fd, os.readlink('/proc/self/fd/%d' % fd).split(':')[0])
    except OSError:
        print(fd, 'closed')
mask = os.umask(0)
print('umask', oct(mask))
os.umask(mask)
for line in open('/proc/self/status'):
    if line.split(':')[0] in ('SigBlk', 'SigIgn', 'SigPnd', 'ShdPnd'):
        print(line.strip())
for name in sorted(n for n in dir(resource) if n.startswith('RLIMIT_')):
    print(name, resource.getrlimit(getattr(resource, name)))
print('group', os.getpgid(0) == int(sys.argv[1]), 'session', os.getsid(0) == int(sys.argv[2]), 'nice', os.nice(0))
print('directory', os.getcwd())
print('words', sys.argv[3:])
for name in sorted(os.environ):
    print(name, os.environ[name] if name not in ('_', 'SHLVL') else '')
try:
    print('child', os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print('no child')
P
group=$(ps -o pgid= -p $$ | tr -d ' ') session=$(ps -o sid= -p $$ | tr -d ' ')
look() { # COMMAND PREFIX...
  "$@" python3 -S look.py "$group" "$session" 'a b' '' '*' 7</dev/null 8>/dev/null
}
compare() { # WHAT COMMAND...: plain against vestal run, twice, and with a summary
  local what=$1 mode plain; shift
  "$@" env >seen.text 2>&1
  plain=$(cat seen.text)
  for mode in 'run --' 'run --' '--summary run --'; do
    # shellcheck disable=SC2086
    "$@" "$VESTAL" $mode env >seen.text 2>&1
    sed -i '/^vestal: .* saved$/d' seen.text
    [ "$plain" = "$(cat seen.text)" ] || { echo "$what, $mode:"; diff <(echo "$plain") seen.text | head -n 10; faults=1; }
  done
}
compare 'as it is' look
in_limits() { ( umask 027; ulimit -n 200; ulimit -c 0; ulimit -s 4096; trap '' USR1 HUP PIPE; look "$@" ); }
compare 'with limits, a umask and ignored signals' in_limits
closed() {
  "$@" python3 -S look.py "$group" "$session" <&-
}
compare 'with standard input closed' closed
without_broker() {
  local pid
  [[ $* = *vestal* ]] && pid=$(broker_pid) && [ -n "$pid" ] && kill "$pid" && gone "$pid"
  look "$@"
}
compare 'when the broker has to be started' without_broker
child_ignored() { ( trap '' CHLD; without_broker "$@" ); }
compare 'when children are ignored' child_ignored

run "$VESTAL" run true
result 'nothing is said' 0 '' ''
is 'standard input' 'a line' "$(echo 'a line' | "$VESTAL" run cat)"
is 'standard input with a summary' 'a line' "$(echo 'a line' | "$VESTAL" --summary run cat 2>/dev/null)"
is 'standard input is left where the command left it' 'second' "$(printf 'first\nsecond\n' | { "$VESTAL" run sh -c 'read line'; cat; })"
is 'streams are kept apart' 'out' "$("$VESTAL" run sh -c 'echo out; echo err >&2' 2>/dev/null)"
like 'the process is the command itself' '1' "$("$VESTAL" run sh -c 'echo $$ >pid' & wait $!; [ "$(cat pid)" = "$!" ] && echo 1)"

# Nothing of ours holds the pipe open once the command has gone.
for round in start again; do
  [ $round = start ] && kill "$(broker_pid)" && gone "$(broker_pid)"
  started=$SECONDS
  timeout 20 bash -c '"$VESTAL" run echo piped | cat' >out.text
  is "through a pipe, $round" 'piped' "$(cat out.text)"
  [ $((SECONDS - started)) -lt 15 ] || is 'the pipe is closed with the command' yes no
done
is 'the broker holds none of our descriptors' '' "$(find "/proc/$(broker_pid)/fd" -lname "$PWD/*" 2>/dev/null)"
is 'the broker has none of our variables' '' "$(tr '\0' '\n' <"/proc/$(broker_pid)/environ" | grep -vE '^(VESTAL_IDLE|VESTAL_SHIM|TZ)=')"
is 'the broker is in a session of its own' "$(broker_pid)" "$(ps -o sid= -p "$(broker_pid)" | tr -d ' ' | sed "s/^$session\$/ours/; s/^[0-9].*/$(broker_pid)/")"
finish
