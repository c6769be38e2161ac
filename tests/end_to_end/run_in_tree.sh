#!/bin/bash
# vestal run --tree: a tree is / for the command, nothing else is there, and what it changes is another tree.
. "$SOURCE/tests/end_to_end/cli.sh"
trees_can_be_entered || { echo 'not possible here: overlayfs and /proc in namespaces of a user'; exit 77; }
here=$(pwd -P)

# ---- a tree to run in: a shell, some tools, and a directory of files ----
mkdir -p stock/sub stock/old stock/named/inner
echo four >stock/named/inner/e
echo one >stock/a
echo two >stock/sub/b
echo three >stock/old/c
ln -s sub/b stock/link
ln -s "$here/stock/sub" stock/absolute
printf '#!/bin/sh\necho script "$@"\n' >stock/script
chmod 755 stock/script
cat >use-all.sh <<'S'
cd stock; cat a sub/b old/c link absolute/b; ./script; ls -a . sub old; readlink link; pwd; id -u; date; sleep 0; hostname
S
cat >more.sh <<'S'
mkdir d; mkfifo d/f; cp d/../use-all.sh d/g; mv d/g d/h; ln d/h d/i; ln -s x d/y; rm -r d; chmod 644 use-all.sh; env; sed -n 1p use-all.sh; head -c 1 use-all.sh
flock use-all.sh true; realpath stock; test -e none; rmdir none; touch none; rm none; sort use-all.sh; tr a b <use-all.sh; script -qc tty /dev/null; perl socket.pl; kill -0 $$; cmp use-all.sh use-all.sh; find stock; cat stock/named/inner/e; od -An -tx1 use-all.sh
S
cat >socket.pl <<'S'
use IO::Socket::UNIX;
my $listener = IO::Socket::UNIX->new(Local => 'server', Listen => 1) or die $!;
if (!fork) { print { IO::Socket::UNIX->new(Peer => 'server') or die $! } "by a socket\n"; exit; }
print readline $listener->accept;
S
PATH=/usr/bin:/bin "$VESTAL" import -o root -- /bin/sh -c '. ./use-all.sh >/dev/null; cd ..; . ./more.sh >/dev/null 2>&1' 2>import.text
tree=$("$VESTAL" tree add root 2>/dev/null)
like 'the tree' '*/*' "$tree"
in_tree() { run "$VESTAL" run --tree "$tree" --cwd "$here" --env PATH=/usr/bin:/bin "$@"; }

in_tree -- sh -c 'cat stock/a stock/link stock/absolute/b; stock/script 1 "2 3"'
result 'files, symbolic links, scripts' 0 $'one\ntwo\ntwo\nscript 1 2 3' ''
in_tree -- sh -c 'cd stock/absolute; pwd -P; realpath b ../../stock/link; cd ../../../../../../../../../..; pwd'
result 'names' 0 "$here/stock/sub"$'\n'"$here/stock/sub/b"$'\n'"$here/stock/sub/b"$'\n'/ ''

