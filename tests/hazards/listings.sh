#!/bin/bash
# Which names a directory has, by whatever way a program asks.
. "$SOURCE/tests/hazards/play.sh"

program list_glob <<'C'
#include <glob.h>
#include <stdio.h>
int main(int n, char** a) { glob_t g; if (glob(a[1], 0, 0, &g)) return 1; for (size_t i = 0; i < g.gl_pathc; ++i) puts(g.gl_pathv[i]); }
C
program list_nftw <<'C'
#define _XOPEN_SOURCE 700
#include <ftw.h>
#include <stdio.h>
static int count, directories;
static int one(const char* p, const struct stat* s, int t, struct FTW* f) { ++count; directories += t == FTW_D; return 0; }
int main(int n, char** a) { nftw(a[1], one, 9, FTW_PHYS); printf("%d, %d directories\n", count, directories); }
C
program list_scandir <<'C'
#include <dirent.h>
#include <stdio.h>
int main(int n, char** a) { struct dirent** l; int c = scandir(a[1], &l, 0, alphasort); for (int i = 0; i < c; ++i) puts(l[i]->d_name); }
C
program list_types <<'C'
#include <dirent.h>
#include <stdio.h>
int main(int n, char** a) { int t[20] = {0}; DIR* d = opendir(a[1]); struct dirent* e; while ((e = readdir(d))) ++t[e->d_type];
  printf("%d files, %d directories, %d links\n", t[DT_REG], t[DT_DIR], t[DT_LNK]); }
C
program list_fd -D_GNU_SOURCE <<'C'
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
int main(int n, char** a) { int c = 0; DIR* d = fdopendir(openat(open(a[1], O_PATH | O_DIRECTORY), ".", O_RDONLY | O_DIRECTORY)); while (readdir(d)) ++c;
  rewinddir(d); while (readdir(d)) ++c; printf("%d\n", c); }
C
program list_first <<'C'
#include <dirent.h>
#include <stdio.h>
#include <string.h>
int main(int n, char** a) { DIR* d = opendir(a[1]); struct dirent* e; while ((e = readdir(d))) if (!strcmp(e->d_name, a[2])) return !puts("found"); puts("not found"); }
C
program list_fts <<'C'
#include <fts.h>
#include <stdio.h>
int main(int n, char** a) { char* w[] = {a[1], 0}; FTS* t = fts_open(w, FTS_PHYSICAL | FTS_NOCHDIR, 0); FTSENT* e; int c = 0; while ((e = fts_read(t))) ++c; printf("%d\n", c); }
C
# Old, for programs that are not known look at times too.
d='mkdir d; touch d/a.c d/b.c d/x.h; mkdir d/sub; touch -d @1000000 d d/* .'
add='! touch d/c.c' remove='! rm d/c.c' same='= mkdir -p other; touch other/c.c'
hazard 'glob of the shell' "$d" "sh -c 'echo d/*.c'" "$same" "$add" "$remove"
hazard 'glob of bash, with its options' "$d" "bash -O globstar -O nullglob -c 'echo d/**/*.c e*'" '= :' '! touch d/sub/z.c' '! touch e1' '! rm d/sub/z.c'
hazard 'glob that matches nothing' 'mkdir d' "sh -c 'echo d/*.c'" '= touch other' "$add" "$remove"
hazard 'glob of directories' "$d" "sh -c 'echo d/*/'" '! mkdir d/more' '! rmdir d/more; touch d/more' '! rm d/sub -r'
hazard 'ls' "$d" 'ls d' "$same" "$add" "$remove" '! touch d/.hidden'
hazard 'ls -A and its marks' "$d" 'ls -AF d' "$same" '! touch d/.hidden' '! rm d/b.c; mkdir d/b.c' '! rm d/a.c; ln -s x d/a.c'
hazard 'ls -R' "$d" 'ls -R d' '! touch d/sub/deep' '! rm d/sub/deep'
hazard 'find' "$d" 'find d -name "*.c"' "$same" "$add" "$remove" '! touch d/sub/e.c' '! mv d/sub d/bus'
hazard 'find -type' "$d" 'find d -type f' "$same" '! rm d/a.c; mkdir d/a.c' '! rmdir d/a.c; ln -s b.c d/a.c'
hazard 'find -empty' "$d" 'find d -empty' '! echo x > d/a.c' '! touch d/sub/e' '! : > d/a.c'
hazard '$(wildcard)' "$d; printf 'all:; @echo \$(wildcard d/*.c)\n' >Makefile; touch -d @1000000 Makefile ." 'make' '= :' "$add" "$remove"
hazard '$(shell ls) and a pattern' "$d; printf 'all: \$(patsubst d/%%.c,o/%%.o,\$(wildcard d/*.c))\no/%%.o: d/%%.c; mkdir -p o; cp \$< \$@\n' > Makefile; touch -d @1000000 Makefile d/* d ." 'make -s' "$add; touch -d @1000000 d/c.c" '! rm -r o; rm d/c.c'
hazard 'glob(3)' "$d" "\$V $bin/list_glob 'd/*.c'" "$same" "$add" "$remove"
hazard 'nftw' "$d" "\$V $bin/list_nftw d" "$same" "$add" '! mkdir d/sub/deep' '! rmdir d/sub/deep; touch d/sub/deep'
hazard 'scandir' "$d" "\$V $bin/list_scandir d" "$same" "$add" "$remove"
hazard 'types of entries' "$d" "\$V $bin/list_types d" "$same" '! rm d/a.c; mkdir d/a.c' '! rmdir d/a.c; ln -s b.c d/a.c' '! rm d/a.c; touch d/a.c'
hazard 'by descriptors, twice' "$d" "\$V $bin/list_fd d" "$same" "$add" "$remove"
hazard 'not to the end' "$d" "\$V $bin/list_first d c.c" '! touch d/c.c' '! rm d/c.c'
hazard 'fts' "$d" "\$V $bin/list_fts d" "$same" "$add" "$remove"
# From files: texts among the arguments are never cached.
cat >"$bin/listed.py" <<'P'
import glob, os, sys
ways = {'listdir': lambda: os.listdir('d'), 'scandir': lambda: (e.name for e in os.scandir('d') if e.is_file()), 'glob': lambda: glob.glob('d/*.c'),
        'walk': lambda: (str(sorted(f)) for _, _, f in os.walk('d'))}
