# Large autoconf project: sources made by generators, recursive make, a build number that every make raises.
package=bash
compiler=gcc
prepare() { ./configure --disable-nls ${launcher:+CC="$launcher $compiler"}; }
build() { contestant make "-j$jobs"; }
clean() { make clean; }
edited=subst.c
touched='*.[ch]'