# ---- nothing of the machine ----
run env SECRET=canary "$VESTAL" run --tree "$tree" --env PATH=/usr/bin:/bin --env A=1 --env A=2 --env HOME --env NONE -- env
is 'the environment is what is given, and nothing else' "A=2 HOME=$HOME PATH=/usr/bin:/bin " "$(sort out.text | tr '\n' ' ')"
touch "$here/later"
in_tree -- sh -c 'test -e later; echo $?; test -e /etc/hostname; echo $?; test -e /root; echo $?; test -e /usr/bin/gcc; echo $?'
result 'files that are not in the tree' 0 $'1\n1\n1\n1' ''
in_tree -- sh -c 'date +%Y; hostname; id -u; id -g; umask; cat /proc/version; cat /proc/sys/kernel/hostname'
result 'clock, host, user' 0 $'2000\nvestal\n1000\n1000\n0022\nLinux version 6.1.0 (vestal) #1 SMP\nvestal' ''
in_tree -- sh -c 'test $$ -lt 100; echo $?; cat /proc/self/stat >/dev/null; echo $?; ls /dev'
result 'processes and devices' 0 $'0\n0\nfd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero' ''
in_tree --env SHELL=/bin/sh -- script -qc 'tty; echo /dev/pts/*; test -t 0 && echo terminal' /dev/null
result 'pseudo-terminals, which are those of nobody else' 0 $'/dev/pts/0\r\n/dev/pts/0 /dev/pts/ptmx\r\nterminal\r' ''
in_tree -- sh -c 'sed -n 1p /proc/meminfo; sed -n 1p /proc/cpuinfo; echo x >/dev/null; head -c 2 /dev/zero | od -An -tx1'
result 'the machine' 0 $'MemTotal:        8388608 kB\nprocessor\t: 0\n 00 00' ''
in_tree -- sh -c 'head -c 16 /dev/urandom | od -An -tx1'
first=$out
in_tree --fresh -- sh -c 'head -c 16 /dev/urandom | od -An -tx1'
is 'random numbers are the same' "$first" "$out"
mounts=$'overlay / overlay rw,nosuid,nodev,relatime 0 0\ntmpfs /dev tmpfs rw,nosuid,noexec,relatime,mode=755 0 0
devpts /dev/pts devpts rw,nosuid,noexec,relatime,mode=620,ptmxmode=666 0 0\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0'
in_tree --summary -- cat /proc/self/mounts
result 'what is mounted' 0 "$mounts" 'vestal: 0 hits, 1 miss, 0 not cacheable*'
in_tree --summary -- cat /proc/self/mounts
result 'and again' 0 "$mounts" 'vestal: 1 hit, 0 misses, 0 not cacheable*'
in_tree -- sh -c 'ln -s /proc/mounts mtab; cat mtab'
result 'by a symbolic link' 0 "$mounts" '*'
in_tree -- sh -c 'cd /proc/1; cat mounts; cat "/proc/$$/mounts"'
result 'of other processes, by a relative name, by a number' 0 "$mounts"$'\n'"$mounts" ''
in_tree -- sh -c 'sed "s/ [^ ]*:[^ ]* / /" /proc/self/mountinfo; sed -n 1p /proc/self/mountstats; cat </proc/self/mounts | sed -n "\$p"'
result 'in other words' 0 $'1 0 / / rw,nosuid,nodev,relatime - overlay overlay rw\n2 1 / /dev rw,nosuid,noexec,relatime - tmpfs tmpfs rw,mode=755
3 2 / /dev/pts rw,nosuid,noexec,relatime - devpts devpts rw,mode=620,ptmxmode=666\n4 1 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
device overlay mounted on / with fstype overlay\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0' ''
# Of the machine there is nothing at the top of /proc: each file is known from the start, or is empty.
in_tree -- sh -c 'cd /proc; for file in *; do case $file in cmdline|cpuinfo|filesystems|loadavg|meminfo|partitions|stat|swaps|uptime|version|mounts) continue;; esac
  test ! -f $file || test -z "$(cat $file)" || echo $file; done; for directory in acpi bus driver fs irq tty; do echo $directory/*; done | sed -n "/\*/!p"; cat cmdline swaps partitions; sed "s/^.*://" self/cgroup | sort -u'
result 'nothing else of the machine' 0 $'\nFilename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\nmajor minor  #blocks  name\n\n/' ''
in_tree --random=other -- sh -c 'head -c 16 /dev/urandom | od -An -tx1'
[ "$first" != "$out" ] || is 'another seed' 'other numbers' "$out"
in_tree --clock=@86400 --hostname=other -- sh -c 'date -u +%F; hostname'
result 'chosen otherwise' 0 $'1970-01-02\nother' ''
run sh -c 'echo words | "$VESTAL" run --tree "$1" --cwd "$2" -- /bin/sh -c "cat; echo err >&2; exit 7"' sh "$tree" "$here"
result 'streams and status' 7 words err
in_tree -- sh -c 'kill -TERM $$'
is 'death by a signal' 143 "$status"

in_tree -- sh -c "sed -n 's/:.*//p' /proc/net/dev"
is 'no network but its own' lo "$(tr -d ' ' <<<"$out")"

