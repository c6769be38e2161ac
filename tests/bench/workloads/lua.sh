# A small C program with a hand-written recursive Makefile; ar and ranlib.
package=lua5.4
compiler='gcc -std=gnu99'
build() { contestant make linux-readline "-j$jobs" ${launcher:+CC="$launcher $compiler"}; }
clean() { make clean; }
edited=src/lvm.c
touched='src/*.[ch]'
