#!/bin/bash
# At a terminal: it stays one, its keys reach the command, and the shell sees what it would see.
. "$SOURCE/tests/end_to_end/cli.sh"

cat >shell.py <<'P'
# A shell with job control, as far as it is needed: runs a command in the foreground of a new terminal, presses a key
# when it says "ready", and tells how it went.
import os, pty, select, signal, sys, time
key, command = sys.argv[1].encode().decode('unicode_escape').encode(), sys.argv[2:]

def foreground(group):
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, group)

def shell():
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        foreground(os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execvp(command[0], command)
    try:
        os.setpgid(child, child)
    except OSError:
        pass
    while True:
        status = os.waitpid(child, os.WUNTRACED)[1]
        foreground(os.getpid())
        if not os.WIFSTOPPED(status):
            break
        print('<stopped by %d>' % os.WSTOPSIG(status), flush=True)
        time.sleep(0.2)
        foreground(child)
        os.killpg(child, signal.SIGCONT)
    print('<signal %d>' % os.WTERMSIG(status) if os.WIFSIGNALED(status) else '<status %d>' % os.WEXITSTATUS(status), flush=True)
    os._exit(0)

pid, terminal = pty.fork()
if pid == 0:
    shell()
seen, pressed, deadline = b'', not key, time.time() + 20
while time.time() < deadline:
    if select.select([terminal], [], [], 0.1)[0]:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    if not pressed and b'ready' in seen:
        time.sleep(0.1)
        os.write(terminal, key)
        pressed = True
os.kill(pid, signal.SIGKILL)
print(seen.decode().replace('\r\n', '\n').replace('^C', '').replace('^Z', '').replace('^\\', ''), end='')
P
compare() { # WHAT KEY SCRIPT
  local what=$1 key=$2 script=$3 mode plain cached
  plain=$(python3 shell.py "$key" sh -c "${script//PAUSE/sleep 1}")
  like "$what, plain" '*<*>*' "$plain"
  # Each time another script, for what is replayed has no time in which a key could be pressed.
  for mode in run --summary; do
    fresh "$script"
    [ $mode = run ] || mode='--summary run'
    # shellcheck disable=SC2086
    cached=$(python3 shell.py "$key" "$VESTAL" $mode -- sh -c "$fresh_script" | grep -v '^vestal: .* saved$')
    is "$what, $mode" "$plain" "$cached"
  done
}
compare 'it is a terminal' '' 'test -t 0 && test -t 1 && test -t 2 && echo yes; stty -a | head -n 1'
compare 'a line is typed' 'typed\n' 'echo ready; read line; echo "got $line"'
compare 'Ctrl-C' '\x03' 'echo ready; PAUSE; PAUSE; PAUSE; echo never'
compare 'Ctrl-C is caught' '\x03' 'trap "echo caught; exit 4" INT; echo ready; PAUSE; PAUSE; PAUSE; PAUSE'
compare 'Ctrl-\' '\x1c' 'ulimit -c 0; echo ready; PAUSE; PAUSE; PAUSE; echo never'
compare 'Ctrl-D' '\x04' 'echo ready; cat; echo over'
compare 'Ctrl-Z and fg' '\x1a' 'echo ready; PAUSE; echo on; exit 3'
compare 'the command stops itself' '' 'echo ready; kill -STOP $$; echo on; exit 3'

# Compilers ask how wide the terminal is, for the lines of their messages.
printf 'all: a.o b.o\n' >Makefile
echo 'int a;' >a.c
printf 'int f(void) {  %0150d; return x; }\n' 0 | tr 0 ' ' >b.c
echo 'int b;' >good.c
at() { # COLUMNS COMMAND
  env -u SHLVL python3 shell.py "" sh -c "stty rows 24 columns $1; $2"
}
for jobs in '' -j2; do
  cp good.c b.c
  at 80 "rm -f *.o; '$VESTAL' make $jobs" >/dev/null
  like "on a terminal, make $jobs is a hit" '*vestal: 1 hit, 0 misses, 0 not cacheable;*' "$(at 80 "rm -f *.o; '$VESTAL' --summary make $jobs")"
  at 80 "rm -f *.o; echo '# more' >>Makefile; '$VESTAL' make $jobs" >/dev/null
  like "and so are its compilers, if it runs again ($jobs), on another terminal too" '*vestal: 2 hits, 1 miss, 0 not cacheable;*' \
    "$(at 120 "rm -f *.o; '$VESTAL' --summary make $jobs -s")"
done
printf 'int f(void) {  %0150d; return x; }\n' 0 | tr 0 ' ' >b.c
for columns in 80 120 80 120; do
  is "messages on $columns columns" "$(at $columns 'gcc -c b.c')" "$(at $columns "'$VESTAL' run gcc -c b.c")"
done
[ "$(at 80 'gcc -c b.c')" != "$(at 120 'gcc -c b.c')" ] || is 'the width of the terminal matters' yes no
finish