print(sorted(ways[sys.argv[1]]()))
P
cat >"$bin/listed.pl" <<'P'
if ($ARGV[0] eq "glob") { print join(" ", glob "d/*.c"), "\n" }
else { opendir D, "d"; print join(" ", sort readdir D), "\n" }
P
for way in listdir scandir glob walk; do
  hazard "Python: $way" "$d" "\$V \$python $bin/listed.py $way" "$same" "$add" "$remove"
done
hazard 'Python: types of entries' "$d" "\$V \$python $bin/listed.py scandir" '= :' '! rm d/a.c; mkdir d/a.c'
hazard 'Python: walk further down' "$d" "\$V \$python $bin/listed.py walk" '= :' '! mkdir d/sub/deep; touch d/sub/deep/f'
for way in readdir glob; do
  hazard "Perl: $way" "$d" "\$V \$perl $bin/listed.pl $way" "$same" "$add" "$remove"
done
hazard 'awk and its arguments' "$d; echo 1 > d/a.c" "sh -c 'awk 1 d/*.c'" '! echo 2 > d/0.c' '! rm d/0.c'
# tar asks for the time, which a variable (TAR_OPTIONS) may bring into the archive.
uncached 'tar of a directory' "$d; touch -d @1000000 d d/* d/sub" 'tar cf out.tar d' "$add; touch -d @1000000 d/c.c d" '! rm d/c.c; touch -d @1000000 d'
hazard 'cp -r' "$d" "sh -c 'rm -rf e; cp -r d e'" '= rm -r e' "$add" "$remove" '! rmdir d/sub' '! mkdir -p d/new/deep'
hazard 'rm of what a pattern matches' "$d" "sh -c 'rm -f d/*.c; ls d'" '! touch d/y.h' '! touch d/q.c'
hazard 'through a symbolic link to a directory' "$d; ln -s d l" "sh -c 'ls l/; echo l/*.c'" "$add" '! mkdir e; touch e/q.c; ln -sfn e l' '! touch e/r.c'
hazard 'a parent directory' "$d" "sh -c 'cd d/sub; ls ..'" "$add" "$remove"
hazard 'what the step made itself' "$d" "sh -c 'touch d/own.c; echo d/*.c'" '= rm d/own.c' "$add" '! rm d/own.c'
hazard 'what the step removed itself' "$d" "sh -c 'rm -f d/x.h; ls d'" '! touch d/y.h' '! touch d/x.h'
hazard 'a directory that is no more' "$d" "sh -c 'ls d || echo none'" '! rm -r d' '= touch other' '! mkdir d'
hazard 'a directory that is a file now' "$d" "sh -c 'ls -d d/* || echo none'" '! rm -r d; touch d' '! rm d; mkdir d'
hazard 'many names' 'mkdir d; (cd d; seq 3000 | xargs touch)' "sh -c 'ls d | wc -l'" '= :' '! touch d/more' '! rm d/1'
hazard 'grep -r' "$d; echo word > d/a.c" 'grep -r word d' "$same" '! echo word > d/sub/new' '! : > d/sub/new'
finish
