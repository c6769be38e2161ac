#!/bin/bash
# Who runs it, where, on what, and with which limits.
. "$SOURCE/tests/hazards/play.sh"

f='echo x > a'
hazard 'umask of what is made' "$f" "sh -c 'echo x > o; mkdir d'" '= rm -r o d' '! umask 077; rm -rf o d' '! umask 002; rm -rf o d' '! umask 022; rm -rf o d'
hazard 'umask of who made it first' "$f" "sh -c '(umask 077; echo x > o); sh -c \"cat f > o\"'" '= rm o' '! chmod 640 o' '! rm o; echo more >> f'
hazard 'umask that is shown' "$f" "sh -c umask" '= :' '! umask 077' '! umask 022'
hazard 'umask of a program that is built' 'echo "int main(void) { return 0; }" > m.c' 'gcc m.c -o m' '! umask 077; rm m' '! umask 022; rm m'
hazard 'umask set inside' "$f" "sh -c 'umask 027; echo x > o'" '= :' '! rm o; umask 077' '! rm o; umask 0'
hazard 'the number of open files' "$f" "sh -c 'ulimit -n'" '= :' '> (ulimit -Sn 200; $V sh -c "ulimit -n")' '> (ulimit -Sn 300; $V sh -c "ulimit -n")'
hazard 'the size of cores, of the stack' "$f" '(ulimit -Sc 0; $V sh -c "ulimit -c; ulimit -s")' '> (ulimit -Sc 0; ulimit -Ss 4096; $V sh -c "ulimit -c; ulimit -s")' '> (ulimit -Sc 0; ulimit -Ss 2048; $V sh -c "ulimit -c; ulimit -s")'
hazard 'the time one may use' "$f" "sh -c 'ulimit -t'" '> (ulimit -t 100; $V sh -c "ulimit -t")'
hazard 'the priority' "$f" 'nice' '> nice -n 3 $V nice' '> nice -n 5 $V nice'
program processors -D_GNU_SOURCE <<'C'
#include <sched.h>
#include <stdio.h>
#include <unistd.h>
int main(int n, char** a) { cpu_set_t s; sched_getaffinity(0, sizeof s, &s); if (a[1]) printf("%d\n", (int)sysconf(_SC_NPROCESSORS_ONLN));
  else for (n = 0; n < CPU_SETSIZE; ++n) if (CPU_ISSET(n, &s)) printf("%d\n", n); }
C
hazard 'nproc' "$f" 'nproc' '= :' '> taskset -c 0 $V nproc' '> nproc'
hazard 'which processors' "$f" "\$V $bin/processors" "> taskset -c 0 \$V $bin/processors" "> \$V $bin/processors"
if taskset -c 1 true 2>/dev/null; then
  hazard 'the first processor, the second one' "$f" "taskset -c 0 \$V $bin/processors" "> taskset -c 1 \$V $bin/processors" "> taskset -c 0 \$V sh -c '$bin/processors; :'" "> taskset -c 1 \$V sh -c '$bin/processors; :'"
fi
hazard 'how many processors' "$f" "\$V $bin/processors x" "> taskset -c 0 \$V $bin/processors x"
hazard 'nproc and OMP_NUM_THREADS' "$f" 'nproc' '! export OMP_NUM_THREADS=1' '! unset OMP_NUM_THREADS'
hazard 'the machine' "$f" 'uname -m' '= :' '> setarch i686 $V uname -m' '> uname -m'
hazard 'the kernel' "$f" 'uname -r' '> setarch --uname-2.6 $V uname -r' '> uname -r'
hazard 'the working directory' 'mkdir d e; echo 1 > d/f; echo 2 > e/f' '{ cd d; $V cat f; }' '> { cd e; $V cat f; }' '> { cd d; $V pwd; }' '> { cd e; $V pwd; }'
hazard 'a directory that was moved' 'mkdir d; echo 1 > d/f' '{ cd d; $V cat f; $V pwd; }' '! mv d e; mkdir d; echo 2 > d/f' '> { cd e; $V cat f; }'
# ls that shows whole times reads the clock.
uncached 'TZ' 'touch -d @1000000 a' 'ls --full-time a' '= :' '! export TZ=XYZ-3' '! export TZ=XYZ-4' '! unset TZ'
zone=/usr/share/zoneinfo
if [ -f $zone/Asia/Tokyo ]; then
  hazard 'a time zone file' "cp $zone/Asia/Tokyo z; export TZ=:\$PWD/z; touch -d @1000000 a z" 'date -r a' "! cp $zone/Europe/Paris z" "! cp $zone/Asia/Tokyo z"
  hazard 'TZDIR' "mkdir z; cp $zone/Asia/Tokyo z/Here; export TZDIR=\$PWD/z TZ=Here; touch -d @1000000 a z/Here" 'date -r a' "! cp $zone/Europe/Paris z/Here" "! unset TZDIR"