# ---- and no way out ----
exec 7<"$here"
in_tree -- sh -c 'for process in /proc/[0-9]*; do for fd in "$process"/fd/*; do test -e "$fd/stock" && echo "$fd"; test -e "$fd/../stock" && echo "$fd/.."; done; done; ls /proc/self/fd/7 2>&1 | sed "s/.*: //"'
exec 7<&-
is 'no descriptor leads to the machine' 'No such file or directory' "$out"
run env SECRET=canary-of-mine "$VESTAL" run --tree "$tree" --env PATH=/usr/bin:/bin -- sh -c 'cat /proc/[0-9]*/environ 2>/dev/null | tr "\0" "\n" | sed -n /canary/p'
result 'nor does the memory of the processes before it' 0 '' '*'
blobs=$(find "$VESTAL_DIR/blobs" -type f | wc -l) images=$(find "$VESTAL_DIR/images" -type f | wc -l)
in_tree -- sh -c 'rm -rf /dev/.vestal/cache /dev/.vestal/lib /proc/[0-9]*/root/dev/.vestal/cache 2>/dev/null; echo x 2>/dev/null >/dev/.vestal/lib/probe; echo x 2>/dev/null >/dev/.vestal/cache/probe; (echo 60 >/proc/sys/vm/swappiness) 2>/dev/null && echo written; :'
is 'nothing of the machine is written' '' "$out"
is 'nor removed' "$blobs $images" "$(find "$VESTAL_DIR/blobs" -type f | wc -l) $(find "$VESTAL_DIR/images" -type f | wc -l)"
[ ! -e "$BUILD/lib/vestal/probe" ] || is 'nothing beside the shim' '' probe
run "$VESTAL" run --tree '' -- sh -c 'echo ran >ran.here'
result 'an empty digest' 2 '' 'vestal: run: : no digest of a tree*'
[ ! -e ran.here ] || is 'and nothing runs' '' ran
in_tree -- sh -c 'echo 2 >stock/secret; chmod 000 stock/secret; mkdir -p stock/closed; echo 3 >stock/closed/in; chmod 000 stock/closed'
is 'what its owner cannot read is kept' 0 "$status"
run "$VESTAL" tree ls "${err##*tree: }" "$here/stock"
like 'with its mode' '*- 0000          2  secret*' "$out"
in_tree --out "$here/none/none/out" -- sh -c 'echo ran'
result 'a place for --out where nothing can be made' 2 '' 'vestal: run: --out *none: No such file or directory'
in_tree --hole /proc -- true
result 'a hole to what is the sandbox'"'"'s own' 2 '' 'vestal: run: --hole /proc: *'

# ---- holes ----
mkdir -p hole/inner && echo first >hole/inner/h && echo file >hole.file
in_tree --hole "$here/hole" --hole "$here/hole.file" -- sh -c 'cat hole/inner/h hole.file; (: >hole/new) || (: >hole.file) || echo refused'
result 'what is let in can be read' 0 $'first\nfile\nrefused' '*hole/new: Read-only file system*hole.file: Read-only file system'
is 'and is no part of the tree' '' "$(sed -n '/tree: /p' err.text)"
echo second >hole/inner/h
in_tree --hole "$here/hole" -- sed s/x/y/ hole/inner/h
result 'what it holds now' 0 second ''
in_tree -- sh -c 'test -e hole; echo $?'
result 'without it' 0 1 ''
in_tree --hole "$here/none" -- true
result 'a hole to nothing' 2 '' 'vestal: run: --hole *none: No such file or directory'
in_tree --hole hole -- true
result 'a hole at a relative path' 2 '' 'vestal: run: --hole hole: not an absolute path*'
in_tree --hole "$here/stock/a" -- cat stock/a
result 'over what is in the tree' 0 one ''

