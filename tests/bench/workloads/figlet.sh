# Tiny: one Makefile, a few C files, and an install into a folder of its own.
package=figlet
compiler=gcc
build() {
  contestant make all install DESTDIR="$PWD/out" prefix=/usr "-j$jobs" ${launcher:+CC="$launcher $compiler" LD="$launcher $compiler"}
}
clean() { make clean && rm -rf out; }
edited=figlet.c
touched='*.[ch]'
