#!/bin/bash
# What is refused now and allowed later, though no mode has changed: what is in use, mounted read-only or without leave to
# execute, immutable, or has an access list. In mount namespaces of their own, with brokers of their own.
if [ -z "${HAZARD_INSIDE-}" ]; then
  for own in '-m' '-Urm'; do
    # shellcheck disable=SC2086
    unshare $own sh -c 'mount -t tmpfs none /mnt' 2>/dev/null && HAZARD_INSIDE=yes exec unshare $own "$0"
  done
  echo 'this machine allows no namespaces'
  exit 77
fi
export VESTAL_IDLE=10
. "$SOURCE/tests/hazards/play.sh"

# The first message of a program may say where it stands in the file it is written to; there is none here.
q='2>/dev/null'
# That something is refused which was allowed once is noticed by who would change it, and by nobody else (docs/limits.md): in each
# pass such commands have another input.
new='echo $RANDOM$RANDOM > n.noise' r='read x < n.noise'
# A program that runs, and one that is open for writing.
run='cp /bin/sleep p; ./p 100 & runs=$!; until [ "$(readlink /proc/$runs/exe)" = "$PWD/p" ]; do sleep .01; done' end='kill $runs; wait $runs'
places='top sh make' uncached 'a program that runs' "$run" "sh -c 'cp /bin/true p $q; echo \$?'" "! $end" '! cp /bin/true p'
places='top sh make' uncached 'a program that runs, to cp alone' "$run" 'cp /bin/true p' "! $end" "! $run" "! $end; cp /bin/true p" '= :'
places='top sh make' uncached 'a program that is written to' "$new; cat /bin/true n.noise > p.noise; chmod 755 p.noise; exec 9>>p.noise" "sh -c '$r; ./p.noise $q 9>&-; echo \$?' 9>&-" '! exec 9>&-'
mkdir disk && mount -t tmpfs none disk || { echo 'cannot mount'; exit 77; }
disk=$here/disk
d="mount -o remount,rw,exec '$disk'; cd '$disk' && rm -rf ./*"
ro="mount -o remount,ro '$disk'" rw="mount -o remount,rw '$disk'" noexec="mount -o remount,noexec '$disk'" exec="mount -o remount,exec '$disk'"
uncached 'read-only: a new file' "$d; $ro" 'touch f' "! $rw" "! $ro" "! $rw; rm f"
uncached 'read-only: an old file' "$d; echo 1 > f; $ro" "sh -c 'echo 2 > f $q || echo no'" "! $rw" "! $ro" "! $rw"
uncached 'read-only: names' "$d; touch f g; $ro" "sh -c 'rm -f f $q; mkdir d $q; ln -s x l $q; mv g h $q; ls'" "! $rw"
uncached 'read-only: modes and times' "$d; touch f g; $ro" "sh -c 'chmod 600 f $q; touch -d @1000000 g $q; echo \$?'" "! $rw"
uncached 'read-only: test -w' "$d; $new; echo 1 > f; $ro" "sh -c '$r; test -w f; echo \$?; test -w .; echo \$?'" "! $rw"
script="printf '#!/bin/sh\necho ran\n' > ./s; chmod +x ./s; touch -d @1000000 ./s"
uncached 'noexec: a script' "$d; $new; $script; $noexec" "sh -c '$r; ./s $q; echo \$?'" "! $exec"
uncached 'noexec: a program' "$d; $new; cp /bin/true ./p; $noexec" "sh -c '$r; ./p $q; echo \$?'" "! $exec"
uncached 'noexec: a program, in front' "$d; $new; cp /bin/true ./p; $noexec" "sh -c '$r; env ./p'" "! $exec"
uncached 'noexec: test -x' "$d; $new; $script; $noexec" "sh -c '$r; test -x ./s; echo \$?'" "! $exec"
uncached 'an interpreter that may not be executed' "$new; "'printf "#!%s/i\n" "$PWD" > s; cp /bin/cat i; chmod 644 i; chmod +x s' "sh -c '$r; ./s $q; echo \$?'" '! chmod +x i'
uncached 'a mounted directory' "rm -rf m; mkdir m; mount -t tmpfs none m" 'rmdir m' '! umount m' '! mkdir m'
if touch try && chattr +i try 2>/dev/null && chattr -i try; then
  i='echo 1 > a; echo 0 > b; mkdir d; touch d/f'
  uncached 'immutable: an output' "$i; chattr +i b" 'cp a b' '! chattr -i b'
  uncached 'immutable: a name' "$i; chattr +i b" "sh -c 'rm -f b $q; mv b c $q; chmod 600 b $q; touch b $q; ln b e $q; ls'" '! chattr -i b'
  uncached 'immutable: a directory' "$i; chattr +i d" "sh -c 'echo > d/g $q; mkdir d/h $q; rm -f d/f $q; ls d'" '! chattr -i d'
  uncached 'immutable: test -w' "$new; $i; chattr +i b" "sh -c '$r; test -w b; echo \$?'" '! chattr -i b'
fi
finish
