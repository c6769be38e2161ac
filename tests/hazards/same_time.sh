#!/bin/bash
# Contents that changed although size and time did not, or so quickly that times cannot tell.
. "$SOURCE/tests/hazards/play.sh"

old='touch -d @1000000'
hazard 'rewritten in place' "echo 1 > f; $old f" 'cat f' '= :' "! printf 2 | dd of=f conv=notrunc; $old f" "! printf 1 | dd of=f conv=notrunc; $old f" "! echo 3 > f; $old f"
hazard 'another file moved there' "echo 1 > f; echo 2 > g; $old f g" 'cat f' '! mv g f' "! echo 3 > h; $old h; mv h f"
hazard 'two files that change names' "echo 1 > f; echo 2 > g; $old f g" 'cat f' '! mv f x; mv g f; mv x g' '! mv f x; mv g f; mv x g'
hazard 'two directories that change names' "mkdir d e; echo 1 > d/f; echo 2 > e/f; $old d e d/f e/f" 'cat d/f' '! mv d x; mv e d; mv x e' '! mv d x; mv e d; mv x e'
hazard 'through another hard link' "echo 1 > f; ln f g; $old f" 'cat f' "! echo 2 > g; $old g" "! echo 3 > g; $old g"
hazard 'through a symbolic link' "echo 1 > f; ln -s f g; $old f" 'cat g' "! echo 2 > f; $old f"
hazard 'through a mapping' "echo 1 > f; $old f" 'cat f' "! \$python -c 'import mmap; f = open(\"f\", \"r+b\"); m = mmap.mmap(f.fileno(), 0); m[0] = 50'; $old f"
hazard 'copied with its time' "echo 1 > f; echo 2 > g; $old f g" 'cat f' '! cp -p g f' '! echo 1 > g; touch -r f g; cp -p g f'
hazard 'removed and made anew' "echo 1 > f; $old f" 'cat f' "! rm f; echo 2 > f; $old f" "! rm f; echo 3 > f; $old f" "! rm f; echo 1 > f; $old f"
hazard 'cut off and filled' "echo 1 > f; $old f" 'cat f' "! : > f; echo 2 > f; $old f"
hazard 'a program' "echo 'int main(void) { return 1; }' | gcc -x c - -o p; echo 'int main(void) { return 2; }' | gcc -x c - -o q; $old p q" './p' '= :' '! cat q > p; touch -d @1000000 p'
places='sh make one' hazard 'a library of a program' "echo 'int f(void) { return 1; }' | gcc -shared -fPIC -x c - -o l.so; echo 'int f(void); int main(void) { return f(); }' | gcc -x c - ./l.so -o p; $old l.so" './p' \
  '= :' "! echo 'int f(void) { return 2; }' | gcc -shared -fPIC -x c - -o l.so; $old l.so"
hazard 'a script' "printf '#!/bin/sh\necho 1\n' > s; chmod +x s; $old s" './s' '= :' "! sed -i s/1/2/ s; $old s"
hazard 'an interpreter' "printf '#!$here/top/i\n' > s; chmod +x s; cp /bin/echo i; $old i" 'cat s' "! printf 'x' | dd of=s conv=notrunc; $old s"
hazard 'a header' "echo '#define H 1' > h.h; echo 'int x = 1;' > m.c; echo '#include \"h.h\"' > m.c; echo 'int x = H;' >> m.c; $old h.h" 'gcc -E -P m.c' '= :' "! echo '#define H 2' > h.h; $old h.h" "! echo '#define H 1' > h.h; $old h.h"
hazard 'a link with the same text length and time' "echo 1 > a; echo 2 > b; ln -s a l; touch -hd @1000000 l" 'cat l' '! ln -sfn b l; touch -hd @1000000 l'
hazard 'a listing with the same directory time' "mkdir d; touch d/a; $old d" 'ls d' "! mv d/a d/b; $old d" "! mv d/b d/a; $old d"
hazard 'twelve versions in a row' 'echo 1 > f' 'cat f' '! echo 2 > f' '! echo 3 > f' '! echo 4 > f' '! echo 5 > f' '! echo 6 > f' '! echo 7 > f' '! echo 8 > f' '! echo 9 > f' '! echo 1 > f' '! echo 2 > f'
uncached 'rewritten by the step itself' "echo 1 > f; $old f" "sh -c 'cat f; echo 2 > f; $old f; cat f; echo 3 > f; $old f; cat f'" '! echo 1 > f' "! echo 1 > f; $old f"
uncached 'rewritten by another program of the step' "echo 1 > f; $old f" "sh -c 'cat f > a; sed -i s/1/2/ f; touch -d @1000000 f; cat f > b'" '! echo 1 > f' '! echo 7 > f'
hazard 'an output rewritten from outside' 'echo 1 > in' 'cp in out' "! echo 2 > out; touch -r in out" "= :"
hazard 'an output that is an input of the next' 'echo 1 > in' "sh -c 'cp in mid; cp mid out'" "! echo 2 > in; touch -r out in" "= echo 9 > mid"
program maps <<'C'
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int n, char** a) {
  const int f = open(a[1], O_RDWR | O_CREAT, 0644);
  ftruncate(f, 2);
  char* const p = mmap(0, 2, a[2][0] == 'l' ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
  close(f);
  if (a[2][0] == 'l') mprotect(p, 4096, PROT_READ | PROT_WRITE);
  char command[200] = "cat ";
  strcat(command, a[2][0] == 'n' ? a[2] : a[1]);
  for (int i = 0; i < 4; ++i) {
    memcpy(p, i % 2 ? "b\n" : "a\n", 2);
    if (i == 2 && a[2][0] == 'f' && fork() == 0) return 0;
    system(command);
  }
  memcpy(p, "c\n", 2);
  if (a[2][0] == 'x') execl("/bin/cat", "cat", a[1], (char*)0);
  return 0;
}
C
for way in w l f x; do
  uncached "written to by a mapping, and read: $way" ':' "\$V $bin/maps m $way; cat m" '! :' '! rm m' '! echo 1 > m' "> sh -c '$bin/maps m $way; cat m'" '! echo 9 > m'
done
uncached 'written to by a mapping, and read by another name' ': > m; ln m n' "sh -c 'cat n; $bin/maps m n; cat n'" '! :' '! printf "9\n" > n' '! :'
shm=$(mktemp -d /dev/shm/vestal-hazard.XXXXXX) && if [ "$(stat -c %d "$shm")" != "$(stat -c %d .)" ]; then
  uncached 'written to by a mapping, where that changes no time' "rm -f $shm/m; echo 1 > $shm/m" "sh -c 'cat $shm/m; $bin/maps $shm/m w; cat $shm/m'" '! :' "! echo 9 > $shm/m" "! $bin/maps $shm/m w" '! :' "> cat $shm/m"
  uncached 'the same, and read by another name' "rm -f $shm/*; echo 1 > $shm/m; ln $shm/m $shm/n; ln -sf $shm/n n" "sh -c 'cat n; $bin/maps $shm/m n; cat n'" '! :' "! printf '9\n' > $shm/n" '! :'
fi
rm -rf "$shm"
finish