fi
program zone_of <<'C'
#include <stdio.h>
#include <time.h>
int main(void) { time_t t = 1000000; puts(ctime(&t)); }
C
hazard 'a time zone file that is made' 'export TZ=:$PWD/z' "\$V $bin/zone_of" "! printf 'TZif2\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\1\\0\\0\\0\\4\\0\\0\\016\\020\\0\\0XYZ\\0TZif2\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\1\\0\\0\\0\\4\\0\\0\\016\\020\\0\\0XYZ\\0\\nXYZ-1\\n' > z" '! rm z'
program locale_of <<'C'
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
int main(void) { char* l = setlocale(LC_ALL, ""); puts(l ? l : "none"); puts(nl_langinfo(CODESET)); }
C
if command -v localedef >/dev/null && localedef -i C -f UTF-8 "$here/loc1" 2>/dev/null; then
  hazard 'a locale that is installed' "mkdir l; export LOCPATH=\$PWD/l LC_ALL=my.utf8" "\$V $bin/locale_of" "! cp -r $here/loc1 l/my.utf8" '! rm -r l/my.utf8'
fi
hazard 'LANG' 'export LC_ALL=' "\$V $bin/locale_of" '! export LANG=C.UTF-8' '! export LC_CTYPE=POSIX' '! unset LANG LC_CTYPE'
hazard 'the user' "$f" "sh -c 'id -u; id -g; id -un'" '= :'
hazard 'the home of a user' "$f" "sh -c 'echo ~root'" '= :'
hazard 'the groups' "$f" 'id -G' '= :'
hazard 'the host' "$f" "sh -c 'hostname; uname -n'" '= :'
elsewhere=yes
if unshare -Ur true 2>/dev/null; then
  hazard 'another name of the host' "$f" 'uname -n' "> unshare -Uru sh -c 'hostname hazard; exec '\"\$V uname -n\"" '> uname -n'
fi
if [ "$(id -u)" = 0 ]; then
  if unshare -m true 2>/dev/null; then
    hazard 'the user database' "cp /etc/passwd p; echo 'other:x:4242:4242::/:/bin/sh' >> p" "sh -c 'id -un 4242 2>/dev/null || echo nobody'" \
      "> unshare -m sh -c 'mount --bind p /etc/passwd; exec '\"\$V\"' id -un 4242'" "> sh -c 'id -un 4242 2>/dev/null || echo nobody'"
    hazard 'a file behind a mount' 'echo 1 > a; echo 2 > b' 'cat a' "> unshare -m sh -c 'mount --bind b a; exec '\"\$V\"' cat a'" '> cat a'
  fi
  chmod 711 "$here" "$here/.." 2>/dev/null
  hazard 'other groups' "$f; chmod 640 a; chgrp 1 a; chmod 777 ." 'id -G' '> setpriv --groups 1,2 $V id -G' '> id -G'
  uncached 'another user' "$f; chmod 600 a; chmod 777 ." 'cat a' '> setpriv --reuid 65534 --clear-groups $V cat a' '> cat a'
  uncached 'fewer capabilities' "$f; chown 1 a; chmod 600 a" 'cat a' '> setpriv --bounding-set -all --inh-caps -all $V cat a' '> cat a'
fi
finish
