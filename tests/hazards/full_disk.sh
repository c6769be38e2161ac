#!/bin/bash
# What failed for want of room is tried again. In a file system of its own, with a broker of its own.
if [ -z "${IN_OWN_NAMESPACE-}" ]; then
  unshare -Urm true 2>/dev/null || { echo 'not possible here: unshare'; exit 77; }
  IN_OWN_NAMESPACE=yes exec unshare -Urm "$0" "$@"
fi
. "$SOURCE/tests/hazards/play.sh"
program map_and_write <<'C'
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(void) {
  int f = open("mapped.noise", O_RDWR | O_CREAT, 0644);
  ftruncate(f, 60000);
  memset(mmap(0, 60000, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0), 'x', 60000);
  return 0;
}
C
mkdir disk && mount -t tmpfs -o size=128k none disk || exit 1
small='cd "$here/disk" && rm -rf ./*'
fill='head -c 1000000 /dev/zero > full.noise 2>/dev/null || :'
hazard 'room for a copy' "$small; echo 1 > a" 'cp a b' "! rm b; $fill" '! rm full.noise'
hazard 'room for an object' "$small; echo '.globl a' > a.s" 'as a.s -o a.o' "! rm a.o; $fill" '! rm full.noise'
hazard 'room for what a shell prints' "$small" "sh -c 'echo hi > a; cat a'" "! rm a; $fill" '! rm full.noise'
hazard 'room at the end of a file' "$small; echo 1 > a; echo 2 > c" "sh -c 'cp c b; cat a >> b'" "! $fill" '! rm full.noise'
hazard 'room for what is mapped' "$small; ulimit -c 0" "sh -c '$bin/map_and_write; echo \$?' 2>/dev/null" "! rm mapped.noise; $fill" '! rm full.noise'
finish
