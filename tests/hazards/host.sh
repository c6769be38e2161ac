#!/bin/bash
# The name of the host and what stands in /etc, which change between two runs: all of it, the broker too, is in a host name
# and mount namespace of its own, with a copy of /etc.
if [ -z "${HAZARD_INSIDE-}" ]; then
  for own in '-mu' '-Urmu'; do
    # shellcheck disable=SC2086
    unshare $own sh -c 'hostname inside && mount -t tmpfs none /mnt' 2>/dev/null && HAZARD_INSIDE=yes exec unshare $own "$0"
  done
  echo 'this machine allows no namespaces'
  exit 77
fi
export VESTAL_IDLE=10
. "$SOURCE/tests/hazards/play.sh"
# Edits are made where the copy is, so that they can never reach the real one.
etc=$here/etc
mkdir "$etc" && cp -a /etc/{passwd,group,nsswitch.conf,ld.so.cache,ld.so.conf,ld.so.conf.d,alternatives,localtime} "$etc" 2>/dev/null
mount --bind "$etc" /etc || { echo 'cannot have an /etc of its own'; exit 77; }
cp -a "$etc" "$here/etc.as_it_was"
f="rm -rf $etc/*; cp -a $here/etc.as_it_was/. $etc; hostname one; domainname none"

program host_of <<'C'
#include <stdio.h>
#include <unistd.h>
int main(int n, char** v) { char name[99] = ""; (n > 1 ? getdomainname : gethostname)(name, sizeof name); puts(name); }
C
for command in 'hostname' 'uname -n' "bash -c 'echo \$HOSTNAME'" 'cat /proc/sys/kernel/hostname' "\$V $bin/host_of"; do
  hazard "the name of the host: $command" "$f" "$command" '= :' '! hostname two' '! hostname one'
done
hazard 'the name of the host in a Makefile' "$f; printf 'all:; @echo \$(shell hostname)\n' > Makefile; touch -d @1000000 Makefile ." 'make' '= :' '! hostname two' '! hostname one'
hazard 'the domain of the host' "$f" "\$V $bin/host_of d" '= :' '! domainname two' '! domainname one'

mine="sed -i s/^root:/chief:/ $etc/passwd" theirs="sed -i s/^chief:/root:/ $etc/passwd"
added="echo other:x:4242:4242::/other:/bin/sh >> $etc/passwd"
hazard 'the name of the user' "$f" 'id -un' '= touch a' "! $mine" "! $theirs"
hazard 'the name of an owner' "$f; touch -d @1000000 a" 'stat -c %U a' '= :' "! $mine" "! $theirs"
uncached 'the name of an owner, to ls' "$f; touch -d @1000000 a" 'ls -l a' '= :' "! $mine" "! $theirs"
hazard 'a user that is added' "$f" "sh -c 'id -u other; id -un 4242'" '= touch a' "! $added" "! sed -i /^other:/d $etc/passwd"
hazard 'the home of a user' "$f" "sh -c 'echo ~other'" '= touch a' "! $added" "! sed -i s,/other:,/another:, $etc/passwd"
hazard 'a user database that is removed' "$f" 'id -un' "! mv $etc/passwd $etc/passwd-" "! mv $etc/passwd- $etc/passwd"
hazard 'the name of a group' "$f; touch -d @1000000 a" 'stat -c %G a' '= :' "! sed -i s/^root:/chiefs:/ $etc/group"
hazard 'where names are looked for' "$f" "sh -c 'id -un; :'" "! echo passwd: > $etc/nsswitch.conf" "! rm $etc/nsswitch.conf"
echo 'import pwd; print(pwd.getpwuid(0).pw_name)' >"$bin/user.py"
echo 'print scalar getpwuid(0), "\n"' >"$bin/user.pl"
for text in '$python $bin/user.py' '$perl $bin/user.pl'; do
  hazard "the name of a user for a script: $text" "$f" "\$V $text" '= :' "! $mine" "! $theirs"
done

zones=/usr/share/zoneinfo
if [ -f $zones/Asia/Tokyo ]; then
  program zone_of <<'C'
#include <stdio.h>
#include <time.h>
int main(void) { time_t t = 1000000; puts(ctime(&t)); }
C
  tokyo="! ln -sfn $zones/Asia/Tokyo $etc/localtime"
  for command in "\$V $bin/zone_of" 'date -r a'; do
    hazard "the time zone of the host: $command" "$f; touch -d @1000000 a" "$command" '= touch b' "$tokyo" "! rm $etc/localtime" \
      "! cp $zones/Europe/Paris $etc/localtime" "! cp $zones/Asia/Tokyo $etc/localtime"
  done
fi
finish
