# A hand-written configure script, then make; ar, a shared library with symbolic links. Both are the workload.
package=zlib
compiler=gcc
build() {
  [ -f configure.log ] || contestant env ${launcher:+CC="$launcher $compiler"} ./configure || return
  contestant make "-j$jobs"
}
clean() { make distclean && rm -f configure.log; }
edited=inflate.c
touched='*.[ch]'