# ---- what it changes ----
in_tree -- sh -c 'echo same >/dev/null'
result 'a command that changes nothing' 0 '' ''
# The same commands, by the kernel alone in a copy, leave the same tree.
cat >change.sh <<'S'
cd stock
echo new >n; echo more >>a; rm sub/b; mkdir -p p/q; mv n p/q/m; chmod 700 script; ln -s p/q/m l; rm link; ln -sfn nowhere absolute
mv named renamed; rm -r old; mkdir old; echo fresh >old/d; mkdir gone; rmdir gone; ln p/q/m p/hard; mv p r; cp a a2; chmod 600 a2; mkfifo pipe; rm pipe
mkdir sub/b; rm l; mkdir l; (flock 9; echo locked >locked) 9>lockfile; chmod 555 r
S
cp change.sh use-all.sh more.sh "root$here/"
tree=$("$VESTAL" tree add root 2>/dev/null)
in_tree --out changes -- sh -c 'set -e; . ./change.sh'
like 'changes are told' 'vestal: tree: */*' "$err"
is 'and go well' 0 "$status"
after=${err##*tree: }
cp -a root copy
(cd "copy$here" && set -e && sh -c 'set -e; . ./change.sh') || is 'the same by hand' done failed
is 'the tree afterwards is that of the plain commands' "$("$VESTAL" tree add copy 2>/dev/null)" "$after"
is 'what was there is as it was' "$tree" "$("$VESTAL" tree add root 2>/dev/null)"
is 'the changes alone' "$(cd changes && find . -type f | sed "s|^.$here/||" | sort | tr '\n' ' ')" 'stock/a stock/a2 stock/locked stock/lockfile stock/old/d stock/r/hard stock/r/q/m stock/renamed/inner/e stock/script '
is 'their modes' "$(stat -c '%a' "copy$here/stock/r" "copy$here/stock/a2")" "$(stat -c '%a' "changes$here/stock/r" "changes$here/stock/a2")"
run "$VESTAL" tree diff "$tree" "$after"
like 'their difference' "*D *stock/sub/b*" "$(sed 's/^T/D/' <<<"$out")"
in_tree -- sh -c 'mkfifo stock/left; mkdir stock/u; chmod 4755 stock/script; echo by a FIFO >stock/left & cat stock/left; perl socket.pl'
result 'a FIFO and a socket work' 0 $'by a FIFO\nby a socket' '*'
is 'and are left out afterwards' "$here/server: a socket $here/stock/left: a FIFO $here/stock/script: its set-user-ID bit " "$(sed -n 's/^vestal: left out: /\//p' err.text | sort | tr '\n' ' ')"
run "$VESTAL" tree diff "$tree" "${err##*tree: }"
is 'of the tree there is the rest' "A ${here#/}/stock/u/" "$out"
in_tree -- perl -e 'rename "stock/named", "stock/other" or print "$!\n"; mkdir "made"; rename "made", "stock/made" or print "$!\n"'
is 'a directory of the tree is not renamed, one that was made is' 'Invalid cross-device link' "$out"

# ---- again, and in another tree ----
outcome() { # WORDS... : hits and misses of this run
  in_tree --summary "$@"
  sed -n 's/^vestal: \([0-9]* hits*, [0-9]* miss\(es\)*\).*/\1/p' <<<"$err"
}
is 'for the first time' '0 hits, 1 miss' "$(outcome -- sed s/o/0/ stock/a | sed 's/misses/miss/')"
is 'again' '1 hit, 0 misses' "$(outcome -- sed s/o/0/ stock/a)"
in_tree -- sed s/o/0/ stock/a
result 'what is replayed' 0 '0ne' ''
echo else >"root$here/stock/sub/b"
tree=$("$VESTAL" tree add root 2>/dev/null)
is 'in a tree where something else is different' '1 hit, 0 misses' "$(outcome -- sed s/o/0/ stock/a)"
echo once >"root$here/stock/a"
tree=$("$VESTAL" tree add root 2>/dev/null)
is 'where its input is' '0 hits, 1 miss' "$(outcome -- sed s/o/0/ stock/a | sed 's/misses/miss/')"
in_tree -- sed s/o/0/ stock/a
result 'is told the new one' 0 '0nce' ''

# ---- what is counted and explained, like outside ----
export VESTAL_DIR=$VESTAL_DIR.other
tree=$("$VESTAL" tree add root 2>/dev/null)
in_tree -- sh -c 'sort stock/a >stock/sorted; head -c 1 /proc/self/status'
in_tree -- sort stock/a
in_tree -- sort stock/a
"$VESTAL" run sort stock/a >/dev/null
run "$VESTAL" stats
like 'steps in trees are counted' *$'\nHits               2 of 6 steps (33.3 %)\nMisses             2\nNot cacheable      2\n'*$'reads /proc/self/status; for example `head -c 1 /proc/self/status`\n'*$'\nIn trees           5 steps of these\n'* "$out"
run "$VESTAL" stats --json
is 'in numbers' '2 1 2 of 2 2 2' "$(python3 -c 'import json, sys; all = json.load(sys.stdin); print(*(one[name] for one in [all["in_trees"], all] for name in ["hits", "misses", "not_cacheable"]))' <<<"$out" | sed 's/\(. . .\) /\1 of /')"
run "$VESTAL" why "$here/stock/sorted"
result 'the step that made a file in a tree' 0 "$here/stock/sorted: not cacheable, because inside it *in $here of a tree, *" ''
"$VESTAL" run sort stock/sub/b >/dev/null
run "$VESTAL" why
like 'the last session, outside' '1 command: miss, because *sort stock/sub/b' "$out"
echo changed >"root$here/stock/a" && tree=$("$VESTAL" tree add root 2>/dev/null)
in_tree -- sort stock/a
run "$VESTAL" why
like 'the last session, in a tree' "1 command: miss, because stock/a has other contents*sort stock/a" "$out"
run "$VESTAL" -z
result 'cleared' 0 'Statistics cleared' ''
run "$VESTAL" stats
like 'nothing is counted then' *$'\nHits               0\nMisses             0\nNot cacheable      0\nTime saved         0.00 s' "$out"
in_tree -- sort stock/a
run "$VESTAL" stats
like 'and from then on what comes' *$'\nHits               1 of 1 step (100.0 %)\n'* "$out"
kill "$(broker_pid)"
VESTAL_DIR=${VESTAL_DIR%.other}
echo once >"root$here/stock/a" && tree=$("$VESTAL" tree add root 2>/dev/null)

# Trees with little in them.
"$VESTAL" import -o alone -- sed s/o/0/ stock/a >/dev/null 2>&1
is 'a tree without a shell' '0nce' "$("$VESTAL" run --tree "$("$VESTAL" tree add alone 2>/dev/null)" --cwd "$here" -- "$(command -v sed)" s/o/0/ stock/a | sed 's/one/once/;s/0ne/0nce/')"
if busybox=$(command -v busybox) && ! ldd "$busybox" >/dev/null 2>&1; then
  mkdir static && cp -L "$busybox" static/busybox; echo text >static/a
  static=$("$VESTAL" tree add static)
  run "$VESTAL" run --summary --tree "$static" -- /busybox sh -c 'busybox cat a; busybox date +%F'
  result 'a tree of one static program' 0 $'text\n2000-01-01' 'vestal: 0 hits, 3 misses, 0 not cacheable*'
  run "$VESTAL" run --summary --tree "$static" -- /busybox sh -c 'busybox cat a; busybox date +%F'
  result 'the same again' 0 $'text\n2000-01-01' 'vestal: 1 hit, 0 misses, 0 not cacheable*'
  run "$VESTAL" run --tree "$static" -- /busybox cat /proc/self/mounts
  result 'what is mounted, for a static program' 0 "$mounts" ''
fi

# Of another libc, where there is no other.
if command -v musl-gcc >/dev/null; then
  printf '#include <stdio.h>\n#include <time.h>\nint main(void) { time_t now = time(0); printf("%%d\\n", 1900 + gmtime(&now)->tm_year); return 0; }\n' >year.c
  mkdir -p musl/lib && musl-gcc -o musl/year year.c && cp -L "$(sed -n 's|.*\(/lib[^ ]*ld-musl[^ ]*\).*|\1|p' <<<"$(readelf -l musl/year)" | tr -d ']')" musl/lib/
  run "$VESTAL" run --summary --tree "$("$VESTAL" tree add musl)" -- /year
  result 'a tree of musl alone' 0 2000 'vestal: 0 hits, 1 miss, 0 not cacheable*'
fi

# ---- a tree with more at its top than can be mounted one by one ----
cp -a root wide
for ((n = 0; n < 60; ++n)); do mkdir wide/d$n; echo $n >wide/d$n/f; echo $n >wide/f$n; done
wide=$("$VESTAL" tree add wide 2>/dev/null)
run "$VESTAL" run --tree "$wide" --env PATH=/usr/bin:/bin --out out.wide -- sh -c 'cat /d?/f /d??/f /f? /f??; rm /d1/f /f2; echo new >/d59/f; rm -r /d3'
is 'many directories' "$(for ((n = 0; n < 60; ++n)); do echo $n; echo $n; done)" "$(sort -n out.text)"
is 'changes in many directories' d59/f "$(cd out.wide && find . -type f -printf %P)"
wide_after=$(sed -n 's/^vestal: tree: //p' <<<"$err")
is 'the tree afterwards' $'D d1/f\nD d3/\nD d3/f\nM d59/f\nD f2' "$("$VESTAL" tree diff "$wide" "$wide_after")"
# Trees that differ in one directory share the others.
echo other >wide/d7/f
before=$(ls "$VESTAL_DIR/trees" | wc -l)
run "$VESTAL" run --tree "$("$VESTAL" tree add wide 2>/dev/null)" --env PATH=/usr/bin:/bin -- cat /d7/f
result 'a tree with one directory changed' 0 other ''
is 'what is made for it' 1 $(($(ls "$VESTAL_DIR/trees" | wc -l) - before))

# ---- refused ----
run "$VESTAL" run --tree 12 -- true
result 'no digest' 2 '' 'vestal: run: 12: no digest of a tree*'
run "$VESTAL" run --tree "$(printf '0%.0s' {1..64})" -- true
result 'a digest that is not there' 125 '' 'vestal: run: 0*: there is no tree of that digest'
run "$VESTAL" run --tree "$tree" --cwd /none -- true
result 'no such directory' 125 '' 'vestal: run: /none: no working directory in the tree: No such file or directory'
run "$VESTAL" run --tree "$tree" --cwd none -- true
result 'a relative directory' 2 '' 'vestal: run: --cwd none: not an absolute path'
in_tree -- none
result 'no such program' 127 '' 'vestal: none: command not found'
run "$VESTAL" run --cwd / -- true
result 'without a tree' 2 '' 'vestal: run: --cwd*go with --tree*'
run "$VESTAL" run --tree "$tree" --backend=magic -- true
result 'another back end' 2 '' 'vestal: run: --backend magic: there are auto and chroot'
run "$VESTAL" run --tree "$tree" --backend=shim -- true
result 'a back end that there is not' 2 '' 'vestal: run: --backend shim: *docs/architecture.md*'
in_tree --backend=auto -- cat stock/a
result 'the one that there is' 0 "$(cat "root$here/stock/a")" ''
is 'and by its name' "$out" "$("$VESTAL" run --tree "$tree" --cwd "$here" --env PATH=/usr/bin:/bin --backend=chroot -- cat stock/a)"
in_tree --out "$here/stock" -- true
result '--out that is not empty' 2 '' 'vestal: run: --out *: is there, and no empty directory'
mkdir odd && echo >odd/proc && odd=$("$VESTAL" tree add odd)
run "$VESTAL" run --tree "$odd" -- true
result 'a tree whose /proc is a file' 125 '' 'vestal: run: /proc of the tree is no directory*'

# ---- and nothing is left ----
is 'layers' '' "$(ls -d "$VESTAL_DIR"/sandboxes/*/upper "$VESTAL_DIR"/sandboxes/*/work 2>/dev/null)"
is 'processes' '' "$(for process in /proc/[0-9]*; do [ "$(readlink "$process/root" 2>/dev/null)" = "$VESTAL_DIR/sandboxes/0/mount" ] && echo "$process"; done)"
"$VESTAL" run --tree "$tree" --cwd "$here" --env PATH=/usr/bin:/bin -- sh -c 'echo started >&2; sleep 60' 2>started.text &
pid=$!
for round in {1..100}; do grep -q started started.text && break; sleep 0.05; done
kill -TERM $pid
wait $pid
is 'ended from outside: its status' 143 $?
"$VESTAL" run --tree "$tree" --cwd "$here" --env PATH=/usr/bin:/bin -- sh -c 'echo started >&2; sleep 61' 2>started.text & pid=$!
disown
for round in {1..100}; do grep -q started started.text && break; sleep 0.05; done
kill -KILL $pid
for round in {1..100}; do pgrep -fx 'sleep 61' >/dev/null || break; sleep 0.05; done
is 'killed: what it has started goes too' '' "$(pgrep -fx 'sleep 61')"
in_tree -- sh -c 'cat stock/a'
result 'and the next one is as ever' 0 once ''
finish
